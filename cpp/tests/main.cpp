#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "holdstill/kernels.hpp"

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  const char* wanted = std::getenv("HOLDSTILL_ISA");
  const auto known = holdstill::kernels::available();
  if (wanted && std::find(known.begin(), known.end(), wanted) == known.end()) {
    std::printf("this processor has no %s\n", wanted);
    return kSkipped;
  }
  return doctest::Context(argc, argv).run();
}
