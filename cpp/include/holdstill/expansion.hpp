// A frame's vector and its Jacobian to second order around a transform (equations.md §0, §4):
//
//   v(delta) ~ v + G delta + 1/2 delta^T H delta,   J(delta) ~ J + H delta
//
// H by central differences of J, G by those of v. G is not J: derivatives as sampled and those of
// the samples differ by some per cent, and where J^T P (v - t) vanishes is decided by J.
#pragma once

#include <vector>

#include "holdstill/linearize.hpp"
#include "holdstill/status.hpp"

namespace holdstill {

// delta is in canonical pixels: of each parameter, what moves the region's corners by one, root
// mean square. Rows: v, G, H (upper triangle, row by row), J.
class Expansion {
 public:
  static constexpr int kMaxRows =
      1 + 2 * kMaxParameters + kMaxParameters * (kMaxParameters + 1) / 2;
  using Weights = Eigen::Matrix<double, Eigen::Dynamic, 1, 0, kMaxRows, 1>;

  Expansion(const Region& region, const Sampling& sampling);

  int n_rows() const { return 1 + 2 * p_ + p_ * (p_ + 1) / 2; }

  Status expand(const FrameView& frame, const CentredTransform& centre, double max_outside,
                Patch* patch);
  // How often that samples the frame.
  int n_samplings() const { return 1 + 2 * p_; }
  const CentredTransform& centre() const { return centre_; }
  // The transform at delta, and the delta of a transform.
  CentredTransform at(const Parameters& delta) const;
  Parameters from(const CentredTransform& transform) const;

  // products(i, j) = <left_i, row_j>; left(block, i) points to row_length floats.
  template <typename Left>
  void products(int n_left, Left&& left, Eigen::MatrixXd* products) const;
  // The rows' products with each other.
  void gram(Eigen::MatrixXd* products) const;

  // v(delta) = sum of the rows by these weights.
  Weights weights(const Parameters& delta) const;
  // J(delta)^T times what the rows' products with something are.
  Parameters through_jacobian(const Parameters& delta, const Weights& products) const;
  // J(delta)^T A J(delta), where A stands for the rows' products.
  ParameterMatrix through_jacobian(const Parameters& delta, const Eigen::MatrixXd& products) const;

 private:
  using Blocks = std::vector<kernels::Columns>;  // one for each block of the region
  static constexpr int kChunk = 5;  // rows whose products with two vectors fit the registers
  static constexpr int kTile = 16;  // left vectors that stay in the first-level cache

  int second(int k, int l) const;  // row of H's entry
  int first(int k) const { return n_rows() - p_ + k; }
  int n_chunks() const { return (n_rows() + kChunk - 1) / kChunk; }
  int chunk_rows(int chunk) const;  // as the kernels take them: 3 or 5
  float* row(int block, int k) { return chunks_[k / kChunk][block].row[k % kChunk]; }
  const float* row(int block, int k) const { return chunks_[k / kChunk][block].row[k % kChunk]; }
  Status sample(const FrameView& frame, const CentredTransform& at, double max_outside,
                Patch* patch, Blocks* out) const;
  void multiply(int block, const float* const* left, int n_left, double* const* sums) const;

  const Region& region_;
  Sampling sampling_;
  int p_;
  CentredTransform centre_;
  Parameters units_;
  Blocks plus_, minus_;
  std::vector<Blocks> chunks_;
};

template <typename Left>
void Expansion::products(int n_left, Left&& left, Eigen::MatrixXd* products) const {
  std::vector<std::vector<double>> sums(n_chunks());
  for (int c = 0; c < n_chunks(); ++c)
    sums[c].assign(static_cast<std::size_t>(n_left) * chunk_rows(c), 0.0);
  std::vector<const float*> tile(kTile);
  std::vector<double*> into(n_chunks());
  for (int first = 0; first < n_left; first += kTile) {
    const int n = std::min(kTile, n_left - first);
    for (int c = 0; c < n_chunks(); ++c)
      into[c] = sums[c].data() + static_cast<std::size_t>(first) * chunk_rows(c);
    for (int block = 0; block < region_.n_blocks(); ++block) {
      for (int i = 0; i < n; ++i) tile[i] = left(block, first + i);
      multiply(block, tile.data(), n, into.data());
    }
  }
  products->resize(n_left, n_rows());
  for (int j = 0; j < n_rows(); ++j)
    for (int i = 0; i < n_left; ++i)
      (*products)(i, j) =
          sums[j / kChunk][static_cast<std::size_t>(i) * chunk_rows(j / kChunk) + j % kChunk];
}

}  // namespace holdstill
