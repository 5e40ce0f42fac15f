// A frame as it comes, and the low-passed patch of it that the aligner samples (equations.md §0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "holdstill/kernels.hpp"
#include "holdstill/motion.hpp"

namespace holdstill {

enum class PixelType { uint8, uint16, float32 };

// A grey frame in the caller's memory; strides in bytes, so that any slice of an array will do.
struct FrameView {
  const void* pixels;
  PixelType type;
  int height, width;
  std::ptrdiff_t row_stride, column_stride;

  // Converts columns [first, last) of a row; outside the frame the nearest border pixel.
  void read_row(int row, int first, int last, float* out) const;
};

enum class Feature { grey, edges, magnitude };

Feature feature_from_name(const std::string& name);  // throws std::invalid_argument
// Values per pixel: edges stack E_x on E_y.
inline int n_planes(Feature feature) { return feature == Feature::edges ? 2 : 1; }

// Standard deviation, in frame pixels, of the low-pass for a transform whose linear part is L:
// 0.4 sqrt|det L|, at least 0.7.
double lowpass_sigma(const Eigen::Matrix2d& linear);

struct Rectangle {
  int x0, y0, x1, y1;  // columns [x0, x1), rows [y0, y1)
  bool contains(const Rectangle& r) const {
    return r.x0 >= x0 && r.y0 >= y0 && r.x1 <= x1 && r.y1 <= y1;
  }
};

class Octaves;

// The low-passed (grey) or Gaussian-derivative (edges) image of one rectangle of a frame, values
// and gradients interleaved. Where the filter is wide the frame is kept at every 2^octave-th pixel
// only. A pixel's value does not depend on the rectangle, so that a patch may be grown at will.
class Patch {
 public:
  // The filter is chosen at `initial` and then stays: once per frame, never per iteration.
  // `octaves`, of the same frame, or null: where a coarse search takes its pixels from, at little
  // cost and nearly the same.
  void choose_filter(const FrameView& frame, Feature feature, double sigma,
                     const CentredTransform& initial, Octaves* octaves = nullptr);
  // Makes the patch cover the given box (frame pixels) with a margin; keeps it if it does already.
  void cover(const FrameView& frame, double x_min, double y_min, double x_max, double y_max);

  kernels::Texels texels() const;
  // The transform in patch pixels, and the frame's border there.
  kernels::Projection projection(const CentredTransform& transform, bool projective) const;
  // d(patch pixel)/d(frame pixel) = 2^-octave
  double pixel_scale() const { return 1.0 / (1 << octave_); }
  int octave() const { return octave_; }

 private:
  void filter(const FrameView& frame);

  Feature feature_ = Feature::grey;
  Octaves* octaves_ = nullptr;
  int octave_ = 0;
  int step_ = 1;                               // between the source's pixels that are kept
  int full_width_ = 0, full_height_ = 0;       // of the decimated frame
  Rectangle area_{0, 0, 0, 0};                 // of the decimated frame
  std::vector<float> smoothing_, derivative_;  // taps
  std::vector<float> texels_, source_, column_sums_, phases_, filtered_;
  std::vector<const float*> along_, down_;
};

}  // namespace holdstill
