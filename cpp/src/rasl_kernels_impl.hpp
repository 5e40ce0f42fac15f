// RASL's loops over the values of one image; a part of kernels_impl.hpp. In pieces that stay in the
// first-level cache while the basis passes by.

namespace holdstill::kernels {
namespace {

constexpr int kPiece = 512;

// Sums in lanes of their own, that they may run beside each other.
template <typename Term>
double sum_of(int n, Term term) {
  constexpr int lanes = 32;
  double sums[lanes] = {};
  int i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) sums[lane] += term(i + lane);
  double total = 0.0;
  for (; i < n; ++i) total += term(i);
  for (const double sum : sums) total += sum;
  return total;
}

void shrink_image(const double* low_rank, const double* q, std::int64_t m, int p, double limit,
                  double* target, double* sparse, double* dots) {
  for (int k = 0; k < p; ++k) dots[k] = 0.0;
  for (std::int64_t from = 0; from < m; from += kPiece) {
    const int n = static_cast<int>(std::min<std::int64_t>(kPiece, m - from));
    double* clipped = target + from;
    double* e = sparse + from;
    const double* a = low_rank + from;
    for (int i = 0; i < n; ++i) {
      const double z = clipped[i] + e[i] - a[i];
      clipped[i] = std::min(std::max(z, -limit), limit);
      e[i] = z - clipped[i];
    }
    for (int k = 0; k < p; ++k) {
      const double* column = q + k * m + from;
      dots[k] += sum_of(n, [&](int i) { return column[i] * clipped[i]; });
    }
  }
}

double advance_image(const double* d, const double* low_rank, const double* sparse, const double* q,
                     std::int64_t m, int p, const double* delta, const double* change, double share,
                     double* target) {
  double squares = 0.0;
  for (std::int64_t from = 0; from < m; from += kPiece) {
    const int n = static_cast<int>(std::min<std::int64_t>(kPiece, m - from));
    double moved[kPiece], step[kPiece];
    const double* a = low_rank + from;
    const double* e = sparse + from;
    double* clipped = target + from;
    std::memcpy(moved, d + from, sizeof(double) * n);
    std::memcpy(step, clipped, sizeof(double) * n);
    for (int k = 0; k < p; ++k) {
      const double* column = q + k * m + from;
      const double by = delta[k], changed = change[k];
      for (int i = 0; i < n; ++i) {
        moved[i] += by * column[i];
        step[i] += changed * column[i];
      }
    }
    for (int i = 0; i < n; ++i) {
      moved[i] -= e[i];
      clipped[i] = moved[i] + share * step[i];
    }
    squares += sum_of(n, [&](int i) { return (moved[i] - a[i]) * (moved[i] - a[i]); });
  }
  return squares;
}

}  // namespace
}  // namespace holdstill::kernels
