#include "holdstill/rasl.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "holdstill/blas.hpp"
#include "holdstill/kernels.hpp"
#include "holdstill/parallel.hpp"
#include "holdstill/proximal.hpp"

namespace holdstill {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// X -> U S_t(Sigma) V^T through the eigenvectors of X^T X: images have far more pixels than there
// are images. In float64, for the Gram matrix squares the singular values.
class SingularValueThreshold {
 public:
  struct Kept {
    int rank;
    double nuclear_norm;
  };

  template <typename Out>
  Kept apply(const Eigen::Ref<const MatrixXd>& x, double threshold, Out* out) {
    blas::gram(x, &vectors_);
    eigen_.decompose(&vectors_);
    const Index n = x.cols();
    Kept kept{0, 0.0};
    scaled_.resize(n, n);
    for (Index i = n; i-- > 0;) {  // eigenvalues rise: what is kept stands at the end
      const double sigma = std::sqrt(std::max(eigen_.values()[i], 0.0));
      if (sigma <= threshold) break;
      scaled_.col(i) = (1.0 - threshold / sigma) * vectors_.col(i);
      kept.nuclear_norm += sigma - threshold;
      ++kept.rank;
    }
    const auto u = scaled_.rightCols(kept.rank), v = vectors_.rightCols(kept.rank);
    if (kept.rank == 0)
      out->setZero();
    else if (3 * kept.rank <= n)
      multiply_thin(x, u, v, out);
    else {
      projector_.resize(n, n);
      blas::multiply_transposed(u, v, projector_);
      blas::multiply(x, projector_, *out);
    }
    return kept;
  }

 private:
  using Columns = Eigen::Ref<const MatrixXd>;

  // Two thin products in the place of a square one, of some rows at a time: they stay in the cache.
  template <typename Out>
  void multiply_thin(const Columns& x, const Columns& u, const Columns& v, Out* out) {
    constexpr Index n_rows = 512;
    thin_.resize(std::min(n_rows, x.rows()), u.cols());
    for (Index from = 0; from < x.rows(); from += n_rows) {
      const Index rows = std::min(n_rows, x.rows() - from);
      blas::multiply(x.middleRows(from, rows), u, thin_.topRows(rows));
      blas::multiply_transposed(thin_.topRows(rows), v, out->middleRows(from, rows));
    }
  }

  blas::SymmetricEigen eigen_;
  MatrixXd vectors_, scaled_, projector_, thin_;
};

// Starting threads costs more than a small batch's columns are worth.
int worthwhile_threads(const RaslProblem& problem, int requested) {
  return problem.m() * problem.n() < (Index{1} << 19) ? 1 : requested;
}

double spectral_norm(MatrixXd* gram) {
  return std::sqrt(std::max(blas::SymmetricEigen().largest_value(gram), 0.0));
}

double spectral_norm(const Eigen::Ref<const MatrixXd>& x) {
  MatrixXd gram;
  blas::gram(x, &gram);
  return spectral_norm(&gram);
}

// delta_i <- delta_i - B_i^T (sum_j B_j B_j^T)^+ sum_j B_j delta_j: keeps the batch's mean motion.
class Gauge {
 public:
  explicit Gauge(const RaslProblem& problem) : problem_(problem) {
    if (!problem.b) return;
    MatrixXd total = MatrixXd::Zero(problem.n_gauge, problem.n_gauge);
    for (Index i = 0; i < problem.n(); ++i)
      total.noalias() += problem.b_of(i) * problem.b_of(i).transpose();
    inverse_ = total.completeOrthogonalDecomposition().pseudoInverse();
  }

  void project(MatrixXd* delta) const {
    if (!problem_.b) return;
    const VectorXd eta = inverse_ * common(*delta);
    for (Index i = 0; i < problem_.n(); ++i) delta->col(i) -= problem_.b_of(i).transpose() * eta;
  }

 private:
  VectorXd common(const MatrixXd& delta) const {
    VectorXd sum = VectorXd::Zero(problem_.n_gauge);
    for (Index i = 0; i < problem_.n(); ++i) sum += problem_.b_of(i) * delta.col(i);
    return sum;
  }

