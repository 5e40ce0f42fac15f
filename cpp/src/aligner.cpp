#include "holdstill/aligner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "aligner_step.hpp"

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
// Visible shares of the model's energy that earn a quality of 0.95 and of 0.5, relative to what is
// visible where nothing is hidden.
constexpr double kVisible = 2.0 / 3.0, kHidden = 1.0 / 3.0;
// Newton's step is summed anew where a step has not shrunk to this share, down to this many
// canonical pixels.
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
  return std::make_unique<Workspace>(sums_, robust());
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

// Where the outer loop of one frame stands.
struct FrameAligner::Progress {
  CentredTransform current;
  Anderson anderson;
  bool warm;                         // a coarser level has handed on its atoms
  Step step = {};                    // at `current`
  Parameters tau = {};               // of `current`
  CentredTransform plain = current;  // where the step alone leads to
  // Canonical pixels: of the step alone, since the last look at the whole dictionary, and above
  // which a step has Newton's redone.
  double plain_move = std::numeric_limits<double>::infinity(), moved = 0.0, stale_above = 0.0;
};

// What an iteration looks at.
struct FrameAligner::Look {
  bool cold;      // the frame's first, from nothing
  bool last;      // the cap's; certified all the same
  bool over_all;  // solves over all atoms, else over the candidates
  bool review;    // takes the correlations of all atoms
  const std::vector<int>* atoms;
};

FrameAligner::Look FrameAligner::choose_look(const Progress& at, const FrameAlignment& found,
                                             const Workspace& work) const {
  Look look;
  look.cold = found.iterations == 0 && !at.warm;
  look.last = found.iterations + 1 == options_.max_iterations;
  look.over_all = always_all() || look.cold;
  // A weighted look costs the correlations only: what enters, enters the next iteration.
  look.review =
      look.over_all ||
      (robust() && (look.last || at.moved > kReviewMotion || found.iterations < kRobustReviews ||
                    at.step.widening > 1.0 || at_rest(at, found, kReviewStep)));
  look.atoms = look.over_all ? &work.all : &work.candidates;
  return look;
}

bool FrameAligner::at_rest(const Progress& at, const FrameAlignment& found, double factor) const {
  return found.step <= factor * options_.tolerance ||
         at.plain_move <= factor * options_.pixel_tolerance;
}

// What is known of the frame at a solution.
void FrameAligner::report(const Look& look, const Step& step, const FrameSums::Workspace& sums,
                          FrameAlignment* out) const {
  out->step = step.delta.norm();
  out->residual = step.weighted ? std::sqrt(sums.squared_residual) : step.summary.residual;
  out->misfit = step.weighted ? sums.misfit : step.summary.residual;
  out->visible = step.weighted ? sums.visible : 1.0;
  out->objective = step.summary.objective;
  if (!look.review) return;
  out->gap = step.summary.gap;
  out->worst_gap = std::max(out->worst_gap, out->gap / out->objective);
}

// Whether an idle atom should have entered.
bool FrameAligner::atom_missing(const Workspace& work) const {
  const double bound = options_.mu * (1.0 + (robust() ? kRobustSlack : kSlack));
  for (int i = 0; i < sums_.n_atoms(); ++i)
    if (work.x_all[i] == 0.0 && std::abs(work.sums.gradient[i]) > bound) return true;
  return false;
}

