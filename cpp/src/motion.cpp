#include "holdstill/motion.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace holdstill {
namespace {

using Eigen::Matrix2d;
using Eigen::Vector2d;

Matrix2d rotation(double angle) {
  Matrix2d r;
  r << std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle);
  return r;
}

double scale_of(const Matrix2d& linear) { return std::sqrt(std::abs(linear.determinant())); }

double angle_of(const Matrix2d& linear) {
  return std::atan2(linear(1, 0) - linear(0, 1), linear(0, 0) + linear(1, 1));
}

// One policy per model. `get` reads tau off a transform, `put` writes it into one, `chain` is
// d(entries)/d(tau) (equations.md §0).
struct Translation {
  static constexpr int kParameters = 2, kEntries = 2;
  static Parameters get(const CentredTransform& h) { return h.translation; }
  static void put(const Parameters& tau, CentredTransform* h) { h->translation = tau; }
  static void chain(const Parameters&, const CentredTransform&, EntryJacobian* d) {
    d->setIdentity();
  }
};

struct Euclidean {
  static constexpr int kParameters = 3, kEntries = 6;
  static Parameters get(const CentredTransform& h) {
    Parameters tau(3);
    tau << angle_of(h.linear), h.translation;
    return tau;
  }
  static void put(const Parameters& tau, CentredTransform* h) {
    h->linear = scale_of(h->linear) * rotation(tau[0]);
    h->translation = tau.tail<2>();
  }
  static void chain(const Parameters& tau, const CentredTransform& base, EntryJacobian* d) {
    const double s = scale_of(base.linear), cos = std::cos(tau[0]), sin = std::sin(tau[0]);
    d->col(0).head<4>() << -s * sin, -s * cos, s * cos, -s * sin;
    (*d)(4, 1) = (*d)(5, 2) = 1.0;
  }
};

struct Similarity {
  static constexpr int kParameters = 4, kEntries = 6;
  static Parameters get(const CentredTransform& h) {
    Parameters tau(4);
    tau << scale_of(h.linear), angle_of(h.linear), h.translation;
    return tau;
  }
  static void put(const Parameters& tau, CentredTransform* h) {
    // A step past zero would turn the picture upside down; of size zero, plausible() refuses it.
    h->linear = std::max(tau[0], 0.0) * rotation(tau[1]);
    h->translation = tau.tail<2>();
  }
  static void chain(const Parameters& tau, const CentredTransform&, EntryJacobian* d) {
    const double s = tau[0], cos = std::cos(tau[1]), sin = std::sin(tau[1]);
    d->col(0).head<4>() << cos, -sin, sin, cos;
    d->col(1).head<4>() << -s * sin, -s * cos, s * cos, -s * sin;
    (*d)(4, 2) = (*d)(5, 3) = 1.0;
  }
};

struct Affine {
  static constexpr int kParameters = 6, kEntries = 6;
  static Parameters get(const CentredTransform& h) {
    Parameters tau(6);
    tau << h.linear(0, 0), h.linear(0, 1), h.linear(1, 0), h.linear(1, 1), h.translation;
    return tau;
  }
  static void put(const Parameters& tau, CentredTransform* h) {
    h->linear << tau[0], tau[1], tau[2], tau[3];
    h->translation = tau.segment<2>(4);
  }
  static void chain(const Parameters&, const CentredTransform&, EntryJacobian* d) {
    d->setIdentity();
  }
};

struct Homography {
  static constexpr int kParameters = 8, kEntries = 8;
  static Parameters get(const CentredTransform& h) {
    Parameters tau(8);
    tau << Affine::get(h), h.projective;
    return tau;
  }
  static void put(const Parameters& tau, CentredTransform* h) {
    Affine::put(tau, h);
    h->projective = tau.tail<2>();
  }
  static void chain(const Parameters&, const CentredTransform&, EntryJacobian* d) {
    d->setIdentity();
  }
};

template <typename Visitor>
auto visit(MotionModel model, Visitor&& visitor) {
  switch (model) {
    case MotionModel::translation:
      return visitor(Translation{});
    case MotionModel::euclidean:
      return visitor(Euclidean{});
    case MotionModel::similarity:
      return visitor(Similarity{});
    case MotionModel::affine:
      return visitor(Affine{});
    case MotionModel::homography:
      break;
  }
  return visitor(Homography{});
}

}  // namespace

MotionModel motion_from_name(const std::string& name) {
  if (name == "translation") return MotionModel::translation;
  if (name == "euclidean") return MotionModel::euclidean;
  if (name == "similarity") return MotionModel::similarity;
  if (name == "affine") return MotionModel::affine;
  if (name == "homography") return MotionModel::homography;
  throw std::invalid_argument(
      "motion: expected translation, euclidean, similarity, affine or homography, got '" + name +
      "'");
}

