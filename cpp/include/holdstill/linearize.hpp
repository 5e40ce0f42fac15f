// Warp, feature and Jacobian over the region of interest, in one pass (equations.md §0).
#pragma once

#include <array>
#include <vector>

#include "holdstill/kernels.hpp"
#include "holdstill/motion.hpp"
#include "holdstill/patch.hpp"

namespace holdstill {

// What `vec` picks: the pixels of the region of interest in raster order, as offsets from the
// canonical centre, in blocks. A soft region weighs them: the sum of squares becomes a weighted
// one, and every sample is multiplied by the root of its pixel's weight.
class Region {
 public:
  Region(const Shape& shape, const float* weights);  // height x width, row-major; null: all 1

  const Shape& shape() const { return shape_; }
  int n_pixels() const { return n_pixels_; }
  int n_blocks() const { return (n_pixels_ + kernels::kBlock - 1) / kernels::kBlock; }
  int block_size(int block) const {
    return std::min(kernels::kBlock, n_pixels_ - block * kernels::kBlock);
  }
  const float* a(int block) const { return a_.data() + block * kernels::kBlock; }
  const float* b(int block) const { return b_.data() + block * kernels::kBlock; }
  bool soft() const { return !roots_.empty(); }
  // The rectangle around a block's pixels: smallest and largest a, smallest and largest b.
  const std::array<float, 4>& box(int block) const { return boxes_[block]; }
  const float* roots(int block) const { return roots_.data() + block * kernels::kBlock; }
  // Corners of the region's bounding rectangle, as offsets from the centre.
  const std::array<Eigen::Vector2d, 4>& corners() const { return corners_; }

 private:
  Shape shape_;
  int n_pixels_ = 0;
  std::vector<float> a_, b_, roots_;
  std::vector<std::array<float, 4>> boxes_;
  std::array<Eigen::Vector2d, 4> corners_;
};

// Everything fixed about how a frame becomes a vector.
struct Sampling {
  MotionModel motion;
  Feature feature;
  double sigma;  // of the edges, canonical pixels

  int n_entries() const { return holdstill::n_entries(motion); }
  int n_rows() const { return 1 + n_entries(); }
  int row_length() const { return n_planes(feature) * kernels::kBlock; }
};

// Columns of m rows as the kernels read them: [block][column][plane x pixel], zero beyond the
// region.
std::vector<float> pack_columns(const Eigen::Ref<const Eigen::MatrixXf>& columns,
                                const Region& region, const Sampling& sampling);

// Makes the patch cover the region under `transform`. False if that is not a finite box, or if the
// region's horizon (z = 0) cuts it.
bool cover(const FrameView& frame, const Region& region, const CentredTransform& transform,
           Patch* patch);

// d(entries of the transform in patch pixels)/d(tau): turns a block's columns into those of J_w.
EntryJacobian column_chain(const Patch& patch, const Sampling& sampling,
                           const CentredTransform& transform);

// Whether all samples of a box, with their cells, lie inside of the frame and of the patch.
bool within(const kernels::Texels& texels, const kernels::Projection& projection,
            const std::array<float, 4>& box);

// Samples the region's blocks, one at a time, under one transform: w = f(I o tau) and its
// derivatives by the transform's entries, `n_columns` of them, not yet of unit norm.
class BlockSampler {
 public:
  BlockSampler(const Patch& patch, const Region& region, const Sampling& sampling,
               const CentredTransform& transform, int n_columns)
      : texels(patch.texels()),
        projection(patch.projection(transform, sampling.motion == MotionModel::homography)),
        region_(region),
        sampling_(sampling),
        n_columns_(n_columns) {}

  // Returns how many samples lie outside the frame.
  int sample(int block) { return sample(block, &columns); }
  int sample(int block, kernels::Columns* into);

  const kernels::Texels texels;
  const kernels::Projection projection;
  // Of the last block.
  bool inside;  // all of it, as within() says
  kernels::Samples samples;
  kernels::Columns columns;

 private:
  const kernels::Table& kernel_ = kernels::active();
  const Region& region_;
  const Sampling& sampling_;
  int n_columns_;
};

// Calls visit(block, columns), columns the visitor's to change, for all blocks; returns how many
// samples lie outside the frame.
template <bool kValuesOnly = false, typename Visitor>
int for_each_block(const Patch& patch, const Region& region, const Sampling& sampling,
                   const CentredTransform& transform, Visitor&& visit) {
  BlockSampler sampler(patch, region, sampling, transform, kValuesOnly ? 0 : sampling.n_entries());
  int outside = 0;
  for (int block = 0; block < region.n_blocks(); ++block) {
    outside += sampler.sample(block);
    visit(block, sampler.columns);
  }
  return outside;
}

// The sampled vector and its Jacobian, as arrays: vector (m), jacobian column by column (m x p),
// m = planes x pixels with plane after plane. Unit norm as in Algorithm 1 of the one-by-one method.
struct DenseLinearization {
  double norm;
  int outside;
};
DenseLinearization linearize(const Patch& patch, const Region& region, const Sampling& sampling,
                             const CentredTransform& transform, bool normalize, double* vector,
                             double* jacobian);

}  // namespace holdstill
