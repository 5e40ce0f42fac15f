#include "holdstill/aligner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "holdstill/normal_equations.hpp"

namespace holdstill {
namespace {

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
// Geman and McClure's scale starts at this many root mean squares of the plain residual, where the
// cost is nearly square, and narrows by this factor from one iteration to the next.
constexpr double kWidest = 4.0, kNarrowing = 1.3;
// Bounds of a frame's squared norm without what hides it, relative to that with it: a face cannot
// be nearly all shadow.
constexpr double kLeastNorm = 0.09, kLargestNorm = 4.0;
// Under a bounded loss the model must not fade below this norm: a flat occluder is best explained
// by no face at all.
constexpr double kLeastModel = 0.8;
// Visible shares of the model's energy that earn a quality of 0.95 and of 0.5, relative to what is
// visible where nothing is hidden.
constexpr double kVisible = 2.0 / 3.0, kHidden = 1.0 / 3.0;
// Newton's step is taken where plain ones would contract at least by this: elsewhere the Hessian is
// nearly singular or not a minimum's.
constexpr double kMaxContraction = 0.95;
// It is summed anew where a step has not shrunk to this share, down to this many canonical pixels.
constexpr double kStale = 0.5, kSettled = 0.02;
// Steps are accelerated no longer than this: where the map has kinks that may circle for ever.
constexpr int kAcceleratedIterations = 60;

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

// Log-odds fall linearly with the logarithm of the misfit, through 0.95 and 0.5.
double quality(const FrameAlignment& found, const AlignerOptions& options) {
  if (!(options.poor_misfit > options.typical_misfit && options.typical_misfit > 0.0))
    return std::numeric_limits<double>::quiet_NaN();
  if (found.status != Status::converged && found.status != Status::max_iterations) return 0.0;
  const double power = std::log(19.0) / std::log(options.poor_misfit / options.typical_misfit);
  const double by_misfit = 1.0 / (1.0 + std::pow(found.misfit / options.poor_misfit, power));
  if (options.loss == Loss::l2) return by_misfit;
  // Weights make the misfit of a wrong place small, too: what they hide must not be nearly all.
  const double visible = found.visible / options.typical_visible;
  const double odds = std::log(19.0) * (visible - kHidden) / (kVisible - kHidden);
  return std::min(by_misfit, 1.0 / (1.0 + std::exp(-odds)));
}

// Squared norm that the value would have were nothing hidden: as much more than what is seen of it
// as the model has beside what is seen of that. Bounded where next to nothing is seen.
double whole(const FrameSums::Workspace& sums) {
  return std::clamp(sums.self[0] / sums.visible, kLeastNorm * sums.first[0],
                    kLargestNorm * sums.first[0]);
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
  double norm = 0.0;        // of the value; under a bounded loss, were nothing hidden
  double model_norm = 1.0;  // || A x ||
  bool weighted = false;    // by the last residual
  double widening = 1.0;    // of Geman and McClure's scale
  double energy = 1.0;      // v^T W^(1/2) P W^(1/2) v
  ParameterMatrix r;        // J = Q R
  Parameters v_q;           // Q^T W^(1/2) v
  Parameters delta;         // the solution's step
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
    const double least = options_.loss == Loss::geman_mcclure ? kLeastModel : 0.0;
    sums_.weighted(work->patch, transform, candidates,
                   {options_.loss, options_.kappa, step->widening, 1.0 / step->norm,
                    std::max(1.0, least / step->model_norm), work->x_all, review},
                   &work->sums);
  } else {
    sums_.plain(work->patch, transform, candidates, &work->sums);
  }

  Eigen::Map<const RowMajor> self(work->sums.self.data(), n_rows, n_rows);
  Eigen::Map<const RowMajor> with_atoms(work->sums.with_atoms.data(), n_candidates, n_rows);
  Eigen::Map<const Eigen::VectorXd> first(work->sums.first.data(), n_rows);
  const bool seen_only = step->weighted && options_.loss == Loss::geman_mcclure;
  step->norm = std::sqrt(seen_only ? whole(work->sums) : first[0]);
  if (!(self(0, 0) > 0.0) || !std::isfinite(step->norm)) return false;

