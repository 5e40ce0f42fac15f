// A frame allocates nothing: any number of threads may align without meeting in the allocator.
#include <doctest.h>

#include <string>
#include <vector>

#include "allocations.hpp"
#include "texture.hpp"

namespace holdstill {
namespace {

using testing::AllocationCount;
using testing::Frame;
using testing::Texture;

TEST_CASE("allocations are counted") {
  const AllocationCount allocations;
  const std::vector<int> some(3);
  CHECK(allocations.count() == 1);
  const Eigen::MatrixXd eigen(5, 5);
#ifndef __SANITIZE_ADDRESS__
  CHECK(allocations.count() == 2);
#endif
}

template <typename Pixel>
void check_second_frame(MotionModel motion, Feature feature, double mu, bool verify, int n_atoms,
                        double scale) {
  const Shape shape{40, 44};
  const Region region(shape, nullptr);
  const Sampling sampling{motion, feature, 0.8};
  const Eigen::Matrix3d truth = testing::start(shape, scale);
  AlignerOptions options;
  options.mu = mu;
  options.verify = verify;
  const FrameAligner aligner(testing::dictionary(n_atoms, region, sampling, truth), region,
                             sampling, options);
  const auto work = aligner.make_workspace();
  std::vector<double> x(static_cast<std::size_t>(n_atoms));
  Eigen::Matrix3d initial = truth;
  initial(0, 2) += 1.3;
  initial(1, 2) -= 0.9;
  const Frame<Pixel> first(160, 200, Texture(0)), second(160, 200, Texture(1));
  CHECK(aligner.align(first.view(), initial, work.get(), x.data()).status == Status::converged);
  const AllocationCount allocations;
  const Status status = aligner.align(second.view(), initial, work.get(), x.data()).status;
  const long count = allocations.count();
  CHECK(status == Status::converged);
  CHECK(count == 0);
}

TEST_CASE("a second frame allocates nothing, for every motion model and feature") {
  for (const char* motion : {"translation", "euclidean", "similarity", "affine", "homography"})
    for (const Feature feature : {Feature::grey, Feature::edges, Feature::magnitude}) {
      CAPTURE(motion);
      CAPTURE(static_cast<int>(feature));
      check_second_frame<std::uint8_t>(motion_from_name(motion), feature, 1e-3, false, 12, 1.3);
    }
}

TEST_CASE("a second frame allocates nothing, for every pixel type") {
  check_second_frame<std::uint16_t>(MotionModel::affine, Feature::grey, 1e-3, false, 12, 1.3);
  check_second_frame<float>(MotionModel::affine, Feature::grey, 1e-3, false, 12, 1.3);
}

TEST_CASE("a second frame allocates nothing where it is decimated") {
  check_second_frame<std::uint8_t>(MotionModel::affine, Feature::edges, 1e-3, false, 12, 2.5);
}

TEST_CASE("a second frame allocates nothing when every solve is over all of many atoms") {
  check_second_frame<std::uint8_t>(MotionModel::affine, Feature::grey, 1e-3, true, 100, 1.3);
}

TEST_CASE("a second frame allocates nothing without a penalty") {
  check_second_frame<std::uint8_t>(MotionModel::affine, Feature::grey, 0.0, false, 30, 1.3);
}

}  // namespace
}  // namespace holdstill
