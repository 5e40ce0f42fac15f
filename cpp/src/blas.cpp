#include "holdstill/blas.hpp"

#include <limits>
#include <stdexcept>
#include <string>

namespace holdstill::blas {
namespace {

using Gemm = void (*)(const char*, const char*, const int*, const int*, const int*, const double*,
                      const double*, const int*, const double*, const int*, const double*, double*,
                      const int*);
using Syrk = void (*)(const char*, const char*, const int*, const int*, const double*,
                      const double*, const int*, const double*, double*, const int*);
using Syevd = void (*)(const char*, const char*, const int*, double*, const int*, double*, double*,
                       const int*, int*, const int*, int*);

Gemm dgemm = nullptr;
Syrk dsyrk = nullptr;
Syevd dsyevd = nullptr;

void require(bool installed) {
  if (!installed) throw std::logic_error("BLAS has not been installed");
}

// BLAS counts in ints.
int as_int(std::int64_t count) {
  if (count > std::numeric_limits<int>::max())
    throw std::length_error("a matrix is too large for BLAS: a side or stride of " +
                            std::to_string(count));
  return static_cast<int>(count);
}

void multiply(const char* transposed, const Eigen::Ref<const Eigen::MatrixXd>& a,
              const Eigen::Ref<const Eigen::MatrixXd>& b, Eigen::Ref<Eigen::MatrixXd> out) {
  require(dgemm);
  const int m = as_int(out.rows()), n = as_int(out.cols()), k = as_int(a.cols());
  const int lda = as_int(a.outerStride()), ldb = as_int(b.outerStride());
  const int ldc = as_int(out.outerStride());
  const double one = 1.0, zero = 0.0;
  dgemm("N", transposed, &m, &n, &k, &one, a.data(), &lda, b.data(), &ldb, &zero, out.data(), &ldc);
}

}  // namespace

void install(std::uintptr_t gemm, std::uintptr_t syrk, std::uintptr_t syevd) {
  // NOLINTBEGIN(performance-no-int-to-ptr): Python has no other way to hand them over.
  dgemm = reinterpret_cast<Gemm>(gemm);
  dsyrk = reinterpret_cast<Syrk>(syrk);
  dsyevd = reinterpret_cast<Syevd>(syevd);
  // NOLINTEND(performance-no-int-to-ptr)
}

void gram(const Eigen::Ref<const Eigen::MatrixXd>& a, Eigen::MatrixXd* out, double keep) {
  require(dsyrk);
  const int n = as_int(a.cols()), m = as_int(a.rows()), lda = as_int(a.outerStride());
  const double one = 1.0;
  out->resize(n, n);
  dsyrk("U", "T", &n, &m, &one, a.data(), &lda, &keep, out->data(), &n);
}

void multiply(const Eigen::Ref<const Eigen::MatrixXd>& a,
              const Eigen::Ref<const Eigen::MatrixXd>& b, Eigen::Ref<Eigen::MatrixXd> out) {
  multiply("N", a, b, out);
}

void multiply_transposed(const Eigen::Ref<const Eigen::MatrixXd>& a,
                         const Eigen::Ref<const Eigen::MatrixXd>& b,
                         Eigen::Ref<Eigen::MatrixXd> out) {
  multiply("T", a, b, out);
}

void SymmetricEigen::decompose(Eigen::MatrixXd* matrix) { run("V", matrix); }

double SymmetricEigen::largest_value(Eigen::MatrixXd* matrix) {
  run("N", matrix);
  return values_[values_.size() - 1];
}

void SymmetricEigen::run(const char* job, Eigen::MatrixXd* matrix) {
  require(dsyevd);
  const std::int64_t rows = matrix->rows();
  // What LAPACK asks for at least; its blocked reduction takes what is there beyond that.
  const int lwork = as_int(1 + 6 * rows + 2 * rows * rows + 64 * rows);
  const int n = as_int(rows), liwork = as_int(3 + 5 * rows);
  work_.resize(lwork);
  integer_work_.resize(liwork);
  values_.resize(n);
  int info = 0;
  dsyevd(job, "U", &n, matrix->data(), &n, values_.data(), work_.data(), &lwork,
         integer_work_.data(), &liwork, &info);
  if (info != 0)
    throw std::runtime_error("LAPACK's dsyevd failed with info = " + std::to_string(info));
}

}  // namespace holdstill::blas
