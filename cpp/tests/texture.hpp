// Smooth frames with known values between the pixels, for tests.
#pragma once

#include <vector>

#include "holdstill/aligner.hpp"

namespace holdstill::testing {

// A sum of plane waves of 20 to 60 pixels, fixed by its seed.
class Texture {
 public:
  explicit Texture(unsigned seed);
  double at(double x, double y) const;

 private:
  struct Wave {
    double kx, ky, phase, amplitude;
  };
  std::vector<Wave> waves_;
};

// A frame that owns its pixels.
template <typename Pixel>
class Frame {
 public:
  Frame(int height, int width, const Texture& texture) : height_(height), width_(width) {
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        pixels_.push_back(static_cast<Pixel>(texture.at(x, y) + (Pixel(0.5) == 0 ? 0.5 : 0.0)));
  }
  FrameView view() const;

 private:
  int height_, width_;
  std::vector<Pixel> pixels_;
};

// frame_from_canonical of a region well inside of a 160 x 200 frame, `scale` frame pixels per
// canonical pixel.
Eigen::Matrix3d start(const Shape& shape, double scale);

// The dictionary of textures 0 .. n_atoms - 1 seen through `at`: columns of unit norm.
Eigen::MatrixXf dictionary(int n_atoms, const Region& region, const Sampling& sampling,
                           const Eigen::Matrix3d& at);

}  // namespace holdstill::testing