  const RaslProblem& problem_;
  MatrixXd inverse_;
};

// p = || A ||_* + lambda || D + Q delta - A ||_1
double upper_bound(const RaslProblem& problem, const RaslStep& step, double nuclear_norm) {
  double l1 = 0.0;
  for (Index i = 0; i < problem.n(); ++i)
    l1 +=
        (problem.d.col(i) + problem.q_of(i) * step.delta.col(i) - step.low_rank.col(i)).lpNorm<1>();
  return nuclear_norm + problem.lambda * l1;
}

// <Y, D> for the multipliers projected onto Q_i^T Y_i = B_i^T eta and scaled into the dual's ball.
// Some rows at a time: a copy of Y would be as large as the images.
double lower_bound(const RaslProblem& problem, const Gauge& gauge,
                   const Eigen::Ref<const MatrixXd>& multipliers) {
  constexpr Index n_rows = 1024;
  const Index m = problem.m(), n = problem.n();
  MatrixXd along(problem.n_parameters, n), y(std::min(n_rows, m), n), gram = MatrixXd::Zero(n, n);
  for (Index i = 0; i < n; ++i)
    along.col(i).noalias() = problem.q_of(i).transpose() * multipliers.col(i);
  gauge.project(&along);
  double largest = 0.0, product = 0.0;
  for (Index from = 0; from < m; from += n_rows) {
    const Index rows = std::min(n_rows, m - from);
    auto some = y.topRows(rows);
    some = multipliers.middleRows(from, rows);
    for (Index i = 0; i < n; ++i)
      some.col(i).noalias() -= problem.q_of(i).middleRows(from, rows) * along.col(i);
    largest = std::max(largest, some.cwiseAbs().maxCoeff());
    product += some.cwiseProduct(problem.d.middleRows(from, rows)).sum();
    blas::gram(some, &gram, 1.0);
  }
  return product / std::max({1.0, spectral_norm(&gram), largest / problem.lambda});
}

// Fills delta and, in the multipliers' memory, T = D - E + Y/mu; returns mu.
double start_alm(const RaslProblem& problem, const AlmOptions& options, RaslStep* step) {
  step->delta = MatrixXd::Zero(problem.n_parameters, problem.n());
  auto& y = step->multipliers;
  double mu = options.penalty;
  if (options.warm) {
    y = problem.d - step->sparse + y / mu;
    return mu;
  }
  const double spectral = spectral_norm(problem.d);
  if (mu == 0.0) mu = 1.25 / spectral;
  y = problem.d / std::max(spectral, problem.d.cwiseAbs().maxCoeff() / problem.lambda);
  y = problem.d + y / mu;
  step->sparse.setZero();
  return mu;
}

// Y back from T; returns the objective.
double finish_alm(const RaslProblem& problem, double nuclear_norm, RaslStep* step) {
  VectorXd moved(problem.m());
  double l1 = 0.0;
  for (Index i = 0; i < problem.n(); ++i) {
    moved = problem.d.col(i);
    moved.noalias() += problem.q_of(i) * step->delta.col(i);
    auto target = step->multipliers.col(i);
    target = step->penalty * (target - moved + step->sparse.col(i));
    l1 += (moved - step->low_rank.col(i)).lpNorm<1>();
  }
  return nuclear_norm + problem.lambda * l1;
}

// Whether the subgradient at a step of the proximal gradient from (a_hat, e_hat, delta_hat) is
// small beside the step's result.
bool rests(const RaslProblem& problem, const Gauge& gauge, const MatrixXd& a_hat,
           const MatrixXd& e_hat, const MatrixXd& delta_hat, double tolerance,
           const RaslStep& step) {
  const Index n = problem.n();
  MatrixXd residual = (step.low_rank - a_hat) + (step.sparse - e_hat);  // T
  MatrixXd along(problem.n_parameters, n);
  for (Index i = 0; i < n; ++i) {
    residual.col(i) -= problem.q_of(i) * (step.delta.col(i) - delta_hat.col(i));
    along.col(i) = problem.q_of(i).transpose() * residual.col(i);
  }
  along += 3.0 * (step.delta - delta_hat);
  gauge.project(&along);
  const double subgradient =
      std::sqrt((3.0 * (a_hat - step.low_rank) + residual).squaredNorm() +
                (3.0 * (e_hat - step.sparse) + residual).squaredNorm() + along.squaredNorm());
  const double size =
      std::sqrt(step.low_rank.squaredNorm() + step.sparse.squaredNorm() + step.delta.squaredNorm());
  return subgradient <= 3.0 * tolerance * std::max(1.0, size);
}

}  // namespace

