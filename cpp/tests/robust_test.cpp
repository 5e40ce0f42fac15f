// Robust losses: their kernels against plain loops, and the conditions that a fixed point fulfils.
#include <doctest.h>

#include <cmath>
#include <vector>

#include "holdstill/aligner.hpp"
#include "texture.hpp"

namespace holdstill {
namespace {

using testing::Texture;

constexpr Shape kShape{40, 44};
constexpr int kLength = kernels::kMaxPlanes * kernels::kBlock;

// Smooth values without a period in common with a block.
std::vector<float> values(int n, double phase) {
  std::vector<float> out;
  for (int i = 0; i < n; ++i) out.push_back(static_cast<float>(std::sin(0.7 * i + phase)));
  return out;
}

TEST_CASE("kernels of the robust losses are the plain loops, for every instruction set") {
  for (const std::string& name : kernels::available()) {
    CAPTURE(name);
    const kernels::Table& kernel = kernels::by_name(name);
    const std::vector<float> row = values(kLength, 0.1), first = values(kLength, 1.0),
                             second = values(kLength, 2.0), factors = values(kernels::kBlock, 3.0);

    const float* atoms[] = {first.data(), second.data()};
    const float coefficients[] = {0.3f, -1.7f};
    std::vector<float> residual(kLength), weights(kernels::kBlock), scaled(kLength);
    const double square =
        kernel.residual(row.data(), 0.4f, atoms, coefficients, 2, kLength, residual.data());
    double expected_square = 0.0;
    for (int i = 0; i < kLength; ++i) {
      const double expected = 0.4 * row[i] - 0.3 * first[i] + 1.7 * second[i];
      CHECK(std::abs(residual[i] - expected) < 1e-6);
      expected_square += expected * expected;
    }
    CHECK(square == doctest::Approx(expected_square).epsilon(1e-6));

    for (const int planes : {1, 2}) {
      kernel.robust_weights(residual.data(), planes, 0.5f, 0.8f, weights.data());
      kernel.scale_row(factors.data(), planes, row.data(), scaled.data());
      for (int i = 0; i < kernels::kBlock; ++i) {
        const double other = planes == 2 ? residual[kernels::kBlock + i] : 0.0;
        const double size = std::hypot(residual[i], other);
        CHECK(std::abs(weights[i] - 0.5 / std::max(size, 0.8)) < 1e-6);
        for (int plane = 0; plane < planes; ++plane) {
          const int k = plane * kernels::kBlock + i;
          CHECK(scaled[k] == row[k] * factors[i]);
        }
      }
    }

    kernels::Columns columns;
    for (int j = 0; j < 3; ++j) std::copy_n(values(kLength, j).begin(), kLength, columns.row[j]);
    kernel.scale_columns(factors.data(), 2, 3, &columns);
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < kLength; ++i)
        CHECK(columns.row[j][i] == values(kLength, j)[i] * factors[i % kernels::kBlock]);
  }
}

// A frame of which a square is hidden by something bright.
std::vector<float> hidden(const Texture& texture) {
  std::vector<float> pixels;
  for (int y = 0; y < 160; ++y)
    for (int x = 0; x < 200; ++x)
      pixels.push_back(static_cast<float>(texture.at(x, y)) +
                       (y > 70 && y < 86 && x > 90 && x < 108 ? 40.0f : 0.0f));
  return pixels;
}

struct Found {
  FrameAlignment alignment;
  double step_pull, idle_pull, busy_pull;  // what the optimality conditions leave
};

// Aligns and then weighs the residuals in a plain loop over the dense vector and Jacobian.
Found align_hidden(Feature feature, Loss loss) {
  const Region region(kShape, nullptr);
  const Sampling sampling{MotionModel::similarity, feature, 0.8};
  const Eigen::Matrix3d truth = testing::start(kShape, 1.3);
  const Eigen::MatrixXf atoms = testing::dictionary(6, region, sampling, truth);
  AlignerOptions options;
  options.loss = loss;
  options.kappa = 0.004;
  const FrameAligner aligner(atoms, region, sampling, options);
  const std::vector<float> pixels = hidden(Texture(2));
  const FrameView frame{pixels.data(), PixelType::float32, 160, 200, 800, 4};
  Eigen::Matrix3d initial = truth;
  initial(0, 2) += 0.8;
  std::vector<double> x(6);
  const auto work = aligner.make_workspace();
  Found found;
  found.alignment = aligner.align(frame, initial, work.get(), x.data());

  Patch patch;
  patch.choose_filter(frame, feature, 0.8, *centred(initial, kShape));
  const CentredTransform at = *centred(found.alignment.frame_from_canonical, kShape);
  REQUIRE(cover(frame, region, at, &patch));
  const int m = static_cast<int>(atoms.rows()), n_pixels = region.n_pixels();
  Eigen::VectorXd vector(m);
  Eigen::MatrixXd jacobian(m, 4);
  linearize(patch, region, sampling, at, true, vector.data(), jacobian.data());
  const Eigen::VectorXd residual =
      vector - atoms.cast<double>() * Eigen::Map<const Eigen::VectorXd>(x.data(), 6);
  Eigen::VectorXd pull(m);
  for (int i = 0; i < n_pixels; ++i) {
    double square = 0.0;
    for (int k = i; k < m; k += n_pixels) square += residual[k] * residual[k];
    const double threshold = loss == Loss::l1 ? 0.05 * options.kappa : options.kappa;
    for (int k = i; k < m; k += n_pixels)
      pull[k] = residual[k] * options.kappa / std::max(std::sqrt(square), threshold);
  }
  found.step_pull = (jacobian.transpose() * pull).cwiseAbs().maxCoeff();
  const Eigen::VectorXd correlation = atoms.cast<double>().transpose() * pull;
  found.idle_pull = found.busy_pull = 0.0;
  for (int j = 0; j < 6; ++j)
    if (x[j] == 0.0)
      found.idle_pull = std::max(found.idle_pull, std::abs(correlation[j]) - options.mu);
    else
      found.busy_pull =
          std::max(found.busy_pull, std::abs(correlation[j] - std::copysign(options.mu, x[j])));
  return found;
}

TEST_CASE("where a robust alignment ends, the weighted residual pulls at nothing") {
  for (const Feature feature : {Feature::grey, Feature::edges})
    for (const Loss loss : {Loss::huber, Loss::l1}) {
      CAPTURE(static_cast<int>(feature));
      CAPTURE(static_cast<int>(loss));
      const Found found = align_hidden(feature, loss);
      CHECK(found.alignment.status == Status::converged);
      CHECK(found.step_pull < 2e-6);
      CHECK(found.busy_pull < 2e-6);
      CHECK(found.idle_pull < 2e-6);
    }
}

TEST_CASE("with the plain loss the hidden square pulls") {
  const Found found = align_hidden(Feature::grey, Loss::l2);
  CHECK(found.alignment.status == Status::converged);
  CHECK(found.step_pull > 2e-5);
  CHECK(found.busy_pull > 1e-3);
}

}  // namespace
}  // namespace holdstill
