#define HOLDSTILL_LANES 16
#include "kernels_impl.hpp"

namespace holdstill::kernels {

const Table& avx512() {
  static constexpr Table table = make_table("avx512");
  return table;
}

}  // namespace holdstill::kernels
