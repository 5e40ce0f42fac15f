// Second derivatives against differences of the derivatives that the aligner samples.
#include "holdstill/frame_sums.hpp"

#include <doctest.h>

#include <cmath>
#include <vector>

#include "texture.hpp"

namespace holdstill {
namespace {

using testing::Frame;
using testing::Texture;
using Entries = Eigen::Matrix<double, 6, 1>;

constexpr Shape kShape{26, 30};

Entries entries(const CentredTransform& at) {
  Entries e;
  e << at.linear(0, 0), at.linear(0, 1), at.linear(1, 0), at.linear(1, 1), at.translation;
  return e;
}

CentredTransform moved(const CentredTransform& at, int entry, double by) {
  Entries e = entries(at);
  e[entry] += by;
  CentredTransform out = at;
  out.linear << e[0], e[1], e[2], e[3];
  out.translation = e.tail<2>();
  return out;
}

// Derivatives of <fixed row, value> by the entries; `fixed` packed as atoms are.
Entries slopes(const Patch& patch, const Region& region, const Sampling& sampling,
               const CentredTransform& at, const std::vector<float>& fixed) {
  Entries sums = Entries::Zero();
  for_each_block(patch, region, sampling, at, [&](int block, const kernels::Columns& columns) {
    const float* row = fixed.data() + static_cast<std::size_t>(block) * sampling.row_length();
    for (int e = 0; e < 6; ++e)
      for (int i = 0; i < sampling.row_length(); ++i)
        sums[e] += static_cast<double>(row[i]) * columns.row[1 + e][i];
  });
  return sums;
}

TEST_CASE("sums with second derivatives are differences of sums with first ones") {
  const Frame<float> frame(160, 200, Texture(5));
  std::vector<float> weights(static_cast<std::size_t>(kShape.height) * kShape.width);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.2f * static_cast<float>(i % 6);
  for (const Feature feature : {Feature::grey, Feature::edges})
    for (const bool soft : {false, true})
      for (const double shift : {0.0, 70.0}) {  // the second has samples outside of the frame
        CAPTURE(static_cast<int>(feature));
        CAPTURE(soft);
        CAPTURE(shift);
        const Region region(kShape, soft ? weights.data() : nullptr);
        const Sampling sampling{MotionModel::affine, feature, 0.8};
        Eigen::Matrix3d start = testing::start(kShape, 1.3);
        start(0, 0) *= 1.03, start(0, 1) += 0.1, start(1, 0) -= 0.04, start(0, 2) += shift;
        const CentredTransform at = *centred(start, kShape);
        Patch patch;
        patch.choose_filter(frame.view(), feature, 0.8, at);
        REQUIRE(cover(frame.view(), region, at, &patch));

        // A residual of any kind: factor 0 leaves minus the atom.
        const int m = n_planes(feature) * region.n_pixels();
        Eigen::MatrixXf atom(m, 1);
        for (int i = 0; i < m; ++i) atom(i, 0) = 1.0f + std::sin(0.37f * static_cast<float>(i));
        const FrameSums sums(atom, region, sampling);
        FrameSums::Workspace work(sums, false);
        const Eigen::VectorXd minus = Eigen::VectorXd::Constant(1, -1.0);
        const FrameSums::Curvature found = sums.curvature(patch, at, 0.0, minus, &work);

        const std::vector<float> fixed = pack_columns(atom, region, sampling);
        Eigen::Matrix<double, 6, 6> expected;
        for (int e = 0; e < 6; ++e) {
          const double h = e < 4 ? 2e-5 : 2e-4;
          expected.col(e) = (slopes(patch, region, sampling, moved(at, e, h), fixed) -
                             slopes(patch, region, sampling, moved(at, e, -h), fixed)) /
                            (2.0 * h);
        }
        const Eigen::Matrix<double, 6, 6> symmetric = 0.5 * (expected + expected.transpose());
        CHECK((found.hessian - symmetric).norm() < 2e-2 * symmetric.norm());
        CHECK(found.steeper > 1.0);  // than central differences
        CHECK(found.steeper < 1.2);
      }
}

}  // namespace
}  // namespace holdstill
