#include "holdstill/search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace holdstill {
namespace {

// Components of the dictionary that a first look needs: what is common, and a few ways to differ.
constexpr Eigen::Index kComponents = 8;
constexpr double kLeastShare = 1e-3;  // of the largest singular value

Eigen::MatrixXf main_components(const Eigen::Ref<const Eigen::MatrixXf>& atoms) {
  const Eigen::MatrixXd columns = atoms.cast<double>();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(columns.transpose() * columns);
  const Eigen::VectorXd& values = eigen.eigenvalues();  // ascending
  Eigen::Index kept = 0;
  while (kept < std::min(kComponents, values.size()) &&
         values[values.size() - 1 - kept] > kLeastShare * kLeastShare * values[values.size() - 1])
    ++kept;
  const Eigen::MatrixXd basis = columns * eigen.eigenvectors().rightCols(kept) *
                                values.tail(kept).cwiseSqrt().cwiseInverse().asDiagonal();
  return basis.cast<float>();
}

Eigen::Matrix3d offset(double dx, double dy, double rotation, double scale) {
  const double c = scale * std::cos(rotation), s = scale * std::sin(rotation);
  Eigen::Matrix3d g;
  g << c, -s, dx, s, c, dy, 0, 0, 1;
  return g;
}

// The motion model's member nearest in kind: what it does not estimate is not searched.
bool turns(MotionModel motion) { return motion != MotionModel::translation; }
bool scales(MotionModel motion) { return turns(motion) && motion != MotionModel::euclidean; }

int steps(double range, double step) { return static_cast<int>(std::ceil(range / step - 1e-9)); }

}  // namespace

Search::Search(const Eigen::Ref<const Eigen::MatrixXf>& atoms, const Region& region,
               const Sampling& sampling, const SearchRange& range, int kept)
    : region_(region), sampling_(sampling), kept_(kept) {
  const Eigen::MatrixXf basis = main_components(atoms);
  n_components_ = static_cast<int>(basis.cols());
  components_ = pack_columns(basis, region_, sampling_);

  const double width = region.shape().width;
  const int n_shift = steps(range.shift, range.shift_step),
            n_turn = turns(sampling.motion) ? steps(range.rotation, range.rotation_step) : 0,
            n_scale = scales(sampling.motion)
                          ? steps(std::log(range.scale), std::log(range.scale_step))
                          : 0;
  for (int i = -n_scale; i <= n_scale; ++i)
    for (int j = -n_turn; j <= n_turn; ++j)
      for (int y = -n_shift; y <= n_shift; ++y)
        for (int x = -n_shift; x <= n_shift; ++x)
          if (x * x + y * y <= n_shift * n_shift)
            offsets_.push_back(offset(x * range.shift_step * width, y * range.shift_step * width,
                                      j * range.rotation_step, std::pow(range.scale_step, i)));
}

Search::Workspace Search::make_workspace() const {
  Workspace work;
  work.scored.reserve(offsets_.size());
  work.rows.resize(n_components_);
  work.sums.resize(n_components_);
  return work;
}

double Search::unexplained(const CentredTransform& transform, Workspace* work) const {
  const kernels::Table& kernel = kernels::active();
  const int length = sampling_.row_length();
  double squared_norm = 0.0;
  std::fill(work->sums.begin(), work->sums.end(), 0.0);
  const int outside = for_each_block<true>(
      work->patch, region_, sampling_, transform, [&](int block, const kernels::Columns& columns) {
        const float* value = columns.row[0];
        kernel.dots(&value, 1, value, length, &squared_norm);
        for (int k = 0; k < n_components_; ++k)
          work->rows[k] =
              components_.data() + (static_cast<std::size_t>(block) * n_components_ + k) * length;
        kernel.dots(work->rows.data(), n_components_, value, length, work->sums.data());
      });
  if (!(squared_norm > 0.0) || 2 * outside > region_.n_pixels()) return 1.0;
  double explained = 0.0;
  for (const double sum : work->sums) explained += sum * sum;
  return 1.0 - explained / squared_norm;
}

void Search::find(const FrameView& frame, const Eigen::Matrix3d& initial, Workspace* work) const {
  work->scored.clear();
  const Shape& shape = region_.shape();
  const std::optional<CentredTransform> start = invertible(initial, shape);
  if (!start) return;
  // About the middle of the region: that is where a face turns and grows.
  const Eigen::Vector2d middle =
      0.5 * (region_.corners()[0] + region_.corners()[2]) + shape.centre();
  Eigen::Matrix3d to_middle = Eigen::Matrix3d::Identity();
  to_middle.block<2, 1>(0, 2) = middle;
  const Eigen::Matrix3d from_middle = to_middle.inverse(), base = initial * to_middle;

  // All that any candidate can see is filtered at once.
  work->patch.choose_filter(frame, sampling_.feature, sampling_.sigma, *start);
  double x_min = std::numeric_limits<double>::infinity(), y_min = x_min;
  double x_max = -x_min, y_max = -x_min;
  for (const Eigen::Matrix3d& offset : offsets_)
    for (const Eigen::Vector2d& corner : region_.corners()) {
      const Eigen::Vector3d seen =
          base * offset * from_middle * (corner + shape.centre()).homogeneous();
      if (!(seen[2] > 0.0)) continue;
      x_min = std::min(x_min, seen[0] / seen[2]), x_max = std::max(x_max, seen[0] / seen[2]);
      y_min = std::min(y_min, seen[1] / seen[2]), y_max = std::max(y_max, seen[1] / seen[2]);
    }
  if (!std::isfinite(x_min + x_max + y_min + y_max)) return;
  work->patch.cover(frame, x_min, y_min, x_max, y_max);
  for (const Eigen::Matrix3d& offset : offsets_) {
    const Eigen::Matrix3d candidate = base * offset * from_middle;
    const std::optional<CentredTransform> at = centred(candidate, shape);
    if (!at || !cover(frame, region_, *at, &work->patch)) continue;
    const double unexplained = this->unexplained(*at, work);
    if (unexplained < 1.0) work->scored.push_back({candidate, unexplained});
  }
  // Best first, but of near neighbours only the best.
  auto& scored = work->scored;
  std::sort(scored.begin(), scored.end(),
            [](const Scored& a, const Scored& b) { return a.unexplained < b.unexplained; });
  const double apart = 0.06 * shape.width;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < scored.size() && kept < static_cast<std::size_t>(kept_); ++i) {
    const auto near = [&](const Scored& other) {
      double largest = 0.0;
      for (const Eigen::Vector2d& corner : region_.corners()) {
        const Eigen::Vector3d pixel = (corner + shape.centre()).homogeneous();
        const Eigen::Vector2d there =
            (other.frame_from_canonical.inverse() * scored[i].frame_from_canonical * pixel)
                .hnormalized();
        largest = std::max(largest, (there - pixel.head<2>()).norm());
      }
      return largest < apart;
    };
    if (std::none_of(scored.begin(), scored.begin() + kept, near)) scored[kept++] = scored[i];
  }
  scored.resize(kept);
}

}  // namespace holdstill
