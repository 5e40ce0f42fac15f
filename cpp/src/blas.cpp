#include "holdstill/blas.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace holdstill::blas {
namespace {

using Gemm = void (*)(const char*, const char*, const int*, const int*, const int*, const double*,
                      const double*, const int*, const double*, const int*, const double*, double*,
                      const int*);
using Syrk = void (*)(const char*, const char*, const int*, const int*, const double*,
                      const double*, const int*, const double*, double*, const int*);
using Syevr = void (*)(const char*, const char*, const char*, const int*, double*, const int*,
                       const double*, const double*, const int*, const int*, const double*, int*,
                       double*, double*, const int*, int*, double*, const int*, int*, const int*,
                       int*);

Gemm dgemm = nullptr;
Syrk dsyrk = nullptr;
Syevr dsyevr = nullptr;

void require(bool installed) {
  if (!installed) throw std::logic_error("BLAS has not been installed: import holdstill first");
}

}  // namespace

void install(std::uintptr_t gemm, std::uintptr_t syrk, std::uintptr_t syevr) {
  dgemm = reinterpret_cast<Gemm>(gemm);
  dsyrk = reinterpret_cast<Syrk>(syrk);
  dsyevr = reinterpret_cast<Syevr>(syevr);
}

void gram(const Eigen::Ref<const Eigen::MatrixXd>& a, Eigen::MatrixXd* out) {
  require(dsyrk);
  const int n = static_cast<int>(a.cols()), m = static_cast<int>(a.rows());
  const int lda = static_cast<int>(a.outerStride());
  const double one = 1.0, zero = 0.0;
  out->resize(n, n);
  dsyrk("U", "T", &n, &m, &one, a.data(), &lda, &zero, out->data(), &n);
  out->triangularView<Eigen::StrictlyLower>() = out->transpose();
}

void multiply(const Eigen::Ref<const Eigen::MatrixXd>& a,
              const Eigen::Ref<const Eigen::MatrixXd>& b, Eigen::Ref<Eigen::MatrixXd> out) {
  require(dgemm);
  const int m = static_cast<int>(a.rows()), k = static_cast<int>(a.cols());
  const int n = static_cast<int>(b.cols());
  const int lda = static_cast<int>(a.outerStride()), ldb = static_cast<int>(b.outerStride());
  const int ldc = static_cast<int>(out.outerStride());
  const double one = 1.0, zero = 0.0;
  dgemm("N", "N", &m, &n, &k, &one, a.data(), &lda, b.data(), &ldb, &zero, out.data(), &ldc);
}

void symmetric_eigen(Eigen::MatrixXd* symmetric, Eigen::VectorXd* values,
                     Eigen::MatrixXd* vectors) {
  require(dsyevr);
  const int n = static_cast<int>(symmetric->rows());
  values->resize(n);
  vectors->resize(n, n);
  const double unused = 0.0;
  int n_found = 0, info = 0, from = 1, to = n;
  std::vector<int> support(2 * static_cast<std::size_t>(n));
  double work_size = 0.0;
  int integer_size = 0, query = -1;
  const auto call = [&](double* work, const int* lwork, int* iwork, const int* liwork) {
    dsyevr("V", "A", "U", &n, symmetric->data(), &n, &unused, &unused, &from, &to, &unused,
           &n_found, values->data(), vectors->data(), &n, support.data(), work, lwork, iwork,
           liwork, &info);
  };
  call(&work_size, &query, &integer_size, &query);
  std::vector<double> work(static_cast<std::size_t>(work_size));
  std::vector<int> integer_work(integer_size);
  const int lwork = static_cast<int>(work.size()), liwork = integer_size;
  call(work.data(), &lwork, integer_work.data(), &liwork);
  if (info != 0)
    throw std::runtime_error("LAPACK's dsyevr failed with info = " + std::to_string(info));
}

}  // namespace holdstill::blas
