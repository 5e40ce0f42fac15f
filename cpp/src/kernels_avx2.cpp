#define HOLDSTILL_LANES 8
#include "kernels_impl.hpp"

namespace holdstill::kernels {

const Table& avx2() {
  static constexpr Table table = make_table("avx2");
  return table;
}

}  // namespace holdstill::kernels
