#include "holdstill/coarse_to_fine.hpp"

#include <algorithm>

namespace holdstill {
namespace {

constexpr double kGood = 0.5;  // quality

// Whether the given start has led somewhere; without a yardstick, convergence must do.
bool good(const FrameAlignment& found) {
  return found.status == Status::converged && !(found.quality < kGood);
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
  return coarse_to_fine(n_levels, start, [&](int level, const Eigen::Matrix3d& from) {
    return levels_[level].align(frame, from, at_level(initial, level), work->levels[level].get(),
                                level == 0 ? coefficients : nullptr);
  });
}

FrameAlignment PyramidAligner::align(const FrameView& frame, const Eigen::Matrix3d& initial,
                                     Workspace* work, double* coefficients) const {
  const int n_levels = static_cast<int>(levels_.size()), coarsest = n_levels - 1;
  FrameAlignment best = descend(frame, initial, n_levels, initial, work, coefficients);
  if (!search_ || good(best) || best.status == Status::unreadable) return best;

  // Starts are tried best first, until one leads somewhere; else the best end of all is returned.
  search_->find(frame, at_level(initial, coarsest), &work->search);
  int evaluations = best.evaluations;
  for (const Search::Scored& scored : work->search.scored) {
    const Eigen::Matrix3d start = from_level(scored.frame_from_canonical, coarsest);
    FrameAlignment found =
        descend(frame, start, n_levels, start, work, work->coefficients.data());
    evaluations += found.evaluations;
    if (good(found) || found.quality > best.quality) {
      best = found;
      std::copy(work->coefficients.begin(), work->coefficients.end(), coefficients);
    }
    if (good(found)) break;
  }
  best.evaluations = evaluations;
  return best;
}

}  // namespace holdstill
