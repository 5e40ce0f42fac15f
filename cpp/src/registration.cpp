#include "holdstill/registration.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>

#include "holdstill/anderson.hpp"
#include "holdstill/normal_equations.hpp"
#include "holdstill/simplex.hpp"

namespace holdstill {

namespace {

// Steps that share a Hessian, where they are accelerated: that makes up for its age.
constexpr int kRenewal = 8;
// Where a face differs from the model's, the residual bends d, and Gauss and Newton's steps are too
// short: one that is still this share of the one before tells. From there on they are longer.
constexpr double kSlow = 0.2, kRelaxation = 1.5;

// Of a motion with fewer parameters than entries, its parameters' columns are worth their sum:
// products are what costs. Rows of the result: entries; columns: four parameters, or three and
// nothing. What is left of the chain then picks the parameters.
using Narrowing = Eigen::Matrix<float, 6, 4>;
std::optional<Narrowing> narrowed(EntryJacobian* chain) {
  if (chain->rows() != 6 || chain->cols() > 4) return std::nullopt;
  Narrowing out = Narrowing::Zero();
  out.leftCols(chain->cols()) = chain->cast<float>();
  *chain = EntryJacobian::Identity(4, chain->cols());
  return out;
}

void combine(const kernels::Columns& columns, const Narrowing& narrow, int length,
             kernels::Columns* out) {
  std::copy_n(columns.row[0], length, out->row[0]);
  for (int k = 0; k < narrow.cols(); ++k) {
    const float* rows[6];
    float shares[6];
    int n = 0;
    for (int e = 0; e < narrow.rows(); ++e) {
      if (narrow(e, k) == 0.0f) continue;
      rows[n] = columns.row[1 + e];
      shares[n++] = -narrow(e, k);
    }
    kernels::active().residual(columns.row[0], 0.0f, rows, shares, n, length, out->row[1 + k]);
  }
}

}  // namespace

Distance distance_from_name(const std::string& name) {
  if (name == "both") return Distance::both;
  if (name == "difs") return Distance::difs;
  if (name == "dffs") return Distance::dffs;
  throw std::invalid_argument("distance: expected both, difs or dffs, got '" + name + "'");
}

struct SubspaceRegistrar::Linear {
  double inverse;  // of ||w||
  Parameters u;    // J_w^T v
  EntryJacobian chain;
  ScaledCholesky hessian;  // J^T P J
};

SubspaceRegistrar::SubspaceRegistrar(const Eigen::Ref<const Eigen::MatrixXf>& basis,
                                     const Eigen::VectorXd& variances, double rho,
                                     const Eigen::Ref<const Eigen::MatrixXf>& templates,
                                     Region region, const Sampling& sampling,
                                     const RegistrationOptions& options)
    : region_(std::move(region)),
      sampling_(sampling),
      options_(options),
      n_components_(static_cast<int>(basis.cols())),
      n_templates_(static_cast<int>(templates.cols())),
      row_length_(sampling.row_length()),
      variances_(variances),
      rho_(rho) {
  Eigen::MatrixXf columns(templates.rows(), basis.cols() + templates.cols());
  columns << basis, templates;
  columns_ = pack_columns(columns, region_, sampling_);
  // P = outside I + Phi diag(inside) Phi^T
  outside_ = options.distance == Distance::difs ? 0.0 : 1.0 / rho;
  inside_ = variances.cwiseInverse().array() - outside_;
  if (options.distance == Distance::dffs) inside_.setConstant(-outside_);
  seen_templates_.noalias() = basis.cast<double>().transpose() * templates.cast<double>();
  squared_templates_ = templates.cast<double>().colwise().squaredNorm().transpose();
}

std::unique_ptr<SubspaceRegistrar::Workspace> SubspaceRegistrar::make_workspace() const {
  auto work = std::make_unique<Workspace>();
  const std::size_t n_rows = sampling_.n_rows(), n_columns = n_components_ + 1;
  work->columns.resize(region_.n_blocks());
  work->coefficients.resize(n_columns);
  work->first.resize(n_rows);
  work->self.resize(n_rows * n_rows);
  work->products.resize(n_columns * n_rows);
  work->rows.resize(std::max(n_columns + 1, n_rows));
  work->k.resize(n_components_, n_parameters(sampling_.motion));
  work->weighted.resize(n_components_, n_parameters(sampling_.motion));
  work->seen.resize(n_components_);
  work->y.resize(n_components_);
  return work;
}

Status SubspaceRegistrar::prepare(const FrameView& frame, const Eigen::Matrix3d& initial,
                                  const Eigen::Matrix3d& lowpass_from, Workspace* work,
                                  CentredTransform* start) const {
  if (!all_finite(frame, &work->row)) return Status::unreadable;
  const auto at = invertible(initial, region_.shape()),
             filter = invertible(lowpass_from, region_.shape());
  if (!at || !filter) return Status::singular;
  *start = *at;
  work->norm = 0.0;
  work->patch.choose_filter(frame, sampling_.feature, sampling_.sigma, *filter);
  return Status::converged;
}

// equations.md §0 and §4: products of w and its derivatives with themselves, with Phi and with
// a template; then K = Phi^T J, J^T J and H = J^T P J with its factor.
Status SubspaceRegistrar::linearize(const CentredTransform& at, int which, Workspace* work,
                                    Linear* linear) const {
  const kernels::Table& kernel = kernels::active();
  linear->chain = column_chain(work->patch, sampling_, at);
  const auto narrow = narrowed(&linear->chain);
  const int e = static_cast<int>(linear->chain.rows()), n_rows = 1 + e, n_left = n_components_ + 1;
  std::fill(work->self.begin(), work->self.end(), 0.0);
  std::fill_n(work->products.begin(), static_cast<std::size_t>(n_left) * n_rows, 0.0);
  const int outside = for_each_block(
      work->patch, region_, sampling_, at, [&](int block, const kernels::Columns& sampled) {
        const kernels::Columns& columns = narrow ? work->columns[block] : sampled;
        if (narrow) combine(sampled, *narrow, row_length_, &work->columns[block]);
        for (int i = 0; i < n_components_; ++i) work->rows[i] = column(block, i);
        work->rows[n_components_] = column(block, n_components_ + which);
        kernel.self_products(columns, n_rows, row_length_, work->self.data());
        kernel.products(work->rows.data(), n_left, columns, n_rows, row_length_,
                        work->products.data());
      });
  if (outside > options_.limits.outside * region_.n_pixels()) return Status::out_of_frame;

  const Eigen::Map<const RowMajor> self(work->self.data(), n_rows, n_rows);
  const Eigen::Map<const RowMajor> basis(work->products.data(), n_components_, n_rows);
  const double norm = std::sqrt(self(0, 0));
  if (!(norm > 0.0) || !std::isfinite(norm)) return Status::singular;
  work->norm = norm;
  // J = (J_w - v u^T) / |w|
  linear->inverse = 1.0 / norm;
  linear->u = linear->chain.transpose() * self.row(0).tail(e).transpose() * linear->inverse;
  ParameterMatrix gram = gram_of_jacobian(work->self.data(), linear->chain);
  gram -= linear->u * linear->u.transpose();
  gram *= linear->inverse * linear->inverse;
  work->seen = basis.col(0) * linear->inverse;
  work->k.noalias() = linear->inverse * (basis.rightCols(e) * linear->chain);
  work->k.noalias() -= linear->inverse * (work->seen * linear->u.transpose());

  work->weighted.noalias() = inside_.asDiagonal() * work->k;
  ParameterMatrix hessian = outside_ * gram;
  hessian.noalias() += work->k.transpose() * work->weighted;
  const bool full_rank = (gram.diagonal().array() > 0.0).all() && linear->hessian.compute(hessian);
  return full_rank ? Status::converged : Status::singular;
}

void SubspaceRegistrar::residual(const Linear& linear, int which, Workspace* work,
                                 Parameters* gradient) const {
  const int e = static_cast<int>(linear.chain.rows()), n_rows = 1 + e;
  const Eigen::Map<const Eigen::VectorXd> products(
      work->products.data() + static_cast<std::size_t>(n_components_) * n_rows, n_rows);
  const double seen = products[0] * linear.inverse;  // t^T v
  work->y.noalias() = work->seen - seen_templates_.col(which);
  // J^T P (v - t), where J^T v = 0
  *gradient = linear.chain.transpose() * products.tail(e) - seen * linear.u;
  *gradient *= -outside_ * linear.inverse;
  gradient->noalias() += work->weighted.transpose() * work->y;
}

// J^T z, z = P (v - t): two products with Phi, where K takes one for each entry of the transform.
// J^T v = 0: with z across v, J_w takes the place of J.
Status SubspaceRegistrar::slope(const CentredTransform& at, int which, Workspace* work,
                                Parameters* gradient) const {
  const kernels::Table& kernel = kernels::active();
  const int e = sampling_.n_entries(), n_blocks = region_.n_blocks();
  const auto model_of = [&](int block) {
    for (int i = 0; i < n_components_; ++i) work->rows[i] = column(block, i);
    work->rows[n_components_] = column(block, n_components_ + which);
    return work->rows.data();
  };
  std::fill_n(work->products.begin(), n_components_ + 2, 0.0);
  BlockSampler sampler(work->patch, region_, sampling_, at, e);
  int outside = 0;
  for (int block = 0; block < n_blocks; ++block) {
    kernels::Columns& columns = work->columns[block];
    outside += sampler.sample(block, &columns);
    model_of(block);
    work->rows[n_components_ + 1] = columns.row[0];
    kernel.dots(work->rows.data(), n_components_ + 2, columns.row[0], row_length_,
                work->products.data());
  }
  if (outside > options_.limits.outside * region_.n_pixels()) return Status::out_of_frame;
  work->norm = std::sqrt(work->products[n_components_ + 1]);
  if (!(work->norm > 0.0) || !std::isfinite(work->norm)) return Status::singular;

  const double inverse = 1.0 / work->norm;
  work->seen = Eigen::Map<const Eigen::VectorXd>(work->products.data(), n_components_) * inverse;
  work->y = work->seen - seen_templates_.col(which);
  const Eigen::VectorXd& y = work->y;
  const double along = outside_ * (1.0 - work->products[n_components_] * inverse) +
                       (work->seen.array() * inside_.array() * y.array()).sum();  // v^T z
  for (int i = 0; i < n_components_; ++i)
    work->coefficients[i] = static_cast<float>(-inside_[i] * y[i]);
  work->coefficients[n_components_] = static_cast<float>(outside_);
  const float scale = static_cast<float>((outside_ - along) * inverse);
  Eigen::Matrix<double, Eigen::Dynamic, 1, 0, kernels::kMaxColumns, 1> sums =
      Eigen::VectorXd::Zero(e);
  alignas(64) float z[kernels::kMaxPlanes * kernels::kBlock];
  for (int block = 0; block < n_blocks; ++block) {
    const kernels::Columns& columns = work->columns[block];
    kernel.residual(columns.row[0], scale, model_of(block), work->coefficients.data(),
                    n_components_ + 1, row_length_, z);
    for (int k = 0; k < e; ++k) work->rows[k] = columns.row[1 + k];
    kernel.dots(work->rows.data(), e, z, row_length_, sums.data());
  }
  *gradient = inverse * (column_chain(work->patch, sampling_, at).transpose() * sums);
  return Status::converged;
}

void SubspaceRegistrar::score(double squared, const Eigen::VectorXd& y,
                              FrameRegistration* out) const {
  out->difs = (y.array().square() / variances_.array()).sum();
  out->dffs = std::max(0.0, squared - y.squaredNorm()) / rho_;
}

FrameRegistration SubspaceRegistrar::descend(const FrameView& frame, const Eigen::Matrix3d& initial,
                                             const Eigen::Matrix3d& lowpass_from, int which,
                                             bool scored, Workspace* work) const {
  FrameRegistration out;
  out.frame_from_canonical = initial;
  CentredTransform start;
  out.status = prepare(frame, initial, lowpass_from, work, &start);
  if (out.status != Status::converged) return out;
  CentredTransform current = start;
  Linear linear;
  Parameters gradient;
  Anderson anderson(options_.acceleration, pixels_per_unit(sampling_.motion, region_, start));
  bool settled = false;
  const bool accelerated = options_.acceleration > 0;
  bool slow = false;
  double plain = std::numeric_limits<double>::infinity();  // length of the last plain step
  int age = kRenewal;                                      // of the Hessian
  while (!settled && out.iterations < options_.max_iterations) {
    ++out.evaluations;
    if (!cover(frame, region_, current, &work->patch)) {
      out.status = Status::collapsed;
    } else if (age++ < kRenewal) {
      out.status = slope(current, which, work, &gradient);
    } else {
      out.status = linearize(current, which, work, &linear);
      if (out.status == Status::converged) residual(linear, which, work, &gradient);
      age = accelerated ? 1 : kRenewal;
    }
    if (out.status != Status::converged) return out;
    const Parameters tau = parameters(sampling_.motion, current);
    Parameters delta = -linear.hessian.solve(gradient);
    CentredTransform next = transform(sampling_.motion, tau + delta, current);
    ++out.iterations;
    out.step = corner_motion(region_, current, next);
    const double before = std::exchange(plain, out.step);
    if (accelerated && !slow && plain < Anderson::kBegin && plain > kSlow * before) {
      slow = true;
      anderson.forget();
    }
    if (slow) {
      delta *= kRelaxation;
      next = transform(sampling_.motion, tau + delta, current);
      out.step = corner_motion(region_, current, next);
    }
    settled = out.step <= options_.tolerance;
    if (!settled && out.step < Anderson::kBegin)
      next = transform(sampling_.motion, anderson.next(tau, delta), current);
    else
      anderson.forget(), age = kRenewal;
    if (!plausible(start, next, options_.limits)) {
      out.status = Status::collapsed;
      return out;
    }
    current = next;
    out.frame_from_canonical = matrix(current, region_.shape());
  }
  out.status = settled ? Status::converged : Status::max_iterations;
  if (!scored) return out;
  Status ended;
  value(frame, current, which, work, &ended);
  ++out.evaluations;
  if (ended == Status::converged) {
    const double squared = work->first[0];
    score(squared, work->y, &out);
  }
  return out;
}

// d at a transform, from values alone. Leaves y in work->y and ||v - t||^2 in work->first[0].
double SubspaceRegistrar::value(const FrameView& frame, const CentredTransform& at, int which,
                                Workspace* work, Status* status) const {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  *status = Status::collapsed;
  if (!cover(frame, region_, at, &work->patch)) return kNone;
  const kernels::Table& kernel = kernels::active();
  // Of w - s t, s near ||w||: where v and t are close, their own products would cancel.
  const float share = static_cast<float>(work->norm);
  double squared_rest = 0.0;
  std::fill_n(work->products.begin(), n_components_ + 1, 0.0);
  alignas(64) float rest[kernels::kMaxPlanes * kernels::kBlock];
  const int outside = for_each_block<true>(
      work->patch, region_, sampling_, at, [&](int block, const kernels::Columns& columns) {
        for (int i = 0; i < n_components_; ++i) work->rows[i] = column(block, i);
        const float* t = work->rows[n_components_] = column(block, n_components_ + which);
        squared_rest += kernel.residual(columns.row[0], 1.0f, &t, &share, 1, row_length_, rest);
        kernel.dots(work->rows.data(), n_components_ + 1, rest, row_length_, work->products.data());
      });
  *status = Status::out_of_frame;
  if (outside > options_.limits.outside * region_.n_pixels()) return kNone;
  *status = Status::singular;
  const double along = work->products[n_components_], t_t = squared_templates_[which];
  const double squared_norm = share * (share * t_t + 2.0 * along) + squared_rest;
  if (!(squared_norm > 0.0) || !std::isfinite(squared_norm)) return kNone;
  *status = Status::converged;
  // v - t = ((s - n) t + rest) / n
  const double n = std::sqrt(squared_norm), excess = share - n;
  work->norm = n;
  work->y = Eigen::Map<const Eigen::VectorXd>(work->products.data(), n_components_);
  work->y += excess * seen_templates_.col(which);
  work->y /= n;
  work->first[0] = (excess * (excess * t_t + 2.0 * along) + squared_rest) / squared_norm;
  return outside_ * work->first[0] + (inside_.array() * work->y.array().square()).sum();
}

FrameRegistration SubspaceRegistrar::assess(const FrameView& frame, const Eigen::Matrix3d& at,
                                            int which, Workspace* work) const {
  FrameRegistration out;
  out.frame_from_canonical = at;
  CentredTransform here;
  out.status = prepare(frame, at, at, work, &here);
  if (out.status != Status::converged) return out;
  value(frame, here, which, work, &out.status);
  out.evaluations = 1;
  if (out.status == Status::converged) score(work->first[0], work->y, &out);
  return out;
}

FrameRegistration SubspaceRegistrar::search(const FrameView& frame, const Eigen::Matrix3d& initial,
                                            const Eigen::Matrix3d& lowpass_from, int which,
                                            Workspace* work) const {
  FrameRegistration out;
  out.frame_from_canonical = initial;
  CentredTransform start;
  out.status = prepare(frame, initial, lowpass_from, work, &start);
  if (out.status != Status::converged) return out;
  const Parameters origin = parameters(sampling_.motion, start),
                   units = pixels_per_unit(sampling_.motion, region_, start);
  Status refusal = Status::converged;  // of the start
  int evaluations = 0;
  const auto at = [&](const Parameters& point) {
    return transform(sampling_.motion, origin + point.cwiseQuotient(units), start);
  };
  const SimplexEnd end = minimize_simplex(
      [&](const Parameters& point) {
        const CentredTransform candidate = at(point);
        Status status = Status::collapsed;
        const double d = plausible(start, candidate, options_.limits)
                             ? value(frame, candidate, which, work, &status)
                             : std::numeric_limits<double>::infinity();
        if (evaluations++ == 0) refusal = status;
        return d;
      },
      static_cast<int>(units.size()), options_.largest_offset * region_.shape().width,
      options_.tolerance, std::int64_t{4} * options_.max_iterations);
  out.evaluations = end.evaluations;
  if (!std::isfinite(end.value)) {
    out.status = refusal;
    return out;
  }
  const CentredTransform best = at(end.point);
  out.frame_from_canonical = matrix(best, region_.shape());
  out.iterations = end.iterations;
  out.step = end.extent;
  out.status = end.converged ? Status::converged : Status::max_iterations;
  value(frame, best, which, work, &refusal);
  ++out.evaluations;
  score(work->first[0], work->y, &out);
  return out;
}

}  // namespace holdstill
