// The p x p systems of an outer loop's steps. Parameters come in different units, pixels beside
// entries of L: columns are scaled before they are compared.
#pragma once

#include <Eigen/Dense>
#include <cmath>

#include "holdstill/motion.hpp"

namespace holdstill {

// Sums over pixels come row by row.
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// J_w^T J_w, J_w = (derivatives by the transform's entries) chain. rows: products of the value and
// these derivatives with each other, row by row, the upper triangle.
inline ParameterMatrix gram_of_jacobian(const double* rows, const EntryJacobian& chain) {
  const Eigen::Index e = chain.rows();
  ParameterMatrix entries = Eigen::Map<const RowMajor>(rows, 1 + e, 1 + e).bottomRightCorner(e, e);
  entries.triangularView<Eigen::StrictlyLower>() = entries.transpose();
  return chain.transpose() * entries * chain;
}

// R of a Gram matrix R^T R.
class ScaledCholesky {
 public:
  // False where the matrix has no full rank.
  bool compute(const ParameterMatrix& gram) {
    scale_.resize(gram.rows());
    for (Eigen::Index k = 0; k < gram.rows(); ++k) {
      if (!(gram(k, k) > 0.0)) return false;
      scale_[k] = std::sqrt(gram(k, k));
    }
    ParameterMatrix scaled = gram;
    for (Eigen::Index k = 0; k < gram.rows(); ++k)
      for (Eigen::Index j = 0; j < gram.rows(); ++j) scaled(j, k) /= scale_[j] * scale_[k];
    llt_.compute(scaled);
    return llt_.info() == Eigen::Success && llt_.matrixLLT().diagonal().minCoeff() >= kLeastPivot;
  }
  ParameterMatrix r() const { return ParameterMatrix(llt_.matrixU()) * scale_.asDiagonal(); }
  Parameters solve(const Parameters& right) const {
    const Parameters scaled = right.cwiseQuotient(scale_);
    return llt_.solve(scaled).cwiseQuotient(scale_);
  }

 private:
  static constexpr double kLeastPivot = 1e-5;

  Parameters scale_;
  Eigen::LLT<ParameterMatrix> llt_;
};

}  // namespace holdstill
