// RASL's inner convex problem (equations.md §1):
//
//   min || A ||_* + lambda || E ||_1   s.t.  D + sum_i Q_i delta_i e_i^T = A + E,  sum_i B_i
//   delta_i = 0
#pragma once

#include <Eigen/Dense>
#include <limits>

namespace holdstill {

struct RaslProblem {
  Eigen::Ref<const Eigen::MatrixXd> d;  // M x n, aligned images of unit norm as columns
  const double* q;                      // n times M x p, column-major: J_i = Q_i R_i
  const double* b;                      // n times g x p, column-major: the gauge; null for none
  int n_parameters, n_gauge;
  double lambda;

  Eigen::Index m() const { return d.rows(); }
  Eigen::Index n() const { return d.cols(); }
  Eigen::Map<const Eigen::MatrixXd> q_of(Eigen::Index i) const {
    return {q + i * m() * n_parameters, m(), n_parameters};
  }
  Eigen::Map<const Eigen::MatrixXd> b_of(Eigen::Index i) const {
    return {b + i * n_gauge * n_parameters, n_gauge, n_parameters};
  }
};

struct RaslStep {
  using Matrix = Eigen::Map<Eigen::MatrixXd>;
  RaslStep(const Matrix& a, const Matrix& e, const Matrix& y)
      : low_rank(a), sparse(e), multipliers(y) {}

  // A, E, Y: M x n, the caller's memory. A warm start finds E and Y of another problem there.
  Matrix low_rank, sparse, multipliers;
  Eigen::MatrixXd delta;  // p x n, column i is R_i d(tau_i)
  int rank = 0;           // singular values that the last A-step kept
  int iterations = 0;
  double penalty = 0.0;      // mu, as a next iteration would take it
  double objective = 0.0;    // || A ||_* + lambda || D + Q delta - A ||_1: an upper bound
  double lower_bound = 0.0;  // <Y, D> of the multipliers made dual feasible
  bool converged = false;
};

struct AlmOptions {
  double rho = 1.25;        // growth of the penalty
  double tolerance = 1e-7;  // of || D + Q delta - A - E ||_F over || D ||_F: feasibility
  int max_iterations = 1000;
  double penalty = 0.0;  // mu at the start; 0: 1.25 / || D ||_2
  double max_penalty = std::numeric_limits<double>::infinity();
  bool warm = false;    // from the E and Y in the step, the neighbouring problem's
  bool certify = true;  // else the lower bound is not a number
};

// Inexact augmented Lagrangian method. Beyond the step it allocates nothing of the size of D.
void rasl_alm(const RaslProblem& problem, const AlmOptions& options, int threads, RaslStep* step);
// Accelerated proximal gradient: proven to converge, slower; the check.
void rasl_apg(const RaslProblem& problem, double tolerance, int max_iterations, int threads,
              RaslStep* step);

}  // namespace holdstill
