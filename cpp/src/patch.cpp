#include "holdstill/patch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "holdstill/octaves.hpp"

namespace holdstill {
namespace {

// Standard deviation, in frame pixels, of the low-pass for a transform whose linear part is L:
// 0.4 sqrt|det L|, at least 0.7.
double lowpass_sigma(const Eigen::Matrix2d& linear) {
  return std::max(0.7, 0.4 * std::sqrt(std::abs(linear.determinant())));
}

int radius_of(double sigma) { return static_cast<int>(std::lround(4.0 * sigma)); }

void gaussian_taps(double sigma, std::vector<float>* taps) {
  const int radius = radius_of(sigma);
  const auto bell = [sigma](int i) { return std::exp(-0.5 * i * i / (sigma * sigma)); };
  double sum = 0.0;
  for (int i = -radius; i <= radius; ++i) sum += bell(i);
  taps->clear();
  for (int i = -radius; i <= radius; ++i) taps->push_back(static_cast<float>(bell(i) / sum));
}

// Taps of the Gaussian's derivative, summed by parts: they act on differences of neighbours, so
// that a flat frame answers exactly zero and not with rounding. A ramp of slope 1 answers `ramp`.
void derivative_taps(double sigma, double ramp, std::vector<float>* taps) {
  const int radius = radius_of(sigma);
  const auto slope = [sigma](int i) { return i * std::exp(-0.5 * i * i / (sigma * sigma)); };
  double sum = 0.0, partial = 0.0;
  for (int i = -radius; i <= radius; ++i) sum += i * slope(i);
  taps->clear();
  for (int i = -radius; i < radius; ++i) {
    partial -= slope(i);
    taps->push_back(static_cast<float>(ramp * partial / sum));
  }
}

}  // namespace

void Patch::choose_filter(const FrameView& frame, Feature feature, double sigma,
                          const CentredTransform& initial, Octaves* octaves) {
  feature_ = feature;
  double filter_sigma = lowpass_sigma(initial.linear);
  // Edges are those of the low-passed frame: variances add, and one filtering does both.
  if (feature != Feature::grey)
    filter_sigma =
        std::hypot(filter_sigma, sigma * std::sqrt(std::abs(initial.linear.determinant())));
  // Bounds the time on frames far smaller than their transform says.
  filter_sigma = std::min(filter_sigma, 0.25 * std::max({frame.width, frame.height, 3}));
  // Bilinear samples of the decimated frame are as good as those of the frame itself where the blur
  // is at least 0.7 of its pixels.
  octave_ = 0;
  while (0.7 * (2 << octave_) <= filter_sigma) ++octave_;
  full_width_ = Octaves::size(frame.width, octave_);
  full_height_ = Octaves::size(frame.height, octave_);
  octaves_ = octave_ > 0 ? octaves : nullptr;
  step_ = 1 << octave_;
  if (octaves_) {  // what blur is left to do, in pixels of the octave's own
    filter_sigma = std::sqrt(std::pow(filter_sigma / step_, 2) - Octaves::variance(octave_));
    step_ = 1;
  }
  gaussian_taps(filter_sigma, &smoothing_);
  // The decimated frame's derivatives are per pixel of its own.
  if (feature != Feature::grey) derivative_taps(filter_sigma, step_, &derivative_);
  area_ = {0, 0, 0, 0};
}

void Patch::cover(const FrameView& frame, double x_min, double y_min, double x_max, double y_max) {
  const double s = pixel_scale();
  const auto clipped = [](double x, int size) {
    return static_cast<int>(std::floor(std::clamp(x, 0.0, static_cast<double>(size - 1))));
  };
  // Bilinear cells reach one pixel further than the sample.
  const Rectangle wanted = {clipped(x_min * s, full_width_), clipped(y_min * s, full_height_),
                            std::min(clipped(x_max * s, full_width_) + 2, full_width_),
                            std::min(clipped(y_max * s, full_height_) + 2, full_height_)};
  if (area_.x1 > area_.x0 && area_.contains(wanted)) return;
  const int margin_x = 4 + (wanted.x1 - wanted.x0) / 16,
            margin_y = 4 + (wanted.y1 - wanted.y0) / 16;
  area_ = {std::max(wanted.x0 - margin_x, 0), std::max(wanted.y0 - margin_y, 0),
           std::min(wanted.x1 + margin_x, full_width_),
           std::min(wanted.y1 + margin_y, full_height_)};
  filter(frame);
}

// What a filtering reads and writes.
struct Patch::Window {
  int width, height;            // of the patch
  int padded;                   // its width with the border
  int n_rows, n_columns;        // of the source
  int first_row, first_column;  // of the source in the frame
  std::size_t plane;            // values of a filtered plane
  float* row(std::vector<float>* source, int row) const {
    return source->data() + static_cast<std::size_t>(row) * n_columns;
  }
};

// Separable filtering of the area and a border of one pixel (for the central differences): columns
// first, at the rows that are kept, so that the strided row passes of decimated frames are few.
// Frames one pixel wide or high are repeated to two, which sampling needs.
void Patch::filter(const FrameView& frame) {
  Window window;
  window.width = std::max(area_.x1 - area_.x0, 2);
  window.height = std::max(area_.y1 - area_.y0, 2);
  window.padded = window.width + 2;
  const int n_taps = static_cast<int>(smoothing_.size()), radius = n_taps / 2;
  window.first_column = (area_.x0 - 1) * step_ - radius;
  window.first_row = (area_.y0 - 1) * step_ - radius;
  window.n_rows = (window.height + 1) * step_ + n_taps;
  window.n_columns = (window.padded - 1) * step_ + n_taps;
  window.plane = static_cast<std::size_t>(window.height + 2) * window.padded;
  // Places in the patch are counted in ints.
  if (static_cast<std::int64_t>(window.width) * window.height > std::numeric_limits<int>::max())
    throw std::length_error("frame: the region of interest spans " + std::to_string(window.width) +
                            "x" + std::to_string(window.height) + " pixels of it");
  read_source(frame, window);
  convolve(window);
  repeat_border(window);
  write_texels(window);
}

void Patch::read_source(const FrameView& frame, const Window& window) {
  source_.resize(static_cast<std::size_t>(window.n_rows) * window.n_columns);
  const int last_column = window.first_column + window.n_columns;
  if (octaves_)
    octaves_->read(
        octave_,
        {window.first_column, window.first_row, last_column, window.first_row + window.n_rows},
        source_.data());
  else
    for (int row = 0; row < window.n_rows; ++row)
      frame.read_row(window.first_row + row, window.first_column, last_column,
                     window.row(&source_, row));
}

// The source as planes with the border of one: grey I, or edges Ix and Iy.
void Patch::convolve(const Window& window) {
  const kernels::Table& kernel = kernels::active();
  const bool edges = feature_ != Feature::grey;
  const int n_taps = static_cast<int>(smoothing_.size());
  // Along a row, every step-th output: the row is split into its phases, so that neighbouring
  // outputs read neighbouring inputs.
  const int phase_length = (window.n_columns + step_ - 1) / step_;
  phases_.resize(static_cast<std::size_t>(phase_length) * step_);
  const auto convolve_row = [&](const float* row, const std::vector<float>& taps, float* out) {
    const float* phases = row;
    if (step_ > 1) {
      for (int phase = 0; phase < step_; ++phase)
        for (int x = phase, i = phase * phase_length; x < window.n_columns; x += step_, ++i)
          phases_[i] = row[x];
      phases = phases_.data();
    }
    const int n = static_cast<int>(taps.size());
    for (int k = 0; k < n; ++k)
      along_[k] = phases + static_cast<std::size_t>(k % step_) * phase_length + k / step_;
    kernel.convolve(along_.data(), taps.data(), n, window.padded, out);
  };

  filtered_.resize(window.plane * (edges ? 2 : 1));
  column_sums_.resize(window.n_columns);
  along_.resize(n_taps);
  down_.resize(n_taps);
  float* sums = column_sums_.data();
  for (int y = 0; y < window.height + 2; ++y) {
    float* out = filtered_.data() + static_cast<std::size_t>(y) * window.padded;
    for (int k = 0; k < n_taps; ++k) down_[k] = window.row(&source_, y * step_ + k);
    kernel.convolve(down_.data(), smoothing_.data(), n_taps, window.n_columns, sums);
    if (!edges) {
      convolve_row(sums, smoothing_, out);
      continue;
    }
    // Derivatives act on differences of neighbours: along x on those of the smoothed columns,
    for (int x = 0; x + 1 < window.n_columns; ++x) sums[x] = sums[x + 1] - sums[x];
    convolve_row(sums, derivative_, out);
    // along y on those of the rows.
    kernel.convolve_differences(down_.data(), derivative_.data(), n_taps - 1, window.n_columns,
                                sums);
    convolve_row(sums, smoothing_, out + window.plane);
  }
}

// Beyond the frame the filtered image, too, repeats its border: its columns here, its rows where
// they are read.
void Patch::repeat_border(const Window& window) {
  const int last_column = full_width_ - area_.x0;
  for (std::size_t start = 0; start < filtered_.size(); start += window.padded) {
    float* row = filtered_.data() + start;
    if (area_.x0 == 0) row[0] = row[1];
    for (int x = last_column + 1; x < window.padded; ++x) row[x] = row[last_column];
  }
}

void Patch::write_texels(const Window& window) {
  const kernels::Table& kernel = kernels::active();
  const bool edges = feature_ != Feature::grey;
  const std::size_t length = static_cast<std::size_t>(window.width) * (edges ? 8 : 4);
  texels_.resize(length * window.height);
  const auto inside_row = [&](int y) {
    return std::clamp(area_.y0 - 1 + y, 0, full_height_ - 1) - area_.y0 + 1;
  };
  for (int y = 0; y < window.height; ++y) {
    const auto rows_around = [&](int f, const float* rows[3]) {
      for (int k = 0; k < 3; ++k)
        rows[k] = filtered_.data() + f * window.plane +
                  static_cast<std::size_t>(inside_row(y + k)) * window.padded + 1;
    };
    float* out = texels_.data() + static_cast<std::size_t>(y) * length;
    const float *ix[3], *iy[3];
    rows_around(0, ix);
    if (edges) {
      rows_around(1, iy);
      kernel.edge_texels(ix, iy, window.width, out);
    } else {
      kernel.grey_texels(ix[0], ix[1], ix[2], window.width, out);
    }
  }
}

kernels::Texels Patch::texels() const {
  return {texels_.data(), std::max(area_.x1 - area_.x0, 2), std::max(area_.y1 - area_.y0, 2),
          feature_ == Feature::grey ? 4 : 8};
}

kernels::Projection Patch::projection(const CentredTransform& transform, bool projective) const {
  const double s = pixel_scale();
  kernels::Projection p;
  for (int i = 0; i < 4; ++i) p.l[i] = transform.linear(i / 2, i % 2) * s;
  p.t[0] = transform.translation[0] * s - area_.x0;
  p.t[1] = transform.translation[1] * s - area_.y0;
  for (int i = 0; i < 2; ++i) p.p[i] = projective ? transform.projective[i] : 0.0;
  p.x_min = -area_.x0;
  p.y_min = -area_.y0;
  p.x_max = full_width_ - 1 - area_.x0;
  p.y_max = full_height_ - 1 - area_.y0;
  p.projective = projective;
  return p;
}

}  // namespace holdstill
