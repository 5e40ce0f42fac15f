// The low-passed patch of a frame that the aligner samples (equations.md §0).
#pragma once

#include <vector>

#include "holdstill/image.hpp"
#include "holdstill/kernels.hpp"
#include "holdstill/motion.hpp"

namespace holdstill {

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
  struct Window;
  void filter(const FrameView& frame);
  void read_source(const FrameView& frame, const Window& window);
  void convolve(const Window& window);
  void repeat_border(const Window& window);
  void write_texels(const Window& window);

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
