// Registration of a frame to a subspace of aligned images: SHR, equations.md §4.
//
//   min_tau  d(tau) = sum_i y_i^2 / lambda_i + (||v - t||^2 - ||y||^2) / rho,   y = Phi^T (v - t)
//
// v the unit-norm vector of the frame, t the mean image or a user's template. The precision matrix
// is never formed: all that a step needs are products of w and its derivatives with the columns of
// Phi and with t, as the frame aligner's are with its atoms.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "holdstill/expansion.hpp"
#include "holdstill/linearize.hpp"
#include "holdstill/region_motion.hpp"
#include "holdstill/status.hpp"

namespace holdstill {

enum class Distance { both, difs, dffs };
Distance distance_from_name(const std::string& name);  // throws std::invalid_argument

struct RegistrationOptions {
  Distance distance = Distance::both;
  double tolerance = 0.01;       // canonical pixels that no corner, or vertex, moves by more
  int max_iterations = 100;      // of the simplex, a quarter of the evaluations
  int acceleration = 2;          // depth of the Anderson acceleration of the steps; 0: none
  double largest_offset = 0.05;  // of the first simplex: the corners' motion, in canonical widths
  MotionLimits limits;
};

struct FrameRegistration {
  Status status = Status::unreadable;
  Eigen::Matrix3d frame_from_canonical = Eigen::Matrix3d::Identity();
  int iterations = 0;
  int evaluations = 0;                                     // warps of the frame, of all levels
  double step = std::numeric_limits<double>::quiet_NaN();  // last motion of a corner, or extent
  double difs = std::numeric_limits<double>::quiet_NaN();
  double dffs = std::numeric_limits<double>::quiet_NaN();
};

// What one level registers to: Gaussians that share a covariance, one around each template.
class SubspaceRegistrar {
 public:
  // basis: m x M, orthonormal; templates: m x T; m as in linearize().
  SubspaceRegistrar(const Eigen::Ref<const Eigen::MatrixXf>& basis,
                    const Eigen::VectorXd& variances, double rho,
                    const Eigen::Ref<const Eigen::MatrixXf>& templates, Region region,
                    const Sampling& sampling, const RegistrationOptions& options);

  struct Workspace {
    Patch patch;
    std::vector<float> row;
    std::vector<const float*> rows;
    std::vector<kernels::Columns> columns;  // of every block
    std::vector<float> coefficients;
    std::vector<double> first, self, products;
    double norm = 0.0;                     // ||w|| when last seen; 0: not yet
    Eigen::MatrixXd k, weighted;           // Phi^T J and diag(inside) of it: M x p
    Eigen::VectorXd seen, y;               // Phi^T v, Phi^T (v - t)
    std::unique_ptr<Expansion> expansion;  // of a frame for all templates; none until then
  };
  std::unique_ptr<Workspace> make_workspace() const;

  int n_components() const { return n_components_; }
  int n_templates() const { return n_templates_; }

  // Gauss-Newton steps from `initial`; the low-pass is chosen at `lowpass_from`. Never throws on a
  // bad frame. Leaves y in work->y where it is scored and ends well.
  FrameRegistration descend(const FrameView& frame, const Eigen::Matrix3d& initial,
                            const Eigen::Matrix3d& lowpass_from, int which, bool scored,
                            Workspace* work) const;
  // The same by a downhill simplex.
  FrameRegistration search(const FrameView& frame, const Eigen::Matrix3d& initial,
                           const Eigen::Matrix3d& lowpass_from, int which, Workspace* work) const;
  // d at a transform, at which the low-pass is chosen, too.
  FrameRegistration assess(const FrameView& frame, const Eigen::Matrix3d& at, int which,
                           Workspace* work) const;
  // Every template from one start: each moves within expansions of the frame that it shares with
  // its neighbours. found: n_templates() of them; returns how often the frame was warped.
  int descend_all(const FrameView& frame, const Eigen::Matrix3d& initial,
                  const Eigen::Matrix3d& lowpass_from, Workspace* work,
                  FrameRegistration* found) const;

 private:
  struct Linear;    // what a step needs, without the template
  struct Quartics;  // d of some templates within one expansion
  const float* column(int block, int k) const {
    return columns_.data() +
           (static_cast<std::size_t>(block) * (n_components_ + n_templates_) + k) * row_length_;
  }
  Status prepare(const FrameView& frame, const Eigen::Matrix3d& initial,
                 const Eigen::Matrix3d& lowpass_from, Workspace* work,
                 CentredTransform* start) const;
  Status linearize(const CentredTransform& at, int which, Workspace* work, Linear* linear) const;
  // y, and half the gradient of d.
  void residual(const Linear& linear, int which, Workspace* work, Parameters* gradient) const;
  void expand_distance(const Expansion& expansion, const std::vector<int>& which,
                       Quartics* out) const;
  // y, and half the gradient of d, without the Hessian.
  Status slope(const CentredTransform& at, int which, Workspace* work, Parameters* gradient) const;
  double value(const FrameView& frame, const CentredTransform& at, int which, Workspace* work,
               Status* status) const;
  void score(double squared, const Eigen::VectorXd& y, FrameRegistration* out) const;

  Region region_;
  Sampling sampling_;
  RegistrationOptions options_;
  int n_components_, n_templates_, row_length_;
  std::vector<float> columns_;  // [block][basis, then templates][plane x pixel]
  Eigen::VectorXd variances_, inside_;
  double rho_, outside_;
  Eigen::MatrixXd seen_templates_;     // Phi^T t
  Eigen::VectorXd squared_templates_;  // ||t||^2
};

}  // namespace holdstill
