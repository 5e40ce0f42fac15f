#include "holdstill/coarse_to_fine.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

namespace holdstill {
namespace {

constexpr double kGood = 0.5;    // quality
constexpr double kAlike = 0.05;  // qualities nearer than this say the same
constexpr std::size_t kFollowed = 2;

// Whether the given start has led somewhere; without a yardstick, convergence must do.
bool good(const FrameAlignment& found) {
  return found.status == Status::converged && !(found.quality < kGood);
}

// Whether an end that the search led to takes the place of the one there is, which is not good.
// That may only have failed to settle, so coming to rest counts between alike qualities alone.
bool better(const FrameAlignment& found, const FrameAlignment& best) {
  if (std::isnan(found.quality) || std::isnan(best.quality)) return good(found);
  return found.quality > best.quality || (good(found) && found.quality > best.quality - kAlike);
}

}  // namespace

std::unique_ptr<PyramidAligner::Workspace> PyramidAligner::make_workspace() const {
  auto work = std::make_unique<Workspace>();
  for (const FrameAligner& level : levels_) work->levels.push_back(level.make_workspace());
  if (search_) work->search = search_->make_workspace();
  work->coefficients.resize(finest().n_coefficients());
  return work;
}

FrameAlignment PyramidAligner::descend(const FrameView& frame, const Eigen::Matrix3d& start,
                                       int n_levels, const Eigen::Matrix3d& initial,
                                       Workspace* work, double* coefficients) const {
  int followed = -1;  // the last level that came to rest
  return coarse_to_fine(n_levels, start, [&](int level, const Eigen::Matrix3d& from) {
    FrameAligner::Level given;
    if (followed == level + 1) given.coarser = work->levels[level + 1].get();
    if (level > 0) given.octaves = &work->octaves;
    const FrameAlignment found =
        levels_[level].align(frame, from, at_level(initial, level), given,
                             work->levels[level].get(), level == 0 ? coefficients : nullptr);
    if (found.status == Status::converged) followed = level;
    return found;
  });
}

void PyramidAligner::keep(const FrameAlignment& found, Workspace* work, FrameAlignment* best,
                          double* coefficients) {
  *best = found;
  if (coefficients) std::copy(work->coefficients.begin(), work->coefficients.end(), coefficients);
  work->weights = work->finest().sums.weights;
}

FrameAlignment PyramidAligner::align(const FrameView& frame, const Eigen::Matrix3d& initial,
                                     Workspace* work, double* coefficients) const {
  const int n_levels = static_cast<int>(levels_.size()), coarsest = n_levels - 1;
  work->octaves.reset(frame);
  FrameAlignment best = descend(frame, initial, n_levels, initial, work, coefficients);
  work->weights = work->finest().sums.weights;
  // On coarse levels what hides reaches further; the start itself may lie nearer than where they
  // led.
  if (finest().options().loss != Loss::l2 && n_levels > 1 && !good(best)) {
    const FrameAlignment found =
        descend(frame, initial, 1, initial, work, work->coefficients.data());
    const int evaluations = best.evaluations + found.evaluations;
    if (found.quality > best.quality || good(found)) keep(found, work, &best, coefficients);
    best.evaluations = evaluations;
  }
  if (!search_ || good(best) || best.status == Status::unreadable) return best;

  // The starts are brought to rest on the coarsest level, where that is cheap; the best of them are
  // followed down until one leads somewhere.
  search_->find(frame, at_level(initial, coarsest), &work->search);
  const Shape& shape = finest().region().shape();
  const std::optional<CentredTransform> given = invertible(initial, shape);
  const auto near = [&](const FrameAlignment& found) {
    const auto end = invertible(found.frame_from_canonical, shape);
    return given && end && plausible(*given, *end, finest().options().limits);
  };
  auto& starts = work->search.scored;
  int evaluations = best.evaluations;
  for (Search::Scored& start : starts) {
    const FrameAlignment rest = levels_[coarsest].align(frame, start.frame_from_canonical,
                                                        work->levels[coarsest].get(), nullptr);
    evaluations += rest.iterations;
    const bool arrived = rest.status == Status::converged || rest.status == Status::max_iterations;
    start = {rest.frame_from_canonical, arrived ? rest.misfit : 2.0};
  }
  std::sort(starts.begin(), starts.end(),
            [](const auto& a, const auto& b) { return a.unexplained < b.unexplained; });
  if (starts.size() > kFollowed) starts.resize(kFollowed);
  for (const Search::Scored& scored : starts) {
    const Eigen::Matrix3d start = from_level(scored.frame_from_canonical, coarsest);
    const FrameAlignment found =
        descend(frame, start, std::max(coarsest, 1), start, work, work->coefficients.data());
    evaluations += found.evaluations;
    if (!better(found, best) || !near(found)) continue;
    keep(found, work, &best, coefficients);
    if (good(found)) break;
  }
  best.evaluations = evaluations;
  return best;
}

}  // namespace holdstill
