// Dense linear algebra on SciPy's BLAS and LAPACK, whose addresses Python hands over at first use.
#pragma once

#include <Eigen/Dense>
#include <cstdint>
#include <vector>

namespace holdstill::blas {

// Must be called once, before any of the functions below.
void install(std::uintptr_t dgemm, std::uintptr_t dsyrk, std::uintptr_t dsyevd);

// out = A^T A + keep * out, the upper triangle alone.
void gram(const Eigen::Ref<const Eigen::MatrixXd>& a, Eigen::MatrixXd* out, double keep = 0.0);
// out = a b
void multiply(const Eigen::Ref<const Eigen::MatrixXd>& a,
              const Eigen::Ref<const Eigen::MatrixXd>& b, Eigen::Ref<Eigen::MatrixXd> out);
// out = a b^T
void multiply_transposed(const Eigen::Ref<const Eigen::MatrixXd>& a,
                         const Eigen::Ref<const Eigen::MatrixXd>& b,
                         Eigen::Ref<Eigen::MatrixXd> out);

// Eigenvalues, in rising order, and eigenvectors by divide and conquer: of a hundred columns it
// takes less time than the routines that find a part of them.
class SymmetricEigen {
 public:
  // Of the matrix whose upper triangle is given; it becomes the eigenvectors. Throws
  // std::runtime_error if LAPACK reports a failure.
  void decompose(Eigen::MatrixXd* matrix);
  // Leaves the matrix in pieces.
  double largest_value(Eigen::MatrixXd* matrix);
  const Eigen::VectorXd& values() const { return values_; }

 private:
  void run(const char* job, Eigen::MatrixXd* matrix);

  Eigen::VectorXd values_;
  std::vector<double> work_;
  std::vector<int> integer_work_;
};

}  // namespace holdstill::blas
