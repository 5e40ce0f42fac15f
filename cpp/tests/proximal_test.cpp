#include <doctest.h>

#include <cmath>

#include "holdstill/proximal.hpp"

namespace holdstill {
namespace {

TEST_CASE("soft threshold shrinks towards zero and keeps the sign") {
  CHECK(soft_threshold(3.0, 1.0) == 2.0);
  CHECK(soft_threshold(-3.0, 1.0) == -2.0);
  CHECK(soft_threshold(1.0, 1.0) == 0.0);
  CHECK(soft_threshold(-1.0, 1.0) == 0.0);
  CHECK(soft_threshold(0.5, 1.0) == 0.0);
  CHECK(soft_threshold(-0.25, 0.0) == -0.25);
}

TEST_CASE("soft threshold minimises |y| t + (y - x)^2 / 2") {
  const double t = 0.7;
  for (double x = -3.0; x <= 3.0; x += 0.13) {
    const auto value = [&](double y) { return t * std::abs(y) + 0.5 * (y - x) * (y - x); };
    const double best = value(soft_threshold(x, t));
    for (double y = -3.5; y <= 3.5; y += 0.01) CHECK(best <= value(y) + 1e-15);
  }
}

}  // namespace
}  // namespace holdstill
