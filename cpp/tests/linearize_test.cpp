// What is sampled, against the continuous image the frame was drawn from.
#include "holdstill/linearize.hpp"

#include <doctest.h>

#include <cmath>
#include <vector>

#include "texture.hpp"

namespace holdstill {
namespace {

using testing::Frame;
using testing::Texture;

constexpr Shape kShape{20, 24};

struct Dense {
  Eigen::VectorXd vector;
  Eigen::MatrixXd jacobian;
  DenseLinearization info;
};

Dense dense(const FrameView& frame, const Region& region, const Sampling& sampling,
            const Eigen::Matrix3d& at, bool normalize) {
  const CentredTransform transform = *centred(at, region.shape());
  const int m = n_planes(sampling.feature) * region.n_pixels();
  Dense out{Eigen::VectorXd(m), Eigen::MatrixXd(m, n_parameters(sampling.motion)), {}};
  Patch patch;
  patch.choose_filter(frame, sampling.feature, sampling.sigma, transform);
  REQUIRE(cover(frame, region, transform, &patch));
  out.info = linearize(patch, region, sampling, transform, normalize, out.vector.data(),
                       out.jacobian.data());
  return out;
}

TEST_CASE("a mask picks its pixels in raster order") {
  std::vector<float> mask(kShape.height * kShape.width, 0.0f);
  mask[3] = mask[5 * kShape.width + 7] = mask[5 * kShape.width + 9] = 1.0f;
  const Region region(kShape, mask.data());
  CHECK_FALSE(region.soft());
  REQUIRE(region.n_pixels() == 3);
  const Eigen::Vector2d c = kShape.centre();
  const double x[] = {3, 7, 9}, y[] = {0, 5, 5};
  for (int i = 0; i < 3; ++i) {
    CHECK(region.a(0)[i] == x[i] - c[0]);
    CHECK(region.b(0)[i] == y[i] - c[1]);
  }
  CHECK(region.corners()[2] == Eigen::Vector2d(9, 5) - c);
}

TEST_CASE("a soft region multiplies samples and derivatives by the roots of its weights") {
  const Frame<float> frame(160, 200, Texture(3));
  std::vector<float> weights(kShape.height * kShape.width);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.25f * static_cast<float>(i % 5);
  const Region soft(kShape, weights.data());
  for (float& weight : weights) weight = weight > 0.0f ? 1.0f : 0.0f;
  const Region hard(kShape, weights.data());
  CHECK(soft.soft());
  CHECK_FALSE(hard.soft());
  REQUIRE(soft.n_pixels() == hard.n_pixels());
  for (const Feature feature : {Feature::grey, Feature::edges, Feature::magnitude}) {
    const Sampling sampling{MotionModel::affine, feature, 0.8};
    const Eigen::Matrix3d at = testing::start(kShape, 1.5);
    const Dense weighed = dense(frame.view(), soft, sampling, at, false),
                plain = dense(frame.view(), hard, sampling, at, false);
    for (Eigen::Index i = 0; i < plain.vector.size(); ++i) {
      // Of the weights 0, 0.25, 0.5, 0.75, 1 the four that are not zero follow each other.
      const double root = std::sqrt(0.25 * (1 + i % soft.n_pixels() % 4));
      CHECK(weighed.vector[i] == doctest::Approx(root * plain.vector[i]).epsilon(1e-6));
      CHECK((weighed.jacobian.row(i) - root * plain.jacobian.row(i)).norm() <=
            1e-6 * plain.jacobian.row(i).norm());
    }
  }
}

TEST_CASE("a unit-norm vector is orthogonal to its Jacobian") {
  const Frame<float> frame(160, 200, Texture(3));
  const Region region(kShape, nullptr);
  for (const Feature feature : {Feature::grey, Feature::edges, Feature::magnitude}) {
    const Sampling sampling{MotionModel::homography, feature, 0.8};
    const Dense found = dense(frame.view(), region, sampling, testing::start(kShape, 1.5), true);
    CHECK(found.vector.norm() == doctest::Approx(1.0).epsilon(1e-14));
    CHECK((found.vector.transpose() * found.jacobian).cwiseAbs().maxCoeff() < 1e-13);
  }
}

TEST_CASE("a ramp is sampled exactly, with its slope as the derivative") {
  std::vector<float> pixels;
  for (int y = 0; y < 100; ++y)
    for (int x = 0; x < 120; ++x) pixels.push_back(static_cast<float>(2 * x - 3 * y + 400));
  const FrameView ramp{pixels.data(), PixelType::float32, 100, 120, 480, 4};
  const Region region(kShape, nullptr);
  const Sampling sampling{MotionModel::translation, Feature::grey, 0.8};
  Eigen::Matrix3d at = Eigen::Matrix3d::Identity();
  at(0, 2) = 40.25;
  at(1, 2) = 30.5;
  const Dense found = dense(ramp, region, sampling, at, false);
  for (int i = 0; i < region.n_pixels(); ++i) {
    const double x = i % kShape.width + 40.25, y = i / kShape.width + 30.5;
    CHECK(found.vector[i] == doctest::Approx(2 * x - 3 * y + 400).epsilon(1e-5));
    CHECK(found.jacobian(i, 0) == doctest::Approx(2.0).epsilon(1e-4));
    CHECK(found.jacobian(i, 1) == doctest::Approx(-3.0).epsilon(1e-4));
  }
}

TEST_CASE("a patch that grew gives the values of one that was large at once") {
  const Frame<std::uint8_t> frame(160, 200, Texture(4));
  const Region region(kShape, nullptr);
  for (const Feature feature : {Feature::grey, Feature::edges})
    for (const double scale : {1.0, 3.0}) {
      const Sampling sampling{MotionModel::affine, feature, 0.8};
      const Eigen::Matrix3d at = testing::start(kShape, scale);
      const CentredTransform transform = *centred(at, kShape);
      const Dense direct = dense(frame.view(), region, sampling, at, true);
      Dense grown = direct;
      Patch patch;
      patch.choose_filter(frame.view(), feature, sampling.sigma, transform);
      patch.cover(frame.view(), 90, 70, 100, 80);
      patch.cover(frame.view(), 0, 0, 199, 159);
      linearize(patch, region, sampling, transform, true, grown.vector.data(),
                grown.jacobian.data());
      CHECK((grown.vector - direct.vector).norm() <= 1e-6);
      CHECK((grown.jacobian - direct.jacobian).norm() <= 1e-5 * direct.jacobian.norm());
    }
}

// Whether all samples of a region are taken without looking at the frame's border.
bool taken_blindly(const Region& region, const CentredTransform& at, bool projective) {
  const Frame<std::uint8_t> frame(40, 50, Texture(5));
  Patch patch;
  patch.choose_filter(frame.view(), Feature::grey, 0.8, at);
  REQUIRE(cover(frame.view(), region, at, &patch));
  return within(patch.texels(), patch.projection(at, projective), region.box(0));
}

TEST_CASE("samples are taken blindly only where rounding cannot lead them out of the frame") {
  std::vector<float> mask(kShape.height * kShape.width, 0.0f);
  mask[0] = 1.0f;
  const Region corner(kShape, mask.data());
  const auto onto = [&](double scale, const Eigen::Vector2d& place) {
    CentredTransform at{scale * Eigen::Matrix2d::Identity(), {0.0, 0.0}, {0.0, 0.0}};
    at.translation = place - at.apply(corner.corners()[0]);
    return at;
  };
  CHECK(taken_blindly(corner, onto(2.0, {20.0, 10.0}), false));
  CHECK_FALSE(taken_blindly(corner, onto(2.0, {49.0, 10.0}), false));
  CHECK_FALSE(taken_blindly(corner, onto(1e15, {20.0, 10.0}), false));
  // A perspective that the motion model does not have does not count: samples know nothing of it.
  CentredTransform tilted = onto(2.0, {49.5, 10.0});
  tilted.projective = {1e-2, 0.0};
  CHECK_FALSE(taken_blindly(corner, tilted, false));
}

TEST_CASE("the smallest frames and the widest filters are sampled without harm") {
  const Region region(kShape, nullptr);
  for (const auto& [height, width] : {std::pair{1, 1}, {2, 3}, {1, 50}, {50, 1}, {3, 2}})
    for (const Feature feature : {Feature::grey, Feature::edges, Feature::magnitude})
      for (const double scale : {1e-3, 1.0, 1e4}) {
        const Frame<std::uint8_t> frame(height, width, Texture(5));
        const Sampling sampling{MotionModel::affine, feature, 0.8};
        const Dense found =
            dense(frame.view(), region, sampling, testing::start(kShape, scale), false);
        CHECK(found.vector.allFinite());
        CHECK(found.jacobian.allFinite());
      }
}

}  // namespace
}  // namespace holdstill
