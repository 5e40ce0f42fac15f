#include "holdstill/aligner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace holdstill {
namespace {

using SmallMatrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, kMaxParameters, kMaxParameters>;

// Atoms kept in play between two looks at the whole dictionary: the support and the runners-up.
constexpr int kRunnersUp = 6;
// The whole dictionary is looked at again once a corner has moved this far, in canonical pixels,
constexpr double kReviewMotion = 1.0;
// and when the next step is likely the last (steps shrink by 0.2 to 0.4).
constexpr double kReviewStep = 4.0;

bool all_finite(const FrameView& frame, std::vector<float>* row) {
  if (frame.type != PixelType::float32) return true;
  row->resize(frame.width);
  for (int y = 0; y < frame.height; ++y) {
    frame.read_row(y, 0, frame.width, row->data());
    float sum = 0.0f;
    for (const float value : *row) sum += value * 0.0f;  // NaN as soon as one value is not finite
    if (!(sum == 0.0f)) return false;
  }
  return true;
}

std::vector<float> pack(const Eigen::Ref<const Eigen::MatrixXf>& atoms, const Region& region,
                        const Sampling& sampling) {
  const int planes = n_planes(sampling.feature), row_length = sampling.row_length();
  std::vector<float> packed(static_cast<std::size_t>(region.n_blocks()) * atoms.cols() * row_length,
                            0.0f);
  for (int block = 0; block < region.n_blocks(); ++block)
    for (Eigen::Index k = 0; k < atoms.cols(); ++k)
      for (int plane = 0; plane < planes; ++plane) {
        float* row = packed.data() +
                     (static_cast<std::size_t>(block) * atoms.cols() + k) * row_length +
                     plane * kernels::kBlock;
        const Eigen::Index first =
            static_cast<Eigen::Index>(plane) * region.n_pixels() + block * kernels::kBlock;
        std::copy_n(atoms.col(k).data() + first, region.block_size(block), row);
      }
  return packed;
}

Eigen::MatrixXd gram_of(const Eigen::Ref<const Eigen::MatrixXf>& atoms) {
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(atoms.cols(), atoms.cols());
  constexpr Eigen::Index kRows = 4096;  // bounds the float64 copy
  for (Eigen::Index first = 0; first < atoms.rows(); first += kRows) {
    const Eigen::MatrixXd part =
        atoms.middleRows(first, std::min(kRows, atoms.rows() - first)).cast<double>();
    gram.noalias() += part.transpose() * part;
  }
  return gram;
}

L1Options l1_options(const AlignerOptions& options) {
  L1Options l1;
  l1.mu = options.mu;
  return l1;
}

double corner_motion(const Region& region, const CentredTransform& from,
                     const CentredTransform& to) {
  const double scale = std::sqrt(std::abs(from.linear.determinant()));
  double largest = 0.0;
  for (const Eigen::Vector2d& corner : region.corners())
    largest = std::max(largest, (to.apply(corner) - from.apply(corner)).norm());
  return largest / scale;
}

}  // namespace

// For plain least squares only the span of the atoms matters, and nearly dependent atoms would cost
// the solution its digits: A Pi = U R, x = Pi R^-1 y.
FrameAligner::Basis FrameAligner::orthonormal(const Eigen::Ref<const Eigen::MatrixXf>& atoms) {
  const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(atoms.cast<double>());
  const Eigen::Index rank = qr.rank(), r = atoms.cols();
  Basis basis;
  basis.columns = (qr.householderQ() * Eigen::MatrixXd::Identity(atoms.rows(), rank)).cast<float>();
  const Eigen::MatrixXd inverse = qr.matrixR()
                                      .topLeftCorner(rank, rank)
                                      .triangularView<Eigen::Upper>()
                                      .solve(Eigen::MatrixXd::Identity(rank, rank));
  Eigen::MatrixXd padded = Eigen::MatrixXd::Zero(r, rank);
  padded.topRows(rank) = inverse;
  basis.coefficients = qr.colsPermutation() * padded;
  return basis;
}

// One linearisation: products of the unit-norm vector and its Jacobian.
struct FrameAligner::Step {
  double norm = 0.0;
  int outside = 0;
  SmallMatrix r;     // J = Q R
  Parameters delta;  // the solution's step
  L1Summary summary;
};

FrameAligner::Workspace::Workspace(int n_atoms, int n_rows, int n_parameters)
    : l1(n_atoms, n_parameters),
      atom_products(static_cast<std::size_t>(n_atoms) * n_rows),
      self_products(static_cast<std::size_t>(n_rows) * n_rows),
      n(n_atoms, n_parameters),
      beta(n_atoms),
      x(n_atoms),
      x_all(n_atoms),
      all(n_atoms) {
  std::iota(all.begin(), all.end(), 0);
  candidates.reserve(n_atoms);
  ranking.reserve(n_atoms);
  rows.resize(n_atoms);
}

