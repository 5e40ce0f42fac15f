// The kernels' one source. Each including file sets HOLDSTILL_LANES and the table's name; all of
// it, its parts included, has internal linkage, so that no instruction set leaks into another file;
// what it takes of the standard library is inlined, from -O1 on.
#include "curvature_kernels_impl.hpp"
#include "filter_kernels_impl.hpp"
#include "product_kernels_impl.hpp"
#include "rasl_kernels_impl.hpp"
#include "residual_kernels_impl.hpp"
#include "warp_kernels_impl.hpp"

namespace holdstill::kernels {
namespace {

constexpr Table make_table(const char* name) {
  return {name,         convolve,       convolve_differences,
          halve,        grey_texels,    edge_texels,
          sample,       grey_columns,   edge_columns,
          curvature,    self_products,  products,
          dots,         scale_columns,  scale_row,
          residual,     robust_weights, redescending_weights,
          shrink_image, advance_image};
}

}  // namespace
}  // namespace holdstill::kernels
