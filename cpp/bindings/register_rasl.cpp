#include "arrays.hpp"
#include "holdstill/rasl.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

struct PyRaslStep {
  py::array_t<double> low_rank, sparse, delta, multipliers;
  int rank, iterations;
  double objective, lower_bound;
  bool converged;
};

using Solver = RaslStep (*)(const RaslProblem&, double rho, double tol, int max_iterations,
                            int threads);

RaslStep alm(const RaslProblem& problem, double rho, double tol, int max_iterations, int threads) {
  return rasl_alm(problem, rho, tol, max_iterations, threads);
}

RaslStep apg(const RaslProblem& problem, double, double tol, int max_iterations, int threads) {
  return rasl_apg(problem, tol, max_iterations, threads);
}

bool all_finite(const CArray<double>& array) {
  return Eigen::Map<const Eigen::VectorXd>(array.data(), array.size()).allFinite();
}

PyRaslStep solve(Solver solver, const py::array& d, const py::array& q, const py::object& b,
                 double lambda, double rho, double tol, int max_iterations, int threads) {
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
  if (!(rho > 1.0)) throw py::value_error("rho: expected a number above 1");
  if (!(tol > 0.0)) throw py::value_error("tol: expected a positive number");
  if (threads < 0) throw py::value_error("threads: expected at least 0");
  if (max_iterations < 1) throw py::value_error("max_iterations: expected at least 1");
  const Eigen::Map<const Eigen::MatrixXd> matrix(images.data(), m, n);
  if (!matrix.allFinite()) throw py::value_error("D: expected finite entries");
  if (matrix.isZero(0.0)) throw py::value_error("D: expected a matrix that is not zero");
  const RaslProblem problem{matrix, bases.data(), n_gauge ? gauge.data() : nullptr,
                            p,      n_gauge,      lambda};
  RaslStep step;
  {
    const py::gil_scoped_release release;
    step = solver(problem, rho, tol, max_iterations, threads);
  }
  PyRaslStep out{release(std::move(step.low_rank)),
                 release(std::move(step.sparse)),
                 release(step.delta.transpose()),
                 release(std::move(step.multipliers)),
                 step.rank,
                 step.iterations,
                 step.objective,
                 step.lower_bound,
                 step.converged};
  return out;
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
      .def_readonly("objective", &PyRaslStep::objective)
      .def_readonly("lower_bound", &PyRaslStep::lower_bound)
      .def_readonly("converged", &PyRaslStep::converged);
  module.def(
      "rasl_alm",
      [](const py::array& d, const py::array& q, const py::object& b, double lam, double rho,
         double tol, int max_iterations,
         int threads) { return solve(&alm, d, q, b, lam, rho, tol, max_iterations, threads); },
      py::arg("D"), py::arg("Q"), py::arg("B") = py::none(), py::kw_only(), py::arg("lam"),
      py::arg("rho") = 1.25, py::arg("tol") = 1e-7, py::arg("max_iterations") = 1000,
      py::arg("threads") = 0);
  module.def(
      "rasl_apg",
      [](const py::array& d, const py::array& q, const py::object& b, double lam, double tol,
         int max_iterations,
         int threads) { return solve(&apg, d, q, b, lam, 2.0, tol, max_iterations, threads); },
      py::arg("D"), py::arg("Q"), py::arg("B") = py::none(), py::kw_only(), py::arg("lam"),
      py::arg("tol") = 1e-7, py::arg("max_iterations") = 3000, py::arg("threads") = 0);
}

}  // namespace holdstill::bindings
