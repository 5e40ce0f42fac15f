// A frame at half, a quarter, ... of its size, for coarse searches: computed where it is asked for.
#pragma once

#include <cmath>
#include <vector>

#include "holdstill/image.hpp"

namespace holdstill {

class Octaves {
 public:
  // Variance of the blur that an octave comes with, in pixels of its own: each halving blurs by the
  // binomial 1 4 6 4 1, one pixel squared, and then pixels are twice as wide.
  static double variance(int octave) { return (1.0 - std::ldexp(1.0, -2 * octave)) / 3.0; }
  static int size(int full, int octave) { return ((full - 1) >> octave) + 1; }

  // `frame` must live until the next reset.
  void reset(const FrameView& frame) {
    frame_ = frame;
    for (Plane& plane : planes_) plane.area = {0, 0, 0, 0};
  }

  // The wanted part of an octave, 1 or above, row after row; beyond the frame the nearest border
  // pixel. Pixel i is centred on pixel 2^octave i of the frame.
  void read(int octave, const Rectangle& wanted, float* out);

 private:
  struct Plane {
    Rectangle area{0, 0, 0, 0};
    std::vector<float> pixels, rows, sums;
  };
  void cover(int octave, const Rectangle& wanted);
  FrameView view(int octave) const;

  FrameView frame_{nullptr, PixelType::uint8, 0, 0, 0, 0};
  std::vector<Plane> planes_;
};

}  // namespace holdstill
