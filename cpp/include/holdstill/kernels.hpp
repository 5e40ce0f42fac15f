// The loops over pixels. One source (src/kernels_impl.hpp) is compiled once per instruction set, in
// files free of Eigen (mixed compiler flags in its templates would break the one-definition rule);
// the best set that the processor has is chosen once, at run time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace holdstill::kernels {

// Pixels of the region of interest are visited in blocks of this many: small enough for the block's
// columns to stay in the first-level cache, large enough to amortise the calls.
constexpr int kBlock = 256;
constexpr int kMaxColumns = 8;  // homography; the affine family has six
constexpr int kMaxPlanes = 2;   // edges stack two planes

// Where a block's samples are taken: W = L (a, b) / z + t in patch pixels, z = 1 + p . (a, b). In
// float64: t rounded to float32 moves in steps of 3e-5 pixels, and the outer loop would never
// settle.
struct Projection {
  double l[4], t[2], p[2];
  double x_min, x_max, y_min, y_max;  // the frame's border in patch pixels
  bool projective;
};

struct Texels {
  const float* texels;  // height x width x channels, interleaved
  int width, height;
  int channels;  // grey 4: I, Ix, Iy, -; edges 8: Ix, Iy, Ixx, Ixy, Iyy, -, -, -
};

// Samples of one block, plane by plane.
struct Samples {
  alignas(64) float plane[5][kBlock];  // grey: I, Ix, Iy; edges: Ix, Iy, Ixx, Ixy, Iyy
  alignas(64) float a[kBlock];         // canonical coordinates over z (z = 1 but for homographies)
  alignas(64) float b[kBlock];
  alignas(64) float w[kBlock];   // 1 / z
  alignas(64) float qx[kBlock];  // L (a, b) / z
  alignas(64) float qy[kBlock];
};

// A block's feature values and derivative columns; planes of one row are kBlock apart and follow
// each other, so that a row of `planes * kBlock` floats is contiguous. Unused pixels are zero.
struct Columns {
  alignas(64) float row[1 + kMaxColumns][kMaxPlanes * kBlock];
};

// Sums of a residual r with second derivatives of the warped frame and canonical monomials. For
// grey f = r; for edges f_e = (L r)_e weighs third derivatives, and r_k second ones.
struct Curvature {
  double second[3][6];    // xx, xy, yy by 1, a, b, a^2, ab, b^2
  double mixed[2][3][3];  // edges: plane, xx, xy, yy by 1, a, b
  double sampled, own;    // derivatives as sampled, with themselves and with the values' slopes
};

struct Table {
  const char* name;
  // out[i] = sum_k taps[k] rows[k][i],  k = 0 .. n_taps - 1
  void (*convolve)(const float* const* rows, const float* taps, int n_taps, int n, float* out);
  // out[i] = sum_k taps[k] (rows[k + 1][i] - rows[k][i])
  void (*convolve_differences)(const float* const* rows, const float* taps, int n_taps, int n,
                               float* out);
  // out[i] = sum_k taps[k] row[2 i + k],  k = 0 .. 4
  void (*halve)(const float* row, const float* taps, int n, float* out);
  // texels (I, Ix, Iy, 0) of a row of I; `here` has a neighbour on either side of the n pixels
  void (*grey_texels)(const float* above, const float* here, const float* below, int n,
                      float* texels);
  // texels (Ix, Iy, Ixx, Ixy, Iyy, 0, 0, 0) of a row of Ix and Iy; each array holds {above, here,
  // below}
  void (*edge_texels)(const float* const ix[3], const float* const iy[3], int n, float* texels);
  // Bilinear samples of n pixels at canonical offsets (a, b); returns how many lie outside.
  // within: the caller knows that none does, and that all their cells are texels.
  int (*sample)(const Texels& texels, const Projection& projection, const float* a, const float* b,
                int n, bool within, Samples* samples);
  // Feature values (row 0) and derivatives with respect to the entries of H (rows 1 ..), n_columns
  // of them: 0, 2, 6 or 8.
  void (*grey_columns)(const Samples& samples, const Projection& projection, int n_columns,
                       Columns* columns);
  void (*edge_columns)(const Samples& samples, const Projection& projection, int n_columns,
                       bool magnitude, Columns* columns);
  // Adds a block's share. Affine motion only; not of the magnitude.
  void (*curvature)(const Texels& texels, const Projection& projection, const float* a,
                    const float* b, int n, bool within, const Samples& samples,
                    const float* residual, Curvature* sums);
  // sums[i][j] += <row_i, row_j> for j >= i, i and j below n_rows, which is 3, 5, 7 or 9; rows of
  // `sums` are n_rows long, what stands below the diagonal is of no use
  void (*self_products)(const Columns& columns, int n_rows, int length, double* sums);
  // sums[i][j] += <left[i], row_j>; rows of `sums` are n_rows long, n_rows is 3, 5, 7 or 9
  void (*products)(const float* const* left, int n_left, const Columns& columns, int n_rows,
                   int length, double* sums);
  // sums[i] += <left[i], right>
  void (*dots)(const float* const* left, int n_left, const float* right, int length, double* sums);
  // Multiplies every plane of the rows by `factors`, kBlock of them.
  void (*scale_columns)(const float* factors, int n_planes, int n_rows, Columns* columns);
  void (*scale_row)(const float* factors, int n_planes, const float* row, float* out);
  // residual = scale * row - sum_k coefficients[k] atoms[k]; returns its squared norm
  double (*residual)(const float* row, float scale, const float* const* atoms,
                     const float* coefficients, int n_atoms, int length, float* residual);
  // weights = slope / max(|r|, threshold), |r| over a pixel's planes; kBlock of them
  void (*robust_weights)(const float* residual, int n_planes, float slope, float threshold,
                         float* weights);
  // weights = (1 + (|r| / scale)^2)^-2, Geman and McClure's; kBlock of them
  void (*redescending_weights)(const float* residual, int n_planes, float scale, float* weights);
  // RASL's inner problem, one image of m values and a basis q of p columns, column after column.
  // With z = target + sparse - low_rank: clipped = z within [-limit, limit], in place of target;
  // sparse = z - clipped; dots[k] = <q_k, clipped>
  void (*shrink_image)(const double* low_rank, const double* q, std::int64_t m, int p, double limit,
                       double* target, double* sparse, double* dots);
  // With moved = d + q delta: target = moved - sparse + (clipped + q change) * share, in place of
  // clipped. Returns the squared norm of moved - low_rank - sparse.
  double (*advance_image)(const double* d, const double* low_rank, const double* sparse,
                          const double* q, std::int64_t m, int p, const double* delta,
                          const double* change, double share, double* target);
};

const Table& baseline();
#ifdef HOLDSTILL_X86_DISPATCH
const Table& avx2();
const Table& avx512();
#endif

// The chosen set: the best the processor has, or the one named by HOLDSTILL_ISA.
const Table& active();
// Names that this processor can run.
std::vector<std::string> available();
const Table& by_name(const std::string& name);

}  // namespace holdstill::kernels
