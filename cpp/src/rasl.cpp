#include "holdstill/rasl.hpp"

#include <algorithm>
#include <cmath>

#include "holdstill/blas.hpp"
#include "holdstill/parallel.hpp"
#include "holdstill/proximal.hpp"

namespace holdstill {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// X <- U S_t(Sigma) V^T through the eigenvectors of X^T X: images have far more pixels than there
// are images. In float64, for the Gram matrix squares the singular values.
class SingularValueThreshold {
 public:
  struct Kept {
    int rank;
    double nuclear_norm;
  };

  Kept apply(const MatrixXd& x, double threshold, MatrixXd* out) {
    blas::gram(x, &gram_);
    blas::symmetric_eigen(&gram_, &values_, &vectors_);
    const Index n = x.cols();
    Kept kept{0, 0.0};
    VectorXd weights = VectorXd::Zero(n);
    for (Index i = 0; i < n; ++i) {
      const double sigma = std::sqrt(std::max(values_[i], 0.0));
      if (sigma <= threshold) continue;
      weights[i] = 1.0 - threshold / sigma;
      kept.nuclear_norm += sigma - threshold;
      ++kept.rank;
    }
    // Eigenvalues rise: what is kept stands at the end.
    const auto v = vectors_.rightCols(kept.rank);
    projector_.noalias() = v * weights.tail(kept.rank).asDiagonal() * v.transpose();
    blas::multiply(x, projector_, *out);
    return kept;
  }

 private:
  MatrixXd gram_, vectors_, projector_;
  VectorXd values_;
};

// Starting threads costs more than a small batch's columns are worth.
int worthwhile_threads(const RaslProblem& problem, int requested) {
  return problem.m() * problem.n() < (Index{1} << 19) ? 1 : requested;
}

double spectral_norm(const MatrixXd& x) {
  MatrixXd gram, vectors;
  VectorXd values;
  blas::gram(x, &gram);
  blas::symmetric_eigen(&gram, &values, &vectors);
  return std::sqrt(std::max(values[values.size() - 1], 0.0));
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
double lower_bound(const RaslProblem& problem, const Gauge& gauge, const MatrixXd& multipliers) {
  MatrixXd y = multipliers;
  MatrixXd along(problem.n_parameters, problem.n());
  for (Index i = 0; i < problem.n(); ++i) along.col(i) = problem.q_of(i).transpose() * y.col(i);
  gauge.project(&along);
  for (Index i = 0; i < problem.n(); ++i) y.col(i) -= problem.q_of(i) * along.col(i);
  const double excess = std::max({1.0, spectral_norm(y), y.cwiseAbs().maxCoeff() / problem.lambda});
  return y.cwiseProduct(problem.d).sum() / excess;
}

}  // namespace

// equations.md §1:
//   A <- U S_{1/mu}(Sigma) V^T  of  D + Q delta - E + Y/mu
//   E <- S_{lambda/mu}(D + Q delta - A + Y/mu)
//   delta_i <- Q_i^T (A + E - D - Y/mu)_i,  then the gauge
//   Y <- Y + mu (D + Q delta - A - E);   mu <- rho mu
RaslStep rasl_alm(const RaslProblem& problem, double rho, double tolerance, int max_iterations,
                  int threads) {
  const Index m = problem.m(), n = problem.n();
  threads = worthwhile_threads(problem, threads);
  const Gauge gauge(problem);
  const double spectral = spectral_norm(problem.d);
  const double limit = tolerance * problem.d.norm();

  RaslStep step;
  MatrixXd& a = step.low_rank;
  MatrixXd& e = step.sparse;
  MatrixXd& y = step.multipliers;
  y = problem.d / std::max(spectral, problem.d.cwiseAbs().maxCoeff() / problem.lambda);
  a.resize(m, n);
  e = MatrixXd::Zero(m, n);
  step.delta = MatrixXd::Zero(problem.n_parameters, n);
  double mu = 1.25 / spectral, nuclear_norm = 0.0;
  MatrixXd moved = problem.d;            // D + Q delta
  MatrixXd target = moved - e + y / mu;  // what the A-step sees
  VectorXd squared_gap(n);
  SingularValueThreshold svt;

  for (step.iterations = 1; step.iterations <= max_iterations; ++step.iterations) {
    const auto kept = svt.apply(target, 1.0 / mu, &a);
    step.rank = kept.rank;
    nuclear_norm = kept.nuclear_norm;
    // Images are independent from here on, but for the gauge.
    parallel_for(static_cast<int>(n), threads, [&](int, int i) {
      // With z = D + Q delta - A + Y/mu and its clipped part c, S(z) = z - c; and since Q^T Q = I
      // the step's update is delta - Q^T c: one array in the place of four.
      const double threshold = problem.lambda / mu;
      auto clipped = target.col(i);  // reused: the A-step is done with it
      e.col(i) = moved.col(i) - a.col(i) + y.col(i) / mu;
      clipped = e.col(i).cwiseMin(threshold).cwiseMax(-threshold);
      e.col(i) -= clipped;
      step.delta.col(i).noalias() -= problem.q_of(i).transpose() * clipped;
    });
    gauge.project(&step.delta);
    const double next_mu = rho * mu;
    parallel_for(static_cast<int>(n), threads, [&](int, int i) {
      moved.col(i) = problem.d.col(i);
      moved.col(i).noalias() += problem.q_of(i) * step.delta.col(i);
      auto gap = target.col(i);
      gap = moved.col(i) - a.col(i) - e.col(i);
      squared_gap[i] = gap.squaredNorm();
      y.col(i) += mu * gap;
      target.col(i) = moved.col(i) - e.col(i) + y.col(i) / next_mu;
    });
    mu = next_mu;
    if (std::sqrt(squared_gap.sum()) <= limit) {
      step.converged = true;
      break;
    }
  }
  step.iterations = std::min(step.iterations, max_iterations);
  step.objective = upper_bound(problem, step, nuclear_norm);
  step.lower_bound = lower_bound(problem, gauge, y);
  return step;
}

// equations.md §1, accelerated proximal gradient on
//   kappa (|| A ||_* + lambda || E ||_1) + 1/2 || D + Q delta - A - E ||^2
RaslStep rasl_apg(const RaslProblem& problem, double tolerance, int max_iterations, int threads) {
  const Index m = problem.m(), n = problem.n();
  threads = worthwhile_threads(problem, threads);
  const Gauge gauge(problem);
  const double spectral = spectral_norm(problem.d);
  double kappa = spectral, nuclear_norm = 0.0;
  const double last_kappa = 1e-4 * spectral;

  RaslStep step;
  step.low_rank = step.sparse = MatrixXd::Zero(m, n);
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

    if (kappa == last_kappa) {
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
      const double size = std::sqrt(step.low_rank.squaredNorm() + step.sparse.squaredNorm() +
                                    step.delta.squaredNorm());
      if (subgradient <= 3.0 * tolerance * std::max(1.0, size)) {
        step.converged = true;
        break;
      }
    }
    kappa = std::max(0.9 * kappa, last_kappa);
  }
  step.iterations = std::min(step.iterations, max_iterations);
  step.multipliers = problem.d - step.low_rank - step.sparse;
  for (Index i = 0; i < n; ++i) step.multipliers.col(i) += problem.q_of(i) * step.delta.col(i);
  step.multipliers /= kappa;
  step.objective = upper_bound(problem, step, nuclear_norm);
  step.lower_bound = lower_bound(problem, gauge, step.multipliers);
  return step;
}

}  // namespace holdstill