FrameAligner::FrameAligner(const Eigen::Ref<const Eigen::MatrixXf>& atoms, Region region,
                           const Sampling& sampling, const AlignerOptions& options)
    : FrameAligner(options.mu == 0.0 ? orthonormal(atoms) : Basis{atoms, {}}, std::move(region),
                   sampling, options) {}

FrameAligner::FrameAligner(Basis basis, Region region, const Sampling& sampling,
                           const AlignerOptions& options)
    : region_(std::move(region)),
      sampling_(sampling),
      options_(options),
      n_atoms_(static_cast<int>(basis.columns.cols())),
      row_length_(sampling.row_length()),
      atoms_(pack(basis.columns, region_, sampling)),
      coefficients_(std::move(basis.coefficients)),
      solver_(gram_of(basis.columns), l1_options(options)) {}

std::unique_ptr<FrameAligner::Workspace> FrameAligner::make_workspace() const {
  return std::make_unique<Workspace>(n_atoms_, sampling_.n_rows(), n_parameters(sampling_.motion));
}

// equations.md §0 and §3: products of v and J with themselves and with the candidates, then
// J = Q R, N = A^T Q, beta = A^T P v. False where J has no full rank.
bool FrameAligner::linearize(const CentredTransform& transform, const std::vector<int>& candidates,
                             Workspace* work, Step* step) const {
  const kernels::Table& kernel = kernels::active();
  const int n_rows = sampling_.n_rows(), n_candidates = static_cast<int>(candidates.size());
  std::fill(work->self_products.begin(), work->self_products.end(), 0.0);
  std::fill_n(work->atom_products.begin(), static_cast<std::size_t>(n_candidates) * n_rows, 0.0);
  step->outside = for_each_block(
      work->patch, region_, sampling_, transform, [&](int block, const kernels::Columns& columns) {
        kernel.self_products(columns, n_rows, row_length_, work->self_products.data());
        for (int i = 0; i < n_candidates; ++i) work->rows[i] = atom(block, candidates[i]);
        kernel.products(work->rows.data(), n_candidates, columns, n_rows, row_length_,
                        work->atom_products.data());
      });

  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<const RowMajor> self(work->self_products.data(), n_rows, n_rows);
  Eigen::Map<const RowMajor> with_atoms(work->atom_products.data(), n_candidates, n_rows);
  step->norm = std::sqrt(self(0, 0));
  if (!(step->norm > 0.0) || !std::isfinite(step->norm)) return false;

  // J = (J_w - v v^T J_w) / |w|, J_w = (entry columns) T
  const double inverse = 1.0 / step->norm;
  const EntryJacobian chain = column_chain(work->patch, sampling_, transform);
  const int e = n_rows - 1;
  const Parameters v_j = chain.transpose() * self.row(0).tail(e).transpose() * (inverse * inverse);
  SmallMatrix entries = self.bottomRightCorner(e, e);
  entries.triangularView<Eigen::StrictlyLower>() = entries.transpose();
  SmallMatrix gram = chain.transpose() * entries * chain * (inverse * inverse);
  gram -= v_j * v_j.transpose();

  // Cholesky of the column-scaled Gram matrix gives R.
  Parameters scale(gram.rows());
  for (Eigen::Index k = 0; k < gram.rows(); ++k) {
    if (!(gram(k, k) > 0.0)) return false;
    scale[k] = std::sqrt(gram(k, k));
  }
  for (Eigen::Index k = 0; k < gram.rows(); ++k)
    for (Eigen::Index j = 0; j < gram.rows(); ++j) gram(j, k) /= scale[j] * scale[k];
  const Eigen::LLT<SmallMatrix> llt(gram);
  if (llt.info() != Eigen::Success || llt.matrixLLT().diagonal().minCoeff() < 1e-5) return false;
  step->r = SmallMatrix(llt.matrixU()) * scale.asDiagonal();

  // J^T v = 0 for a vector of unit norm, so P v = v: beta = A^T v and v^T P v = 1.
  auto n = work->n.topRows(n_candidates);
  auto beta = work->beta.head(n_candidates);
  beta = with_atoms.col(0) * inverse;
  n.noalias() = inverse * (with_atoms.rightCols(e) * chain);
  n.noalias() -= beta * v_j.transpose();
  step->r.triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(n);
  return true;
}

