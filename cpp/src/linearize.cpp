#include "holdstill/linearize.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace holdstill {

Region::Region(const Shape& shape, const float* weights) : shape_(shape) {
  const Eigen::Vector2d c = shape.centre();
  int x0 = shape.width, x1 = -1, y0 = shape.height, y1 = -1;
  for (int y = 0; y < shape.height; ++y)
    for (int x = 0; x < shape.width; ++x) {
      const float weight = weights ? weights[y * shape.width + x] : 1.0f;
      if (!(weight > 0.0f)) continue;
      roots_.push_back(std::sqrt(weight));
      a_.push_back(static_cast<float>(x - c[0]));
      b_.push_back(static_cast<float>(y - c[1]));
      x0 = std::min(x0, x), x1 = std::max(x1, x), y0 = std::min(y0, y), y1 = std::max(y1, y);
    }
  n_pixels_ = static_cast<int>(a_.size());
  corners_ = {Eigen::Vector2d(x0, y0) - c, Eigen::Vector2d(x1, y0) - c, Eigen::Vector2d(x1, y1) - c,
              Eigen::Vector2d(x0, y1) - c};
  for (int block = 0; block < n_blocks(); ++block) {
    const auto first = a_.begin() + block * kernels::kBlock, last = first + block_size(block);
    const auto [left, right] = std::minmax_element(first, last);
    boxes_.push_back({*left, *right, b_[block * kernels::kBlock],
                      b_[block * kernels::kBlock + block_size(block) - 1]});
  }
  a_.resize(static_cast<std::size_t>(n_blocks()) * kernels::kBlock, 0.0f);
  b_.resize(a_.size(), 0.0f);
  if (std::all_of(roots_.begin(), roots_.end(), [](float root) { return root == 1.0f; }))
    roots_.clear();
  else
    roots_.resize(a_.size(), 0.0f);
}

std::vector<float> pack_columns(const Eigen::Ref<const Eigen::MatrixXf>& columns,
                                const Region& region, const Sampling& sampling) {
  const int planes = n_planes(sampling.feature), row_length = sampling.row_length();
  std::vector<float> packed(
      static_cast<std::size_t>(region.n_blocks()) * columns.cols() * row_length, 0.0f);
  for (int block = 0; block < region.n_blocks(); ++block)
    for (Eigen::Index k = 0; k < columns.cols(); ++k)
      for (int plane = 0; plane < planes; ++plane) {
        float* row = packed.data() +
                     (static_cast<std::size_t>(block) * columns.cols() + k) * row_length +
                     plane * kernels::kBlock;
        const Eigen::Index first =
            static_cast<Eigen::Index>(plane) * region.n_pixels() + block * kernels::kBlock;
        std::copy_n(columns.col(k).data() + first, region.block_size(block), row);
      }
  return packed;
}

bool cover(const FrameView& frame, const Region& region, const CentredTransform& transform,
           Patch* patch) {
  double x_min = std::numeric_limits<double>::infinity(), y_min = x_min;
  double x_max = -x_min, y_max = -x_min;
  for (const Eigen::Vector2d& corner : region.corners()) {
    if (1.0 + transform.projective.dot(corner) < 0.1) return false;
    const Eigen::Vector2d u = transform.apply(corner);
    if (!u.allFinite()) return false;
    x_min = std::min(x_min, u[0]), x_max = std::max(x_max, u[0]);
    y_min = std::min(y_min, u[1]), y_max = std::max(y_max, u[1]);
  }
  patch->cover(frame, x_min, y_min, x_max, y_max);
  return true;
}

bool within(const kernels::Texels& texels, const kernels::Projection& projection,
            const std::array<float, 4>& box) {
  // A guard against the rounding of samples, and the cell's far side. Of transforms far beyond any
  // frame the rounding may pass it.
  constexpr double kGuard = 1e-6, kLargest = 1e4;
  for (const double entry : projection.l)
    if (!(std::abs(entry) < kLargest)) return false;
  const double x_min = std::max(projection.x_min, 0.0) + kGuard,
               x_max = std::min(projection.x_max, texels.width - 1.0) - kGuard,
               y_min = std::max(projection.y_min, 0.0) + kGuard,
               y_max = std::min(projection.y_max, texels.height - 1.0) - kGuard;
  for (const float a : {box[0], box[1]})
    for (const float b : {box[2], box[3]}) {
      const double z = projection.p[0] * a + projection.p[1] * b + 1.0;
      if (!(z > 0.0)) return false;
      const double x = (projection.l[0] * a + projection.l[1] * b) / z + projection.t[0],
                   y = (projection.l[2] * a + projection.l[3] * b) / z + projection.t[1];
      if (!(x > x_min && x < x_max && y > y_min && y < y_max)) return false;
    }
  return true;
}

int BlockSampler::sample(int block, kernels::Columns* into) {
  inside = within(texels, projection, region_.box(block));
  const int outside = kernel_.sample(texels, projection, region_.a(block), region_.b(block),
                                     region_.block_size(block), inside, &samples);
  if (sampling_.feature == Feature::grey)
    kernel_.grey_columns(samples, projection, n_columns_, into);
  else
    kernel_.edge_columns(samples, projection, n_columns_, sampling_.feature == Feature::magnitude,
                         into);
  if (region_.soft())
    kernel_.scale_columns(region_.roots(block), n_planes(sampling_.feature), 1 + n_columns_, into);
  return outside;
}

EntryJacobian column_chain(const Patch& patch, const Sampling& sampling,
                           const CentredTransform& transform) {
  EntryJacobian chain =
      entry_jacobian(sampling.motion, parameters(sampling.motion, transform), transform);
  // L and t shrink with the patch's pixels; p, per canonical pixel, does not.
  chain.topRows(std::min<Eigen::Index>(chain.rows(), 6)) *= patch.pixel_scale();
  return chain;
}

DenseLinearization linearize(const Patch& patch, const Region& region, const Sampling& sampling,
                             const CentredTransform& transform, bool normalize, double* vector,
                             double* jacobian) {
  const int n_pixels = region.n_pixels(), planes = n_planes(sampling.feature);
  const Eigen::Index m = static_cast<Eigen::Index>(planes) * n_pixels;
  const EntryJacobian chain = column_chain(patch, sampling, transform);
  const int p = static_cast<int>(chain.cols());
  Eigen::Map<Eigen::VectorXd> v(vector, m);
  Eigen::Map<Eigen::MatrixXd> J(jacobian, m, p);

  DenseLinearization out{};
  out.outside = for_each_block(
      patch, region, sampling, transform, [&](int block, const kernels::Columns& columns) {
        const int n = region.block_size(block), first = block * kernels::kBlock;
        for (int plane = 0; plane < planes; ++plane) {
          const auto row = [&](int k) {
            return Eigen::Map<const Eigen::VectorXf>(columns.row[k] + plane * kernels::kBlock, n)
                .cast<double>();
          };
          v.segment(plane * n_pixels + first, n) = row(0);
          auto target = J.middleRows(plane * n_pixels + first, n);
          target.setZero();
          for (int e = 0; e < chain.rows(); ++e)
            for (int k = 0; k < p; ++k)
              if (chain(e, k) != 0.0) target.col(k) += chain(e, k) * row(1 + e);
        }
      });
  out.norm = v.norm();
  if (normalize && out.norm > 0.0) {
    v /= out.norm;
    const Eigen::RowVectorXd along = v.transpose() * J;
    J = (J - v * along) / out.norm;
  }
  return out;
}

}  // namespace holdstill
