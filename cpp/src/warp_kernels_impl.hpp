// Samples of a block, its feature values and their derivatives (equations.md §0).
#pragma once

#include <algorithm>
#include <cmath>

#include "holdstill/kernels.hpp"
#include "lanes_impl.hpp"

namespace holdstill::kernels {
namespace {

struct Positions {
  alignas(64) int offset[kBlock];
  alignas(64) float fx[kBlock];
  alignas(64) float fy[kBlock];
  alignas(64) float inside[kBlock];
};

// Within: the caller knows that every sample, with its cell, lies inside of the frame.
template <bool Projective, bool Within>
int positions(const Texels& texels, const Projection& p, const float* a, const float* b, int n,
              Samples* s, Positions* at) {
  const double last_x = texels.width - 2, last_y = texels.height - 2;
  const int width = texels.width;
  int n_inside = 0;
  for (int i = 0; i < n; ++i) {
    const double w = Projective ? 1.0 / (p.p[0] * a[i] + p.p[1] * b[i] + 1.0) : 1.0;
    const double aw = Projective ? a[i] * w : a[i], bw = Projective ? b[i] * w : b[i];
    const double qx = p.l[0] * aw + p.l[1] * bw, qy = p.l[2] * aw + p.l[3] * bw;
    s->a[i] = static_cast<float>(aw);
    s->b[i] = static_cast<float>(bw);
    if (Projective) {
      s->w[i] = static_cast<float>(w);
      s->qx[i] = static_cast<float>(qx);
      s->qy[i] = static_cast<float>(qy);
    }
    const double x = qx + p.t[0], y = qy + p.t[1];
    if (Within) {
      const int cell_x = static_cast<int>(x), cell_y = static_cast<int>(y);
      at->fx[i] = static_cast<float>(x - cell_x);
      at->fy[i] = static_cast<float>(y - cell_y);
      at->offset[i] = cell_y * width + cell_x;
      continue;
    }
    const double clamped_x = std::min(std::max(x, p.x_min), p.x_max);
    const double clamped_y = std::min(std::max(y, p.y_min), p.y_max);
    const bool inside = (clamped_x == x) & (clamped_y == y);
    n_inside += inside;
    // The patch covers the frame's border wherever a sample is clamped: these two guard memory
    // only.
    const int cell_x = static_cast<int>(std::max(0.0, std::min(clamped_x, last_x)));
    const int cell_y = static_cast<int>(std::max(0.0, std::min(clamped_y, last_y)));
    at->fx[i] = static_cast<float>(std::min(std::max(clamped_x - cell_x, 0.0), 1.0));
    at->fy[i] = static_cast<float>(std::min(std::max(clamped_y - cell_y, 0.0), 1.0));
    at->inside[i] = inside ? 1.0f : 0.0f;
    at->offset[i] = cell_y * width + cell_x;
  }
  return Within ? 0 : n - n_inside;
}

// A cell's two texels of one row lie beside each other: one load.
template <int Channels, bool Within>
void interpolate(const Texels& texels, const Positions& at, int n, Samples* s) {
  using Texel = Vec<Channels>;
  using Pair = Vec<2 * Channels>;
  const std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(texels.width) * Channels;
  alignas(64) float interleaved[kBlock * Channels];
  for (int i = 0; i < n; ++i) {
    const float* t = texels.texels + static_cast<std::ptrdiff_t>(at.offset[i]) * Channels;
    const Pair top = load<2 * Channels>(t), bottom = load<2 * Channels>(t + stride);
    const Pair both = top + (bottom - top) * at.fy[i];
    Texel sides[2];
    static_assert(sizeof sides == sizeof both, "left and right");
    std::memcpy(sides, &both, sizeof both);
    store<Channels>(interleaved + i * Channels, sides[0] + (sides[1] - sides[0]) * at.fx[i]);
  }
  constexpr int kValues = Channels == 4 ? 1 : 2;       // grey: I; edges: Ix, Iy
  constexpr int kDerivatives = Channels == 4 ? 2 : 3;  // grey: Ix, Iy; edges: Ixx, Ixy, Iyy
  for (int c = 0; c < kValues; ++c)
    for (int i = 0; i < n; ++i) s->plane[c][i] = interleaved[i * Channels + c];
  // A clamped sample does not move with the transform: derivative 0 (equations.md §0).
  for (int c = kValues; c < kValues + kDerivatives; ++c)
    for (int i = 0; i < n; ++i)
      s->plane[c][i] = interleaved[i * Channels + c] * (Within ? 1.0f : at.inside[i]);
}

void clear_tail(int n, int channels, Samples* s) {
  const std::size_t bytes = sizeof(float) * (kBlock - n);
  for (int c = 0; c < (channels == 4 ? 3 : 5); ++c) std::memset(s->plane[c] + n, 0, bytes);
  for (float* coordinate : {s->a, s->b, s->w, s->qx, s->qy}) std::memset(coordinate + n, 0, bytes);
}

template <bool Projective, bool Within>
int sample_block(const Texels& texels, const Projection& projection, const float* a, const float* b,
                 int n, Samples* samples) {
  Positions at;
  const int outside = positions<Projective, Within>(texels, projection, a, b, n, samples, &at);
  if (texels.channels == 4)
    interpolate<4, Within>(texels, at, n, samples);
  else
    interpolate<8, Within>(texels, at, n, samples);
  if (n < kBlock) clear_tail(n, texels.channels, samples);
  return outside;
}

int sample(const Texels& texels, const Projection& projection, const float* a, const float* b,
           int n, bool within, Samples* samples) {
  const auto of_kind = projection.projective
                           ? (within ? sample_block<true, true> : sample_block<true, false>)
                           : (within ? sample_block<false, true> : sample_block<false, false>);
  return of_kind(texels, projection, a, b, n, samples);
}

// Derivatives with respect to (l11, l12, l21, l22, tx, ty[, p1, p2]), or to (tx, ty) alone.
// equations.md §0, "Columns of J_w".
void grey_columns(const Samples& s, const Projection&, int n_columns, Columns* out) {
  const float *gx = s.plane[1], *gy = s.plane[2], *a = s.a, *b = s.b;
  std::memcpy(out->row[0], s.plane[0], sizeof(float) * kBlock);
  if (n_columns == 0) return;
  if (n_columns == 2) {
    std::memcpy(out->row[1], gx, sizeof(float) * kBlock);
    std::memcpy(out->row[2], gy, sizeof(float) * kBlock);
    return;
  }
  for (int i = 0; i < kBlock; ++i) {
    out->row[1][i] = gx[i] * a[i];
    out->row[2][i] = gx[i] * b[i];
    out->row[3][i] = gy[i] * a[i];
    out->row[4][i] = gy[i] * b[i];
    out->row[5][i] = gx[i];
    out->row[6][i] = gy[i];
  }
  if (n_columns < 8) return;
  for (int i = 0; i < kBlock; ++i) {
    const float along_q = gx[i] * s.qx[i] + gy[i] * s.qy[i];
    out->row[7][i] = -along_q * a[i];
    out->row[8][i] = -along_q * b[i];
  }
}

// E = DW^T (grad I o W) and its derivatives (dDW/dtau)^T grad I + DW^T H dW/dtau, with
// DW = (L - q p^T) / z the warp's own spatial derivative: L itself but for homographies.
template <bool Projective>
void edge_columns_of(const Samples& s, const Projection& p, Columns* out) {
  constexpr int kX = 0, kY = kBlock;
  const float l11 = static_cast<float>(p.l[0]), l12 = static_cast<float>(p.l[1]);
  const float l21 = static_cast<float>(p.l[2]), l22 = static_cast<float>(p.l[3]);
  const float p1 = Projective ? static_cast<float>(p.p[0]) : 0.0f;
  const float p2 = Projective ? static_cast<float>(p.p[1]) : 0.0f;
  for (int i = 0; i < kBlock; ++i) {
    const float ix = s.plane[0][i], iy = s.plane[1][i];
    const float ixx = s.plane[2][i], ixy = s.plane[3][i], iyy = s.plane[4][i];
    const float a = s.a[i], b = s.b[i], w = Projective ? s.w[i] : 1.0f;
    const float qx = Projective ? s.qx[i] : 0.0f, qy = Projective ? s.qy[i] : 0.0f;
    const float d11 = (l11 - qx * p1) * w, d12 = (l12 - qx * p2) * w;
    const float d21 = (l21 - qy * p1) * w, d22 = (l22 - qy * p2) * w;
    const float exx = d11 * ixx + d21 * ixy, exy = d11 * ixy + d21 * iyy;  // dE_x/dW
    const float eyx = d12 * ixx + d22 * ixy, eyy = d12 * ixy + d22 * iyy;  // dE_y/dW
    out->row[0][kX + i] = d11 * ix + d21 * iy;
    out->row[0][kY + i] = d12 * ix + d22 * iy;
    out->row[1][kX + i] = ix * w * (1.0f - a * p1) + exx * a;
    out->row[1][kY + i] = -ix * w * a * p2 + eyx * a;
    out->row[2][kX + i] = -ix * w * b * p1 + exx * b;
    out->row[2][kY + i] = ix * w * (1.0f - b * p2) + eyx * b;
    out->row[3][kX + i] = iy * w * (1.0f - a * p1) + exy * a;
    out->row[3][kY + i] = -iy * w * a * p2 + eyy * a;
    out->row[4][kX + i] = -iy * w * b * p1 + exy * b;
    out->row[4][kY + i] = iy * w * (1.0f - b * p2) + eyy * b;
    out->row[5][kX + i] = exx;
    out->row[5][kY + i] = eyx;
    out->row[6][kX + i] = exy;
    out->row[6][kY + i] = eyy;
    if (Projective) {
      const float qi = qx * ix + qy * iy;
      const float lx = l11 * ix + l21 * iy, ly = l12 * ix + l22 * iy;
      const float ex_q = exx * qx + exy * qy, ey_q = eyx * qx + eyy * qy;
      out->row[7][kX + i] = w * (-qi + a * (2.0f * qi * p1 - lx)) - a * ex_q;
      out->row[7][kY + i] = w * a * (2.0f * qi * p2 - ly) - a * ey_q;
      out->row[8][kX + i] = w * b * (2.0f * qi * p1 - lx) - b * ex_q;
      out->row[8][kY + i] = w * (-qi + b * (2.0f * qi * p2 - ly)) - b * ey_q;
    }
  }
}

// |E| and E . dE / |E|, zero where |E| is.
void magnitude_of_edges(int n_rows, Columns* c) {
  for (int i = 0; i < kBlock; ++i) {
    const float ex = c->row[0][i], ey = c->row[0][kBlock + i];
    const float magnitude = std::sqrt(ex * ex + ey * ey);
    const float inverse = magnitude > 0.0f ? 1.0f / magnitude : 0.0f;
    c->row[0][i] = magnitude;
    for (int k = 1; k < n_rows; ++k)
      c->row[k][i] = (ex * c->row[k][i] + ey * c->row[k][kBlock + i]) * inverse;
  }
}

// E = L^T grad I alone; with a perspective, L is that of the place.
template <bool Projective>
void edge_values(const Samples& s, const Projection& p, Columns* out) {
  const float l11 = static_cast<float>(p.l[0]), l12 = static_cast<float>(p.l[1]);
  const float l21 = static_cast<float>(p.l[2]), l22 = static_cast<float>(p.l[3]);
  const float p1 = static_cast<float>(p.p[0]), p2 = static_cast<float>(p.p[1]);
  for (int i = 0; i < kBlock; ++i) {
    const float w = Projective ? s.w[i] : 1.0f;
    const float qx = Projective ? s.qx[i] : 0.0f, qy = Projective ? s.qy[i] : 0.0f;
    const float ix = s.plane[0][i], iy = s.plane[1][i];
    out->row[0][i] = w * ((l11 - qx * p1) * ix + (l21 - qy * p1) * iy);
    out->row[0][kBlock + i] = w * ((l12 - qx * p2) * ix + (l22 - qy * p2) * iy);
  }
}

void edge_columns(const Samples& samples, const Projection& projection, int n_columns,
                  bool magnitude, Columns* columns) {
  if (n_columns == 0) {
    if (projection.projective)
      edge_values<true>(samples, projection, columns);
    else
      edge_values<false>(samples, projection, columns);
    if (magnitude) magnitude_of_edges(1, columns);
    return;
  }
  if (projection.projective)
    edge_columns_of<true>(samples, projection, columns);
  else
    edge_columns_of<false>(samples, projection, columns);
  if (n_columns == 2) {
    std::memcpy(columns->row[1], columns->row[5], sizeof columns->row[1]);
    std::memcpy(columns->row[2], columns->row[6], sizeof columns->row[2]);
  }
  if (magnitude) magnitude_of_edges(1 + n_columns, columns);
}

}  // namespace
}  // namespace holdstill::kernels
