// One frame against a dictionary: known motion, coefficients, and how it ends where it cannot.
#include "holdstill/aligner.hpp"

#include <doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "texture.hpp"

namespace holdstill {
namespace {

using testing::Frame;
using testing::Texture;

constexpr Shape kShape{40, 44};
constexpr int kAtoms = 5;

struct Case {
  Sampling sampling{MotionModel::affine, Feature::grey, 0.8};
  Region region{kShape, nullptr};
  Eigen::Matrix3d truth = testing::start(kShape, 1.3);
  AlignerOptions options;
  std::vector<double> x = std::vector<double>(kAtoms, -1.0);

  FrameAlignment align(const FrameView& frame, const Eigen::Matrix3d& initial) {
    const FrameAligner aligner(testing::dictionary(kAtoms, region, sampling, truth), region,
                               sampling, options);
    return aligner.align(frame, initial, aligner.make_workspace().get(), x.data());
  }
  Eigen::Matrix3d displaced() const {
    Eigen::Matrix3d initial = truth;
    initial(0, 2) += 1.3;
    initial(1, 2) -= 0.9;
    return initial;
  }
  double corner_error(const Eigen::Matrix3d& found) const {
    double largest = 0.0;
    for (const Eigen::Vector2d& corner : region.corners()) {
      const Eigen::Vector3d pixel = (corner + kShape.centre()).homogeneous();
      largest = std::max(
          largest, ((truth.inverse() * found * pixel).hnormalized() - pixel.head<2>()).norm());
    }
    return largest;
  }
};

TEST_CASE("a known motion is recovered, and its atom found") {
  for (const char* motion : {"translation", "euclidean", "similarity", "affine", "homography"})
    for (const Feature feature : {Feature::grey, Feature::edges, Feature::magnitude})
      for (const double mu : {1e-3, 0.0}) {
        CAPTURE(motion);
        CAPTURE(static_cast<int>(feature));
        CAPTURE(mu);
        Case one;
        one.sampling.motion = motion_from_name(motion);
        one.sampling.feature = feature;
        one.options.mu = mu;
        const Frame<float> frame(160, 200, Texture(2));
        const FrameAlignment found = one.align(frame.view(), one.displaced());
        CHECK(found.status == Status::converged);
        CHECK(found.step <= one.options.tolerance);
        CHECK(one.corner_error(found.frame_from_canonical) < 0.02);
        for (int k = 0; k < kAtoms; ++k)
          CHECK(one.x[k] == doctest::Approx(k == 2 ? 1.0 : 0.0).epsilon(0.02));
      }
}

TEST_CASE("a frame without texture is singular, one that is not finite unreadable") {
  Case one;
  std::vector<float> pixels(160 * 200, 77.0f);
  const FrameView flat{pixels.data(), PixelType::float32, 160, 200, 800, 4};
  CHECK(one.align(flat, one.truth).status == Status::singular);
  pixels[40] = std::numeric_limits<float>::infinity();
  const FrameAlignment unread = one.align(flat, one.truth);
  CHECK(unread.status == Status::unreadable);
  CHECK(unread.frame_from_canonical == one.truth);
  CHECK(one.x == std::vector<double>(kAtoms, 0.0));
}

TEST_CASE("a start far outside is out of frame") {
  Case one;
  Eigen::Matrix3d away = one.truth;
  for (const double shift : {300.0, -1e6, 1e15}) {
    away(0, 2) = shift;
    const Frame<float> frame(160, 200, Texture(2));
    CHECK(one.align(frame.view(), away).status == Status::out_of_frame);
  }
}

TEST_CASE("a motion that stretches one direction more than allowed has collapsed") {
  const Frame<float> frame(160, 200, Texture(2));
  for (const double most : {2.0, 1.1}) {
    Case one;
    one.options.limits.stretch = most;
    Eigen::Matrix3d squeezed = one.truth;
    const Eigen::Vector3d centre = kShape.centre().homogeneous();
    squeezed.col(0) *= 0.85;
    squeezed.col(2) += (one.truth - squeezed) * centre;  // the centre stays
    const FrameAlignment found = one.align(frame.view(), squeezed);
    CHECK(found.status == (most > 1.2 ? Status::converged : Status::collapsed));
    CHECK(found.frame_from_canonical.allFinite());
  }
}

TEST_CASE("threads with a workspace each find the same bytes") {
  Case one;
  const FrameAligner aligner(testing::dictionary(kAtoms, one.region, one.sampling, one.truth),
                             one.region, one.sampling, one.options);
  const Frame<float> frame(160, 200, Texture(2));
  constexpr int kThreads = 4;
  std::vector<FrameAlignment> found(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      const auto work = aligner.make_workspace();
      std::vector<double> x(kAtoms);
      for (int repeat = 0; repeat < 3; ++repeat)
        found[i] = aligner.align(frame.view(), one.displaced(), work.get(), x.data());
    });
  for (std::thread& thread : threads) thread.join();
  for (const FrameAlignment& each : found) {
    CHECK(each.frame_from_canonical == found[0].frame_from_canonical);
    CHECK(each.objective == found[0].objective);
  }
}

}  // namespace
}  // namespace holdstill
