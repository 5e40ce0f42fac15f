// Every motion model against its definition, by central differences and round trips.
#include <doctest.h>

#include <random>
#include <string>
#include <vector>

#include "holdstill/motion.hpp"
#include "holdstill/region_motion.hpp"

namespace holdstill {
namespace {

constexpr Shape kShape{61, 80};

template <MotionModel kModel>
struct Model {
  static constexpr MotionModel value = kModel;
};
using Translation = Model<MotionModel::translation>;
using Euclidean = Model<MotionModel::euclidean>;
using Similarity = Model<MotionModel::similarity>;
using Affine = Model<MotionModel::affine>;
using Homography = Model<MotionModel::homography>;

CentredTransform identity() {
  return {Eigen::Matrix2d::Identity(), kShape.centre(), Eigen::Vector2d::Zero()};
}

// What a model does not estimate: the scale of a detection, turned for a translation.
CentredTransform base_of(MotionModel model) {
  CentredTransform base = identity();
  base.linear *= 1.7;
  if (model == MotionModel::translation) base.linear << 1.2, -0.3, 0.4, 1.5;
  return base;
}

Parameters offset(MotionModel model, double size, unsigned seed) {
  std::mt19937 random(seed);
  const int p = n_parameters(model);
  Parameters step(p);
  for (int k = 0; k < p; ++k) {
    const double unit = static_cast<double>(random()) / 2147483648.0 - 1.0;  // in [-1, 1)
    const bool shift = model == MotionModel::homography || model == MotionModel::affine
                           ? (k == 4 || k == 5)
                           : k >= p - 2;
    step[k] = size * unit * (shift ? 30.0 : (k >= 6 ? 2e-3 : 0.3));
  }
  return step;
}

std::vector<CentredTransform> transforms_of(MotionModel model) {
  const CentredTransform base = base_of(model);
  const Parameters tau = parameters(model, base);
  std::vector<CentredTransform> out = {
      transform(model, parameters(model, identity()), identity()),
      transform(model, parameters(model, identity()) + offset(model, 1e-8, 1), identity())};
  for (unsigned seed = 2; seed < 8; ++seed)
    out.push_back(transform(model, tau + offset(model, 1.0, seed), base));
  return out;
}

const std::vector<Eigen::Vector2d>& points() {
  static const std::vector<Eigen::Vector2d> some = {{0, 0}, {-39.5, -30}, {39.5, 30}, {-12.3, 7.9}};
  return some;
}

TEST_CASE_TEMPLATE("warp Jacobian is the derivative of the warp", M, Translation, Euclidean,
                   Similarity, Affine, Homography) {
  constexpr MotionModel model = M::value;
  for (const CentredTransform& at : transforms_of(model)) {
    const Parameters tau = parameters(model, at);
    for (const Eigen::Vector2d& u : points()) {
      const auto jacobian = warp_jacobian(model, at, u);
      REQUIRE(jacobian.cols() == n_parameters(model));
      for (int k = 0; k < n_parameters(model); ++k) {
        const double h = k >= 6 ? 1e-7 : 1e-5;
        Parameters ahead = tau, behind = tau;
        ahead[k] += h;
        behind[k] -= h;
        const Eigen::Vector2d difference =
            (transform(model, ahead, at).apply(u) - transform(model, behind, at).apply(u)) /
            (2.0 * h);
        CHECK((jacobian.col(k) - difference).norm() <= 1e-6 * (1.0 + difference.norm()));
      }
    }
  }
}

TEST_CASE_TEMPLATE("entry Jacobian is the derivative of the entries", M, Translation, Euclidean,
                   Similarity, Affine, Homography) {
  constexpr MotionModel model = M::value;
  const auto entries = [](const CentredTransform& h) {
    Eigen::Matrix<double, 8, 1> all;
    all << h.linear(0, 0), h.linear(0, 1), h.linear(1, 0), h.linear(1, 1), h.translation,
        h.projective;
    return Eigen::VectorXd(n_entries(model) == 2 ? all.segment<2>(4)
                                                 : all.head(n_entries(model)).eval());
  };
  for (const CentredTransform& at : transforms_of(model)) {
    const Parameters tau = parameters(model, at);
    const EntryJacobian jacobian = entry_jacobian(model, tau, at);
    for (int k = 0; k < n_parameters(model); ++k) {
      Parameters ahead = tau, behind = tau;
      ahead[k] += 1e-5;
      behind[k] -= 1e-5;
      const Eigen::VectorXd difference =
          (entries(transform(model, ahead, at)) - entries(transform(model, behind, at))) / 2e-5;
      CHECK((jacobian.col(k) - difference).norm() <= 1e-8);
    }
  }
}

TEST_CASE_TEMPLATE("parameters survive the way through the matrix", M, Translation, Euclidean,
                   Similarity, Affine, Homography) {
  constexpr MotionModel model = M::value;
  for (const CentredTransform& at : transforms_of(model)) {
    const Parameters tau = parameters(model, at);
    const auto back = centred(matrix(at, kShape), kShape);
    REQUIRE(back);
    CHECK_FALSE(outside_family(model, *back));
    CHECK((parameters(model, *back) - tau).norm() <= 1e-12 * (1.0 + tau.norm()));
    const CentredTransform again = transform(model, tau, at);
    CHECK((matrix(again, kShape) - matrix(at, kShape)).norm() <= 1e-11);
  }
}

TEST_CASE_TEMPLATE("matrix maps pixels as the centred transform maps offsets", M, Translation,
                   Euclidean, Similarity, Affine, Homography) {
  for (const CentredTransform& at : transforms_of(M::value)) {
    const Eigen::Matrix3d f = matrix(at, kShape);
    for (const Eigen::Vector2d& u : points()) {
      const Eigen::Vector2d pixel = u + kShape.centre();
      CHECK(((f * pixel.homogeneous()).hnormalized() - at.apply(u)).norm() <= 1e-10);
    }
  }
}

TEST_CASE("a matrix without an image of the centre has no centred form") {
  Eigen::Matrix3d f = Eigen::Matrix3d::Identity();
  f(2, 2) = 0.0;
  CHECK_FALSE(centred(f, kShape));
  f(2, 2) = 1.0;
  f(0, 1) = std::nan("");
  CHECK_FALSE(centred(f, kShape));
}

TEST_CASE("a transform outside the model's family is told apart") {
  CentredTransform at = identity();
  at.linear << 1.0, 0.1, 0.0, 1.0;
  CHECK(outside_family(MotionModel::similarity, at));
  CHECK(outside_family(MotionModel::euclidean, at));
  CHECK_FALSE(outside_family(MotionModel::affine, at));
  CHECK_FALSE(outside_family(MotionModel::translation, at));
  at.linear << 1.0, 0.0, 0.0, -1.0;
  CHECK(outside_family(MotionModel::similarity, at));
  at = identity();
  at.projective[1] = 1e-4;
  CHECK(outside_family(MotionModel::affine, at));
  CHECK_FALSE(outside_family(MotionModel::homography, at));
}

TEST_CASE("a scale that a step takes past zero has collapsed, and is not turned upside down") {
  const CentredTransform start = base_of(MotionModel::similarity);
  Parameters tau = parameters(MotionModel::similarity, start);
  CHECK(plausible(start, transform(MotionModel::similarity, tau, start), MotionLimits{}));
  tau[0] *= -1.0;
  CHECK_FALSE(plausible(start, transform(MotionModel::similarity, tau, start), MotionLimits{}));
}

TEST_CASE("names of motion models") {
  CHECK(n_parameters(motion_from_name("translation")) == 2);
  CHECK(n_parameters(motion_from_name("euclidean")) == 3);
  CHECK(n_parameters(motion_from_name("similarity")) == 4);
  CHECK(n_parameters(motion_from_name("affine")) == 6);
  CHECK(n_parameters(motion_from_name("homography")) == 8);
  CHECK_THROWS_AS(motion_from_name("rigid"), std::invalid_argument);
}

}  // namespace
}  // namespace holdstill
