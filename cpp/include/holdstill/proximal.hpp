// Proximal operators.
#pragma once

#include <Eigen/Dense>

namespace holdstill {

// S_t, the soft threshold: argmin_y |y| t + (y - x)^2 / 2.
inline double soft_threshold(double x, double t) { return x > t ? x - t : (x < -t ? x + t : 0.0); }

// The same entry by entry, without branches: x less its part within [-t, t].
inline Eigen::VectorXd soft_threshold(const Eigen::VectorXd& x, double t) {
  return x - x.cwiseMin(t).cwiseMax(-t);
}

}  // namespace holdstill
