#include "holdstill/region_motion.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace holdstill {
namespace {

double stretch(const CentredTransform& start, const CentredTransform& now) {
  const Eigen::Matrix2d motion = start.linear.inverse() * now.linear;
  const double squares = motion.squaredNorm(), area = 2.0 * std::abs(motion.determinant());
  const double sum = std::sqrt(squares + area),
               difference = std::sqrt(std::max(squares - area, 0.0));
  return (sum + difference) / (sum - difference);
}

}  // namespace

bool all_finite(const FrameView& frame, std::vector<float>* row) {
  if (frame.type != PixelType::float32) return true;
  row->resize(frame.width);
  for (int y = 0; y < frame.height; ++y) {
    frame.read_row(y, 0, frame.width, row->data());
    // All of a row: a loop that may end early, or a sum in order, looks at one value at a time.
    int finite = 1;
    for (const float value : *row) finite &= std::abs(value) <= std::numeric_limits<float>::max();
    if (!finite) return false;
  }
  return true;
}

Parameters pixels_per_unit(MotionModel motion, const Region& region,
                           const CentredTransform& transform) {
  Parameters squares = Parameters::Zero(n_parameters(motion));
  for (const Eigen::Vector2d& corner : region.corners())
    squares += warp_jacobian(motion, transform, corner).colwise().squaredNorm().transpose();
  return (squares / (4.0 * std::abs(transform.linear.determinant()))).cwiseSqrt();
}

double corner_motion(const Region& region, const CentredTransform& from,
                     const CentredTransform& to) {
  const double scale = std::sqrt(std::abs(from.linear.determinant()));
  double largest = 0.0;
  for (const Eigen::Vector2d& corner : region.corners())
    largest = std::max(largest, (to.apply(corner) - from.apply(corner)).norm());
  return largest / scale;
}

bool plausible(const CentredTransform& start, const CentredTransform& now,
               const MotionLimits& limits) {
  const double area = now.linear.determinant() / start.linear.determinant();
  const double largest = limits.scale_change * limits.scale_change;
  return area < largest && area > 1.0 / largest && stretch(start, now) < limits.stretch;
}

}  // namespace holdstill
