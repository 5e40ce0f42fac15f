#include "holdstill/image.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "holdstill/octaves.hpp"

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

double lowpass_sigma(const Eigen::Matrix2d& linear) {
  return std::max(0.7, 0.4 * std::sqrt(std::abs(linear.determinant())));
}

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

// Separable filtering of the area and a border of one pixel (for the central differences): columns
// first, at the rows that are kept, so that the strided row passes of decimated frames are few.
// Frames one pixel wide or high are repeated to two, which sampling needs.
void Patch::filter(const FrameView& frame) {
  const kernels::Table& kernel = kernels::active();
  const bool edges = feature_ != Feature::grey;
  const int channels = edges ? 8 : 4, n_filters = edges ? 2 : 1;
  const int n_taps = static_cast<int>(smoothing_.size()), radius = n_taps / 2, step = step_;
  const int width = std::max(area_.x1 - area_.x0, 2), height = std::max(area_.y1 - area_.y0, 2);
  const int padded = width + 2;
  const int first_column = (area_.x0 - 1) * step - radius,
            first_row = (area_.y0 - 1) * step - radius;
  const int n_source_rows = (height + 1) * step + n_taps;
  const int n_source_columns = (padded - 1) * step + n_taps;

  source_.resize(static_cast<std::size_t>(n_source_rows) * n_source_columns);
  const auto source_row = [&](int row) {
    return source_.data() + static_cast<std::size_t>(row) * n_source_columns;
  };
  if (octaves_)
    octaves_->read(
        octave_,
        {first_column, first_row, first_column + n_source_columns, first_row + n_source_rows},
        source_.data());
  else
    for (int row = 0; row < n_source_rows; ++row)
      frame.read_row(first_row + row, first_column, first_column + n_source_columns,
                     source_row(row));

  // Along a row, every step-th output: the row is split into its phases, so that neighbouring
  // outputs read neighbouring inputs.
  const int phase_length = (n_source_columns + step - 1) / step;
  phases_.resize(static_cast<std::size_t>(phase_length) * step);
  const auto convolve_row = [&](const float* row, const std::vector<float>& taps, float* out) {
    const float* phases = row;
    if (step > 1) {
      for (int phase = 0; phase < step; ++phase)
        for (int x = phase, i = phase * phase_length; x < n_source_columns; x += step, ++i)
          phases_[i] = row[x];
      phases = phases_.data();
    }
    const int n = static_cast<int>(taps.size());
    for (int k = 0; k < n; ++k)
      along_[k] = phases + static_cast<std::size_t>(k % step) * phase_length + k / step;
    kernel.convolve(along_.data(), taps.data(), n, padded, out);
  };

  // A plane with the border of one: grey I, or edges Ix and Iy.
  const std::size_t plane = static_cast<std::size_t>(height + 2) * padded;
  filtered_.resize(plane * n_filters);
  column_sums_.resize(n_source_columns);
  along_.resize(n_taps);
  down_.resize(n_taps);
  float* sums = column_sums_.data();
  for (int y = 0; y < height + 2; ++y) {
    float* out = filtered_.data() + static_cast<std::size_t>(y) * padded;
    for (int k = 0; k < n_taps; ++k) down_[k] = source_row(y * step + k);
    kernel.convolve(down_.data(), smoothing_.data(), n_taps, n_source_columns, sums);
    if (!edges) {
      convolve_row(sums, smoothing_, out);
      continue;
    }
    // Derivatives act on differences of neighbours: along x on those of the smoothed columns,
    for (int x = 0; x + 1 < n_source_columns; ++x) sums[x] = sums[x + 1] - sums[x];
    convolve_row(sums, derivative_, out);
    // along y on those of the rows.
    kernel.convolve_differences(down_.data(), derivative_.data(), n_taps - 1, n_source_columns,
                                sums);
    convolve_row(sums, smoothing_, out + plane);
  }

  // Beyond the frame the filtered image, too, repeats its border.
  const auto inside_row = [&](int y) {
    return std::clamp(area_.y0 - 1 + y, 0, full_height_ - 1) - area_.y0 + 1;
  };
  const int last_column = full_width_ - area_.x0;
  for (std::size_t start = 0; start < filtered_.size(); start += padded) {
    float* row = filtered_.data() + start;
    if (area_.x0 == 0) row[0] = row[1];
    for (int x = last_column + 1; x < padded; ++x) row[x] = row[last_column];
  }

  texels_.resize(static_cast<std::size_t>(width) * height * channels);
  for (int y = 0; y < height; ++y) {
    const auto rows_around = [&](int f, const float* rows[3]) {
      for (int k = 0; k < 3; ++k)
        rows[k] =
            filtered_.data() + f * plane + static_cast<std::size_t>(inside_row(y + k)) * padded + 1;
    };
    float* out = texels_.data() + static_cast<std::size_t>(y) * width * channels;
    const float *ix[3], *iy[3];
    rows_around(0, ix);
    if (edges) {
      rows_around(1, iy);
      kernel.edge_texels(ix, iy, width, out);
    } else {
      kernel.grey_texels(ix[0], ix[1], ix[2], width, out);
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
