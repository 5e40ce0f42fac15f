// Every template at once: d is quadratic in v and linear in what v and t share, so that within an
// expansion of v each template is left with a polynomial of the motion's few parameters.
#include <cmath>

#include "holdstill/registration.hpp"

namespace holdstill {
namespace {

// Canonical pixels: templates closer to each other share an expansion, and one that comes to rest
// so near to its centre is done.
constexpr double kShared = 0.7, kTrusted = 0.5;
// How far a template may go within one expansion.
constexpr double kLeash = 1.5;
constexpr int kRounds = 8, kMaxSteps = 30;

CentredTransform mean_of(MotionModel motion, const std::vector<CentredTransform>& all,
                         const std::vector<int>& members) {
  const CentredTransform& first = all[members.front()];
  Parameters mean = Parameters::Zero(n_parameters(motion));
  for (const int t : members) mean += difference(motion, first, all[t]);
  mean /= static_cast<double>(members.size());
  return transform(motion, parameters(motion, first) + mean, first);
}

}  // namespace

// With the rows R of an expansion and their weights q(delta), v = R q:
//   d = q^T A q - 2 b^T q + t^T P t,   A = R^T P R,   b = R^T P t
struct SubspaceRegistrar::Quartics {
  Eigen::MatrixXd gram, seen, along;  // R^T R; Phi^T R; t^T R, row by row
  Eigen::MatrixXd a, b;               // b row by row

  // Gauss-Newton steps with J(delta) from `delta`, which is not finite where they lead nowhere.
  void descend(const Expansion& expansion, int i, double tolerance, Parameters* delta) const;
};

void SubspaceRegistrar::Quartics::descend(const Expansion& expansion, int i, double tolerance,
                                          Parameters* delta) const {
  double length = std::numeric_limits<double>::infinity();
  Expansion::Weights off(a.rows());
  for (int step = 0; step < kMaxSteps && length > tolerance; ++step) {
    off.noalias() = a * expansion.weights(*delta);
    off -= b.row(i).transpose();
    const Parameters before = *delta;
    const Eigen::LDLT<ParameterMatrix> hessian(expansion.through_jacobian(before, a));
    *delta -= hessian.solve(expansion.through_jacobian(before, off));
    const double furthest = delta->cwiseAbs().maxCoeff();
    if (!std::isfinite(furthest)) return;
    if (furthest > kLeash) *delta *= kLeash / furthest;
    length = (*delta - before).norm();
  }
}

void SubspaceRegistrar::expand_distance(const Expansion& expansion, const std::vector<int>& which,
                                        Quartics* out) const {
  const int n = static_cast<int>(which.size());
  expansion.gram(&out->gram);
  expansion.products(n_components_, [&](int block, int i) { return column(block, i); }, &out->seen);
  expansion.products(
      n, [&](int block, int i) { return column(block, n_components_ + which[i]); }, &out->along);
  const Eigen::MatrixXd weighted = inside_.asDiagonal() * out->seen;
  out->a = outside_ * out->gram;
  out->a.noalias() += out->seen.transpose() * weighted;
  out->b = outside_ * out->along;
  for (int i = 0; i < n; ++i)
    out->b.row(i).noalias() += seen_templates_.col(which[i]).transpose() * weighted;
}

int SubspaceRegistrar::descend_all(const FrameView& frame, const Eigen::Matrix3d& initial,
                                   const Eigen::Matrix3d& lowpass_from, Workspace* work,
                                   FrameRegistration* found) const {
  CentredTransform start;
  const Status readable = prepare(frame, initial, lowpass_from, work, &start);
  std::vector<int> open(n_templates_);
  for (int t = 0; t < n_templates_; ++t) {
    open[t] = t;
    found[t] = FrameRegistration();
    found[t].frame_from_canonical = initial;
    found[t].status = readable == Status::converged ? Status::max_iterations : readable;
  }
  if (readable != Status::converged) return 0;
  const MotionModel motion = sampling_.motion;
  std::vector<CentredTransform> ends(n_templates_, start);
  if (!work->expansion) work->expansion = std::make_unique<Expansion>(region_, sampling_);
  Expansion& expansion = *work->expansion;
  Quartics quartics;
  int expansions = 0;
  const auto advance = [&](int t, int i) {
    FrameRegistration& out = found[t];
    Parameters delta = expansion.from(ends[t]);
    ++out.iterations;
    quartics.descend(expansion, i, 0.3 * options_.tolerance, &delta);
    if (!delta.allFinite()) return Status::singular;
    const CentredTransform next = expansion.at(delta);
    if (!plausible(start, next, options_.limits)) return Status::collapsed;
    out.step = corner_motion(region_, ends[t], next);
    ends[t] = next;
    out.frame_from_canonical = matrix(next, region_.shape());
    const Expansion::Weights q = expansion.weights(delta);
    work->y = quartics.seen * q - seen_templates_.col(t);
    score(q.dot(quartics.gram * q) - 2.0 * quartics.along.row(i).dot(q) + squared_templates_[t],
          work->y, &out);
    return corner_motion(region_, expansion.centre(), next) <= kTrusted ? Status::converged
                                                                        : Status::max_iterations;
  };
  std::vector<int> members, rest, remaining;
  for (int round = 0; round < kRounds && !open.empty(); ++round) {
    remaining.clear();
    while (!open.empty()) {
      members.clear(), rest.clear();
      for (const int t : open)
        (corner_motion(region_, ends[open.front()], ends[t]) <= kShared ? members : rest)
            .push_back(t);
      open.swap(rest);
      ++expansions;
      const Status status = expansion.expand(frame, mean_of(motion, ends, members),
                                             options_.limits.outside, &work->patch);
      if (status == Status::converged) expand_distance(expansion, members, &quartics);
      for (std::size_t i = 0; i < members.size(); ++i) {
        const int t = members[i];
        found[t].status = status == Status::converged ? advance(t, static_cast<int>(i)) : status;
        if (found[t].status == Status::max_iterations) remaining.push_back(t);
      }
    }
    open.swap(remaining);
  }
  return expansions * expansion.n_samplings();
}

}  // namespace holdstill
