// The l1 solver's optimality conditions, from products of random dictionaries.
#include "holdstill/l1_least_squares.hpp"

#include <doctest.h>

#include <array>
#include <numeric>
#include <random>
#include <vector>

namespace holdstill {
namespace {

struct Case {
  Eigen::MatrixXd atoms, q, n;
  Eigen::VectorXd v, beta, x;
  std::vector<int> all;
  double mu;

  Case(unsigned seed, int m, int r, int p, double share) {
    std::mt19937 random(seed);
    const auto unit = [&] { return static_cast<double>(random()) / 2147483648.0 - 1.0; };
    atoms = Eigen::MatrixXd::NullaryExpr(m, r, unit);
    // Images of one thing: all atoms close to each other.
    atoms.colwise() += 3.0 * Eigen::VectorXd::NullaryExpr(m, unit);
    atoms.colwise().normalize();
    v = (atoms.leftCols(3).rowwise().sum() + 0.05 * Eigen::VectorXd::NullaryExpr(m, unit))
            .normalized();
    q.resize(m, p);
    if (p > 0) {
      const Eigen::MatrixXd columns = Eigen::MatrixXd::NullaryExpr(m, p, unit);
      q = Eigen::HouseholderQR<Eigen::MatrixXd>(columns).householderQ() *
          Eigen::MatrixXd::Identity(m, p);
    }
    beta = atoms.transpose() * beside_motion(v);
    n = atoms.transpose() * q;
    mu = share * beta.cwiseAbs().maxCoeff();
    all.resize(static_cast<std::size_t>(r));
    std::iota(all.begin(), all.end(), 0);
    x = Eigen::VectorXd::Zero(r);
  }

  Eigen::VectorXd beside_motion(const Eigen::VectorXd& of) const {
    if (q.cols() == 0) return of;
    return of - q * (q.transpose() * of);
  }

  L1Summary solve() {
    L1Options options;
    options.mu = mu;
    const L1Solver solver(atoms.transpose() * atoms, options);
    L1Solver::Workspace work(static_cast<int>(x.size()), static_cast<int>(q.cols()));
    const L1Products products{&all, n, beta, beside_motion(v).squaredNorm()};
    solver.split_bregman(products, &work);
    x = work.d;
    return solver.solve(products, x, &work);
  }

  Eigen::VectorXd correlation() const { return atoms.transpose() * beside_motion(v - atoms * x); }
};

TEST_CASE("the solution fulfils the optimality conditions and certifies itself") {
  for (unsigned seed = 0; seed < 20; ++seed)
    for (const double share : {0.5, 0.05, 1e-3, 1e-5}) {
      CAPTURE(seed);
      CAPTURE(share);
      Case one(seed, 60, 25, std::array{2, 6, 0}[seed % 3], share);  // 0: no motion
      const L1Summary found = one.solve();
      CHECK(found.converged);
      CHECK(found.gap <= 1e-9 * found.objective);
      const Eigen::VectorXd c = one.correlation();
      for (Eigen::Index i = 0; i < c.size(); ++i) {
        if (one.x[i] != 0.0)
          CHECK(std::abs(c[i] - (one.x[i] > 0.0 ? one.mu : -one.mu)) <= 1e-11);
        else
          CHECK(std::abs(c[i]) <= one.mu + 1e-11);
      }
    }
}

TEST_CASE("the solution is zero exactly from the largest correlation on") {
  Case above(3, 60, 25, 6, 1.0 + 1e-9), below(3, 60, 25, 6, 1.0 - 1e-6);
  above.solve();
  below.solve();
  CHECK((above.x.array() == 0.0).all());
  CHECK((below.x.array() != 0.0).any());
}

TEST_CASE("atoms given twice are shared out, not stumbled over") {
  Case one(4, 60, 24, 6, 1e-3);
  one.atoms.rightCols(12) = one.atoms.leftCols(12);
  one.n = one.atoms.transpose() * one.q;
  one.beta = one.atoms.transpose() * (one.v - one.q * (one.q.transpose() * one.v));
  const L1Summary found = one.solve();
  CHECK(found.gap <= 1e-9 * found.objective);
  CHECK(one.x.allFinite());
}

}  // namespace
}  // namespace holdstill
