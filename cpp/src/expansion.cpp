#include "holdstill/expansion.hpp"

#include <algorithm>
#include <cmath>

#include "holdstill/region_motion.hpp"

namespace holdstill {
namespace {

// Canonical pixels from the centre to where the differences are taken: about as far as the
// expansion is used.
constexpr double kReach = 0.5;

}  // namespace

Expansion::Expansion(const Region& region, const Sampling& sampling)
    : region_(region), sampling_(sampling), p_(n_parameters(sampling.motion)) {
  for (Blocks* blocks : {&plus_, &minus_}) blocks->resize(region.n_blocks());
  chunks_.assign(n_chunks(), Blocks(region.n_blocks()));
  for (Blocks& blocks : chunks_)
    for (kernels::Columns& columns : blocks)
      for (auto& values : columns.row) std::fill(std::begin(values), std::end(values), 0.0f);
}

int Expansion::chunk_rows(int chunk) const { return n_rows() - chunk * kChunk <= 3 ? 3 : 5; }

int Expansion::second(int k, int l) const {
  if (k > l) std::swap(k, l);
  return 1 + p_ + k * p_ - k * (k - 1) / 2 + l - k;
}

// Row 0: v; rows 1 .. p: J, in canonical pixels.
Status Expansion::sample(const FrameView& frame, const CentredTransform& at, double max_outside,
                         Patch* patch, Blocks* out) const {
  if (!cover(frame, region_, at, patch)) return Status::collapsed;
  const kernels::Table& kernel = kernels::active();
  const Eigen::MatrixXf shares =
      (column_chain(*patch, sampling_, at).array().rowwise() / units_.transpose().array())
          .cast<float>();
  const int length = sampling_.row_length();
  std::vector<double> along(1 + p_, 0.0);
  std::vector<const float*> rows(1 + p_);
  const int outside = for_each_block(
      *patch, region_, sampling_, at, [&](int block, const kernels::Columns& columns) {
        kernels::Columns& to = (*out)[block];
        std::copy_n(columns.row[0], length, to.row[0]);
        for (int k = 0; k < p_; ++k) {
          std::fill_n(to.row[1 + k], length, 0.0f);
          for (Eigen::Index e = 0; e < shares.rows(); ++e) {
            const float share = shares(e, k);
            if (share == 0.0f) continue;
            for (int i = 0; i < length; ++i) to.row[1 + k][i] += share * columns.row[1 + e][i];
          }
        }
        for (int k = 0; k <= p_; ++k) rows[k] = to.row[k];
        kernel.dots(rows.data(), 1 + p_, to.row[0], length, along.data());
      });
  if (outside > max_outside * region_.n_pixels()) return Status::out_of_frame;
  if (!(along[0] > 0.0) || !std::isfinite(along[0])) return Status::singular;
  const float inverse = static_cast<float>(1.0 / std::sqrt(along[0]));
  for (kernels::Columns& columns : *out) {
    for (int k = 1; k <= p_; ++k) {
      const float share = static_cast<float>(along[k] / along[0]);
      for (int i = 0; i < length; ++i)
        columns.row[k][i] = inverse * (columns.row[k][i] - share * columns.row[0][i]);
    }
    for (int i = 0; i < length; ++i) columns.row[0][i] *= inverse;
  }
  return Status::converged;
}

Status Expansion::expand(const FrameView& frame, const CentredTransform& centre, double max_outside,
                         Patch* patch) {
  const int length = sampling_.row_length(), n_blocks = region_.n_blocks();
  centre_ = centre;
  units_ = pixels_per_unit(sampling_.motion, region_, centre);
  Status status = sample(frame, centre, max_outside, patch, &plus_);
  if (status != Status::converged) return status;
  for (int block = 0; block < n_blocks; ++block) {
    std::copy_n(plus_[block].row[0], length, row(block, 0));
    for (int k = 0; k < p_; ++k) {
      std::copy_n(plus_[block].row[1 + k], length, row(block, first(k)));
      for (int l = k; l < p_; ++l) std::fill_n(row(block, second(k, l)), length, 0.0f);
    }
  }
  for (int k = 0; k < p_; ++k) {
    Parameters delta = Parameters::Zero(p_);
    for (const double sign : {1.0, -1.0}) {
      delta[k] = sign * kReach;
      status = sample(frame, at(delta), max_outside, patch, sign > 0.0 ? &plus_ : &minus_);
      if (status != Status::converged) return status;
    }
    for (int block = 0; block < n_blocks; ++block) {
      const kernels::Columns &plus = plus_[block], &minus = minus_[block];
      constexpr float share = static_cast<float>(0.5 / kReach);
      float* slope = row(block, 1 + k);
      for (int i = 0; i < length; ++i) slope[i] = share * (plus.row[0][i] - minus.row[0][i]);
      for (int l = 0; l < p_; ++l) {
        // Both orders count half.
        const float weight = l == k ? share : 0.5f * share;
        float* bend = row(block, second(k, l));
        for (int i = 0; i < length; ++i)
          bend[i] += weight * (plus.row[1 + l][i] - minus.row[1 + l][i]);
      }
    }
  }
  return Status::converged;
}

CentredTransform Expansion::at(const Parameters& delta) const {
  return transform(sampling_.motion,
                   parameters(sampling_.motion, centre_) + delta.cwiseQuotient(units_), centre_);
}

Parameters Expansion::from(const CentredTransform& transform) const {
  return difference(sampling_.motion, centre_, transform).cwiseProduct(units_);
}

void Expansion::multiply(int block, const float* const* left, int n_left,
                         double* const* sums) const {
  for (int c = 0; c < n_chunks(); ++c)
    kernels::active().products(left, n_left, chunks_[c][block], chunk_rows(c),
                               sampling_.row_length(), sums[c]);
}

void Expansion::gram(Eigen::MatrixXd* out) const {
  products(n_rows(), [&](int block, int k) { return row(block, k); }, out);
}

Expansion::Weights Expansion::weights(const Parameters& delta) const {
  Weights out = Weights::Zero(n_rows());
  out[0] = 1.0;
  out.segment(1, p_) = delta;
  for (int k = 0; k < p_; ++k)
    for (int l = k; l < p_; ++l) out[second(k, l)] = (k == l ? 0.5 : 1.0) * delta[k] * delta[l];
  return out;
}

Parameters Expansion::through_jacobian(const Parameters& delta, const Weights& products) const {
  Parameters out = products.tail(p_);
  for (int k = 0; k < p_; ++k)
    for (int l = 0; l < p_; ++l) out[k] += delta[l] * products[second(k, l)];
  return out;
}

ParameterMatrix Expansion::through_jacobian(const Parameters& delta,
                                            const Eigen::MatrixXd& products) const {
  ParameterMatrix out(p_, p_);
  Weights half(n_rows());
  for (int k = 0; k < p_; ++k) {
    half = products.col(first(k));
    for (int l = 0; l < p_; ++l) half += delta[l] * products.col(second(k, l));
    out.col(k) = through_jacobian(delta, half);
  }
  return out;
}

}  // namespace holdstill
