// One linearisation of a frame: its products, its solution and the certificate of that, and the
// Hessian's rest that Newton's step adds.
#include <algorithm>
#include <cmath>

#include "aligner_step.hpp"
#include "holdstill/normal_equations.hpp"

namespace holdstill {
namespace {

// Bounds of a frame's squared norm without what hides it, relative to that with it: a face cannot
// be nearly all shadow.
constexpr double kLeastNorm = 0.09, kLargestNorm = 4.0;
// Under a bounded loss the model must not fade below this norm: a flat occluder is best explained
// by no face at all.
constexpr double kLeastModel = 0.8;
// Newton's step is taken where plain ones would contract at least by this: elsewhere the Hessian is
// nearly singular or not a minimum's.
constexpr double kMaxContraction = 0.95;

// Squared norm that the value would have were nothing hidden: as much more than what is seen of it
// as the model has beside what is seen of that. Bounded where next to nothing is seen.
double whole(const FrameSums::Workspace& sums) {
  return std::clamp(sums.self[0] / sums.visible, kLeastNorm * sums.first[0],
                    kLargestNorm * sums.first[0]);
}

}  // namespace

// Sums over the frame's pixels, weighted by the last residual or not.
void FrameAligner::sum(const CentredTransform& transform, const std::vector<int>& candidates,
                       bool review, Workspace* work, const Step& step) const {
  if (!step.weighted) return sums_.plain(work->patch, transform, candidates, &work->sums);
  const double least = options_.loss == Loss::geman_mcclure ? kLeastModel : 0.0;
  sums_.weighted(work->patch, transform, candidates,
                 {options_.loss, options_.kappa, step.widening, 1.0 / step.norm,
                  std::max(1.0, least / step.model_norm), work->x_all, review},
                 &work->sums);
}

// equations.md §0 and §3: products of v and J with themselves and with the candidates, weighted by
// W or not, then J = Q R, N = A^T Q, beta = A^T P v. False where J has no full rank.
bool FrameAligner::linearize(const CentredTransform& transform, const std::vector<int>& candidates,
                             bool review, Workspace* work, Step* step) const {
  sum(transform, candidates, review, work, *step);
  const int n_rows = sums_.sampling().n_rows(), e = n_rows - 1,
            n_candidates = static_cast<int>(candidates.size());
  const Eigen::Map<const Eigen::RowVectorXd> self(work->sums.self.data(), n_rows);  // the value's
  const Eigen::Map<const RowMajor> with_atoms(work->sums.with_atoms.data(), n_candidates, n_rows);
  const Eigen::Map<const Eigen::VectorXd> first(work->sums.first.data(), n_rows);
  const bool seen_only = step->weighted && options_.loss == Loss::geman_mcclure;
  step->norm = std::sqrt(seen_only ? whole(work->sums) : first[0]);
  if (!(self[0] > 0.0) || !std::isfinite(step->norm)) return false;

  // J = (J_w - v u^T) / |w|, J_w = (entry columns) T; u keeps the norm of v, or of what is seen.
  const double inverse = 1.0 / step->norm;
  const EntryJacobian chain = column_chain(work->patch, sums_.sampling(), transform);
  const double v_v = self[0] * (inverse * inverse);
  const Parameters jw_v = chain.transpose() * self.tail(e).transpose() * inverse;
  const Parameters u =
      seen_only ? Parameters(jw_v / v_v) : Parameters(chain.transpose() * first.tail(e) * inverse);
  ParameterMatrix gram = gram_of_jacobian(work->sums.self.data(), chain);
  gram -= jw_v * u.transpose() + u * (jw_v - v_v * u).transpose();
  gram *= inverse * inverse;
  ScaledCholesky cholesky;
  if (!cholesky.compute(gram)) return false;
  step->r = cholesky.r();

  auto n = work->n.topRows(n_candidates);
  auto beta = work->beta.head(n_candidates);
  beta = with_atoms.col(0) * inverse;
  n.noalias() = inverse * (with_atoms.rightCols(e) * chain);
  n.noalias() -= inverse * (beta * u.transpose());
  step->r.triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(n);
  // J^T W v = 0, unless all of a weighted v keeps its norm.
  step->v_q = Parameters::Zero(u.size());
  step->energy = step->weighted ? v_v : 1.0;
  if (step->weighted && !seen_only) {
    step->v_q = (jw_v - v_v * u) * inverse;
    step->r.triangularView<Eigen::Upper>().transpose().solveInPlace(step->v_q);
    beta.noalias() -= n * step->v_q;
    step->energy -= step->v_q.squaredNorm();
  }
  return true;
}

// The linearised problem, equations.md §3, then the step R^-1 Q^T (A x - v).
void FrameAligner::solve(const std::vector<int>& candidates, Workspace* work, Step* step) const {
  const Eigen::Index n_candidates = static_cast<Eigen::Index>(candidates.size());
  const L1Products products = {&candidates, work->n.topRows(n_candidates),
                               work->beta.head(n_candidates), step->energy,
                               step->weighted ? &work->sums.gram : nullptr};
  auto x = work->x.head(n_candidates);
  if (options_.mu == 0.0) {
    step->summary = solver_.least_squares(products, x, &work->l1);
  } else {
    for (Eigen::Index i = 0; i < n_candidates; ++i) x[i] = work->x_all[candidates[i]];
    step->summary = solver_.solve(products, x, &work->l1);
  }
  work->x_all.setZero();
  for (Eigen::Index i = 0; i < n_candidates; ++i) work->x_all[candidates[i]] = x[i];
  step->delta.noalias() = products.n.transpose() * x;
  step->delta -= step->v_q;
  step->r.triangularView<Eigen::Upper>().solveInPlace(step->delta);
  if (!robust()) return;
  work->x.noalias() = solver_.gram() * work->x_all;
  step->model_norm = std::sqrt(work->x_all.dot(work->x));
}

// The certificate of a solve over the candidates alone: correlations of all atoms with its residual
// v + J d - A x, hence the duality gap over all of them.
void FrameAligner::correlate_all(const CentredTransform& transform, Workspace* work,
                                 Step* step) const {
  const EntryJacobian chain = column_chain(work->patch, sums_.sampling(), transform);
  const int n_rows = sums_.sampling().n_rows();
  const Eigen::Map<const Eigen::VectorXd> first(work->sums.first.data(), n_rows);
  // J d = (J_w d - v u^T d) / |w|
  const double inverse = 1.0 / step->norm;
  Eigen::Matrix<double, 1 + kernels::kMaxColumns, 1> factors;
  factors.segment(1, n_rows - 1) = inverse * (chain * step->delta);
  factors[0] =
      inverse * (1.0 - inverse * first.tail(n_rows - 1).dot(factors.segment(1, n_rows - 1)));
  sums_.correlations(work->patch, transform, factors.data(), work->x_all, &work->sums);
  // The candidates' are known better, from their products.
  for (std::size_t i = 0; i < work->candidates.size(); ++i)
    work->sums.gradient[work->candidates[i]] = work->l1.gradient[static_cast<Eigen::Index>(i)];
  solver_.certify_all(work->sums.gradient, &step->summary);
}

// Newton's step from Gauss and Newton's: (I + H^-1 T)^-1, H = J^T P_S J what the support leaves of
// J^T J, T the residual's sum with second derivatives (equations.md §3). The eigenvalues of -H^-1 T
// are the rates at which plain steps contract.
ParameterMatrix FrameAligner::newton(const CentredTransform& transform,
                                     const std::vector<int>& candidates, Workspace* work,
                                     const Step& step) const {
  const Eigen::Index p = step.r.rows();
  const auto n_candidates = static_cast<Eigen::Index>(candidates.size());
  const EntryJacobian chain = column_chain(work->patch, sums_.sampling(), transform);
  // e.v = v.v - v.A x, and the residual's part across v: e - (e.v) v.
  const double along = step.summary.along;
  const FrameSums::Curvature curvature =
      sums_.curvature(work->patch, transform, (1.0 - along) / step.norm, work->x_all, &work->sums);
  const Eigen::Index e = chain.rows();
  ParameterMatrix t =
      (1.0 / step.norm) * (chain.transpose() * curvature.hessian.bottomRightCorner(e, e) * chain);
  t -= along * (step.r.transpose() * step.r);
  // H^-1 = R^-1 K R^-T
  ParameterMatrix k(p, p);
  const L1Products products = {&candidates, work->n.topRows(n_candidates),
                               work->beta.head(n_candidates), step.energy};
  solver_.response(products, &work->l1, &k);
  k.diagonal().array() += 1.0;
  const Eigen::LLT<ParameterMatrix> llt(k);  // K = C C^T
  ParameterMatrix c = llt.matrixL();
  step.r.triangularView<Eigen::Upper>().solveInPlace(c);  // H^-1 = (R^-1 C) (R^-1 C)^T
  ParameterMatrix whitened = c.transpose() * t * c;
  whitened.diagonal().array() += curvature.steeper - 1.0;
  const Eigen::SelfAdjointEigenSolver<ParameterMatrix> eigen(whitened);
  // No minimum near, or hardly one: plain steps know better.
  if (eigen.eigenvalues()[0] < -kMaxContraction) return ParameterMatrix::Identity(p, p);
  const Parameters factors = (1.0 + eigen.eigenvalues().array()).inverse();
  ParameterMatrix inverse = step.r;
  llt.matrixL().solveInPlace(inverse);
  const ParameterMatrix& vectors = eigen.eigenvectors();
  return c * vectors * factors.asDiagonal() * vectors.transpose() * inverse;
}

}  // namespace holdstill