// F ~ [L + t p^T, t; p^T, 1] [I, -c; 0, 1], so right-multiplying by [I, c; 0, 1] uncovers L, t and
// p.
std::optional<CentredTransform> centred(const Eigen::Matrix3d& frame_from_canonical,
                                        const Shape& shape) {
  const Vector2d c = shape.centre();
  Eigen::Matrix3d h = frame_from_canonical;
  h.col(2) += frame_from_canonical.leftCols<2>() * c;
  if (!h.allFinite() || h(2, 2) == 0.0) return std::nullopt;
  h /= h(2, 2);
  CentredTransform out;
  out.translation = h.topRightCorner<2, 1>();
  out.projective = h.bottomLeftCorner<1, 2>().transpose();
  out.linear = h.topLeftCorner<2, 2>() - out.translation * out.projective.transpose();
  return out;
}

std::optional<CentredTransform> invertible(const Eigen::Matrix3d& frame_from_canonical,
                                           const Shape& shape) {
  constexpr double kLeastArea = 1e-12;
  auto transform = centred(frame_from_canonical, shape);
  if (!transform || !(std::abs(transform->linear.determinant()) > kLeastArea)) return std::nullopt;
  return transform;
}

Eigen::Matrix3d matrix(const CentredTransform& transform, const Shape& shape) {
  Eigen::Matrix3d h;
  h.topLeftCorner<2, 2>() =
      transform.linear + transform.translation * transform.projective.transpose();
  h.topRightCorner<2, 1>() = transform.translation;
  h.bottomLeftCorner<1, 2>() = transform.projective.transpose();
  h(2, 2) = 1.0;
  h.col(2) -= (h.leftCols<2>() * shape.centre()).eval();
  return h(2, 2) == 0.0 ? h : Eigen::Matrix3d(h / h(2, 2));
}

int n_parameters(MotionModel model) {
  return visit(model, [](auto policy) { return decltype(policy)::kParameters; });
}

int n_entries(MotionModel model) {
  return visit(model, [](auto policy) { return decltype(policy)::kEntries; });
}

std::optional<std::string> outside_family(MotionModel model, const CentredTransform& transform) {
  constexpr double kTolerance = 1e-6;
  if (model != MotionModel::homography) {
    // p is per canonical pixel; 1e-9 moves the far corner of a 4096-pixel frame by 4e-6 of its
    // size.
    if (transform.projective.cwiseAbs().maxCoeff() > 1e-9)
      return "it is a homography, which the motion model does not contain";
  }
  if (model == MotionModel::euclidean || model == MotionModel::similarity) {
    const Matrix2d& l = transform.linear;
    const double off = std::hypot(l(0, 0) - l(1, 1), l(0, 1) + l(1, 0));
    if (off > kTolerance * l.norm() || l.determinant() <= 0.0)
      return "it shears, stretches or mirrors, which the motion model does not contain";
  }
  return std::nullopt;
}

Parameters parameters(MotionModel model, const CentredTransform& transform) {
  return visit(model, [&](auto policy) { return decltype(policy)::get(transform); });
}

Parameters difference(MotionModel model, const CentredTransform& from, const CentredTransform& to) {
  Parameters out = parameters(model, to) - parameters(model, from);
  const int angle = model == MotionModel::euclidean ? 0 : model == MotionModel::similarity ? 1 : -1;
  if (angle >= 0) out[angle] = std::remainder(out[angle], 2.0 * std::acos(-1.0));
  return out;
}

CentredTransform transform(MotionModel model, const Parameters& parameters,
                           const CentredTransform& base) {
  CentredTransform out = base;
  visit(model, [&](auto policy) { decltype(policy)::put(parameters, &out); });
  return out;
}

EntryJacobian entry_jacobian(MotionModel model, const Parameters& parameters,
                             const CentredTransform& base) {
  return visit(model, [&](auto policy) {
    using Policy = decltype(policy);
    EntryJacobian d = EntryJacobian::Zero(Policy::kEntries, Policy::kParameters);
    Policy::chain(parameters, base, &d);
    return d;
  });
}

Eigen::Matrix<double, 2, Eigen::Dynamic, 0, 2, kMaxParameters> warp_jacobian(
    MotionModel model, const CentredTransform& transform, const Vector2d& offset) {
  const double z = 1.0 + transform.projective.dot(offset);
  const Vector2d scaled = offset / z, q = transform.linear * scaled;
  Eigen::Matrix<double, 2, 8> entries = Eigen::Matrix<double, 2, 8>::Zero();
  entries.block<1, 2>(0, 0) = scaled.transpose();
  entries.block<1, 2>(1, 2) = scaled.transpose();
  entries.block<2, 2>(0, 4).setIdentity();
  entries.rightCols<2>() = -q * scaled.transpose();
  const EntryJacobian chain = entry_jacobian(model, parameters(model, transform), transform);
  if (n_entries(model) == 2) return entries.block<2, 2>(0, 4) * chain;
  return entries.leftCols(n_entries(model)) * chain;
}

}  // namespace holdstill