// equations.md §1:
//   A <- U S_{1/mu}(Sigma) V^T  of  T = D + Q delta - E + Y/mu
//   E <- S_{lambda/mu}(D + Q delta - A + Y/mu)
//   delta_i <- Q_i^T (A + E - D - Y/mu)_i,  then the gauge
//   Y <- Y + mu (D + Q delta - A - E);   mu <- rho mu
// With z = T + E - A and its clipped part c = z - S(z), E's step is z - c, delta's, since Q^T Q =
// I, is -Q^T c, and Y/mu becomes c + Q (what delta changed by): T alone is carried on, in Y's
// memory.
void rasl_alm(const RaslProblem& problem, const AlmOptions& options, int threads, RaslStep* step) {
  const Index m = problem.m();
  const int n = static_cast<int>(problem.n()), p = problem.n_parameters;
  threads = worthwhile_threads(problem, threads);
  const Gauge gauge(problem);
  const kernels::Table& kernel = kernels::active();
  const double limit = options.tolerance * problem.d.norm();
  double mu = start_alm(problem, options, step);
  auto& target = step->multipliers;
  MatrixXd before, change;
  VectorXd squared_gap(n);
  SingularValueThreshold svt;
  SingularValueThreshold::Kept kept{};

  for (step->iterations = 1;; ++step->iterations) {
    kept = svt.apply(target, 1.0 / mu, &step->low_rank);
    before = step->delta;
    change.resize(p, n);
    // Images are independent from here on, but for the gauge.
    parallel_for(n, threads, [&](int, int i) {
      kernel.shrink_image(&step->low_rank(0, i), problem.q_of(i).data(), m, p, problem.lambda / mu,
                          &target(0, i), &step->sparse(0, i), change.col(i).data());
    });
    step->delta -= change;
    gauge.project(&step->delta);
    change = step->delta - before;
    const double next_mu = std::max(mu, std::min(options.rho * mu, options.max_penalty));
    parallel_for(n, threads, [&](int, int i) {
      squared_gap[i] =
          kernel.advance_image(problem.d.col(i).data(), &step->low_rank(0, i), &step->sparse(0, i),
                               problem.q_of(i).data(), m, p, step->delta.col(i).data(),
                               change.col(i).data(), mu / next_mu, &target(0, i));
    });
    mu = next_mu;
    step->converged = std::sqrt(squared_gap.sum()) <= limit;
    if (step->converged || step->iterations >= options.max_iterations) break;
  }
  step->rank = kept.rank;
  step->penalty = mu;
  step->objective = finish_alm(problem, kept.nuclear_norm, step);
  step->lower_bound = options.certify ? lower_bound(problem, gauge, step->multipliers)
                                      : std::numeric_limits<double>::quiet_NaN();
}

// equations.md §1, accelerated proximal gradient on
//   kappa (|| A ||_* + lambda || E ||_1) + 1/2 || D + Q delta - A - E ||^2
void rasl_apg(const RaslProblem& problem, double tolerance, int max_iterations, int threads,
              RaslStep* out) {
  RaslStep& step = *out;
  const Index m = problem.m(), n = problem.n();
  threads = worthwhile_threads(problem, threads);
  const Gauge gauge(problem);
  const double spectral = spectral_norm(problem.d);
  double kappa = spectral, nuclear_norm = 0.0;
  const double last_kappa = 1e-4 * spectral;

  step.low_rank.setZero();
  step.sparse.setZero();
  step.delta = MatrixXd::Zero(problem.n_parameters, n);
  MatrixXd a_old = step.low_rank, e_old = step.sparse, delta_old = step.delta;
  MatrixXd a_hat, e_hat, delta_hat, gradient(m, n), target(m, n);
  SingularValueThreshold svt;
  double t_old = 1.0, t = 1.0;

  for (step.iterations = 1; step.iterations <= max_iterations; ++step.iterations) {
    const double momentum = (t_old - 1.0) / t;
    a_hat = step.low_rank + momentum * (step.low_rank - a_old);
    e_hat = step.sparse + momentum * (step.sparse - e_old);
    delta_hat = step.delta + momentum * (step.delta - delta_old);
    a_old = step.low_rank;
    e_old = step.sparse;
    delta_old = step.delta;
    parallel_for(static_cast<int>(n), threads, [&](int, int i) {
      gradient.col(i) = a_hat.col(i) + e_hat.col(i) - problem.d.col(i);
      gradient.col(i).noalias() -= problem.q_of(i) * delta_hat.col(i);
      target.col(i) = a_hat.col(i) - gradient.col(i) / 3.0;
      step.sparse.col(i) =
          soft_threshold(e_hat.col(i) - gradient.col(i) / 3.0, problem.lambda * kappa / 3.0);
      step.delta.col(i) = delta_hat.col(i) + problem.q_of(i).transpose() * gradient.col(i) / 3.0;
    });
    const auto kept = svt.apply(target, kappa / 3.0, &step.low_rank);
    step.rank = kept.rank;
    nuclear_norm = kept.nuclear_norm;
    gauge.project(&step.delta);
    t_old = t;
    t = 0.5 * (1.0 + std::sqrt(1.0 + 4.0 * t * t));

    step.converged =
        kappa == last_kappa && rests(problem, gauge, a_hat, e_hat, delta_hat, tolerance, step);
    if (step.converged) break;
    kappa = std::max(0.9 * kappa, last_kappa);
  }
  step.iterations = std::min(step.iterations, max_iterations);
  step.multipliers = problem.d - step.low_rank - step.sparse;
  for (Index i = 0; i < n; ++i) step.multipliers.col(i) += problem.q_of(i) * step.delta.col(i);
  step.multipliers /= kappa;
  step.penalty = 1.0 / kappa;
  step.objective = upper_bound(problem, step, nuclear_norm);
  step.lower_bound = lower_bound(problem, gauge, step.multipliers);
}

}  // namespace holdstill
