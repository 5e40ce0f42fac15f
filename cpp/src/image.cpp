#include "holdstill/image.hpp"

#include <algorithm>
#include <stdexcept>

namespace holdstill {
namespace {

template <typename T>
void read_columns(const char* row, std::ptrdiff_t stride, int first, int last, int width,
                  float* out) {
  const auto at = [&](int x) {
    return static_cast<float>(*reinterpret_cast<const T*>(row + x * stride));
  };
  int x = first;
  for (; x < std::min(last, 0); ++x) *out++ = at(0);
  if (stride == static_cast<std::ptrdiff_t>(sizeof(T))) {
    const T* pixels = reinterpret_cast<const T*>(row);
    for (const int end = std::min(last, width); x < end; ++x)
      *out++ = static_cast<float>(pixels[x]);
  } else {
    for (const int end = std::min(last, width); x < end; ++x) *out++ = at(x);
  }
  for (; x < last; ++x) *out++ = at(width - 1);
}

}  // namespace

void FrameView::read_row(int row, int first, int last, float* out) const {
  const char* start = static_cast<const char*>(pixels) +
                      static_cast<std::ptrdiff_t>(std::clamp(row, 0, height - 1)) * row_stride;
  switch (type) {
    case PixelType::uint8:
      return read_columns<std::uint8_t>(start, column_stride, first, last, width, out);
    case PixelType::uint16:
      return read_columns<std::uint16_t>(start, column_stride, first, last, width, out);
    case PixelType::float32:
      return read_columns<float>(start, column_stride, first, last, width, out);
  }
}

Feature feature_from_name(const std::string& name) {
  if (name == "grey") return Feature::grey;
  if (name == "edges") return Feature::edges;
  if (name == "magnitude") return Feature::magnitude;
  throw std::invalid_argument("features: expected grey, edges or magnitude, got '" + name + "'");
}

}  // namespace holdstill
