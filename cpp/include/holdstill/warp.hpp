// A frame seen in the canonical frame: (I o tau)(u) = I(W(u; tau)), bilinear, nearest border.
// For pictures; the aligner samples filtered patches instead (linearize.hpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "holdstill/motion.hpp"

namespace holdstill {

template <typename T>
struct StridedImage {
  const T* pixels;
  int height, width, channels;
  std::ptrdiff_t row_stride, column_stride, channel_stride;  // bytes

  const char* at(int x, int y) const {
    return reinterpret_cast<const char*>(pixels) + y * row_stride + x * column_stride;
  }
};

// target: shape.height x shape.width x channels, row-major.
template <typename T>
void warp(const StridedImage<T>& image, const Eigen::Matrix3d& frame_from_canonical,
          const Shape& shape, T* target) {
  using Real = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const Eigen::Matrix3d& f = frame_from_canonical;
  const auto clamped = [](double x, int size) {
    return std::isfinite(x) ? std::clamp(x, 0.0, static_cast<double>(size - 1)) : 0.0;
  };
  for (int v = 0; v < shape.height; ++v)
    for (int u = 0; u < shape.width; ++u) {
      const double z = f(2, 0) * u + f(2, 1) * v + f(2, 2);
      const double x = clamped((f(0, 0) * u + f(0, 1) * v + f(0, 2)) / z, image.width);
      const double y = clamped((f(1, 0) * u + f(1, 1) * v + f(1, 2)) / z, image.height);
      const int x0 = static_cast<int>(x), y0 = static_cast<int>(y);
      const int x1 = std::min(x0 + 1, image.width - 1), y1 = std::min(y0 + 1, image.height - 1);
      const Real fx = static_cast<Real>(x - x0), fy = static_cast<Real>(y - y0);
      const char *p00 = image.at(x0, y0), *p01 = image.at(x1, y0);
      const char *p10 = image.at(x0, y1), *p11 = image.at(x1, y1);
      for (int c = 0; c < image.channels; ++c) {
        const std::ptrdiff_t offset = c * image.channel_stride;
        const auto value = [&](const char* p) {
          return static_cast<Real>(*reinterpret_cast<const T*>(p + offset));
        };
        const Real top = value(p00) + fx * (value(p01) - value(p00));
        const Real bottom = value(p10) + fx * (value(p11) - value(p10));
        const Real mixed = top + fy * (bottom - top);
        *target++ = static_cast<T>(std::is_integral_v<T> ? mixed + Real(0.5) : mixed);
      }
    }
}

}  // namespace holdstill
