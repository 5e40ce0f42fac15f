// Anderson acceleration of maps whose fixed points are known.
#include "holdstill/anderson.hpp"

#include <doctest.h>

#include <cmath>

namespace holdstill {
namespace {

// x -> x + step(x), step(x) = K (fixed - x): linear, with the contractions 1 - K on its diagonal.
struct LinearMap {
  explicit LinearMap(int n) : k(n, n), fixed(n) {
    for (int i = 0; i < n; ++i) {
      fixed[i] = 0.3 - 0.1 * i;
      for (int j = 0; j < n; ++j) k(i, j) = i == j ? 0.9 - 0.08 * i : 0.04 * (i - j);
    }
  }
  Parameters step(const Parameters& x) const { return k * (fixed - x); }

  Eigen::MatrixXd k;
  Parameters fixed;
};

double error_after(int n_steps, const LinearMap& map, int depth, const Parameters& scale) {
  Anderson anderson(depth, scale);
  Parameters x = Parameters::Zero(map.fixed.size());
  for (int i = 0; i < n_steps; ++i) x = anderson.next(x, map.step(x));
  return (x - map.fixed).norm();
}

TEST_CASE("a linear map of p dimensions is at its fixed point after p + 1 steps") {
  for (const int n : {1, 2, 3, 4}) {
    CAPTURE(n);
    const LinearMap map(n);
    const Parameters ones = Parameters::Ones(n);
    CHECK(error_after(n + 1, map, n, ones) < 1e-10);
    CHECK(error_after(n + 1, map, 0, ones) > 1e-4);
  }
}

TEST_CASE("units do not matter to it where it has seen every direction") {
  const LinearMap map(4);
  Parameters scale(4);
  scale << 1.0, 3.0, 0.1, 0.7;
  CHECK(error_after(5, map, 4, scale) < 1e-9);
}

TEST_CASE("more dimensions than its depth converge faster than plain steps") {
  const LinearMap map(8);
  const Parameters ones = Parameters::Ones(8);
  CHECK(error_after(20, map, 4, ones) < 1e-3 * error_after(20, map, 0, ones));
}

TEST_CASE("without depth, at first and after it has been told to forget, a step is the plain one") {
  const LinearMap map(2);
  const Parameters ones = Parameters::Ones(2), x = Parameters::Zero(2);
  const Parameters plain = x + map.step(x);
  Anderson anderson(2, ones);
  CHECK(anderson.next(x, map.step(x)) == plain);
  CHECK(anderson.next(plain, map.step(plain)) != Parameters(plain + map.step(plain)));
  anderson.forget();
  CHECK(anderson.next(x, map.step(x)) == plain);
}

TEST_CASE("preconditioned by the map's own inverse it is there in one step, in any units") {
  const LinearMap map(4);
  Parameters scale(4);
  scale << 1.0, 3.0, 0.1, 0.7;
  const Parameters start = map.fixed + Parameters::Constant(4, 0.01);
  for (const int depth : {0, 4}) {
    Anderson anderson(depth, scale);
    anderson.precondition(map.k.inverse());
    CHECK((anderson.next(start, map.step(start)) - map.fixed).norm() < 1e-12);
  }
}

TEST_CASE("it learns what a preconditioner has left over") {
  const LinearMap map(2);
  Anderson anderson(2, Parameters::Ones(2));
  anderson.precondition(1.2 * Eigen::MatrixXd::Identity(2, 2));
  Parameters x = Parameters::Zero(2);
  for (int i = 0; i < 3; ++i) x = anderson.next(x, map.step(x));
  CHECK((x - map.fixed).norm() < 1e-10);
}

TEST_CASE("it stays at the fixed point") {
  const LinearMap map(3);
  Anderson anderson(3, Parameters::Ones(3));
  Parameters x = Parameters::Zero(3);
  for (int i = 0; i < 30; ++i) x = anderson.next(x, map.step(x));
  CHECK((x - map.fixed).norm() < 1e-12);
  CHECK((anderson.next(map.fixed, Parameters::Zero(3)) - map.fixed).norm() < 1e-12);
}

TEST_CASE("it does not leap further than a pixel beyond the plain step") {
  const double fixed = 100.0, contraction = 0.99;  // it would be there in one leap
  Anderson anderson(1, Parameters::Ones(1));
  Parameters x = Parameters::Zero(1);
  for (int i = 0; i < 5; ++i) {
    const Parameters step = Parameters::Constant(1, (1.0 - contraction) * (fixed - x[0]));
    x = anderson.next(x, step);
  }
  CHECK(x[0] == doctest::Approx(fixed * (1.0 - std::pow(contraction, 5))).epsilon(1e-12));
}

TEST_CASE("after steps that grow it starts anew") {
  Anderson anderson(2, Parameters::Ones(2));
  const Parameters x = Parameters::Zero(2);
  Parameters small(2), large(2);
  small << 0.1, 0.0;
  large << 0.0, 0.5;
  anderson.next(x, small);
  const Parameters there = x + small, plain = there + large;
  CHECK(anderson.next(there, large) == plain);
}

}  // namespace
}  // namespace holdstill
