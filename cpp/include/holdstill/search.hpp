// Where to start when the given start leads nowhere: a coarse look around it.
#pragma once

#include <vector>

#include "holdstill/linearize.hpp"

namespace holdstill {

// How far the true transform may be from the given one, in the canonical frame.
struct SearchRange {
  double shift = 0.33;        // either way, share of the canonical width
  double rotation = 0.8;      // either way, radians
  double scale = 1.6;         // either way, factor
  double shift_step = 0.055;  // within the basin of an octave's aligner
  double rotation_step = 0.27;
  double scale_step = 1.265;
};

// Scores transforms on a coarse octave by what the dictionary's main components leave unexplained.
class Search {
 public:
  static constexpr int kKept = 6;
  // atoms: m x r of the octave. kept: transforms returned, best first.
  Search(const Eigen::Ref<const Eigen::MatrixXf>& atoms, const Region& region,
         const Sampling& sampling, const SearchRange& range = {}, int kept = kKept);

  struct Scored {
    Eigen::Matrix3d frame_from_canonical;
    double unexplained;  // || v - B B^T v ||^2, v of unit norm
  };
  struct Workspace {
    Patch patch;
    std::vector<Scored> scored;
    std::vector<const float*> rows;
    std::vector<double> sums;
  };
  Workspace make_workspace() const;

  // Transforms of the octave's canonical frame, near `initial`, that are worth starting from: each
  // better than its neighbours. In work->scored. Empty where the frame shows nothing.
  void find(const FrameView& frame, const Eigen::Matrix3d& initial, Workspace* work) const;

 private:
  double unexplained(const CentredTransform& transform, Workspace* work) const;

  Region region_;
  Sampling sampling_;
  int kept_, n_components_;
  std::vector<float> components_;         // [block][component][plane x pixel]
  std::vector<Eigen::Matrix3d> offsets_;  // of the canonical frame, in centred coordinates
};

}  // namespace holdstill
