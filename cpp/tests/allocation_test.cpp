// A frame allocates nothing: any number of threads may align without meeting in the allocator.
#include <doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "holdstill/coarse_to_fine.hpp"
#include "holdstill/registration.hpp"
#include "texture.hpp"

namespace holdstill {
namespace {

using testing::AllocationCount;
using testing::Frame;
using testing::Texture;

TEST_CASE("allocations are counted") {
  // A compiler may leave out what nobody looks at.
  [[maybe_unused]] const void* volatile seen = nullptr;
  const AllocationCount allocations;
  const std::vector<int> some(3);
  seen = some.data();
  CHECK(allocations.count() == 1);
  const Eigen::MatrixXd eigen(5, 5);
  seen = eigen.data();
#ifdef HOLDSTILL_COUNTS_MALLOC
  CHECK(allocations.count() == 2);
#endif
}

template <typename Pixel>
void check_second_frame(MotionModel motion, Feature feature, double mu, bool verify, int n_atoms,
                        double scale, Loss loss = Loss::l2) {
  const Shape shape{40, 44};
  const Region region(shape, nullptr);
  const Sampling sampling{motion, feature, 0.8};
  const Eigen::Matrix3d truth = testing::start(shape, scale);
  AlignerOptions options;
  options.mu = mu;
  options.verify = verify;
  options.loss = loss;
  options.kappa = 0.005;
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
  // More atoms would fit the texture and its derivatives down to rounding.
  for (const Loss loss : {Loss::l2, Loss::huber})
    check_second_frame<std::uint8_t>(MotionModel::affine, Feature::grey, 0.0, false, 12, 1.3, loss);
}

TEST_CASE("a second frame allocates nothing under a robust loss") {
  for (const Loss loss : {Loss::huber, Loss::l1, Loss::geman_mcclure})
    for (const Feature feature : {Feature::grey, Feature::edges})
      for (const bool verify : {false, true}) {
        CAPTURE(static_cast<int>(loss));
        CAPTURE(static_cast<int>(feature));
        CAPTURE(verify);
        check_second_frame<std::uint8_t>(MotionModel::affine, feature, 1e-3, verify, 30, 1.3, loss);
      }
}

TEST_CASE("a second frame allocates nothing on octaves, nor while it is searched for") {
  for (const Feature feature : {Feature::grey, Feature::edges}) {
    CAPTURE(static_cast<int>(feature));
    const Shape shape{40, 44}, half{20, 22};
    const Region region(shape, nullptr), coarse(half, nullptr);
    const Sampling sampling{MotionModel::similarity, feature, 0.8};
    const Eigen::Matrix3d truth = testing::start(shape, 1.3);
    AlignerOptions options;
    options.typical_misfit = 0.02;
    options.poor_misfit = 0.1;
    const Eigen::MatrixXf fine_atoms = testing::dictionary(12, region, sampling, truth),
                          coarse_atoms =
                              testing::dictionary(12, coarse, sampling, at_level(truth, 1));
    std::vector<FrameAligner> levels;
    levels.emplace_back(fine_atoms, region, sampling, options);
    options.pixel_tolerance = 0.05;
    levels.emplace_back(coarse_atoms, coarse, sampling, options);
    const PyramidAligner aligner(std::move(levels),
                                 std::make_unique<Search>(coarse_atoms, coarse, sampling));
    const auto work = aligner.make_workspace();
    std::vector<double> x(12);
    Eigen::Matrix3d near = truth, far = truth;
    near(0, 2) += 1.3;
    far(0, 2) += 10.0;
    far(1, 2) -= 6.0;
    const Frame<std::uint8_t> first(160, 200, Texture(0)), second(160, 200, Texture(1));
    std::vector<std::uint8_t> noise;
    for (unsigned i = 0; i < 160 * 200; ++i)
      noise.push_back(static_cast<std::uint8_t>((i * 2654435761u) >> 24));
    const FrameView foreign{noise.data(), PixelType::uint8, 160, 200, 200, 1};
    CHECK(aligner.align(first.view(), far, work.get(), x.data()).status == Status::converged);
    aligner.align(foreign, far, work.get(), x.data());
    const AllocationCount allocations;
    const FrameAlignment found = aligner.align(second.view(), near, work.get(), x.data());
    const long without_search = allocations.count();
    const FrameAlignment lost = aligner.align(foreign, far, work.get(), x.data());
    const long with_search = allocations.count();
    CHECK(found.status == Status::converged);
    CHECK(found.evaluations > found.iterations);
    CHECK(!(lost.quality >= 0.5));  // nothing was found, so all of the search was gone through
    CHECK(without_search == 0);
    CHECK(with_search == 0);
  }
}

TEST_CASE("a second face registers without an allocation, by steps and by a simplex") {
  const Shape shape{40, 44};
  const Region region(shape, nullptr);
  for (const Feature feature : {Feature::grey, Feature::edges}) {
    CAPTURE(static_cast<int>(feature));
    const Sampling sampling{MotionModel::similarity, feature, 0.8};
    const Eigen::Matrix3d truth = testing::start(shape, 1.3);
    const Eigen::MatrixXf faces = testing::dictionary(6, region, sampling, truth);
    const Eigen::MatrixXf basis = Eigen::HouseholderQR<Eigen::MatrixXf>(faces).householderQ() *
                                  Eigen::MatrixXf::Identity(faces.rows(), faces.cols());
    const SubspaceRegistrar registrar(basis, Eigen::VectorXd::Constant(6, 0.05), 1e-3,
                                      faces.rowwise().mean(), region, sampling, {});
    const auto work = registrar.make_workspace();
    Eigen::Matrix3d near = truth;
    near(0, 2) += 1.3;
    near(1, 2) -= 0.9;
    const Frame<std::uint8_t> first(160, 200, Texture(0)), second(160, 200, Texture(1));
    registrar.descend(first.view(), near, near, 0, true, work.get());
    registrar.search(first.view(), near, near, 0, work.get());
    const AllocationCount allocations;
    const FrameRegistration by_steps =
        registrar.descend(second.view(), near, near, 0, true, work.get());
    const long of_steps = allocations.count();
    const FrameRegistration by_simplex = registrar.search(second.view(), near, near, 0, work.get());
    const long of_both = allocations.count();
    CHECK(by_steps.status == Status::converged);
    CHECK(by_simplex.status == Status::converged);
    CHECK(of_steps == 0);
    CHECK(of_both == 0);
  }
}

}  // namespace
}  // namespace holdstill
