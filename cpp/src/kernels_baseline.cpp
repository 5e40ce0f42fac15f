#define HOLDSTILL_LANES 4
#include "kernels_impl.hpp"

namespace holdstill::kernels {

const Table& baseline() {
  static constexpr Table table = make_table("baseline");
  return table;
}

}  // namespace holdstill::kernels
