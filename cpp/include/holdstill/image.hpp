// A grey frame as it comes, and the features that are compared (equations.md §0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

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

struct Rectangle {
  int x0, y0, x1, y1;  // columns [x0, x1), rows [y0, y1)
  bool contains(const Rectangle& r) const {
    return r.x0 >= x0 && r.y0 >= y0 && r.x1 <= x1 && r.y1 <= y1;
  }
};

}  // namespace holdstill