// The certificate over all atoms of a solve over the candidates alone, where it may be the last or
// where others may have come into play. False where that is not asked for.
bool FrameAligner::certify(const Look& look, Progress* at, Workspace* work,
                           FrameAlignment* out) const {
  if (robust() || look.review) return false;
  if (!look.last && at->moved <= kReviewMotion && !at_rest(*at, *out, 1.0)) return false;
  correlate_all(at->current, work, &at->step);
  out->gap = at->step.summary.gap;
  // Where an atom is missing the solve was not one over all atoms: it goes on.
  if (!atom_missing(*work)) out->worst_gap = std::max(out->worst_gap, out->gap / out->objective);
  return true;
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

// Where to go from a step that is not the last: equations.md §3, "Acceleration".
CentredTransform FrameAligner::advance(const Look& look, int iterations, Workspace* work,
                                       Progress* at) const {
  // Newton's pays where many digits are asked for.
  const bool newtonian = !robust() && options_.mu > 0.0 && options_.acceleration > 0 &&
                         options_.pixel_tolerance == 0.0 && sums_.has_curvature();
  CentredTransform next = at->plain;
  if (at->plain_move < Anderson::kBegin && iterations <= kAcceleratedIterations) {
    // Once as a rule: near the end the Hessian hardly changes.
    if (newtonian && at->plain_move > at->stale_above)
      at->anderson.precondition(newton(at->current, *look.atoms, work, at->step));
    at->stale_above = std::max(kStale * at->plain_move, kSettled);
    next =
        transform(sums_.sampling().motion, at->anderson.next(at->tau, at->step.delta), at->current);
  } else {
    at->anderson.forget();
    at->stale_above = 0.0;
  }
  if (options_.loss != Loss::geman_mcclure) return next;
  const double typical = at->step.summary.residual / std::sqrt(region().n_pixels());
  at->step.widening = std::max(1.0, look.cold ? kWidest * typical / final_scale(options_.kappa)
                                              : at->step.widening / kNarrowing);
  if (at->step.widening > 1.0) at->anderson.forget();
  // The plain fit is the first model; what it says of the motion is the occluder's, too.
  return look.cold ? at->current : next;
}

Status FrameAligner::iterate(const FrameView& frame, const Eigen::Matrix3d& initial,
                             const Eigen::Matrix3d& lowpass_from, const Level& level,
                             Workspace* work, FrameAlignment* out) const {
  if (!all_finite(frame, &work->row)) return Status::unreadable;
  const Sampling& sampling = sums_.sampling();
  const auto start = invertible(initial, region().shape()),
             filter_at = invertible(lowpass_from, region().shape());
  if (!start || !filter_at) return Status::singular;
  work->patch.choose_filter(frame, sampling.feature, sampling.sigma, *filter_at, level.octaves);

  const Parameters units = pixels_per_unit(sampling.motion, region(), *start);
  Progress at{*start, Anderson(options_.acceleration, units),
              level.coarser && !robust() && !always_all()};
  Step& step = at.step;
  if (at.warm) {
    work->x_all = level.coarser->x_all;
    work->candidates = level.coarser->candidates;
  }
  while (out->iterations < options_.max_iterations) {
    if (!cover(frame, region(), at.current, &work->patch)) return Status::collapsed;
    const Look look = choose_look(at, *out, *work);
    step.weighted = robust() && !look.cold;
    const bool full_rank = linearize(at.current, *look.atoms, look.review, work, &step);
    out->outside = static_cast<double>(work->sums.outside) / region().n_pixels();
    if (out->outside > options_.limits.outside) return Status::out_of_frame;
    if (!full_rank) return Status::singular;

    solve(*look.atoms, work, &step);
    ++out->iterations;
    if (robust() && !(step.model_norm > 0.0)) return Status::singular;
    at.tau = parameters(sampling.motion, at.current);
    at.plain = transform(sampling.motion, at.tau + step.delta, at.current);
    at.plain_move = corner_motion(region(), at.current, at.plain);
    report(look, step, work->sums, out);

    const bool looked = certify(look, &at, work, out) || look.review;
    // The first step of a robust alignment is the plain loss's: where that ends, this one may not.
    const bool own_loss = step.weighted == robust() && step.widening == 1.0;
    const bool arrived =
        looked && at_rest(at, *out, 1.0) && own_loss && (look.over_all || !atom_missing(*work));
    const CentredTransform next = arrived ? at.plain : advance(look, out->iterations, work, &at);
    if (!plausible(*start, next, options_.limits)) return Status::collapsed;
    at.moved = looked ? 0.0 : at.moved + corner_motion(region(), at.current, next);
    at.current = next;
    out->frame_from_canonical = matrix(next, region().shape());
    if (looked) choose_candidates(look.over_all ? work->l1.gradient : work->sums.gradient, work);
    if (arrived) return Status::converged;
  }
  return Status::max_iterations;
}

}  // namespace holdstill
