// Motion models: families of transforms frame_from_canonical and their parameters (equations.md
// §0).
//
// Parameters are taken about the centre c of the canonical frame, W(u) = L (u - c) / z + t with
// z = 1 + p . (u - c), so that a linear change and a shift are decoupled.
#pragma once

#include <Eigen/Dense>
#include <optional>
#include <string>

namespace holdstill {

struct Shape {
  int height, width;
  Eigen::Vector2d centre() const { return {0.5 * (width - 1), 0.5 * (height - 1)}; }
};

enum class MotionModel { translation, euclidean, similarity, affine, homography };

MotionModel motion_from_name(const std::string& name);  // throws std::invalid_argument

// A transform about the canonical centre.
struct CentredTransform {
  Eigen::Matrix2d linear;       // L
  Eigen::Vector2d translation;  // t: where the centre goes
  Eigen::Vector2d projective;   // p, zero but for homographies

  Eigen::Vector2d apply(const Eigen::Vector2d& offset) const {
    return linear * offset / (1.0 + projective.dot(offset)) + translation;
  }
};

// Nothing where F is not finite or sends the canonical centre to infinity.
std::optional<CentredTransform> centred(const Eigen::Matrix3d& frame_from_canonical,
                                        const Shape& shape);
// Nor where the transform cannot be inverted.
std::optional<CentredTransform> invertible(const Eigen::Matrix3d& frame_from_canonical,
                                           const Shape& shape);
Eigen::Matrix3d matrix(const CentredTransform& transform, const Shape& shape);

constexpr int kMaxParameters = 8;
using Parameters = Eigen::Matrix<double, Eigen::Dynamic, 1, 0, kMaxParameters, 1>;
using ParameterMatrix =  // p x p
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, kMaxParameters, kMaxParameters>;
// d(entries)/d(parameters): entries are (l11, l12, l21, l22, tx, ty[, p1, p2]), or (tx, ty) alone.
using EntryJacobian =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, kMaxParameters, kMaxParameters>;

int n_parameters(MotionModel model);
// How many entries of a CentredTransform the model moves: 2, 6 or 8.
int n_entries(MotionModel model);

// What is wrong with a transform as a member of the model's family; nothing if it is one.
std::optional<std::string> outside_family(MotionModel model, const CentredTransform& transform);
Parameters parameters(MotionModel model, const CentredTransform& transform);
// Parameters of `to` less those of `from`; angles the shorter way around.
Parameters difference(MotionModel model, const CentredTransform& from, const CentredTransform& to);
// `base` supplies what the model does not estimate: L for translation, the scale for euclidean.
CentredTransform transform(MotionModel model, const Parameters& parameters,
                           const CentredTransform& base);
EntryJacobian entry_jacobian(MotionModel model, const Parameters& parameters,
                             const CentredTransform& base);
// dW/d(parameters) at a canonical offset, 2 x p.
Eigen::Matrix<double, 2, Eigen::Dynamic, 0, 2, kMaxParameters> warp_jacobian(
    MotionModel model, const CentredTransform& transform, const Eigen::Vector2d& offset);

}  // namespace holdstill
