// Dense linear algebra on SciPy's BLAS and LAPACK, whose addresses Python hands over at import.
#pragma once

#include <Eigen/Dense>
#include <cstdint>

namespace holdstill::blas {

// Must be called once, before any of the functions below.
void install(std::uintptr_t dgemm, std::uintptr_t dsyrk, std::uintptr_t dsyevr);

// A^T A, both triangles.
void gram(const Eigen::Ref<const Eigen::MatrixXd>& a, Eigen::MatrixXd* out);
// out = a b
void multiply(const Eigen::Ref<const Eigen::MatrixXd>& a,
              const Eigen::Ref<const Eigen::MatrixXd>& b, Eigen::Ref<Eigen::MatrixXd> out);
// Eigenvalues in rising order and eigenvectors of a symmetric matrix, which is overwritten.
// Throws std::runtime_error if LAPACK reports a failure.
void symmetric_eigen(Eigen::MatrixXd* symmetric, Eigen::VectorXd* values, Eigen::MatrixXd* vectors);

}  // namespace holdstill::blas
