#include "holdstill/frame_sums.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace holdstill {
namespace {

// Where l1 turns quadratic, as a share of kappa.
constexpr double kL1Threshold = 0.05;
// Geman and McClure's scale, in kappa: four standard deviations where kappa is 1.345 of them.
constexpr double kRedescendingScale = 4.0 / 1.345;

// Entry (i, j) of L moves a sample by m_j along i, m = (a, b, 1): column 2 i + j, or 4 + i for the
// translation.
Eigen::Matrix<double, 6, 6> hessian_by_entries(const kernels::Curvature& sums, bool edges) {
  constexpr int monomial[3][3] = {{3, 4, 1}, {4, 5, 2}, {1, 2, 0}}, linear[3] = {1, 2, 0};
  const auto column = [](int i, int j) { return j < 2 ? 2 * i + j : 4 + i; };
  Eigen::Matrix<double, 6, 6> hessian;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k)
        for (int l = 0; l < 3; ++l) {
          double sum = sums.second[i + k][monomial[j][l]];
          if (edges && j < 2) sum += sums.mixed[j][i + k][linear[l]];
          if (edges && l < 2) sum += sums.mixed[l][i + k][linear[j]];
          hessian(column(i, j), column(k, l)) = sum;
        }
  return hessian;
}

}  // namespace

Loss loss_from_name(const std::string& name) {
  if (name == "l2") return Loss::l2;
  if (name == "huber") return Loss::huber;
  if (name == "l1") return Loss::l1;
  if (name == "geman-mcclure") return Loss::geman_mcclure;
  throw std::invalid_argument("loss: expected l2, huber, l1 or geman-mcclure, got '" + name + "'");
}

double final_scale(double kappa) { return kRedescendingScale * kappa; }

double largest_weight(Loss loss) { return loss == Loss::l1 ? 1.0 / kL1Threshold : 1.0; }

FrameSums::Workspace::Workspace(const FrameSums& sums, bool robust) {
  const std::size_t n_atoms = sums.n_atoms(), n_rows = sums.sampling().n_rows();
  first.resize(n_rows);
  self.resize(n_rows * n_rows);
  with_atoms.resize(n_atoms * n_rows);
  rows.resize(n_atoms);
  gradient.resize(n_atoms);
  coefficients.resize(n_atoms);
  support.reserve(n_atoms);
  all.resize(n_atoms);
  std::iota(all.begin(), all.end(), 0);
  if (!robust) return;
  gram.resize(n_atoms, n_atoms);
  gram_sums.resize(n_atoms * n_atoms);
  weights.resize(static_cast<std::size_t>(sums.region().n_blocks()) * kernels::kBlock);
}

FrameSums::FrameSums(const Eigen::Ref<const Eigen::MatrixXf>& atoms, Region region,
                     const Sampling& sampling)
    : region_(std::move(region)),
      sampling_(sampling),
      n_atoms_(static_cast<int>(atoms.cols())),
      row_length_(sampling.row_length()),
      atoms_(pack_columns(atoms, region_, sampling)) {}

const float* const* FrameSums::atoms_of(int block, const std::vector<int>& which,
                                        Workspace* work) const {
  for (std::size_t i = 0; i < which.size(); ++i) work->rows[i] = atom(block, which[i]);
  return work->rows.data();
}

void FrameSums::plain(const Patch& patch, const CentredTransform& transform,
                      const std::vector<int>& candidates, Workspace* work) const {
  const kernels::Table& kernel = kernels::active();
  const int n_rows = sampling_.n_rows(), n_candidates = static_cast<int>(candidates.size());
  std::fill(work->self.begin(), work->self.end(), 0.0);
  std::fill_n(work->with_atoms.begin(), static_cast<std::size_t>(n_candidates) * n_rows, 0.0);
  work->outside = for_each_block(
      patch, region_, sampling_, transform, [&](int block, const kernels::Columns& columns) {
        kernel.self_products(columns, n_rows, row_length_, work->self.data());
        kernel.products(atoms_of(block, candidates, work), n_candidates, columns, n_rows,
                        row_length_, work->with_atoms.data());
      });
  std::copy_n(work->self.begin(), n_rows, work->first.begin());
}

