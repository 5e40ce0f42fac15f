// What Gauss and Newton leave out of a Hessian: second derivatives of the warped frame against a
// residual (equations.md §3).
#pragma once

#include "product_kernels_impl.hpp"
#include "warp_kernels_impl.hpp"

namespace holdstill::kernels {
namespace {

// Slopes of the sampled derivatives within the cell: of grey's Ix, Iy or of edges' Ixx, Ixy, Iyy.
struct Slopes {
  alignas(64) float plane[4][kBlock];  // grey: Ixx, Ixy, Iyy; edges: Ixxx, Ixxy, Ixyy, Iyyy
  alignas(64) float own[4][kBlock];    // of the values: grey Ix, Iy; edges Ixx, Ixy, Iyx, Iyy
};

template <int Channels>
void slopes(const Texels& texels, const Positions& at, bool within, int n, Slopes* out) {
  using Texel = Vec<Channels>;
  constexpr bool kGrey = Channels == 4;
  constexpr int first = kGrey ? 1 : 2;
  const std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(texels.width) * Channels;
  for (int i = 0; i < n; ++i) {
    const float* t = texels.texels + static_cast<std::ptrdiff_t>(at.offset[i]) * Channels;
    const Texel left = load<Channels>(t), right = load<Channels>(t + Channels);
    const Texel below_left = load<Channels>(t + stride),
                below_right = load<Channels>(t + stride + Channels);
    const Texel down_left = below_left - left, down_right = below_right - right;
    Texel dx = (right - left) + (down_right - down_left) * at.fy[i],
          dy = down_left + (down_right - down_left) * at.fx[i];
    if (!within) dx = dx * at.inside[i], dy = dy * at.inside[i];
    for (int c = 0; c < (kGrey ? 2 : 3); ++c) {
      const float along = c == 0 ? dx[first] : 0.5f * (dx[first + c] + dy[first + c - 1]);
      out->plane[c][i] = along;
    }
    out->plane[kGrey ? 2 : 3][i] = dy[first + (kGrey ? 1 : 2)];
    for (int c = 0; c < (kGrey ? 1 : 2); ++c) {
      out->own[2 * c][i] = dx[c];
      out->own[2 * c + 1][i] = dy[c];
    }
  }
  for (auto& plane : out->plane) std::memset(plane + n, 0, sizeof(float) * (kBlock - n));
  for (auto& plane : out->own) std::memset(plane + n, 0, sizeof(float) * (kBlock - n));
}

// sums[k] += <f, monomial_k>: 1, a, b, a^2, ab, b^2
template <int N, typename Factor>
void moments(const Samples& s, Factor factor, double* sums) {
  V total[N] = {};
  for (int i = 0; i < kBlock; i += kLanes) {
    const V f = factor(i), a = load<kLanes>(s.a + i), b = load<kLanes>(s.b + i);
    const V fa = f * a, fb = f * b;
    total[0] += f;
    total[1] += fa;
    total[2] += fb;
    if constexpr (N == 6) {
      total[3] += fa * a;
      total[4] += fa * b;
      total[5] += fb * b;
    }
  }
  for (int k = 0; k < N; ++k) {
    double sum = 0.0;
    for (int lane = 0; lane < kLanes; ++lane) sum += static_cast<double>(total[k][lane]);
    sums[k] += sum;
  }
}

void curvature(const Texels& texels, const Projection& p, const float* a, const float* b, int n,
               bool within, const Samples& samples, const float* residual, Curvature* sums) {
  Positions at;
  Samples places;
  if (within)
    positions<false, true>(texels, p, a, b, n, &places, &at);
  else
    positions<false, false>(texels, p, a, b, n, &places, &at);
  Slopes slope;
  const auto compare = [&](const float* sampled, const float* own) {
    sums->sampled += dot(sampled, sampled, kBlock);
    sums->own += dot(sampled, own, kBlock);
  };
  const auto row = [](const float* from) {
    return [from](int i) { return load<kLanes>(from + i); };
  };
  if (texels.channels == 4) {
    slopes<4>(texels, at, within, n, &slope);
    const auto r = row(residual);
    for (int c = 0; c < 3; ++c)
      moments<6>(
          samples, [&](int i) { return r(i) * load<kLanes>(slope.plane[c] + i); }, sums->second[c]);
    for (int c = 0; c < 2; ++c) compare(samples.plane[1 + c], slope.own[c]);
    return;
  }
  slopes<8>(texels, at, within, n, &slope);
  const float l11 = static_cast<float>(p.l[0]), l12 = static_cast<float>(p.l[1]);
  const float l21 = static_cast<float>(p.l[2]), l22 = static_cast<float>(p.l[3]);
  const auto rx = row(residual), ry = row(residual + kBlock);
  for (int c = 0; c < 3; ++c) {
    const auto along_x = row(slope.plane[c]), along_y = row(slope.plane[c + 1]);
    moments<6>(
        samples,
        [&](int i) {
          const V x = rx(i), y = ry(i);
          return (x * l11 + y * l12) * along_x(i) + (x * l21 + y * l22) * along_y(i);
        },
        sums->second[c]);
    const auto here = row(samples.plane[2 + c]);
    moments<3>(samples, [&](int i) { return rx(i) * here(i); }, sums->mixed[0][c]);
    moments<3>(samples, [&](int i) { return ry(i) * here(i); }, sums->mixed[1][c]);
  }
  const int derivative[] = {2, 3, 3, 4};
  for (int c = 0; c < 4; ++c) compare(samples.plane[derivative[c]], slope.own[c]);
}

}  // namespace
}  // namespace holdstill::kernels
