// Coarse to fine: a search on octaves of the canonical frame, each starting where the coarser one
// ended. It changes where the search on the finest level starts, not where that ends.
#pragma once

#include <memory>
#include <vector>

#include "holdstill/aligner.hpp"
#include "holdstill/search.hpp"

namespace holdstill {

// frame_from_canonical for a canonical frame whose pixels are 2^level wide; pixel 0 stays.
inline Eigen::Matrix3d at_level(Eigen::Matrix3d frame_from_canonical, int level) {
  frame_from_canonical.leftCols<2>() *= static_cast<double>(1 << level);
  return frame_from_canonical;
}
inline Eigen::Matrix3d from_level(Eigen::Matrix3d frame_from_canonical, int level) {
  frame_from_canonical.leftCols<2>() /= static_cast<double>(1 << level);
  return frame_from_canonical;
}

// The driver: solve(level, initial) aligns on one level, 0 the finest, and returns what a
// FrameAlignment has, too, with that level's transform. A coarse level that fails is skipped.
template <typename Solve>
auto coarse_to_fine(int n_levels, Eigen::Matrix3d initial, Solve&& solve) {
  int evaluations = 0;
  for (int level = n_levels - 1; level > 0; --level) {
    const auto coarse = solve(level, at_level(initial, level));
    evaluations += coarse.evaluations;
    if (coarse.status == Status::unreadable) break;  // so will be the finest, with the same words
    if (coarse.status == Status::converged)
      initial = from_level(coarse.frame_from_canonical, level);
  }
  auto finest = solve(0, initial);
  finest.evaluations += evaluations;
  return finest;
}

// A dictionary's aligners by level, finest first, and the search on the coarsest for frames whose
// given start leads nowhere.
class PyramidAligner {
 public:
  explicit PyramidAligner(std::vector<FrameAligner> levels,
                          std::unique_ptr<Search> search = nullptr)
      : levels_(std::move(levels)), search_(std::move(search)) {}

  struct Workspace {
    std::vector<std::unique_ptr<FrameAligner::Workspace>> levels;
    Search::Workspace search;
    std::vector<double> coefficients;
    std::vector<float> weights;  // of the pixels at the end returned; robust losses only
    FrameAligner::Workspace& finest() { return *levels.front(); }
  };
  std::unique_ptr<Workspace> make_workspace() const;

  const FrameAligner& finest() const { return levels_.front(); }

  // As FrameAligner::align. Thread-safe, one workspace per thread.
  FrameAlignment align(const FrameView& frame, const Eigen::Matrix3d& initial, Workspace* work,
                       double* coefficients) const;

 private:
  // From a start on some level down to the finest; the low-pass is `initial`'s throughout.
  FrameAlignment descend(const FrameView& frame, const Eigen::Matrix3d& start, int n_levels,
                         const Eigen::Matrix3d& initial, Workspace* work,
                         double* coefficients) const;

  // A later descent's end, in place of the best so far.
  static void keep(const FrameAlignment& found, Workspace* work, FrameAlignment* best,
                   double* coefficients);

  std::vector<FrameAligner> levels_;
  std::unique_ptr<Search> search_;
};

}  // namespace holdstill