void FrameSums::choose_support(const Eigen::VectorXd& x, double scale, Workspace* work) const {
  work->support.clear();
  for (int i = 0; i < n_atoms_; ++i) {
    if (x[i] == 0.0) continue;
    work->coefficients[work->support.size()] = static_cast<float>(x[i] * scale);
    work->support.push_back(i);
  }
}

void FrameSums::correlations(const Patch& patch, const CentredTransform& transform,
                             const double* factors, const Eigen::VectorXd& x,
                             Workspace* work) const {
  const kernels::Table& kernel = kernels::active();
  const int n_rows = sampling_.n_rows();
  choose_support(x, 1.0, work);
  float along[kernels::kMaxColumns];
  for (int k = 1; k < n_rows; ++k) along[k - 1] = static_cast<float>(-factors[k]);
  work->gradient.setZero();
  alignas(64) float moved[kernels::kMaxPlanes * kernels::kBlock],
      residual[kernels::kMaxPlanes * kernels::kBlock];
  for_each_block(patch, region_, sampling_, transform,
                 [&](int block, const kernels::Columns& columns) {
                   const float* derivatives[kernels::kMaxColumns];
                   for (int k = 1; k < n_rows; ++k) derivatives[k - 1] = columns.row[k];
                   kernel.residual(columns.row[0], static_cast<float>(factors[0]), derivatives,
                                   along, n_rows - 1, row_length_, moved);
                   kernel.residual(moved, 1.0f, atoms_of(block, work->support, work),
                                   work->coefficients.data(),
                                   static_cast<int>(work->support.size()), row_length_, residual);
                   kernel.dots(atoms_of(block, work->all, work), n_atoms_, residual, row_length_,
                               work->gradient.data());
                 });
}

FrameSums::Curvature FrameSums::curvature(const Patch& patch, const CentredTransform& transform,
                                          double factor, const Eigen::VectorXd& x,
                                          Workspace* work) const {
  const kernels::Table& kernel = kernels::active();
  const int planes = n_planes(sampling_.feature);
  choose_support(x, 1.0, work);
  kernels::Curvature sums = {};
  BlockSampler at(patch, region_, sampling_, transform, 0);
  alignas(64) float residual[kernels::kMaxPlanes * kernels::kBlock];
  for (int block = 0; block < region_.n_blocks(); ++block) {
    at.sample(block);
    kernel.residual(at.columns.row[0], static_cast<float>(factor),
                    atoms_of(block, work->support, work), work->coefficients.data(),
                    static_cast<int>(work->support.size()), row_length_, residual);
    if (region_.soft()) kernel.scale_row(region_.roots(block), planes, residual, residual);
    kernel.curvature(at.texels, at.projection, region_.a(block), region_.b(block),
                     region_.block_size(block), at.inside, at.samples, residual, &sums);
  }
  return {hessian_by_entries(sums, planes == 2),
          sums.sampled > 0.0 ? sums.own / sums.sampled : 1.0};
}

// A block's part of the weighted sums: its columns by the roots of the weights for their own
// products, by the weights for those with atoms.
void FrameSums::add_weighted(int block, const float* weights, const std::vector<int>& candidates,
                             kernels::Columns* columns, Workspace* work) const {
  const kernels::Table& kernel = kernels::active();
  const int planes = n_planes(sampling_.feature), n_rows = sampling_.n_rows(),
            n_candidates = static_cast<int>(candidates.size());
  alignas(64) float roots[kernels::kBlock], scaled[kernels::kMaxPlanes * kernels::kBlock];
  for (int i = 0; i < kernels::kBlock; ++i) roots[i] = std::sqrt(weights[i]);
  kernel.scale_columns(roots, planes, n_rows, columns);
  kernel.self_products(*columns, n_rows, row_length_, work->self.data());
  kernel.scale_columns(roots, planes, n_rows, columns);
  const float* const* rows = atoms_of(block, candidates, work);
  kernel.products(rows, n_candidates, *columns, n_rows, row_length_, work->with_atoms.data());
  for (int i = 0; i < n_candidates; ++i) {
    kernel.scale_row(weights, planes, rows[i], scaled);
    kernel.dots(rows, i + 1, scaled, row_length_,
                work->gram_sums.data() + static_cast<std::size_t>(i) * n_candidates);
  }
}

