// l1-regularised least squares with a free step (equations.md §3):
//
//   min_{x, d}  1/2 || v + J d - A x ||^2 + mu || x ||_1
//
// With J = Q R and P = I - Q Q^T the step is eliminated, d = R^-1 Q^T (A x - v), which leaves
// min_x 1/2 || P (v - A x) ||^2 + mu || x ||_1. The solver sees products only: the Gram matrix A^T
// A, factored once per dictionary, and per linearisation N = A^T Q, beta = A^T P v, energy = v^T P
// v.
#pragma once

#include <Eigen/Dense>
#include <vector>

namespace holdstill {

struct L1Options {
  double mu = 1e-3;       // weight of the l1 norm
  double penalty = 0.01;  // split Bregman's nu, as a share of tr(A^T A) / r
  // Before the active set takes over, which does the exact part. From zero on it takes two or three
  // times the steps and less time: a step costs s^2, an iteration r^2.
  int bregman_iterations = 0;
  int max_active_set_steps = 1000;
};

struct L1Summary {
  double objective = 0.0;  // 1/2 || r ||^2 + mu || x ||_1, r = P (v - A x)
  double gap = 0.0;        // duality gap: objective - optimum lies between 0 and this
  double residual = 0.0;   // || r ||
  double along = 0.0;      // v . r
  int active_set_steps = 0;
  bool converged = false;  // KKT conditions hold to rounding
};

// One linearisation's products. Rows belong to `candidates`, a subset of the atoms in any order.
struct L1Products {
  const std::vector<int>* candidates;
  Eigen::Ref<const Eigen::MatrixXd> n;     // A^T Q
  Eigen::Ref<const Eigen::VectorXd> beta;  // A^T P v
  double energy;                           // v^T P v
  // A^T W A over the candidates where the residuals are weighted; null: the dictionary's own.
  const Eigen::MatrixXd* gram = nullptr;
};

class L1Solver {
 public:
  L1Solver(Eigen::MatrixXd gram, const L1Options& options);

  int n_atoms() const { return static_cast<int>(gram_.rows()); }
  const Eigen::MatrixXd& gram() const { return gram_; }

  // Everything a solve writes to, so that repeated solves allocate nothing.
  struct Workspace {
    explicit Workspace(int n_atoms, int n_parameters);
    Eigen::VectorXd x, gradient, rhs, target, d, b, q;
    Eigen::MatrixXd gamma, z, small;
    Eigen::VectorXd small_rhs;
    std::vector<int> support;
    std::vector<double> thetas;
    Eigen::Index n_factored = 0;  // columns of gamma that hold Cholesky's factor of the support
    bool all_atoms = false;  // the candidates are all atoms in order: columns need no gathering
  };

  // Split Bregman from x = d = b = 0 (all atoms must be candidates): fills workspace.d, a first
  // guess with exact zeros.
  void split_bregman(const L1Products& products, Workspace* work) const;
  // Exact active set from the guess in `x`, which it overwrites with the solution; gap included.
  L1Summary solve(const L1Products& products, Eigen::Ref<Eigen::VectorXd> x, Workspace* work) const;
  // N_S^T Gamma_SS^-1 N_S of the support S of the last solve: I plus this is the inverse of what
  // the support leaves of Q^T Q, I - N_S^T (A_S^T A_S)^-1 N_S.
  template <typename Square>
  void response(const L1Products& products, Workspace* work, Square* out) const {
    const auto s = static_cast<Eigen::Index>(work->support.size());
    auto z = work->z.topLeftCorner(s, products.n.cols());
    for (Eigen::Index i = 0; i < s; ++i) z.row(i) = products.n.row(work->support[i]);
    work->gamma.topLeftCorner(s, s).triangularView<Eigen::Upper>().transpose().solveInPlace(z);
    out->noalias() = z.transpose() * z;
  }
  // mu = 0: Gamma x = beta.
  L1Summary least_squares(const L1Products& products, Eigen::Ref<Eigen::VectorXd> x,
                          Workspace* work) const;
  // The gap of a solve over some candidates, over all atoms: from their correlations with r.
  void certify_all(const Eigen::Ref<const Eigen::VectorXd>& correlations, L1Summary* summary) const;

 private:
  double gram(const L1Products& products, Eigen::Index i, Eigen::Index j) const {
    return products.gram ? (*products.gram)(i, j)
                         : gram_((*products.candidates)[i], (*products.candidates)[j]);
  }
  double gamma(const L1Products& products, int i, int j) const {
    return gram(products, i, j) - products.n.row(i).dot(products.n.row(j));
  }
  bool lists_all_atoms(const std::vector<int>& candidates) const;
  // beta - Gamma x
  void correlation(const L1Products& products, const Eigen::Ref<const Eigen::VectorXd>& x,
                   Workspace* work) const;
  bool extend_factor(const L1Products& products, Workspace* work) const;
  bool solve_on_support(const L1Products& products, const Eigen::Ref<const Eigen::VectorXd>& x,
                        Workspace* work) const;
  // Objective and duality gap at x, from workspace.gradient.
  void certify(const L1Products& products, const Eigen::Ref<const Eigen::VectorXd>& x, double mu,
               const Workspace& work, L1Summary* summary) const;
  double line_search(const Eigen::Ref<const Eigen::VectorXd>& x, Workspace* work) const;

  Eigen::MatrixXd gram_;
  L1Options options_;
  double nu_, ridge_;                   // the ridge is at rounding level
  Eigen::LLT<Eigen::MatrixXd> factor_;  // of A^T A + nu I, once per dictionary
};

}  // namespace holdstill
