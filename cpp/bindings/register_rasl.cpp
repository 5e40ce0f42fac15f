#include <pybind11/stl.h>

#include <optional>

#include "arrays.hpp"
#include "holdstill/rasl.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

constexpr int kApgIterations = 3000;  // it takes more of them than the multipliers' method

struct PyRaslStep {
  FArray<double> low_rank, sparse, multipliers;
  py::array_t<double> delta;
  int rank, iterations;
  double penalty, objective, lower_bound;
  bool converged;
};

Eigen::Map<Eigen::MatrixXd> map(FArray<double>& array) {
  return {array.mutable_data(), array.shape(0), array.shape(1)};
}

bool all_finite(const CArray<double>& array) {
  return Eigen::Map<const Eigen::VectorXd>(array.data(), array.size()).allFinite();
}

// Parses, calls solver(problem, &step) without the GIL, and wraps what it found. The memory for A,
// E and Y is that of `start`, or new.
template <typename Solver>
PyRaslStep solve(const py::array& d, const py::array& q, const py::object& b, double lambda,
                 double tol, int max_iterations, int threads, const py::object& start,
                 Solver&& solver) {
  const auto images = FArray<double>::ensure(d);
  if (!images || images.ndim() != 2 || images.size() == 0)
    refuse("D", "shape (M, n) with M and n at least 1", d);
  const py::ssize_t m = images.shape(0), n = images.shape(1);
  // (n, M, p) as n column-major matrices: C order of (n, p, M).
  if (q.ndim() != 3 || q.shape(0) != n || q.shape(1) != m || q.shape(2) > kMaxParameters)
    refuse("Q", "shape (n, M, p) = (" + std::to_string(n) + ", " + std::to_string(m) + ", p)", q);
  const int p = static_cast<int>(q.shape(2));
  const auto bases = CArray<double>::ensure(q.attr("transpose")(0, 2, 1));
  if (!bases || !all_finite(bases)) refuse("Q", "finite numbers", q);
  CArray<double> gauge;
  int n_gauge = 0;
  if (!b.is_none()) {
    const py::array given = py::array::ensure(b);
    if (!given || given.ndim() != 3 || given.shape(0) != n || given.shape(2) != p)
      refuse("B", "shape (n, g, p) or None", b);
    n_gauge = static_cast<int>(given.shape(1));
    gauge = CArray<double>::ensure(given.attr("transpose")(0, 2, 1));
    if (!gauge || !all_finite(gauge)) refuse("B", "finite numbers", b);
  }
  if (!(lambda > 0.0) || !std::isfinite(lambda))
    throw py::value_error("lam: expected a positive number");
  if (!(tol > 0.0)) throw py::value_error("tol: expected a positive number");
  if (threads < 0) throw py::value_error("threads: expected at least 0");
  if (max_iterations < 1) throw py::value_error("max_iterations: expected at least 1");
  const Eigen::Map<const Eigen::MatrixXd> matrix(images.data(), m, n);
  if (!matrix.allFinite()) throw py::value_error("D: expected finite entries");
  if (matrix.isZero(0.0)) throw py::value_error("D: expected a matrix that is not zero");
  const RaslProblem problem{matrix, bases.data(), n_gauge ? gauge.data() : nullptr,
                            p,      n_gauge,      lambda};
  PyRaslStep out;
  if (start.is_none()) {
    out.low_rank = FArray<double>({m, n});
    out.sparse = FArray<double>({m, n});
    out.multipliers = FArray<double>({m, n});
  } else {
    // Goes on in the step's own memory, which is its size of the batch: the step given is used up.
    out = start.cast<PyRaslStep>();
    if (out.sparse.shape(0) != m || out.sparse.shape(1) != n)
      throw py::value_error("start: expected a step of shape (" + std::to_string(m) + ", " +
                            std::to_string(n) + "), that of D");
  }
  load_blas();
  RaslStep step(map(out.low_rank), map(out.sparse), map(out.multipliers));
  {
    const py::gil_scoped_release release;
    solver(problem, &step);
  }
  out.delta = release(step.delta.transpose());
  out.rank = step.rank;
  out.iterations = step.iterations;
  out.penalty = step.penalty;
  out.objective = step.objective;
  out.lower_bound = step.lower_bound;
  out.converged = step.converged;
  return out;
}

PyRaslStep alm(const py::array& d, const py::array& q, const py::object& b, double lambda,
               double rho, double tol, int max_iterations, int threads, const py::object& start,
               const std::optional<double>& penalty, double max_penalty, bool certify) {
  AlmOptions options;
  options.rho = rho;
  options.tolerance = tol;
  options.max_iterations = max_iterations;
  options.max_penalty = max_penalty;
  options.certify = certify;
  if (!(rho > 1.0) || !std::isfinite(rho))
    throw py::value_error("rho: expected a finite number above 1");
  if (penalty && !(*penalty > 0.0 && std::isfinite(*penalty)))
    throw py::value_error("penalty: expected a positive number or None");
  if (!(max_penalty > 0.0)) throw py::value_error("max_penalty: expected a positive number");
  if (!start.is_none()) {
    if (!py::isinstance<PyRaslStep>(start)) refuse("start", "a RaslStep or None", start);
    options.warm = true;
    options.penalty = start.cast<const PyRaslStep&>().penalty;
  }
  if (penalty) options.penalty = *penalty;
  return solve(d, q, b, lambda, tol, max_iterations, threads, start,
               [&](const RaslProblem& problem, RaslStep* step) {
                 rasl_alm(problem, options, threads, step);
               });
}

PyRaslStep apg(const py::array& d, const py::array& q, const py::object& b, double lambda,
               double tol, int max_iterations, int threads) {
  return solve(d, q, b, lambda, tol, max_iterations, threads, py::none(),
               [&](const RaslProblem& problem, RaslStep* step) {
                 rasl_apg(problem, tol, max_iterations, threads, step);
               });
}

}  // namespace

void register_rasl(py::module_& module) {
  py::class_<PyRaslStep>(module, "RaslStep")
      .def_readonly("low_rank", &PyRaslStep::low_rank)
      .def_readonly("sparse", &PyRaslStep::sparse)
      .def_readonly("delta", &PyRaslStep::delta)
      .def_readonly("multipliers", &PyRaslStep::multipliers)
      .def_readonly("rank", &PyRaslStep::rank)
      .def_readonly("iterations", &PyRaslStep::iterations)
      .def_readonly("penalty", &PyRaslStep::penalty)
      .def_readonly("objective", &PyRaslStep::objective)
      .def_readonly("lower_bound", &PyRaslStep::lower_bound)
      .def_readonly("converged", &PyRaslStep::converged);
  const AlmOptions defaults;
  module.def("rasl_alm", &alm, py::arg("D"), py::arg("Q"), py::arg("B") = py::none(), py::kw_only(),
             py::arg("lam"), py::arg("rho") = defaults.rho, py::arg("tol") = defaults.tolerance,
             py::arg("max_iterations") = defaults.max_iterations, py::arg("threads") = 0,
             py::arg("start") = py::none(), py::arg("penalty") = py::none(),
             py::arg("max_penalty") = defaults.max_penalty, py::arg("certify") = defaults.certify);
  module.def("rasl_apg", &apg, py::arg("D"), py::arg("Q"), py::arg("B") = py::none(), py::kw_only(),
             py::arg("lam"), py::arg("tol") = defaults.tolerance,
             py::arg("max_iterations") = kApgIterations, py::arg("threads") = 0);
}

}  // namespace holdstill::bindings
