// RASL's loops over the values of one image; a part of kernels_impl.hpp. In pieces that stay in the
// first-level cache; the number of columns of the basis, the motion model's, is compiled in.

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

// What a piece's clipped values add to the dots with the basis. P columns beside each other read
// every value once; P = 0 takes any number, one by one.
template <int P>
void add_dots(const double* q, std::int64_t m, int p, int n, const double* clipped, double* dots) {
  if (P == 0) {
    for (int k = 0; k < p; ++k)
      dots[k] += sum_of(n, [&](int i) { return q[k * m + i] * clipped[i]; });
    return;
  }
  constexpr int columns = std::max(P, 1), lanes = P > 4 ? kLanes / 2 : kLanes;
  double sums[columns][lanes] = {};
  int i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int k = 0; k < columns; ++k)
      for (int lane = 0; lane < lanes; ++lane)
        sums[k][lane] += q[k * m + i + lane] * clipped[i + lane];
  for (int k = 0; k < columns; ++k) {
    for (int j = i; j < n; ++j) dots[k] += q[k * m + j] * clipped[j];
    for (const double sum : sums[k]) dots[k] += sum;
  }
}

template <int P>
void shrink_columns(const double* low_rank, const double* q, std::int64_t m, int p, double limit,
                    double* target, double* sparse, double* dots) {
  for (int k = 0; k < p; ++k) dots[k] = 0.0;
  for (std::int64_t from = 0; from < m; from += kPiece) {
    const int n = static_cast<int>(std::min<std::int64_t>(kPiece, m - from));
    double* __restrict clipped = target + from;
    double* __restrict e = sparse + from;
    const double* __restrict a = low_rank + from;
    for (int i = 0; i < n; ++i) {
      const double z = clipped[i] + e[i] - a[i];
      clipped[i] = std::min(std::max(z, -limit), limit);
      e[i] = z - clipped[i];
    }
    add_dots<P>(q + from, m, p, n, clipped, dots);
  }
}

template <int P>
double advance_columns(const double* d, const double* low_rank, const double* sparse,
                       const double* q, std::int64_t m, int p, const double* delta,
                       const double* change, double share, double* target) {
  const int columns = P == 0 ? p : P;
  double squares = 0.0;
  for (std::int64_t from = 0; from < m; from += kPiece) {
    const int n = static_cast<int>(std::min<std::int64_t>(kPiece, m - from));
    double gap[kPiece];
    const double* __restrict a = low_rank + from;
    const double* __restrict e = sparse + from;
    const double* __restrict image = d + from;
    const double* __restrict basis = q + from;
    double* __restrict clipped = target + from;
    for (int i = 0; i < n; ++i) {
      double moved = image[i] - e[i], step = clipped[i];
      for (int k = 0; k < columns; ++k) {
        moved += delta[k] * basis[k * m + i];
        step += change[k] * basis[k * m + i];
      }
      clipped[i] = moved + share * step;
      gap[i] = moved - a[i];
    }
    squares += sum_of(n, [&](int i) { return gap[i] * gap[i]; });
  }
  return squares;
}

void shrink_image(const double* low_rank, const double* q, std::int64_t m, int p, double limit,
                  double* target, double* sparse, double* dots) {
  const auto shrink = p == 2   ? shrink_columns<2>
                      : p == 3 ? shrink_columns<3>
                      : p == 4 ? shrink_columns<4>
                      : p == 6 ? shrink_columns<6>
                      : p == 8 ? shrink_columns<8>
                               : shrink_columns<0>;
  shrink(low_rank, q, m, p, limit, target, sparse, dots);
}

double advance_image(const double* d, const double* low_rank, const double* sparse, const double* q,
                     std::int64_t m, int p, const double* delta, const double* change, double share,
                     double* target) {
  const auto advance = p == 2   ? advance_columns<2>
                       : p == 3 ? advance_columns<3>
                       : p == 4 ? advance_columns<4>
                       : p == 6 ? advance_columns<6>
                       : p == 8 ? advance_columns<8>
                                : advance_columns<0>;
  return advance(d, low_rank, sparse, q, m, p, delta, change, share, target);
}

}  // namespace
}  // namespace holdstill::kernels
