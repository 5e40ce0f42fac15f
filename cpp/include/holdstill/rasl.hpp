// RASL's inner convex problem (equations.md §1):
//
//   min || A ||_* + lambda || E ||_1   s.t.  D + sum_i Q_i delta_i e_i^T = A + E,  sum_i B_i
//   delta_i = 0
#pragma once

#include <Eigen/Dense>
#include <vector>

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
  Eigen::MatrixXd low_rank, sparse, multipliers;  // A, E, Y
  Eigen::MatrixXd delta;                          // p x n, column i is R_i d(tau_i)
  int rank = 0;                                   // singular values that the last A-step kept
  int iterations = 0;
  double objective = 0.0;    // || A ||_* + lambda || D + Q delta - A ||_1: an upper bound
  double lower_bound = 0.0;  // <Y, D> of the multipliers made dual feasible
  bool converged = false;
};

// Inexact augmented Lagrangian method. rho: growth of the penalty; the stop is on feasibility.
RaslStep rasl_alm(const RaslProblem& problem, double rho, double tolerance, int max_iterations,
                  int threads);
// Accelerated proximal gradient: proven to converge, slower; the check.
RaslStep rasl_apg(const RaslProblem& problem, double tolerance, int max_iterations, int threads);

}  // namespace holdstill
