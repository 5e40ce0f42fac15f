// Products of a block's rows with each other and with atoms.
#pragma once

#include "holdstill/kernels.hpp"
#include "lanes_impl.hpp"

namespace holdstill::kernels {
namespace {

// Float32 sums of a few terms, float64 sums of those: sums over a whole block in float32 are good
// to 1e-7, which leaves steps of 1e-6 where the outer loop should come to rest.
constexpr int kTerms = 4;

// The halves of a vector are added before they are widened: one register of float64 for each sum.
struct Sum {
#ifdef HOLDSTILL_VECTOR_TYPES
  typedef double Lanes __attribute__((vector_size(kLanes / 2 * sizeof(double))));
  Lanes lanes = {};
  void operator+=(const V& v) {
    Vec<kLanes / 2> halves[2];
    static_assert(sizeof halves == sizeof v, "two halves");
    std::memcpy(halves, &v, sizeof v);
    lanes += __builtin_convertvector(halves[0] + halves[1], Lanes);
  }
  double total() const {
    double sum = 0.0;
    for (int i = 0; i < kLanes / 2; ++i) sum += lanes[i];
    return sum;
  }
#else
  double sum = 0.0;
  void operator+=(const V& v) {
    for (int i = 0; i < kLanes; ++i) sum += v[i];
  }
  double total() const { return sum; }
#endif
};

// sums[l][r] += <left[l], row_r>, in tiles: every loaded vector serves several sums.
template <int Left, int Rows>
void tile(const float* const* left, const float* rows, int length, int stride, double* sums) {
  constexpr int kRow = kMaxPlanes * kBlock;
  Sum total[Left][Rows];
  for (int i = 0; i < length; i += kTerms * kLanes) {
    V part[Left][Rows] = {};
    for (int k = i; k < i + kTerms * kLanes; k += kLanes) {
      V x[Left];
      for (int l = 0; l < Left; ++l) x[l] = load<kLanes>(left[l] + k);
      for (int r = 0; r < Rows; ++r) {
        const V y = load<kLanes>(rows + r * kRow + k);
        for (int l = 0; l < Left; ++l) part[l][r] += x[l] * y;
      }
    }
    for (int l = 0; l < Left; ++l)
      for (int r = 0; r < Rows; ++r) total[l][r] += part[l][r];
  }
  for (int l = 0; l < Left; ++l)
    for (int r = 0; r < Rows; ++r) sums[l * stride + r] += total[l][r].total();
}

template <int Rows>
void tiles(const float* const* left, int n_left, const float* rows, int length, double* sums) {
  constexpr int kLeft = 2;
  int l = 0;
  for (; l + kLeft <= n_left; l += kLeft)
    tile<kLeft, Rows>(left + l, rows, length, Rows, sums + l * Rows);
  for (; l < n_left; ++l) tile<1, Rows>(left + l, rows, length, Rows, sums + l * Rows);
}

void products(const float* const* left, int n_left, const Columns& columns, int n_rows, int length,
              double* sums) {
  const auto of_rows = n_rows == 3   ? tiles<3>
                       : n_rows == 5 ? tiles<5>
                       : n_rows == 7 ? tiles<7>
                                     : tiles<9>;
  of_rows(left, n_left, columns.row[0], length, sums);
}

// Rows first, first + 1 with all rows from first on, then the next two.
template <int Rows>
void self_products_from(const Columns& columns, int first, int length, int n_rows, double* sums) {
  const float* const left[] = {columns.row[first], columns.row[first + (Rows > 1)]};
  tile<Rows == 1 ? 1 : 2, Rows>(left, columns.row[first], length, n_rows,
                                sums + first * (n_rows + 1));
  if constexpr (Rows > 2) self_products_from<Rows - 2>(columns, first + 2, length, n_rows, sums);
}

double dot(const float* left, const float* right, int length) {
  double sum = 0.0;
  tile<1, 1>(&left, right, length, 1, &sum);
  return sum;
}

void self_products(const Columns& columns, int n_rows, int length, double* sums) {
  const auto of_rows = n_rows == 3   ? self_products_from<3>
                       : n_rows == 5 ? self_products_from<5>
                       : n_rows == 7 ? self_products_from<7>
                                     : self_products_from<9>;
  of_rows(columns, 0, length, n_rows, sums);
}

void dots(const float* const* left, int n_left, const float* right, int length, double* sums) {
  constexpr int kLeft = 4;
  int i = 0;
  for (; i + kLeft <= n_left; i += kLeft) tile<kLeft, 1>(left + i, right, length, 1, sums + i);
  for (; i < n_left; ++i) tile<1, 1>(left + i, right, length, 1, sums + i);
}

}  // namespace
}  // namespace holdstill::kernels