  // J = (J_w - v u^T) / |w|, J_w = (entry columns) T; u keeps the norm of v, or of what is seen.
  const double inverse = 1.0 / step->norm;
  const EntryJacobian chain = column_chain(work->patch, sampling, transform);
  const int e = n_rows - 1;
  const double v_v = self(0, 0) * (inverse * inverse);
  const Parameters jw_v = chain.transpose() * self.row(0).tail(e).transpose() * inverse;
  const Parameters u =
      seen_only ? Parameters(jw_v / v_v) : Parameters(chain.transpose() * first.tail(e) * inverse);
  ParameterMatrix gram = gram_of_jacobian(work->sums.self.data(), chain);
  gram -= jw_v * u.transpose() + u * (jw_v - v_v * u).transpose();
  gram *= inverse * inverse;

  ScaledCholesky cholesky;
  if (!cholesky.compute(gram)) return false;
  step->r = cholesky.r();

  auto n = work->n.topRows(n_candidates);
  auto beta = work->beta.head(n_candidates);
  beta = with_atoms.col(0) * inverse;
  n.noalias() = inverse * (with_atoms.rightCols(e) * chain);
  n.noalias() -= inverse * (beta * u.transpose());
  step->r.triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(n);
  // J^T W v = 0, unless all of a weighted v keeps its norm.
  step->v_q = Parameters::Zero(u.size());
  step->energy = step->weighted ? v_v : 1.0;
  if (step->weighted && !seen_only) {
    step->v_q = (jw_v - v_v * u) * inverse;
    step->r.triangularView<Eigen::Upper>().transpose().solveInPlace(step->v_q);
    beta.noalias() -= n * step->v_q;
    step->energy -= step->v_q.squaredNorm();
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
                                   const Eigen::Matrix3d& lowpass_from, const Level& level,
                                   Workspace* work, double* coefficients) const {
  FrameAlignment out;
  out.frame_from_canonical = initial;
  work->x_all.setZero();
  out.status = iterate(frame, initial, lowpass_from, level, work, &out);
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

// Newton's step from Gauss and Newton's: (I + H^-1 S)^-1, H = J^T P_A J what the support leaves of
// J^T J, S the residual's sum with second derivatives (equations.md §3). The eigenvalues of -H^-1 S
// are the rates at which plain steps contract.
ParameterMatrix FrameAligner::newton(const CentredTransform& transform,
                                     const std::vector<int>& candidates, Workspace* work,
                                     const Step& step) const {
  const Eigen::Index p = step.r.rows();
  const auto n_candidates = static_cast<Eigen::Index>(candidates.size());
  const EntryJacobian chain = column_chain(work->patch, sums_.sampling(), transform);
  // e.v = v.v - v.A x, and the residual's part across v: e - (e.v) v.
  const double along = step.summary.along;
  const FrameSums::Curvature curvature =
      sums_.curvature(work->patch, transform, (1.0 - along) / step.norm, work->x_all, &work->sums);
  const Eigen::Index e = chain.rows();
  ParameterMatrix s =
      (1.0 / step.norm) * (chain.transpose() * curvature.hessian.bottomRightCorner(e, e) * chain);
  s -= along * (step.r.transpose() * step.r);
  // H^-1 = R^-1 K R^-T
  ParameterMatrix k(p, p);
  const L1Products products = {&candidates, work->n.topRows(n_candidates),
                               work->beta.head(n_candidates), step.energy};
  solver_.response(products, &work->l1, &k);
  k.diagonal().array() += 1.0;
  const Eigen::LLT<ParameterMatrix> llt(k);  // K = C C^T
  ParameterMatrix c = llt.matrixL();
  step.r.triangularView<Eigen::Upper>().solveInPlace(c);  // H^-1 = (R^-1 C) (R^-1 C)^T
  ParameterMatrix whitened = c.transpose() * s * c;
  whitened.diagonal().array() += curvature.steeper - 1.0;
  const Eigen::SelfAdjointEigenSolver<ParameterMatrix> eigen(whitened);
  // No minimum near, or hardly one: plain steps know better.
  if (eigen.eigenvalues()[0] < -kMaxContraction) return ParameterMatrix::Identity(p, p);
  const Parameters factors = (1.0 + eigen.eigenvalues().array()).inverse();
  ParameterMatrix inverse = step.r;
  llt.matrixL().solveInPlace(inverse);
  const ParameterMatrix& vectors = eigen.eigenvectors();
  return c * vectors * factors.asDiagonal() * vectors.transpose() * inverse;
}

// Whether an idle atom should have entered.
bool FrameAligner::atom_missing(bool robust, const Workspace& work) const {
  const double bound = options_.mu * (1.0 + (robust ? kRobustSlack : kSlack));
  for (int i = 0; i < sums_.n_atoms(); ++i)
    if (work.x_all[i] == 0.0 && std::abs(work.sums.gradient[i]) > bound) return true;
  return false;
}

Status FrameAligner::iterate(const FrameView& frame, const Eigen::Matrix3d& initial,
                             const Eigen::Matrix3d& lowpass_from, const Level& level,
                             Workspace* work, FrameAlignment* out) const {
  if (!all_finite(frame, &work->row)) return Status::unreadable;
  const Region& region = sums_.region();
  const Sampling& sampling = sums_.sampling();
  const Shape& shape = region.shape();
  const std::optional<CentredTransform> start = invertible(initial, shape);
  const std::optional<CentredTransform> filter_at = invertible(lowpass_from, shape);
  if (!start || !filter_at) return Status::singular;
  CentredTransform current = *start;
  work->patch.choose_filter(frame, sampling.feature, sampling.sigma, *filter_at, level.octaves);

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
  // Pays where many digits are asked for. Without a penalty there is no support to speak of.
  const bool newtonian = !robust && options_.mu > 0.0 && options_.acceleration > 0 &&
                         options_.pixel_tolerance == 0.0 && sums_.has_curvature();
  double stale_above = 0.0;  // canonical pixels: where a step says that Newton's is to be redone
  const bool warm = level.coarser && !robust && !always_all;
  if (warm) {
    work->x_all = level.coarser->x_all;
    work->candidates = level.coarser->candidates;
  }
  for (out->iterations = 0; out->iterations < options_.max_iterations;) {
    if (!cover(frame, region, current, &work->patch)) return Status::collapsed;
    const bool cold = out->iterations == 0 && !warm;
    const bool last = out->iterations + 1 == options_.max_iterations;  // certified all the same
    // Whether this iteration looks at the whole dictionary.
    const bool review =
        always_all || cold ||
        (robust && (last || moved > kReviewMotion || out->iterations < kRobustReviews ||
                    step.widening > 1.0 || within(kReviewStep)));
    // A weighted look costs the correlations only: what enters, enters the next iteration.
    const bool over_all = review && (always_all || cold || !robust);
    const std::vector<int>& candidates = over_all ? work->all : work->candidates;
    step.weighted = robust && !cold;
    const bool full_rank = linearize(current, candidates, review, work, &step);
    out->outside = static_cast<double>(work->sums.outside) / region.n_pixels();
    if (out->outside > options_.limits.outside) return Status::out_of_frame;
    if (!full_rank) return Status::singular;

    solve(candidates, cold, work, &step);
    ++out->iterations;
    if (robust) {
      work->x.noalias() = solver_.gram() * work->x_all;
      step.model_norm = std::sqrt(work->x_all.dot(work->x));
      if (!(step.model_norm > 0.0)) return Status::singular;
    }
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
    const bool last_weights = step.widening == 1.0;
    const bool arrived = looked && within(1.0) && step.weighted == robust && last_weights &&
                         (over_all || !atom_missing(robust, *work));
    CentredTransform next = plain;
    if (!arrived) {
      if (plain_move < Anderson::kBegin && out->iterations <= kAcceleratedIterations) {
        // Once as a rule: near the end the Hessian hardly changes.
        if (newtonian && plain_move > stale_above)
          anderson.precondition(newton(current, candidates, work, step));
        stale_above = std::max(kStale * plain_move, kSettled);
        next = transform(sampling.motion, anderson.next(tau, step.delta), current);
      } else {
        anderson.forget();
        stale_above = 0.0;
      }
    }
    if (options_.loss == Loss::geman_mcclure) {
      const double typical = step.summary.residual / std::sqrt(region.n_pixels());
      step.widening = std::max(
          1.0, cold ? kWidest * typical / final_scale(options_.kappa) : step.widening / kNarrowing);
      if (step.widening > 1.0) anderson.forget();
      // The plain fit is the first model; what it says of the motion is the occluder's, too.
      if (cold) next = current;
    }
    if (!plausible(*start, next, options_.limits)) return Status::collapsed;
    moved = looked ? 0.0 : moved + corner_motion(region, current, next);
    current = next;
    out->frame_from_canonical = matrix(current, shape);
    if (looked) choose_candidates(over_all ? work->l1.gradient : work->sums.gradient, work);
    if (arrived) return Status::converged;
  }
  return Status::max_iterations;
}

}  // namespace holdstill
