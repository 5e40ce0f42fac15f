#include <pybind11/stl.h>

#include <mutex>
#include <optional>

#include "arrays.hpp"
#include "holdstill/l1_least_squares.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

using Eigen::Map;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Before the active set, which would do without: as the method was published.
constexpr int kBregmanIterations = 20;

struct L1Result {
  py::array_t<double> coefficients, step, residual;
  double objective, gap;
  int iterations;
  bool converged;
};

py::array_t<double> to_vector(const VectorXd& v) { return py::array_t<double>(v.size(), v.data()); }

void require_finite(bool finite, const char* argument) {
  if (!finite) throw py::value_error(std::string(argument) + ": expected finite entries");
}

struct Problem {
  FArray<double> dictionary, target, jacobian;
  Map<const MatrixXd> a;
  Map<const VectorXd> v;
  Map<const MatrixXd> j;
};

Problem parse_problem(const py::object& dictionary, const py::object& target,
                      const py::object& jacobian) {
  auto atoms = FArray<double>::ensure(dictionary);
  if (!atoms || atoms.ndim() != 2 || atoms.shape(0) < 1 || atoms.shape(1) < 1)
    refuse("dictionary", "shape (m, r) of numbers, m and r at least 1", dictionary);
  auto vector = FArray<double>::ensure(target);
  if (!vector || vector.ndim() != 1 || vector.shape(0) != atoms.shape(0))
    refuse("target", "shape (m,) = (" + std::to_string(atoms.shape(0)) + ",)", target);
  FArray<double> columns(std::vector<py::ssize_t>{atoms.shape(0), 0});
  if (!jacobian.is_none()) {
    columns = FArray<double>::ensure(jacobian);
    if (!columns || columns.ndim() != 2 || columns.shape(0) != atoms.shape(0) ||
        columns.shape(1) > std::min<py::ssize_t>(kMaxParameters, atoms.shape(0)))
      refuse("jacobian", "shape (m, p), p at most 8 and at most m, or None", jacobian);
  }
  Map<const MatrixXd> a(atoms.data(), atoms.shape(0), atoms.shape(1));
  Map<const VectorXd> v(vector.data(), vector.shape(0));
  Map<const MatrixXd> j(columns.data(), atoms.shape(0), columns.shape(1));
  require_finite(a.allFinite(), "dictionary");
  require_finite(v.allFinite(), "target");
  require_finite(j.allFinite(), "jacobian");
  return {atoms, vector, columns, a, v, j};
}

// Thin QR of J and the products the solver works on.
struct Eliminated {
  MatrixXd q, r, n;  // J = Q R, N = A^T Q
  VectorXd q_v, beta;
  double energy;

  explicit Eliminated(const Problem& problem) {
    const Eigen::Index m = problem.j.rows(), p = problem.j.cols();
    if (p > 0) {
      const Eigen::HouseholderQR<MatrixXd> qr(problem.j);
      q = qr.householderQ() * MatrixXd::Identity(m, p);
      r = qr.matrixQR().topRows(p).triangularView<Eigen::Upper>();
      if (r.diagonal().cwiseAbs().minCoeff() <= 1e-14 * problem.j.norm())
        throw py::value_error("jacobian: expected full column rank, its columns are dependent");
    } else {
      q.resize(m, 0);
      r.resize(0, 0);
    }
    q_v = q.transpose() * problem.v;
    n = problem.a.transpose() * q;
    const VectorXd projected = problem.v - q * q_v;
    beta = problem.a.transpose() * projected;
    energy = projected.squaredNorm();
  }
};

L1Result finish(const Problem& problem, const Eliminated& eliminated, const VectorXd& x,
                const L1Summary& summary, int bregman_iterations) {
  VectorXd step = eliminated.n.transpose() * x - eliminated.q_v;
  if (step.size()) eliminated.r.triangularView<Eigen::Upper>().solveInPlace(step);
  const VectorXd residual = problem.v + problem.j * step - problem.a * x;
  return {to_vector(x),      to_vector(step), to_vector(residual),
          summary.objective, summary.gap,     bregman_iterations + summary.active_set_steps,
          summary.converged};
}

L1Result l1_least_squares(const py::object& dictionary, const py::object& target,
                          const py::object& jacobian, double mu, const std::optional<double>& nu,
                          int bregman_iterations, const py::object& initial,
                          int max_active_set_steps) {
  const Problem problem = parse_problem(dictionary, target, jacobian);
  if (!(mu > 0.0) || !std::isfinite(mu))
    throw py::value_error("mu: expected a positive number, got " + std::to_string(mu));
  L1Options options;
  options.mu = mu;
  options.bregman_iterations = bregman_iterations;
  options.max_active_set_steps = max_active_set_steps;
  if (nu && !(*nu > 0.0 && std::isfinite(*nu)))
    throw py::value_error("nu: expected a positive number or None, got " + std::to_string(*nu));
  const Eigen::Index r = problem.a.cols();
  VectorXd x = VectorXd::Zero(r);
  if (!initial.is_none()) {
    const auto start = CArray<double>::ensure(initial);
    if (!start || start.ndim() != 1 || start.shape(0) != r)
      refuse("initial", "shape (r,) = (" + std::to_string(r) + ",)", initial);
    x = Map<const VectorXd>(start.data(), r);
    require_finite(x.allFinite(), "initial");
  }
  const bool cold = initial.is_none() && bregman_iterations > 0;
  const py::gil_scoped_release release;
  MatrixXd gram = problem.a.transpose() * problem.a;
  const double mean_square = gram.trace() / static_cast<double>(gram.rows());
  if (nu && mean_square > 0.0) options.penalty = *nu / mean_square;
  const Eliminated eliminated(problem);
  const L1Solver solver(std::move(gram), options);
  L1Solver::Workspace work(static_cast<int>(r), static_cast<int>(problem.j.cols()));
  std::vector<int> all(r);
  for (Eigen::Index i = 0; i < r; ++i) all[i] = static_cast<int>(i);
  const L1Products products{&all, eliminated.n, eliminated.beta, eliminated.energy};
  if (cold) {
    solver.split_bregman(products, &work);
    x = work.d;
  }
  const L1Summary summary = solver.solve(products, x, &work);
  const py::gil_scoped_acquire acquire;
  return finish(problem, eliminated, x, summary, cold ? bregman_iterations : 0);
}

