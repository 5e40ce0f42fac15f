// A frame at half and quarter of its size, against what is known of it.
#include "holdstill/octaves.hpp"

#include <doctest.h>

#include <cmath>
#include <vector>

#include "holdstill/linearize.hpp"
#include "texture.hpp"

namespace holdstill {
namespace {

using testing::Frame;
using testing::Texture;

std::vector<float> read(Octaves* octaves, int octave, const Rectangle& wanted) {
  std::vector<float> out(static_cast<std::size_t>(wanted.x1 - wanted.x0) * (wanted.y1 - wanted.y0));
  octaves->read(octave, wanted, out.data());
  return out;
}

TEST_CASE("a ramp keeps its values at every 2^k-th pixel, and its border beyond the frame") {
  constexpr int height = 64, width = 81;
  std::vector<float> ramp;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) ramp.push_back(3.0f * x - 2.0f * y);
  Octaves octaves;
  octaves.reset({ramp.data(), PixelType::float32, height, width, width * 4, 4});
  for (const int octave : {1, 2}) {
    CAPTURE(octave);
    const int step = 1 << octave;
    const Rectangle middle = {4, 3, 12, 9};
    const std::vector<float> found = read(&octaves, octave, middle);
    std::size_t i = 0;
    for (int y = middle.y0; y < middle.y1; ++y)
      for (int x = middle.x0; x < middle.x1; ++x)
        CHECK(found[i++] == doctest::Approx(3.0 * step * x - 2.0 * step * y).epsilon(1e-6));
    const std::vector<float> corner = read(&octaves, octave, {-3, -2, 1, 1});
    for (const float value : corner) CHECK(value == corner.back());
  }
  CHECK(Octaves::size(width, 1) == 41);
  CHECK(Octaves::size(width, 2) == 21);
}

TEST_CASE("what has been read before does not matter") {
  const Frame<std::uint8_t> frame(90, 120, Texture(2));
  const Rectangle wanted = {-2, 3, 35, 26};
  Octaves alone, often;
  alone.reset(frame.view());
  often.reset(frame.view());
  for (const Rectangle& before :
       {Rectangle{10, 10, 12, 12}, Rectangle{0, 0, 5, 4}, Rectangle{20, 8, 40, 40}})
    for (const int octave : {1, 2}) read(&often, octave, before);
  CHECK(read(&often, 2, wanted) == read(&alone, 2, wanted));
  const Frame<std::uint8_t> other(90, 120, Texture(3));
  often.reset(other.view());
  CHECK(read(&often, 1, wanted) != read(&alone, 1, wanted));
}

TEST_CASE("a coarse level sees through them what it sees in the frame") {
  const Shape shape{16, 18};
  const Region region(shape, nullptr);
  const Frame<std::uint8_t> frame(160, 200, Texture(4));
  Octaves octaves;
  octaves.reset(frame.view());
  for (const Feature feature : {Feature::grey, Feature::edges, Feature::magnitude})
    for (const double scale : {4.0, 7.5}) {
      CAPTURE(static_cast<int>(feature));
      CAPTURE(scale);
      const Sampling sampling{MotionModel::affine, feature, 0.8};
      const CentredTransform at = *centred(testing::start(shape, scale), shape);
      const int m = n_planes(feature) * region.n_pixels();
      Eigen::VectorXd through[2] = {Eigen::VectorXd(m), Eigen::VectorXd(m)};
      Eigen::MatrixXd jacobians[2] = {Eigen::MatrixXd(m, 6), Eigen::MatrixXd(m, 6)};
      for (int k = 0; k < 2; ++k) {
        Patch patch;
        patch.choose_filter(frame.view(), feature, 0.8, at, k ? &octaves : nullptr);
        REQUIRE(patch.octave() > 0);
        REQUIRE(cover(frame.view(), region, at, &patch));
        linearize(patch, region, sampling, at, true, through[k].data(), jacobians[k].data());
      }
      // Nearly: a Gaussian of 0.6 pixels is a rough one. Another octave would be 0.5 off and more.
      CHECK((through[1] - through[0]).norm() < 0.06);
      CHECK((jacobians[1] - jacobians[0]).norm() < 0.1 * jacobians[0].norm());
    }
}

}  // namespace
}  // namespace holdstill