void FrameSums::weighted(const Patch& patch, const CentredTransform& transform,
                         const std::vector<int>& candidates, const Weighting& weighting,
                         Workspace* work) const {
  const kernels::Table& kernel = kernels::active();
  const int planes = n_planes(sampling_.feature), n_rows = sampling_.n_rows(),
            n_candidates = static_cast<int>(candidates.size());
  const bool review = weighting.review, bounded = weighting.loss == Loss::geman_mcclure;
  const float scale = static_cast<float>(weighting.scale),
              slope = static_cast<float>(weighting.kappa),
              threshold =
                  weighting.loss == Loss::l1 ? static_cast<float>(kL1Threshold) * slope : slope,
              redescending = static_cast<float>(final_scale(weighting.kappa) * weighting.widening),
              excess = static_cast<float>(1.0 - 1.0 / weighting.model_scale);
  choose_support(weighting.x, weighting.model_scale, work);
  const auto& support = work->support;
  std::fill(work->self.begin(), work->self.end(), 0.0);
  std::fill_n(work->with_atoms.begin(), static_cast<std::size_t>(n_candidates) * n_rows, 0.0);
  std::fill_n(work->gram_sums.begin(), static_cast<std::size_t>(n_candidates) * n_candidates, 0.0);
  if (review) work->gradient.setZero();
  std::fill(work->first.begin(), work->first.end(), 0.0);
  work->squared_residual = 0.0;
  double whole = 0.0, visible = 0.0, trusted_residual = 0.0, trusted_value = 0.0;

  alignas(64) float residual[kernels::kMaxPlanes * kernels::kBlock],
      model[kernels::kMaxPlanes * kernels::kBlock], scaled[kernels::kMaxPlanes * kernels::kBlock];
  const float* const model_row = model;
  work->outside = for_each_block(
      patch, region_, sampling_, transform, [&](int block, kernels::Columns& columns) {
        float* weights = work->weights.data() + static_cast<std::size_t>(block) * kernels::kBlock;
        const float* value = columns.row[0];
        kernel.products(&value, 1, columns, n_rows, row_length_, work->first.data());
        work->squared_residual +=
            kernel.residual(value, scale, atoms_of(block, support, work), work->coefficients.data(),
                            static_cast<int>(support.size()), row_length_, residual);
        const auto seen_of = [&](const float* row) {
          const float* factor = scaled;
          double sum = 0.0;
          kernel.scale_row(weights, planes, row, scaled);
          kernel.dots(&factor, 1, row, row_length_, &sum);
          return sum;
        };
        // What the verdict is made of is asked for at the end only, and every end is a review.
        if (review || bounded) {
          kernel.redescending_weights(residual, planes, redescending, weights);
          // The model is what the value is without the residual.
          for (int i = 0; i < row_length_; ++i) model[i] = scale * value[i] - residual[i];
          kernel.dots(&model_row, 1, model, row_length_, &whole);
          visible += seen_of(model);
        }
        if (review) {
          trusted_residual += seen_of(residual);
          trusted_value += seen_of(value);
        }
        if (!bounded) kernel.robust_weights(residual, planes, slope, threshold, weights);
        if (review) {
          // What is solved is that of the model as it is; only the weights look at the brighter.
          for (int i = 0; excess > 0.0f && i < row_length_; ++i) residual[i] += excess * model[i];
          kernel.scale_row(weights, planes, residual, scaled);
          kernel.dots(atoms_of(block, work->all, work), n_atoms_, scaled, row_length_,
                      work->gradient.data());
        }
        add_weighted(block, weights, candidates, &columns, work);
      });
  if (review || bounded) work->visible = whole > 0.0 ? visible / whole : 0.0;
  if (review) work->misfit = std::sqrt(trusted_residual / trusted_value) / scale;
  for (int i = 0; i < n_candidates; ++i)
    for (int j = 0; j <= i; ++j)
      work->gram(i, j) = work->gram(j, i) =
          work->gram_sums[static_cast<std::size_t>(i) * n_candidates + j];
}

}  // namespace holdstill