// The linearised problem, equations.md §3, then the step R^-1 Q^T A x.
void FrameAligner::solve(const std::vector<int>& candidates, bool cold, Workspace* work,
                         Step* step) const {
  const Eigen::Index n_candidates = static_cast<Eigen::Index>(candidates.size());
  const L1Products products = {&candidates, work->n.topRows(n_candidates),
                               work->beta.head(n_candidates), 1.0};
  auto x = work->x.head(n_candidates);
  if (options_.mu == 0.0) {
    step->summary = solver_.least_squares(products, x, &work->l1);
  } else {
    if (cold) {
      solver_.split_bregman(products, &work->l1);
      x = work->l1.d;
    } else {
      for (Eigen::Index i = 0; i < n_candidates; ++i) x[i] = work->x_all[candidates[i]];
    }
    step->summary = solver_.solve(products, x, &work->l1);
  }
  work->x_all.setZero();
  for (Eigen::Index i = 0; i < n_candidates; ++i) work->x_all[candidates[i]] = x[i];
  step->delta.noalias() = products.n.transpose() * x;
  step->r.triangularView<Eigen::Upper>().solveInPlace(step->delta);
}

// After a solve over all atoms: the support and the atoms next to enter it.
void FrameAligner::choose_candidates(Workspace* work) const {
  auto& ranking = work->ranking;
  ranking = work->all;
  const auto rank = [&](int i) {
    return work->x_all[i] != 0.0 ? std::numeric_limits<double>::infinity()
                                 : std::abs(work->l1.gradient[i]);
  };
  const auto support =
      std::count_if(ranking.begin(), ranking.end(), [&](int i) { return work->x_all[i] != 0.0; });
  const auto kept = std::min<std::ptrdiff_t>(support + kRunnersUp, n_atoms_);
  std::partial_sort(ranking.begin(), ranking.begin() + kept, ranking.end(),
                    [&](int i, int j) { return rank(i) != rank(j) ? rank(i) > rank(j) : i < j; });
  work->candidates.assign(ranking.begin(), ranking.begin() + kept);
}

// Algorithm 1: linearise, solve, update, until the step falls to the tolerance.
FrameAlignment FrameAligner::align(const FrameView& frame, const Eigen::Matrix3d& initial,
                                   Workspace* work, double* coefficients) const {
  FrameAlignment out;
  out.frame_from_canonical = initial;
  work->x_all.setZero();
  out.status = iterate(frame, initial, work, &out);
  out.n_atoms = static_cast<int>((work->x_all.array() != 0.0).count());
  Eigen::Map<Eigen::VectorXd> by_atom(coefficients, n_coefficients());
  if (coefficients_.size())
    by_atom.noalias() = coefficients_ * work->x_all;
  else
    by_atom = work->x_all;
  return out;
}

Status FrameAligner::iterate(const FrameView& frame, const Eigen::Matrix3d& initial,
                             Workspace* work, FrameAlignment* out) const {
  if (!all_finite(frame, &work->row)) return Status::unreadable;
  const Shape& shape = region_.shape();
  const std::optional<CentredTransform> start = centred(initial, shape);
  if (!start || !(std::abs(start->linear.determinant()) > 1e-12)) return Status::singular;
  CentredTransform current = *start;
  work->patch.choose_filter(frame, sampling_.feature, sampling_.sigma, current);

  Step step;
  double moved = 0.0;
  const bool always_all = options_.verify || options_.mu == 0.0;
  for (out->iterations = 0; out->iterations < options_.max_iterations;) {
    if (!cover(frame, region_, current, &work->patch)) return Status::collapsed;
    const bool cold = out->iterations == 0;
    const bool last = out->iterations + 1 == options_.max_iterations;  // certified all the same
    const bool over_all = always_all || cold || last || moved > kReviewMotion ||
                          out->step <= kReviewStep * options_.tolerance;
    const std::vector<int>& candidates = over_all ? work->all : work->candidates;
    const bool full_rank = linearize(current, candidates, work, &step);
    out->outside = static_cast<double>(step.outside) / region_.n_pixels();
    if (out->outside > options_.max_outside) return Status::out_of_frame;
    if (!full_rank) return Status::singular;

    solve(candidates, cold, work, &step);
    ++out->iterations;
    const CentredTransform next =
        transform(sampling_.motion, parameters(sampling_.motion, current) + step.delta, current);
    out->step = step.delta.norm();
    out->residual = step.summary.residual;
    out->objective = step.summary.objective;
    if (over_all) {
      out->gap = step.summary.gap;
      out->worst_gap = std::max(out->worst_gap, step.summary.gap / step.summary.objective);
    }
    // Negative where the transform folded over; a start that mirrors may stay mirrored.
    const double area = next.linear.determinant() / start->linear.determinant();
    const double largest = options_.max_scale_change * options_.max_scale_change;
    if (!(area < largest && area > 1.0 / largest)) return Status::collapsed;
    moved = over_all ? 0.0 : moved + corner_motion(region_, current, next);
    current = next;
    out->frame_from_canonical = matrix(current, shape);
    if (!over_all) continue;
    if (out->step <= options_.tolerance) return Status::converged;
    choose_candidates(work);
  }
  return Status::max_iterations;
}

}  // namespace holdstill
