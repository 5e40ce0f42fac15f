// Sums over a frame's pixels that one linearisation is made of (equations.md §3): products of the
// sampled value and its derivatives with themselves and with atoms, plain or weighted.
#pragma once

#include <string>
#include <vector>

#include "holdstill/linearize.hpp"

namespace holdstill {

// What a residual costs. Huber: square below kappa, linear above; l1: linear down to a small share
// of kappa. Geman-McClure: bounded, so that what is far off pulls no more; from Huber's solution. A
// pixel's residual is taken over its planes.
enum class Loss { l2, huber, l1, geman_mcclure };
Loss loss_from_name(const std::string& name);  // throws std::invalid_argument

// What a pixel weighs under a robust loss where its residual is small.
double largest_weight(Loss loss);
// Geman and McClure's scale, once narrow.
double final_scale(double kappa);

// How the pixels of one linearisation weigh: by what the last coefficients leave of them.
struct Weighting {
  Loss loss;
  double kappa;
  double widening;           // of Geman and McClure's scale
  double scale;              // of the value: one over the last norm
  double model_scale;        // of the coefficients
  const Eigen::VectorXd& x;  // the last coefficients, of all atoms
  bool review;               // with the correlations of all atoms, and what a verdict needs
};

class FrameSums {
 public:
  // atoms: m x r, column-major, unit norm; m as in linearize().
  FrameSums(const Eigen::Ref<const Eigen::MatrixXf>& atoms, Region region,
            const Sampling& sampling);

  // The sums, and what they are taken in. The value is not of unit norm. n_rows: of the value and
  // its derivatives.
  struct Workspace {
    Workspace(const FrameSums& sums, bool robust);

    int outside = 0;                 // samples outside the frame
    std::vector<double> first;       // n_rows: value with all rows, unweighted
    std::vector<double> self;        // n_rows x n_rows, upper triangle: rows with rows
    std::vector<double> with_atoms;  // candidates x n_rows: candidates with rows
    Eigen::VectorXd gradient;        // all atoms with the residual, where asked for
    // Weighted sums only.
    Eigen::MatrixXd gram;         // candidates with candidates
    double squared_residual = 0;  // unweighted
    std::vector<float> weights;   // by pixel
    double visible = 1.0;  // share of the energy of the model A x, by Geman and McClure's weights
    // Of a review only: norm of the residual relative to that of the value, by the same weights.
    double misfit = 0.0;

   private:
    friend class FrameSums;
    std::vector<int> all, support;
    std::vector<const float*> rows;
    std::vector<float> coefficients;  // of the support
    std::vector<double> gram_sums;
  };

  int n_atoms() const { return n_atoms_; }
  const Region& region() const { return region_; }
  const Sampling& sampling() const { return sampling_; }

  void plain(const Patch& patch, const CentredTransform& transform,
             const std::vector<int>& candidates, Workspace* work) const;
  // Correlations of all atoms with factors[0] value + sum_k factors[k] derivative_k - A x.
  void correlations(const Patch& patch, const CentredTransform& transform, const double* factors,
                    const Eigen::VectorXd& x, Workspace* work) const;
  // Second derivatives of the value by the transform's entries (l11, l12, l21, l22, tx, ty), summed
  // with factor * value - A x; and by what factor the value's slope is steeper than the derivatives
  // that are sampled.
  struct Curvature {
    Eigen::Matrix<double, 6, 6> hessian;
    double steeper;
  };
  Curvature curvature(const Patch& patch, const CentredTransform& transform, double factor,
                      const Eigen::VectorXd& x, Workspace* work) const;
  bool has_curvature() const {
    return sampling_.feature != Feature::magnitude && sampling_.motion != MotionModel::homography;
  }
  // One step of iteratively reweighted least squares, whose fixed points are the robust problem's.
  void weighted(const Patch& patch, const CentredTransform& transform,
                const std::vector<int>& candidates, const Weighting& weighting,
                Workspace* work) const;

 private:
  const float* atom(int block, int k) const {
    return atoms_.data() + (static_cast<std::size_t>(block) * n_atoms_ + k) * row_length_;
  }
  void add_weighted(int block, const float* weights, const std::vector<int>& candidates,
                    kernels::Columns* columns, Workspace* work) const;
  void choose_support(const Eigen::VectorXd& x, double scale, Workspace* work) const;
  const float* const* atoms_of(int block, const std::vector<int>& which, Workspace* work) const;

  Region region_;
  Sampling sampling_;
  int n_atoms_, row_length_;
  std::vector<float> atoms_;  // [block][atom][plane x pixel], zero beyond the region
};

}  // namespace holdstill
