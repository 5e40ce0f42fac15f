// One-by-one alignment of a frame against a dictionary of aligned images: Algorithm 1, equations.md
// §3.
//
//   min_{x, tau}  1/2 || v(tau) - A x ||^2 + mu || x ||_1,    v = f(I o tau) / || f(I o tau) ||
#pragma once

#include <limits>
#include <memory>
#include <vector>

#include "holdstill/anderson.hpp"
#include "holdstill/frame_sums.hpp"
#include "holdstill/l1_least_squares.hpp"
#include "holdstill/octaves.hpp"
#include "holdstill/region_motion.hpp"
#include "holdstill/status.hpp"

namespace holdstill {

struct AlignerOptions {
  double mu = 1e-3;              // weight of || x ||_1; 0 is plain least squares
  double tolerance = 1e-6;       // on || step ||_2
  double pixel_tolerance = 0.0;  // enough, too: no corner moves by more canonical pixels than this
  int max_iterations = 300;
  Loss loss = Loss::l2;
  double kappa = 0.0;    // of the robust losses, for residuals of the unit-norm vector
  int acceleration = 4;  // depth of the Anderson acceleration of the outer loop; 0: none
  // Misfits that earn a quality of 0.95 and of 0.5; 0: unknown.
  double typical_misfit = 0.0, poor_misfit = 0.0;
  double typical_visible = 1.0;  // of FrameAlignment::visible, where nothing is hidden
  MotionLimits limits;
  // Solve over all atoms in every iteration, not only where the active set may change. Same fixed
  // point; it certifies every inner solve.
  bool verify = false;
};

struct FrameAlignment {
  Status status = Status::unreadable;
  Eigen::Matrix3d frame_from_canonical = Eigen::Matrix3d::Identity();
  int iterations = 0;
  int evaluations = 0;  // iterations of all levels
  // || v - A x ||_2, v of unit norm; for l2 with the step's part removed
  double residual = 0.0;
  // || e ||_2 relative to || v ||_2; under a robust loss of what is visible, by Geman and McClure's
  // weights.
  double misfit = 0.0;
  // Robust losses: share of the model's energy that is seen, by Geman and McClure's weights; near 1
  // where nothing is hidden. At a wrong place nearly everything is.
  double visible = 1.0;
  double quality = std::numeric_limits<double>::quiet_NaN();  // in [0, 1]; NaN: no yardstick
  double step = 0.0;                                          // last || step ||_2
  double objective = 0.0;
  double gap = 0.0;        // duality gap at the returned point, over all atoms
  double worst_gap = 0.0;  // largest gap / objective of all solves over all atoms
  int n_atoms = 0;         // nonzero coefficients
  double outside = 0.0;    // share of the samples outside the frame
};

class FrameAligner {
 public:
  // atoms: m x r, column-major, unit norm; m as in linearize().
  FrameAligner(const Eigen::Ref<const Eigen::MatrixXf>& atoms, Region region,
               const Sampling& sampling, const AlignerOptions& options);

  // What one thread writes to while it aligns, so that a frame allocates nothing.
  struct Workspace {
    Workspace(const FrameSums& sums, bool robust);

    Patch patch;
    FrameSums::Workspace sums;
    L1Solver::Workspace l1;
    std::vector<float> row;  // of the frame
    Eigen::MatrixXd n;       // A^T Q, rows by candidate
    Eigen::VectorXd beta;    // A^T P v, by candidate
    Eigen::VectorXd x;       // by candidate
    Eigen::VectorXd x_all;   // by atom
    std::vector<int> all, candidates, ranking;
  };
  std::unique_ptr<Workspace> make_workspace() const;

  // Length of the coefficients: the atoms given.
  int n_coefficients() const {
    return coefficients_.size() ? static_cast<int>(coefficients_.rows()) : sums_.n_atoms();
  }
  const AlignerOptions& options() const { return options_; }
  const Region& region() const { return sums_.region(); }

  // Never throws on a bad frame: its status says what is wrong. coefficients: n_coefficients()
  // doubles, or null. Robust losses leave the pixels' weights, in (0, largest_weight(loss)],
  // in work->sums.weights. Thread-safe, one workspace per thread.
  FrameAlignment align(const FrameView& frame, const Eigen::Matrix3d& initial, Workspace* work,
                       double* coefficients) const {
    return align(frame, initial, initial, {}, work, coefficients);
  }
  // One level of several. coarser: what the same atoms' octave has left, to start from its atoms;
  // octaves: of the frame, where a coarse level takes its pixels from. Both may be null.
  struct Level {
    const Workspace* coarser = nullptr;
    Octaves* octaves = nullptr;
  };
  // `lowpass_from` chooses the frame's low-pass, where that is not the initial transform's to do.
  FrameAlignment align(const FrameView& frame, const Eigen::Matrix3d& initial,
                       const Eigen::Matrix3d& lowpass_from, const Level& level, Workspace* work,
                       double* coefficients) const;

 private:
  struct Step;
  struct Progress;
  struct Look;
  struct Basis {
    Eigen::MatrixXf columns;       // what is fitted
    Eigen::MatrixXd coefficients;  // from theirs to the atoms'; empty: the columns are the atoms
  };
  static Basis orthonormal(const Eigen::Ref<const Eigen::MatrixXf>& atoms);
  FrameAligner(Basis basis, Region region, const Sampling& sampling, const AlignerOptions& options);

  bool robust() const { return options_.loss != Loss::l2; }
  // Without a penalty there is no support to speak of.
  bool always_all() const { return options_.verify || options_.mu == 0.0; }

  // One linearisation: src/aligner_step.cpp.
  void sum(const CentredTransform& transform, const std::vector<int>& candidates, bool review,
           Workspace* work, const Step& step) const;
  bool linearize(const CentredTransform& transform, const std::vector<int>& candidates, bool review,
                 Workspace* work, Step* step) const;
  void solve(const std::vector<int>& candidates, Workspace* work, Step* step) const;
  void correlate_all(const CentredTransform& transform, Workspace* work, Step* step) const;
  ParameterMatrix newton(const CentredTransform& transform, const std::vector<int>& candidates,
                         Workspace* work, const Step& step) const;

  // The outer loop: src/aligner.cpp.
  Look choose_look(const Progress& at, const FrameAlignment& found, const Workspace& work) const;
  bool at_rest(const Progress& at, const FrameAlignment& found, double factor) const;
  void report(const Look& look, const Step& step, const FrameSums::Workspace& sums,
              FrameAlignment* out) const;
  bool atom_missing(const Workspace& work) const;
  bool certify(const Look& look, Progress* at, Workspace* work, FrameAlignment* out) const;
  void choose_candidates(const Eigen::VectorXd& gradient, Workspace* work) const;
  CentredTransform advance(const Look& look, int iterations, Workspace* work, Progress* at) const;
  Status iterate(const FrameView& frame, const Eigen::Matrix3d& initial,
                 const Eigen::Matrix3d& lowpass_from, const Level& level, Workspace* work,
                 FrameAlignment* out) const;

  FrameSums sums_;
  AlignerOptions options_;
  Eigen::MatrixXd coefficients_;
  L1Solver solver_;
};

}  // namespace holdstill
