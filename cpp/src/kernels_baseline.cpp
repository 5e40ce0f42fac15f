// What every processor of the target has: SSE2 on x86-64, NEON on arm64, where four lanes are one
// register and no other set is needed.
#define HOLDSTILL_LANES 4
#include "kernels_impl.hpp"

namespace holdstill::kernels {

const Table& baseline() {
  static constexpr Table table = make_table("baseline");
  return table;
}

}  // namespace holdstill::kernels
