// Residuals of a block and what its pixels weigh by them.
#pragma once

#include <algorithm>
#include <cmath>

#include "holdstill/kernels.hpp"
#include "product_kernels_impl.hpp"

namespace holdstill::kernels {
namespace {

void scale_row(const float* factors, int n_planes, const float* row, float* out) {
  for (int plane = 0; plane < n_planes; ++plane)
    for (int i = 0; i < kBlock; ++i) out[plane * kBlock + i] = row[plane * kBlock + i] * factors[i];
}

void scale_columns(const float* factors, int n_planes, int n_rows, Columns* columns) {
  for (int k = 0; k < n_rows; ++k) scale_row(factors, n_planes, columns->row[k], columns->row[k]);
}

template <int Atoms>
void subtract(const float* const* atoms, const float* coefficients, int length, float* from) {
  for (int i = 0; i < length; i += kLanes) {
    V left = load<kLanes>(from + i);
    for (int k = 0; k < Atoms; ++k) left = left - load<kLanes>(atoms[k] + i) * coefficients[k];
    store<kLanes>(from + i, left);
  }
}

double residual(const float* row, float scale, const float* const* atoms, const float* coefficients,
                int n_atoms, int length, float* residual) {
  for (int i = 0; i < length; ++i) residual[i] = scale * row[i];
  // Four atoms for each time that the residual is read and written.
  int k = 0;
  for (; k + 4 <= n_atoms; k += 4) subtract<4>(atoms + k, coefficients + k, length, residual);
  for (; k < n_atoms; ++k) subtract<1>(atoms + k, coefficients + k, length, residual);
  return dot(residual, residual, length);
}

void robust_weights(const float* residual, int n_planes, float slope, float threshold,
                    float* weights) {
  for (int i = 0; i < kBlock; ++i) {
    float square = residual[i] * residual[i];
    if (n_planes == 2) square += residual[kBlock + i] * residual[kBlock + i];
    weights[i] = slope / std::max(std::sqrt(square), threshold);
  }
}

void redescending_weights(const float* residual, int n_planes, float scale, float* weights) {
  const float inverse = 1.0f / (scale * scale);
  for (int i = 0; i < kBlock; ++i) {
    float square = residual[i] * residual[i];
    if (n_planes == 2) square += residual[kBlock + i] * residual[kBlock + i];
    const float root = 1.0f / (1.0f + square * inverse);
    weights[i] = root * root;
  }
}

}  // namespace
}  // namespace holdstill::kernels
