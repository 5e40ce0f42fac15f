// RASL's loops over the values of one image. The number of columns of the basis, the motion
// model's, is compiled in: every value is read once, all sums stay in registers.
#pragma once

#include <cstdint>

#include "lanes_impl.hpp"

namespace holdstill::kernels {
namespace {

#ifdef HOLDSTILL_VECTOR_TYPES
typedef double Doubles __attribute__((vector_size(kLanes * sizeof(float))));
#else
using Doubles = double;
#endif
constexpr int kDoubles = sizeof(Doubles) / sizeof(double);

template <typename T>
inline T read(const double* p) {
  T values;
  std::memcpy(&values, p, sizeof values);
  return values;
}

template <typename T>
inline void write(double* p, const T& values) {
  std::memcpy(p, &values, sizeof values);
}

inline double total(const Doubles& values) {
  double lanes[kDoubles], sum = 0.0;
  std::memcpy(lanes, &values, sizeof lanes);
  for (const double lane : lanes) sum += lane;
  return sum;
}

// z = target + sparse - low_rank, in its parts: the clipped one and what is left of it.
template <typename T>
inline T shrink(const double* low_rank, double limit, double* target, double* sparse) {
  const T high = T{} + limit, low = T{} - limit;
  const T z = read<T>(target) + read<T>(sparse) - read<T>(low_rank);
  T clipped = z < low ? low : z;
  clipped = clipped > high ? high : clipped;
  write<T>(target, clipped);
  write<T>(sparse, z - clipped);
  return clipped;
}

template <int P>
void shrink_columns(const double* low_rank, const double* q, std::int64_t m, int, double limit,
                    double* target, double* sparse, double* dots) {
  Doubles sums[P] = {};
  std::int64_t i = 0;
  for (; i + kDoubles <= m; i += kDoubles) {
    const auto clipped = shrink<Doubles>(low_rank + i, limit, target + i, sparse + i);
    for (int k = 0; k < P; ++k) sums[k] += read<Doubles>(q + k * m + i) * clipped;
  }
  for (int k = 0; k < P; ++k) dots[k] = total(sums[k]);
  for (; i < m; ++i) {
    const double clipped = shrink<double>(low_rank + i, limit, target + i, sparse + i);
    for (int k = 0; k < P; ++k) dots[k] += q[k * m + i] * clipped;
  }
}

// Of any other number of columns.
template <>
void shrink_columns<0>(const double* low_rank, const double* q, std::int64_t m, int p, double limit,
                       double* target, double* sparse, double* dots) {
  for (std::int64_t i = 0; i < m; ++i) shrink<double>(low_rank + i, limit, target + i, sparse + i);
  for (int k = 0; k < p; ++k) {
    dots[k] = 0.0;
    for (std::int64_t i = 0; i < m; ++i) dots[k] += q[k * m + i] * target[i];
  }
}

template <typename T>
struct Advance {
  const double *d, *low_rank, *sparse, *q;
  std::int64_t m;
  const double *delta, *change;
  double share;
  double* target;

  // The squares of moved - low_rank - sparse.
  template <int P>
  inline T at(std::int64_t i, int p) const {
    T moved = read<T>(d + i) - read<T>(sparse + i), step = read<T>(target + i);
    for (int k = 0; k < (P == 0 ? p : P); ++k) {
      const T column = read<T>(q + k * m + i);
      moved += column * delta[k];
      step += column * change[k];
    }
    write<T>(target + i, moved + step * share);
    const T gap = moved - read<T>(low_rank + i);
    return gap * gap;
  }
};

template <int P>
double advance_columns(const double* d, const double* low_rank, const double* sparse,
                       const double* q, std::int64_t m, int p, const double* delta,
                       const double* change, double share, double* target) {
  const Advance<Doubles> many{d, low_rank, sparse, q, m, delta, change, share, target};
  const Advance<double> one{d, low_rank, sparse, q, m, delta, change, share, target};
  Doubles sums = {};
  std::int64_t i = 0;
  for (; i + kDoubles <= m; i += kDoubles) sums += many.template at<P>(i, p);
  double squares = total(sums);
  for (; i < m; ++i) squares += one.template at<P>(i, p);
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
