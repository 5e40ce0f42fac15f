#include "holdstill/kernels.hpp"

#include <cstdlib>
#include <stdexcept>

namespace holdstill::kernels {

std::vector<std::string> available() {
  std::vector<std::string> names = {"baseline"};
#ifdef HOLDSTILL_X86_DISPATCH
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (has_avx2) names.emplace_back("avx2");
  if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    names.emplace_back("avx512");
#endif
  return names;
}

const Table& by_name(const std::string& name) {
  const auto names = available();
  for (const auto& candidate : names) {
    if (candidate != name) continue;
#ifdef HOLDSTILL_X86_DISPATCH
    if (name == "avx2") return avx2();
    if (name == "avx512") return avx512();
#endif
    return baseline();
  }
  std::string known;
  for (const auto& candidate : names) known += (known.empty() ? "" : ", ") + candidate;
  throw std::invalid_argument("HOLDSTILL_ISA: expected one of " + known +
                              " on this processor, got " + name);
}

const Table& active() {
  static const Table& chosen = [&]() -> const Table& {
    const char* wanted = std::getenv("HOLDSTILL_ISA");
    return by_name(wanted && *wanted ? wanted : available().back());
  }();
  return chosen;
}

}  // namespace holdstill::kernels
