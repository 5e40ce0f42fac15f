// Anderson acceleration of the fixed-point iteration tau <- tau + f(tau) (D. G. Anderson, J. ACM
// 12(4), 1965): among the affine combinations of the last iterates, go to the image of the one
// whose step is shortest. It changes the way, not the fixed point.
#pragma once

#include <Eigen/Dense>
#include <algorithm>

#include "holdstill/motion.hpp"

namespace holdstill {

class Anderson {
 public:
  static constexpr int kMaxDepth = 4;
  // Worth while once steps are below this many canonical pixels.
  static constexpr double kBegin = 1.0;

  // depth 0: plain steps. scale: what makes the parameters comparable, here canonical pixels per
  // unit of each.
  Anderson(int depth, const Parameters& scale)
      : depth_(depth),
        scale_(scale),
        base_(ParameterMatrix::Identity(scale.size(), scale.size())) {}

  // Plain steps are multiplied by `base` from now on. What was learned stays true.
  void precondition(const ParameterMatrix& base) {
    base_ = scale_.asDiagonal() * base * scale_.cwiseInverse().asDiagonal();
  }

  // The next iterate, from this one and its plain step.
  Parameters next(const Parameters& tau, const Parameters& step) {
    const Parameters x = tau.cwiseProduct(scale_), f = step.cwiseProduct(scale_);
    // A step that grows says that the map has changed (another support): old differences mislead.
    if (n_seen_ > 0 && f.norm() > kGrowth * f_.norm()) n_seen_ = 0;
    if (n_seen_ > 0 && depth_ > 0) {
      const int slot = (n_seen_ - 1) % depth_;
      dx_.col(slot) = x - x_;
      df_.col(slot) = f - f_;
    }
    x_ = x;
    f_ = f;
    const int depth = std::min(n_seen_++, depth_);
    Parameters correction = base_ * f - f;
    if (depth > 0) {
      const Eigen::ColPivHouseholderQR<Differences> qr(df_.leftCols(depth));
      const Combination gamma = qr.solve(f);
      correction.noalias() -= (dx_.leftCols(depth) + base_ * df_.leftCols(depth)) * gamma;
    }
    // What it adds is bounded by what the step can promise, and by where the map is still the same:
    // this, too, keeps it from running away.
    if (!(correction.norm() <= std::min(kReach * f.norm(), kFurthest))) {
      n_seen_ = 1;
      return tau + step;
    }
    return tau + step + correction.cwiseQuotient(scale_);
  }

  void forget() { n_seen_ = 0; }

 private:
  static constexpr double kGrowth = 2.0, kReach = 10.0;
  static constexpr double kFurthest = 1.0;  // canonical pixels
  using Differences =
      Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, kMaxParameters, kMaxDepth>;
  using Combination = Eigen::Matrix<double, Eigen::Dynamic, 1, 0, kMaxDepth, 1>;

  int depth_, n_seen_ = 0;
  Parameters scale_, x_, f_;
  ParameterMatrix base_;
  Differences dx_{scale_.size(), depth_}, df_{scale_.size(), depth_};
};

}  // namespace holdstill