// The solver on products alone, for many linearisations of one dictionary.
class GramSolver {
 public:
  GramSolver(const py::object& gram, double mu, int bregman_iterations)
      : solver_(parse_gram(gram), options(mu, bregman_iterations)),
        work_(solver_.n_atoms(), kMaxParameters),
        x_(solver_.n_atoms()),
        all_(static_cast<std::size_t>(solver_.n_atoms())) {
    for (std::size_t i = 0; i < all_.size(); ++i) all_[i] = static_cast<int>(i);
  }

  py::tuple solve(const FArray<double>& n, const CArray<double>& beta, double energy,
                  const py::object& initial) {
    const Eigen::Index r = solver_.n_atoms();
    if (n.ndim() != 2 || n.shape(0) != r || n.shape(1) > kMaxParameters)
      refuse("n", "shape (r, p), p at most 8", n);
    if (beta.ndim() != 1 || beta.shape(0) != r) refuse("beta", "shape (r,)", beta);
    const L1Products products{&all_, Map<const MatrixXd>(n.data(), r, n.shape(1)),
                              Map<const VectorXd>(beta.data(), r), energy};
    require_finite(products.n.allFinite(), "n");
    require_finite(products.beta.allFinite(), "beta");
    require_finite(std::isfinite(energy), "energy");
    CArray<double> start;
    if (!initial.is_none()) {
      start = CArray<double>::ensure(initial);
      if (!start || start.ndim() != 1 || start.shape(0) != r)
        refuse("initial", "shape (r,)", initial);
      require_finite(Map<const VectorXd>(start.data(), r).allFinite(), "initial");
    }
    py::array_t<double> found(r);
    Map<VectorXd> x(found.mutable_data(), r);
    L1Summary summary;
    {
      const py::gil_scoped_release release;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (initial.is_none()) {
        solver_.split_bregman(products, &work_);
        x_ = work_.d;
      } else
        x_ = Map<const VectorXd>(start.data(), r);
      summary = solver_.solve(products, x_, &work_);
      x = x_;
    }
    return py::make_tuple(found, summary.gap, summary.active_set_steps, summary.converged);
  }

 private:
  static MatrixXd parse_gram(const py::object& gram) {
    const auto matrix = FArray<double>::ensure(gram);
    if (!matrix || matrix.ndim() != 2 || matrix.shape(0) < 1 || matrix.shape(0) != matrix.shape(1))
      refuse("gram", "shape (r, r)", gram);
    const Map<const MatrixXd> entries(matrix.data(), matrix.shape(0), matrix.shape(1));
    require_finite(entries.allFinite(), "gram");
    return entries;
  }
  static L1Options options(double mu, int bregman_iterations) {
    if (!(mu > 0.0) || !std::isfinite(mu)) throw py::value_error("mu: expected a positive number");
    L1Options options;
    options.mu = mu;
    options.bregman_iterations = bregman_iterations;
    return options;
  }

  L1Solver solver_;
  std::mutex mutex_;  // of the workspace
  L1Solver::Workspace work_;
  VectorXd x_;
  std::vector<int> all_;
};

}  // namespace

void register_l1(py::module_& module) {
  py::class_<L1Result>(module, "L1Result")
      .def_readonly("coefficients", &L1Result::coefficients)
      .def_readonly("step", &L1Result::step)
      .def_readonly("residual", &L1Result::residual)
      .def_readonly("objective", &L1Result::objective)
      .def_readonly("gap", &L1Result::gap)
      .def_readonly("iterations", &L1Result::iterations)
      .def_readonly("converged", &L1Result::converged);
  py::class_<GramSolver>(module, "L1Solver")
      .def(py::init<const py::object&, double, int>(), py::arg("gram"), py::kw_only(),
           py::arg("mu"), py::arg("bregman_iterations") = L1Options().bregman_iterations)
      .def("solve", &GramSolver::solve, py::arg("n"), py::arg("beta"), py::arg("energy"),
           py::arg("initial") = py::none());
  module.def("l1_least_squares", &l1_least_squares, py::arg("dictionary"), py::arg("target"),
             py::arg("jacobian") = py::none(), py::kw_only(), py::arg("mu"),
             py::arg("nu") = py::none(), py::arg("bregman_iterations") = kBregmanIterations,
             py::arg("initial") = py::none(),
             py::arg("max_active_set_steps") = L1Options().max_active_set_steps);
}

}  // namespace holdstill::bindings
