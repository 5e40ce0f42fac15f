// The rows of a low-passed patch: convolutions, then values beside their derivatives.
#pragma once

#include "lanes_impl.hpp"

namespace holdstill::kernels {
namespace {

void convolve(const float* const* rows, const float* taps, int n_taps, int n, float* out) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    V sum = load<kLanes>(rows[0] + i) * taps[0];
    for (int k = 1; k < n_taps; ++k) sum += load<kLanes>(rows[k] + i) * taps[k];
    store<kLanes>(out + i, sum);
  }
  for (; i < n; ++i) {
    float sum = rows[0][i] * taps[0];
    for (int k = 1; k < n_taps; ++k) sum += rows[k][i] * taps[k];
    out[i] = sum;
  }
}

void convolve_differences(const float* const* rows, const float* taps, int n_taps, int n,
                          float* out) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    V above = load<kLanes>(rows[0] + i), sum = {};
    for (int k = 0; k < n_taps; ++k) {
      const V below = load<kLanes>(rows[k + 1] + i);
      sum += (below - above) * taps[k];
      above = below;
    }
    store<kLanes>(out + i, sum);
  }
  for (; i < n; ++i) {
    float sum = 0.0f;
    for (int k = 0; k < n_taps; ++k) sum += (rows[k + 1][i] - rows[k][i]) * taps[k];
    out[i] = sum;
  }
}

void halve(const float* __restrict row, const float* taps, int n, float* __restrict out) {
  const float t0 = taps[0], t1 = taps[1], t2 = taps[2], t3 = taps[3], t4 = taps[4];
  for (int i = 0; i < n; ++i)
    out[i] = t0 * row[2 * i] + t1 * row[2 * i + 1] + t2 * row[2 * i + 2] + t3 * row[2 * i + 3] +
             t4 * row[2 * i + 4];
}

// Central differences, not the bilinear cell's own derivative: that jumps at pixel borders and can
// keep the outer loop from converging (equations.md §0).
void grey_texels(const float* above, const float* here, const float* below, int n,
                 float* __restrict texels) {
  for (int i = 0; i < n; ++i) {
    texels[4 * i] = here[i];
    texels[4 * i + 1] = 0.5f * (here[i + 1] - here[i - 1]);
    texels[4 * i + 2] = 0.5f * (below[i] - above[i]);
    texels[4 * i + 3] = 0.0f;
  }
}

void edge_texels(const float* const ix[3], const float* const iy[3], int n,
                 float* __restrict texels) {
  for (int i = 0; i < n; ++i) {
    float* t = texels + 8 * i;
    t[0] = ix[1][i];
    t[1] = iy[1][i];
    t[2] = 0.5f * (ix[1][i + 1] - ix[1][i - 1]);
    t[3] = 0.25f * ((ix[2][i] - ix[0][i]) + (iy[1][i + 1] - iy[1][i - 1]));
    t[4] = 0.5f * (iy[2][i] - iy[0][i]);
    t[5] = t[6] = t[7] = 0.0f;
  }
}

}  // namespace
}  // namespace holdstill::kernels
