#include "holdstill/l1_least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "holdstill/proximal.hpp"

namespace holdstill {
namespace {

// Newton's target is met to rounding: the terms of beta - Gamma x are of order one.
constexpr double kStationarity = 1e-11;
// Added to a pivot, relative to it: at rounding level.
constexpr double kRidge = 1e-14;

double sign_of(double x) { return x > 0.0 ? 1.0 : -1.0; }

// equations.md §3: theta = k r is dual feasible for k = clip(v.r / |r|^2, -w, w), w = mu / largest
// correlation.
double duality_gap(const L1Summary& at, double mu, double largest) {
  const double rr = at.residual * at.residual;
  const double omega = largest > 0.0 ? mu / largest : std::numeric_limits<double>::infinity();
  const double k = rr > 0.0 ? std::clamp(at.along / rr, -omega, omega) : 0.0;
  return std::max(at.objective - k * at.along + 0.5 * k * k * rr, 0.0);
}

}  // namespace

L1Solver::L1Solver(Eigen::MatrixXd gram, const L1Options& options)
    : gram_(std::move(gram)),
      options_(options),
      ridge_(gram_.size() > 0 ? kRidge * gram_(0, 0) : 0.0) {
  const Eigen::Index r = gram_.rows();
  nu_ = options_.penalty * gram_.trace() / static_cast<double>(std::max<Eigen::Index>(r, 1));
  if (!(nu_ > 0.0)) nu_ = 1.0;
  Eigen::MatrixXd shifted = gram_;
  shifted.diagonal().array() += nu_;
  factor_.compute(shifted);
}

L1Solver::Workspace::Workspace(int n_atoms, int n_parameters)
    : x(n_atoms),
      gradient(n_atoms),
      rhs(n_atoms),
      target(n_atoms),
      d(n_atoms),
      b(n_atoms),
      q(n_atoms),
      gamma(n_atoms, n_atoms),
      z(n_atoms, n_parameters),
      small(n_parameters, n_parameters),
      small_rhs(n_parameters) {
  support.reserve(n_atoms);
  thetas.reserve(n_atoms + 1);
}

// equations.md §3, split Bregman:
//   y <- (B^T B + nu C^T C)^-1 (B^T v + nu C^T (d - b));  d <- S_{mu/nu}(C y + b);  b <- b + C y -
//   d
// with the step eliminated and the rank-p update of the dictionary's factor:
//   (M - N N^T)^-1 q = w + Z (I - N^T Z)^-1 N^T w,  w = M^-1 q,  Z = M^-1 N.
void L1Solver::split_bregman(const L1Products& products, Workspace* work) const {
  work->d.setZero();
  work->b.setZero();
  if (options_.bregman_iterations == 0) return;
  const Eigen::Index p = products.n.cols();
  auto z = work->z.leftCols(p);
  auto small = work->small.topLeftCorner(p, p);
  auto small_rhs = work->small_rhs.head(p);
  z = products.n;
  if (p > 0) factor_.solveInPlace(z);  // Eigen looks at the first column of none, too
  small.setIdentity();
  small.noalias() -= products.n.transpose() * z;
  const Eigen::LLT<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, 8, 8>> inner(small);

  const double threshold = options_.mu / nu_;
  for (int k = 0; k < options_.bregman_iterations; ++k) {
    work->q = products.beta + nu_ * (work->d - work->b);
    factor_.solveInPlace(work->q);
    small_rhs.noalias() = products.n.transpose() * work->q;
    inner.solveInPlace(small_rhs);
    work->q.noalias() += z * small_rhs;  // x
    for (Eigen::Index i = 0; i < work->d.size(); ++i) {
      const double shifted = work->q[i] + work->b[i];
      work->d[i] = soft_threshold(shifted, threshold);
      work->b[i] = shifted - work->d[i];
    }
  }
}

bool L1Solver::lists_all_atoms(const std::vector<int>& candidates) const {
  if (static_cast<Eigen::Index>(candidates.size()) != gram_.rows()) return false;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (candidates[i] != static_cast<int>(i)) return false;
  return true;
}

void L1Solver::correlation(const L1Products& products, const Eigen::Ref<const Eigen::VectorXd>& x,
                           Workspace* work) const {
  const Eigen::Index n = products.beta.size(), p = products.n.cols();
  auto gradient = work->gradient.head(n);
  gradient = products.beta;
  auto nx = work->small_rhs.head(p);
  nx.setZero();
  for (Eigen::Index j = 0; j < n; ++j) {
    if (x[j] == 0.0) continue;
    nx += x[j] * products.n.row(j).transpose();
    if (products.gram)
      gradient -= x[j] * products.gram->col(j).head(n);
    else if (work->all_atoms)
      gradient -= x[j] * gram_.col(j);
    else
      for (Eigen::Index i = 0; i < n; ++i) gradient[i] -= gram(products, i, j) * x[j];
  }
  gradient.noalias() += products.n * nx;
}

// Appends to U, Gamma_SS = U^T U, the columns of the atoms that joined the support since.
bool L1Solver::extend_factor(const L1Products& products, Workspace* work) const {
  const auto& support = work->support;
  auto& u = work->gamma;
  for (Eigen::Index& i = work->n_factored; i < static_cast<Eigen::Index>(support.size()); ++i) {
    double* column = &u(0, i);
    for (Eigen::Index j = 0; j <= i; ++j) column[j] = gamma(products, support[i], support[j]);
    for (Eigen::Index j = 0; j < i; ++j)
      column[j] = (column[j] - u.col(i).head(j).dot(u.col(j).head(j))) / u(j, j);
    // Dependent atoms make Gamma_SS singular; a ridge at rounding level picks one of the solutions.
    const double pivot =
        column[i] + std::max(ridge_, kRidge * column[i]) - u.col(i).head(i).squaredNorm();
    if (!(pivot > 0.0)) return false;
    column[i] = std::sqrt(pivot);
  }
  return true;
}

// target_S = Gamma_SS^-1 (beta_S - mu s_S)
bool L1Solver::solve_on_support(const L1Products& products,
                                const Eigen::Ref<const Eigen::VectorXd>& x, Workspace* work) const {
  const auto& support = work->support;
  const Eigen::Index s = static_cast<Eigen::Index>(support.size());
  if (!extend_factor(products, work)) return false;
  auto target = work->target.head(s);
  for (Eigen::Index i = 0; i < s; ++i) {
    // A new atom enters at zero: its sign is that of its correlation.
    const double sign =
        x[support[i]] != 0.0 ? sign_of(x[support[i]]) : sign_of(work->gradient[support[i]]);
    work->rhs[i] = sign;
    target[i] = products.beta[support[i]] - options_.mu * sign;
  }
  const auto u = work->gamma.topLeftCorner(s, s).triangularView<Eigen::Upper>();
  u.transpose().solveInPlace(target);
  u.solveInPlace(target);
  return target.allFinite();
}

// The best of 1 and the sign changes on the way from x to the target, by the objective itself.
double L1Solver::line_search(const Eigen::Ref<const Eigen::VectorXd>& x, Workspace* work) const {
  const auto& support = work->support;
  const Eigen::Index s = static_cast<Eigen::Index>(support.size());
  auto& thetas = work->thetas;
  thetas.assign(1, 1.0);
  // f(theta) = c0 + slope theta + curvature theta^2 / 2 + mu |x + theta direction|_1
  double slope = 0.0, curvature = 0.0;
  for (Eigen::Index i = 0; i < s; ++i) {
    const double xi = x[support[i]], di = work->target[i] - xi;
    slope -= work->gradient[support[i]] * di;
    // The target solves Gamma_SS target = beta_S - mu s_S.
    curvature += di * (work->gradient[support[i]] - options_.mu * work->rhs[i]);
    if (xi != 0.0 && xi * work->target[i] < 0.0) thetas.push_back(xi / (xi - work->target[i]));
  }
  double best = 0.0, best_value = std::numeric_limits<double>::infinity();
  for (const double theta : thetas) {
    double norm = 0.0;
    for (Eigen::Index i = 0; i < s; ++i)
      norm += std::abs(x[support[i]] + theta * (work->target[i] - x[support[i]]));
    const double value = theta * (slope + 0.5 * theta * curvature) + options_.mu * norm;
    if (value < best_value) best_value = value, best = theta;
  }
  return best;
}

// Feature-sign active set: exact after finitely many steps, since the objective falls at each.
L1Summary L1Solver::solve(const L1Products& products, Eigen::Ref<Eigen::VectorXd> x,
                          Workspace* work) const {
  const Eigen::Index n = x.size();
  auto& support = work->support;
  support.clear();
  work->n_factored = 0;
  work->all_atoms = lists_all_atoms(*products.candidates);
  for (Eigen::Index i = 0; i < n; ++i)
    if (x[i] != 0.0) support.push_back(static_cast<int>(i));
  const double slack =
      kStationarity * options_.mu + 1e-15 * std::sqrt(std::max(products.energy, 0.0));

  L1Summary summary;
  correlation(products, x, work);
  while (summary.active_set_steps < options_.max_active_set_steps) {
    bool stationary = support.empty();
    while (!stationary && summary.active_set_steps < options_.max_active_set_steps) {
      ++summary.active_set_steps;
      if (!solve_on_support(products, x, work)) {
        certify(products, x, options_.mu, *work, &summary);
        return summary;
      }
      const double theta = line_search(x, work);
      bool sign_changed = false;
      for (std::size_t i = 0; i < support.size(); ++i) {
        double& xi = x[support[i]];
        const double target = work->target[i];
        // The same quotient as in the line search, so that the atom which stops it is exactly zero.
        const bool stops_here = xi * target < 0.0 && theta == xi / (xi - target);
        xi = stops_here ? 0.0 : xi + theta * (target - xi);
        sign_changed = sign_changed || xi * work->rhs[i] <= 0.0;
      }
      const auto leaves = [&](int i) { return x[i] == 0.0; };
      const auto first = std::find_if(support.begin(), support.end(), leaves);
      // The factor keeps the columns before the first atom that leaves.
      work->n_factored = std::min<Eigen::Index>(work->n_factored, first - support.begin());
      support.erase(std::remove_if(first, support.end(), leaves), support.end());
      correlation(products, x, work);
      stationary = (theta == 1.0 && !sign_changed) || support.empty();
    }
    // Add the atom that violates its bound most.
    int worst = -1;
    double worst_correlation = options_.mu + slack;
    for (Eigen::Index i = 0; i < n; ++i) {
      if (x[i] != 0.0) continue;
      const double c = std::abs(work->gradient[i]);
      if (c > worst_correlation) worst_correlation = c, worst = static_cast<int>(i);
    }
    if (worst < 0) {
      summary.converged = true;
      break;
    }
    support.push_back(worst);
  }

  certify(products, x, options_.mu, *work, &summary);
  return summary;
}

L1Summary L1Solver::least_squares(const L1Products& products, Eigen::Ref<Eigen::VectorXd> x,
                                  Workspace* work) const {
  const Eigen::Index n = x.size();
  auto gamma = work->gamma.topLeftCorner(n, n);
  for (Eigen::Index i = 0; i < n; ++i)
    for (Eigen::Index j = 0; j <= i; ++j)
      gamma(i, j) = this->gamma(products, static_cast<int>(i), static_cast<int>(j));
  gamma.diagonal().array() += ridge_;
  Eigen::Ref<Eigen::MatrixXd> in_place(gamma);
  const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> llt(in_place);
  x = products.beta;
  llt.solveInPlace(x);
  L1Summary summary;
  summary.converged = llt.info() == Eigen::Success;
  work->all_atoms = lists_all_atoms(*products.candidates);
  correlation(products, x, work);
  certify(products, x, 0.0, *work, &summary);
  return summary;
}

// Objective and duality gap of a point.
void L1Solver::certify(const L1Products& products, const Eigen::Ref<const Eigen::VectorXd>& x,
                       double mu, const Workspace& work, L1Summary* summary) const {
  const double beta_x = products.beta.dot(x);
  double x_gamma_x = 0.0, largest = 0.0;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    x_gamma_x += x[i] * (products.beta[i] - work.gradient[i]);
    largest = std::max(largest, std::abs(work.gradient[i]));
  }
  const double rr = std::max(products.energy - 2.0 * beta_x + x_gamma_x, 0.0);
  summary->objective = 0.5 * rr + mu * x.lpNorm<1>();
  summary->residual = std::sqrt(rr);
  summary->along = products.energy - beta_x;
  if (mu == 0.0) return;  // without a penalty the normal equations are the certificate
  summary->gap = duality_gap(*summary, mu, largest);
}

void L1Solver::certify_all(const Eigen::Ref<const Eigen::VectorXd>& correlations,
                           L1Summary* summary) const {
  summary->gap = std::max(summary->gap,
                          duality_gap(*summary, options_.mu, correlations.cwiseAbs().maxCoeff()));
}

}  // namespace holdstill
