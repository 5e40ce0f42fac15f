#include "holdstill/aligner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "holdstill/anderson.hpp"

namespace holdstill {
namespace {

using SmallMatrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, kMaxParameters, kMaxParameters>;

// Atoms kept in play between two looks at the whole dictionary: the support and the runners-up.
constexpr int kRunnersUp = 3;
// The whole dictionary is looked at again once a corner has moved this far, in canonical pixels,
constexpr double kReviewMotion = 1.0;
// and, where it is done in one pass with the linearisation, when the next step is likely the last
// (steps shrink by 0.2 to 0.4).
constexpr double kReviewStep = 4.0;
// Under a robust loss the weights move the products, too: the first iterations look at all atoms.
constexpr int kRobustReviews = 4;
// An idle atom's correlation may pass its bound by this share: the weights lag by one iteration.
constexpr double kRobustSlack = 1e-3;
// The same where they do not lag, for rounding.
constexpr double kSlack = 1e-5;
// Huber's solution is near enough to go on from once steps are below this many canonical pixels.
constexpr double kRedescendBelow = 0.1;
// Visible shares that earn a quality of 0.95 and of 0.5.
constexpr double kVisible = 0.9, kHidden = 0.35;
// Steps are accelerated once they are below this many canonical pixels,
constexpr double kAccelerateBelow = 1.0;
// and no longer than this: where the map has kinks the acceleration may circle for ever.
constexpr int kAcceleratedIterations = 60;

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

// Canonical pixels by which the region's corners move per unit of each parameter, root mean square.
Parameters pixels_per_unit(MotionModel motion, const Region& region,
                           const CentredTransform& transform) {
  Parameters squares = Parameters::Zero(n_parameters(motion));
  for (const Eigen::Vector2d& corner : region.corners())
    squares += warp_jacobian(motion, transform, corner).colwise().squaredNorm().transpose();
  return (squares / (4.0 * std::abs(transform.linear.determinant()))).cwiseSqrt();
}

// Log-odds fall linearly with the logarithm of the misfit, through 0.95 and 0.5.
double quality(const FrameAlignment& found, const AlignerOptions& options) {
  if (!(options.poor_misfit > options.typical_misfit && options.typical_misfit > 0.0))
    return std::numeric_limits<double>::quiet_NaN();
  if (found.status != Status::converged && found.status != Status::max_iterations) return 0.0;
  const double power = std::log(19.0) / std::log(options.poor_misfit / options.typical_misfit);
  const double by_misfit = 1.0 / (1.0 + std::pow(found.misfit / options.poor_misfit, power));
  if (options.loss == Loss::l2) return by_misfit;
  // Weights make the misfit of a wrong place small, too: what they hide must not be nearly all.
  const double odds = std::log(19.0) * (found.visible - kHidden) / (kVisible - kHidden);
  return std::min(by_misfit, 1.0 / (1.0 + std::exp(-odds)));
}

// Singular values of the linear motion since the start: their ratio, large where it is squeezed.
double stretch(const CentredTransform& start, const CentredTransform& now) {
  const Eigen::Matrix2d motion = start.linear.inverse() * now.linear;
  const double squares = motion.squaredNorm(), area = 2.0 * std::abs(motion.determinant());
  const double sum = std::sqrt(squares + area),
               difference = std::sqrt(std::max(squares - area, 0.0));
  return (sum + difference) / (sum - difference);
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
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(atoms.cast<double>());
  qr.setThreshold(1e-10);  // what is left of a dependent float32 atom is rounding, not a direction
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
  bool weighted = false;      // by the last residual
  bool redescending = false;  // and by Geman and McClure's weights
  double energy = 1.0;        // v^T P v
  SmallMatrix r;              // J = Q R
  Parameters v_q;             // Q^T v
  Parameters delta;           // the solution's step
  L1Summary summary;
};

FrameAligner::Workspace::Workspace(const FrameSums& sums_of, bool robust)
    : sums(sums_of, robust),
      l1(sums_of.n_atoms(), n_parameters(sums_of.sampling().motion)),
      n(sums_of.n_atoms(), n_parameters(sums_of.sampling().motion)),
      beta(sums_of.n_atoms()),
      x(sums_of.n_atoms()),
      x_all(sums_of.n_atoms()),
      all(sums_of.n_atoms()) {
  std::iota(all.begin(), all.end(), 0);
  candidates.reserve(all.size());
  ranking.reserve(all.size());
}

FrameAligner::FrameAligner(const Eigen::Ref<const Eigen::MatrixXf>& atoms, Region region,
                           const Sampling& sampling, const AlignerOptions& options)
    : FrameAligner(options.mu == 0.0 ? orthonormal(atoms) : Basis{atoms, {}}, std::move(region),
                   sampling, options) {}

FrameAligner::FrameAligner(Basis basis, Region region, const Sampling& sampling,
                           const AlignerOptions& options)
    : sums_(basis.columns, std::move(region), sampling),
      options_(options),
      coefficients_(std::move(basis.coefficients)),
      solver_(gram_of(basis.columns), l1_options(options)) {}

std::unique_ptr<FrameAligner::Workspace> FrameAligner::make_workspace() const {
  return std::make_unique<Workspace>(sums_, options_.loss != Loss::l2);
}

// equations.md §0 and §3: products of v and J with themselves and with the candidates, weighted by
// W or not, then J = Q R, N = A^T Q, beta = A^T P v. False where J has no full rank.
bool FrameAligner::linearize(const CentredTransform& transform, const std::vector<int>& candidates,
                             bool review, Workspace* work, Step* step) const {
  const Sampling& sampling = sums_.sampling();
  const int n_rows = sampling.n_rows(), n_candidates = static_cast<int>(candidates.size());
  if (step->weighted) {
    const Loss loss = step->redescending                     ? Loss::geman_mcclure
                      : options_.loss == Loss::geman_mcclure ? Loss::huber
                                                             : options_.loss;
    sums_.weighted(work->patch, transform, candidates,
                   {loss, options_.kappa, 1.0 / step->norm, work->x_all, review}, &work->sums);
  } else {
    sums_.plain(work->patch, transform, candidates, &work->sums);
  }

  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<const Eigen::VectorXd> first(work->sums.first.data(), n_rows);
  Eigen::Map<const RowMajor> self(work->sums.self.data(), n_rows, n_rows);
  Eigen::Map<const RowMajor> with_atoms(work->sums.with_atoms.data(), n_candidates, n_rows);
  step->norm = std::sqrt(first[0]);
  if (!(step->norm > 0.0) || !std::isfinite(step->norm)) return false;

  // J = (J_w - v u^T) / |w|, u = J_w^T v, J_w = (entry columns) T
  const double inverse = 1.0 / step->norm;
  const EntryJacobian chain = column_chain(work->patch, sampling, transform);
  const int e = n_rows - 1;
  const Parameters u = chain.transpose() * first.tail(e) * inverse;
  const Parameters jw_v = chain.transpose() * self.row(0).tail(e).transpose() * inverse;
  const double v_v = self(0, 0) * (inverse * inverse);
  SmallMatrix entries = self.bottomRightCorner(e, e);
  entries.triangularView<Eigen::StrictlyLower>() = entries.transpose();
  SmallMatrix gram = chain.transpose() * entries * chain;
  gram -= jw_v * u.transpose() + u * (jw_v - v_v * u).transpose();
  gram *= inverse * inverse;

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

  auto n = work->n.topRows(n_candidates);
  auto beta = work->beta.head(n_candidates);
  beta = with_atoms.col(0) * inverse;
  n.noalias() = inverse * (with_atoms.rightCols(e) * chain);
  n.noalias() -= inverse * (beta * u.transpose());
  step->r.triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(n);
  // J^T v = 0 for a vector of unit norm, unless it is weighted.
  step->v_q = Parameters::Zero(u.size());
  step->energy = 1.0;
  if (step->weighted) {
    step->v_q = (jw_v - v_v * u) * inverse;
    step->r.triangularView<Eigen::Upper>().transpose().solveInPlace(step->v_q);
    beta.noalias() -= n * step->v_q;
    step->energy = v_v - step->v_q.squaredNorm();
  }
  return true;
}

// The linearised problem, equations.md §3, then the step R^-1 Q^T (A x - v).
void FrameAligner::solve(const std::vector<int>& candidates, bool cold, Workspace* work,
                         Step* step) const {
  const Eigen::Index n_candidates = static_cast<Eigen::Index>(candidates.size());
  const L1Products products = {&candidates, work->n.topRows(n_candidates),
                               work->beta.head(n_candidates), step->energy,
                               step->weighted ? &work->sums.gram : nullptr};
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
  step->delta -= step->v_q;
  step->r.triangularView<Eigen::Upper>().solveInPlace(step->delta);
}

// After a look at all atoms: the support and the atoms next to enter it.
void FrameAligner::choose_candidates(const Eigen::VectorXd& gradient, Workspace* work) const {
  auto& ranking = work->ranking;
  ranking = work->all;
  const auto rank = [&](int i) {
    return work->x_all[i] != 0.0 ? std::numeric_limits<double>::infinity() : std::abs(gradient[i]);
  };
  // What should enter is kept, too.
  const auto wanted =
      std::count_if(ranking.begin(), ranking.end(), [&](int i) { return rank(i) > options_.mu; });
  const auto kept = std::min<std::ptrdiff_t>(wanted + kRunnersUp, sums_.n_atoms());
  std::partial_sort(ranking.begin(), ranking.begin() + kept, ranking.end(),
                    [&](int i, int j) { return rank(i) != rank(j) ? rank(i) > rank(j) : i < j; });
  work->candidates.assign(ranking.begin(), ranking.begin() + kept);
}

// Algorithm 1: linearise, solve, update, until the step falls to the tolerance.
FrameAlignment FrameAligner::align(const FrameView& frame, const Eigen::Matrix3d& initial,
                                   const Eigen::Matrix3d& lowpass_from, const Workspace* coarser,
                                   Workspace* work, double* coefficients) const {
  FrameAlignment out;
  out.frame_from_canonical = initial;
  work->x_all.setZero();
  out.status = iterate(frame, initial, lowpass_from, coarser, work, &out);
  out.evaluations = out.iterations;
  out.quality = quality(out, options_);
  out.n_atoms = static_cast<int>((work->x_all.array() != 0.0).count());
  if (!coefficients) return out;
  Eigen::Map<Eigen::VectorXd> by_atom(coefficients, n_coefficients());
  if (coefficients_.size())
    by_atom.noalias() = coefficients_ * work->x_all;
  else
    by_atom = work->x_all;
  return out;
}

// The certificate of a solve over the candidates alone: correlations of all atoms with its residual
// v + J d - A x, hence the duality gap over all of them.
void FrameAligner::correlate_all(const CentredTransform& transform, Workspace* work,
                                 Step* step) const {
  const EntryJacobian chain = column_chain(work->patch, sums_.sampling(), transform);
  const int n_rows = sums_.sampling().n_rows();
  const Eigen::Map<const Eigen::VectorXd> first(work->sums.first.data(), n_rows);
  // J d = (J_w d - v u^T d) / |w|
  const double inverse = 1.0 / step->norm;
  Eigen::Matrix<double, 1 + kernels::kMaxColumns, 1> factors;
  factors.segment(1, n_rows - 1) = inverse * (chain * step->delta);
  factors[0] =
      inverse * (1.0 - inverse * first.tail(n_rows - 1).dot(factors.segment(1, n_rows - 1)));
  sums_.correlations(work->patch, transform, factors.data(), work->x_all, &work->sums);
  // The candidates' are known better, from their products.
  for (std::size_t i = 0; i < work->candidates.size(); ++i)
    work->sums.gradient[work->candidates[i]] = work->l1.gradient[static_cast<Eigen::Index>(i)];
  solver_.certify_all(work->sums.gradient, &step->summary);
}

// Whether an idle atom should have entered.
bool FrameAligner::atom_missing(bool robust, const Workspace& work) const {
  const double bound = options_.mu * (1.0 + (robust ? kRobustSlack : kSlack));
  for (int i = 0; i < sums_.n_atoms(); ++i)
    if (work.x_all[i] == 0.0 && std::abs(work.sums.gradient[i]) > bound) return true;
  return false;
}

Status FrameAligner::iterate(const FrameView& frame, const Eigen::Matrix3d& initial,
                             const Eigen::Matrix3d& lowpass_from, const Workspace* coarser,
                             Workspace* work, FrameAlignment* out) const {
  if (!all_finite(frame, &work->row)) return Status::unreadable;
  const Region& region = sums_.region();
  const Sampling& sampling = sums_.sampling();
  const Shape& shape = region.shape();
  const std::optional<CentredTransform> start = centred(initial, shape);
  const std::optional<CentredTransform> filter_at = centred(lowpass_from, shape);
  for (const auto& one : {start, filter_at})
    if (!one || !(std::abs(one->linear.determinant()) > 1e-12)) return Status::singular;
  CentredTransform current = *start;
  work->patch.choose_filter(frame, sampling.feature, sampling.sigma, *filter_at);

  Step step;
  Anderson anderson(options_.acceleration, pixels_per_unit(sampling.motion, region, current));
  double moved = 0.0;  // since the last look at the whole dictionary, canonical pixels
  double plain_move = std::numeric_limits<double>::infinity();  // of the last step
  const auto within = [&](double factor) {
    return out->step <= factor * options_.tolerance ||
           plain_move <= factor * options_.pixel_tolerance;
  };
  const bool robust = options_.loss != Loss::l2;
  const bool always_all = options_.verify || options_.mu == 0.0;
  const bool warm = coarser && !robust && !always_all;
  if (warm) {
    work->x_all = coarser->x_all;
    work->candidates = coarser->candidates;
  }
  for (out->iterations = 0; out->iterations < options_.max_iterations;) {
    if (!cover(frame, region, current, &work->patch)) return Status::collapsed;
    const bool cold = out->iterations == 0 && !warm;
    const bool last = out->iterations + 1 == options_.max_iterations;  // certified all the same
    // Whether this iteration looks at the whole dictionary.
    const bool review = always_all || cold ||
                        (robust && (last || moved > kReviewMotion ||
                                    out->iterations < kRobustReviews || within(kReviewStep)));
    // A weighted look costs the correlations only: what enters, enters the next iteration.
    const bool over_all = review && (always_all || cold || !robust);
    const std::vector<int>& candidates = over_all ? work->all : work->candidates;
    step.weighted = robust && !cold;
    const bool full_rank = linearize(current, candidates, review, work, &step);
    out->outside = static_cast<double>(work->sums.outside) / region.n_pixels();
    if (out->outside > options_.max_outside) return Status::out_of_frame;
    if (!full_rank) return Status::singular;

    solve(candidates, cold, work, &step);
    ++out->iterations;
    const Parameters tau = parameters(sampling.motion, current);
    const CentredTransform plain = transform(sampling.motion, tau + step.delta, current);
    out->step = step.delta.norm();
    out->residual = step.weighted ? std::sqrt(work->sums.squared_residual) : step.summary.residual;
    out->misfit = step.weighted ? work->sums.misfit : step.summary.residual;
    out->visible = step.weighted ? work->sums.visible : 1.0;
    out->objective = step.summary.objective;
    if (review) {
      out->gap = step.summary.gap;
      out->worst_gap = std::max(out->worst_gap, step.summary.gap / step.summary.objective);
    }
    plain_move = corner_motion(region, current, plain);
    const bool certify = !robust && !review && (last || moved > kReviewMotion || within(1.0));
    if (certify) {
      correlate_all(current, work, &step);
      out->gap = step.summary.gap;
      // Where an atom is missing the solve was not one over all atoms: it goes on.
      if (!atom_missing(robust, *work))
        out->worst_gap = std::max(out->worst_gap, out->gap / out->objective);
    }
    const bool looked = review || certify;
    // The first step of a robust alignment is the plain loss's: where that ends, this one may not.
    const bool last_weights = step.redescending == (options_.loss == Loss::geman_mcclure);
    const bool arrived = looked && within(1.0) && step.weighted == robust && last_weights &&
                         (over_all || !atom_missing(robust, *work));
    CentredTransform next = plain;
    if (!arrived) {
      if (plain_move < kAccelerateBelow && out->iterations <= kAcceleratedIterations)
        next = transform(sampling.motion, anderson.next(tau, step.delta), current);
      else
        anderson.forget();
    }
    if (step.weighted && !last_weights && plain_move < kRedescendBelow) {
      step.redescending = true;
      anderson.forget();
    }
    // Negative where the transform folded over; a start that mirrors may stay mirrored.
    const double area = next.linear.determinant() / start->linear.determinant();
    const double largest = options_.max_scale_change * options_.max_scale_change;
    if (!(area < largest && area > 1.0 / largest)) return Status::collapsed;
    if (!(stretch(*start, next) < options_.max_stretch)) return Status::collapsed;
    moved = looked ? 0.0 : moved + corner_motion(region, current, next);
    current = next;
    out->frame_from_canonical = matrix(current, shape);
    if (looked) choose_candidates(over_all ? work->l1.gradient : work->sums.gradient, work);
    if (arrived) return Status::converged;
  }
  return Status::max_iterations;
}

}  // namespace holdstill
