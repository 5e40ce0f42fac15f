// Proximal operators.
#pragma once

namespace holdstill {

// S_t, the soft threshold: argmin_y |y| t + (y - x)^2 / 2.
inline double soft_threshold(double x, double t) { return x > t ? x - t : (x < -t ? x + t : 0.0); }

}  // namespace holdstill
