#include "holdstill/octaves.hpp"

#include <algorithm>

#include "holdstill/kernels.hpp"

namespace holdstill {
namespace {

constexpr float kBinomial[] = {1.0f / 16, 4.0f / 16, 6.0f / 16, 4.0f / 16, 1.0f / 16};
constexpr int kReach = 2;

// The part of `wanted` that is there, at least one pixel of it.
Rectangle clipped(const Rectangle& wanted, int width, int height) {
  const int x0 = std::clamp(wanted.x0, 0, width - 1), y0 = std::clamp(wanted.y0, 0, height - 1);
  return {x0, y0, std::clamp(wanted.x1, x0 + 1, width), std::clamp(wanted.y1, y0 + 1, height)};
}

}  // namespace

FrameView Octaves::view(int octave) const {
  if (octave == 0) return frame_;
  const Plane& plane = planes_[octave - 1];
  const int width = plane.area.x1 - plane.area.x0;
  return {plane.pixels.data(),
          PixelType::float32,
          plane.area.y1 - plane.area.y0,
          width,
          static_cast<std::ptrdiff_t>(width * sizeof(float)),
          sizeof(float)};
}

void Octaves::cover(int octave, const Rectangle& wanted) {
  if (octave == 0) return;
  if (static_cast<int>(planes_.size()) < octave) planes_.resize(octave);
  Rectangle area = clipped(wanted, size(frame_.width, octave), size(frame_.height, octave));
  Rectangle& held = planes_[octave - 1].area;
  if (held.x1 > held.x0) {
    if (held.contains(area)) return;
    area = {std::min(area.x0, held.x0), std::min(area.y0, held.y0), std::max(area.x1, held.x1),
            std::max(area.y1, held.y1)};
  }
  const Rectangle from = {2 * area.x0 - kReach, 2 * area.y0 - kReach, 2 * area.x1 - 1 + kReach,
                          2 * area.y1 - 1 + kReach};
  cover(octave - 1, from);

  Plane& plane = planes_[octave - 1];
  plane.area = area;
  const FrameView finer = view(octave - 1);
  const Rectangle origin = octave == 1 ? Rectangle{0, 0, 0, 0} : planes_[octave - 2].area;
  const kernels::Table& kernel = kernels::active();
  const int n = from.x1 - from.x0, width = area.x1 - area.x0;
  plane.pixels.resize(static_cast<std::size_t>(width) * (area.y1 - area.y0));
  // The last five rows of the finer octave, each in the slot of its number.
  constexpr int n_taps = 2 * kReach + 1;
  plane.rows.resize(static_cast<std::size_t>(n) * n_taps);
  plane.sums.resize(n);
  const auto slot = [&](int row) {
    return plane.rows.data() + static_cast<std::size_t>((row - from.y0) % n_taps) * n;
  };
  int next = from.y0;
  for (int y = area.y0; y < area.y1; ++y) {
    for (; next <= 2 * y + kReach; ++next)
      finer.read_row(next - origin.y0, from.x0 - origin.x0, from.x1 - origin.x0, slot(next));
    const float* down[n_taps];
    for (int k = 0; k < n_taps; ++k) down[k] = slot(2 * y - kReach + k);
    kernel.convolve(down, kBinomial, n_taps, n, plane.sums.data());
    kernel.halve(plane.sums.data(), kBinomial, width,
                 plane.pixels.data() + static_cast<std::size_t>(y - area.y0) * width);
  }
}

void Octaves::read(int octave, const Rectangle& wanted, float* out) {
  cover(octave, wanted);
  const FrameView plane = view(octave);
  const Rectangle& area = planes_[octave - 1].area;
  for (int y = wanted.y0; y < wanted.y1; ++y, out += wanted.x1 - wanted.x0)
    plane.read_row(y - area.y0, wanted.x0 - area.x0, wanted.x1 - area.x0, out);
}

}  // namespace holdstill
