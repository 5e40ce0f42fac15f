#include <pybind11/stl.h>

#include <mutex>
#include <vector>

#include "arrays.hpp"
#include "holdstill/anderson.hpp"
#include "holdstill/coarse_to_fine.hpp"
#include "holdstill/registration.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

constexpr double kCoarsePixels = 0.05;

using Workspaces = std::vector<std::unique_ptr<SubspaceRegistrar::Workspace>>;

// The levels of a face model and idle workspaces, as PyAligner keeps them.
class PyRegistrar {
 public:
  using LevelArrays = std::tuple<py::array, py::array, double, py::array, py::object>;

  // levels: (basis, variances, rho, templates, roi), the finest first.
  PyRegistrar(const std::vector<LevelArrays>& levels, const std::pair<int, int>& shape,
              const std::string& motion, const std::string& features, double sigma,
              const std::string& distance, double tolerance, int max_iterations,
              double largest_offset, int acceleration)
      : sampling_(parse_sampling(motion, features, sigma)), shape_(parse_shape(shape)) {
    RegistrationOptions options;
    options.distance = distance_from_name(distance);
    if (!(tolerance > 0.0))
      throw py::value_error("tolerance: expected a positive number, got " +
                            std::to_string(tolerance));
    if (max_iterations < 1)
      throw py::value_error("max_iterations: expected at least 1, got " +
                            std::to_string(max_iterations));
    if (!(largest_offset > 0.0 && std::isfinite(largest_offset)))
      throw py::value_error("largest_offset: expected a positive number, got " +
                            std::to_string(largest_offset));
    options.tolerance = tolerance;
    options.max_iterations = max_iterations;
    options.largest_offset = largest_offset;
    if (acceleration < 0 || acceleration > Anderson::kMaxDepth)
      throw py::value_error("acceleration: expected a depth from 0 to " +
                            std::to_string(Anderson::kMaxDepth) + ", got " +
                            std::to_string(acceleration));
    options.acceleration = acceleration;
    if (levels.empty()) throw py::value_error("levels: expected at least one");
    Shape size = shape_;
    for (const auto& [basis, variances, rho, templates, roi] : levels) {
      Region region = parse_region(roi, size);
      const py::ssize_t m =
          static_cast<py::ssize_t>(n_planes(sampling_.feature)) * region.n_pixels();
      const auto parsed_basis = parse_columns(basis, m, "basis");
      const auto parsed_templates = parse_columns(templates, m, "templates");
      const auto lambdas = CArray<double>::ensure(variances);
      if (!lambdas || lambdas.ndim() != 1 || lambdas.shape(0) != parsed_basis.shape(1))
        refuse("variances", "one for each column of the basis", variances);
      const Eigen::Map<const Eigen::VectorXd> values(lambdas.data(), lambdas.size());
      if (!values.allFinite() || (values.array() <= 0.0).any() || !(rho > 0.0))
        throw py::value_error("variances, rho: expected positive numbers");
      if (parsed_templates.shape(1) < 1) refuse("templates", "at least one column", templates);
      levels_.emplace_back(as_matrix(parsed_basis), values, rho, as_matrix(parsed_templates),
                           std::move(region), sampling_, options);
      size = {(size.height + 1) / 2, (size.width + 1) / 2};
      // A coarse level only has to bring the next one near.
      options.tolerance = std::max(tolerance, kCoarsePixels);
    }
  }

  struct Result {
    py::array_t<double> frame_from_canonical;
    std::string status;
    int iterations, evaluations;
    double step, difs, dffs;
    py::array_t<double> coefficients;
  };

  Result align(const py::array& frame, const py::array& initial, int which,
               const std::string& search, int n_levels) {
    const FrameView view = parse_frame(frame, "frame");
    const Eigen::Matrix3d start = parse_start(initial);
    if (which < 0 || which >= levels_.front().n_templates())
      throw py::value_error("template: expected 0 to " +
                            std::to_string(levels_.front().n_templates() - 1) + ", got " +
                            std::to_string(which));
    if (search != "gradient" && search != "simplex")
      throw py::value_error("search: expected gradient or simplex, got '" + search + "'");
    if (n_levels < 1 || n_levels > static_cast<int>(levels_.size()))
      throw py::value_error("levels: expected 1 to " + std::to_string(levels_.size()) + ", got " +
                            std::to_string(n_levels));
    py::array_t<double> coefficients(levels_.front().n_components());
    double* y = coefficients.mutable_data();
    FrameRegistration found;
    {
      const py::gil_scoped_release release;
      Workspaces work = take();
      found = coarse_to_fine(n_levels, start, [&](int level, const Eigen::Matrix3d& from) {
        const SubspaceRegistrar& one = levels_[level];
        const Eigen::Matrix3d lowpass_from = at_level(start, level);
        return search == "gradient"
                   ? one.descend(view, from, lowpass_from, which, level == 0, work[level].get())
                   : one.search(view, from, lowpass_from, which, work[level].get());
      });
      Eigen::Map<Eigen::VectorXd>(y, work[0]->y.size()) = work[0]->y;
      if (std::isnan(found.difs)) std::fill_n(y, work[0]->y.size(), found.difs);
      put(std::move(work));
    }
    return {to_array(found.frame_from_canonical),
            name_of(found.status),
            found.iterations,
            found.evaluations,
            found.step,
            found.difs,
            found.dffs,
            coefficients};
  }

  // Every template, from one start on the finest level.
  py::dict align_all(const py::array& frame, const py::array& initial,
                     const py::array& lowpass_from) {
    const FrameView view = parse_frame(frame, "frame");
    const Eigen::Matrix3d start = parse_start(initial), filter = parse_start(lowpass_from);
    const py::ssize_t n = levels_.front().n_templates();
    std::vector<FrameRegistration> found(n);
    int warps = 0;
    {
      const py::gil_scoped_release release;
      Workspaces work = take();
      warps = levels_.front().descend_all(view, start, filter, work[0].get(), found.data());
      put(std::move(work));
    }
    py::array_t<double> matrices({n, py::ssize_t{3}, py::ssize_t{3}}), difs(n), dffs(n), step(n);
    py::list status;
    for (py::ssize_t i = 0; i < n; ++i) {
      Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(matrices.mutable_data(i, 0, 0)) =
          found[i].frame_from_canonical;
      status.append(name_of(found[i].status));
      difs.mutable_at(i) = found[i].difs;
      dffs.mutable_at(i) = found[i].dffs;
      step.mutable_at(i) = found[i].step;
    }
    py::dict out;
    out["frame_from_canonical"] = matrices;
    out["status"] = status;
    out["difs"] = difs;
    out["dffs"] = dffs;
    out["step"] = step;
    out["evaluations"] = warps;
    return out;
  }

 private:
  static FArray<float> parse_columns(const py::array& given, py::ssize_t m,
                                     const std::string& name) {
    const auto columns = FArray<float>::ensure(given);
    if (!columns || columns.ndim() != 2 || columns.shape(0) != m)
      refuse(name, "shape (" + std::to_string(m) + ", n) for this shape, roi and feature", given);
    if (!as_matrix(columns).allFinite()) throw py::value_error(name + ": expected finite entries");
    return columns;
  }
  static Eigen::Map<const Eigen::MatrixXf> as_matrix(const FArray<float>& columns) {
    return {columns.data(), columns.shape(0), columns.shape(1)};
  }

  Eigen::Matrix3d parse_start(const py::array& initial) const {
    const Eigen::Matrix3d matrix = parse_matrix(initial, "initial");
    const auto start = centred(matrix, shape_);
    // What cannot be inverted is a status; a transform of another family is a wrong argument.
    if (start && std::abs(start->linear.determinant()) > 1e-12)
      if (const auto wrong = outside_family(sampling_.motion, *start))
        throw py::value_error("initial: " + *wrong);
    return matrix;
  }

  Workspaces take() {
    {
      const std::lock_guard<std::mutex> lock(idle_mutex_);
      if (!idle_.empty()) {
        Workspaces work = std::move(idle_.back());
        idle_.pop_back();
        return work;
      }
    }
    Workspaces work;
    for (const SubspaceRegistrar& level : levels_) work.push_back(level.make_workspace());
    return work;
  }

  void put(Workspaces work) {
    const std::lock_guard<std::mutex> lock(idle_mutex_);
    idle_.push_back(std::move(work));
  }

  Sampling sampling_;
  Shape shape_;
  std::vector<SubspaceRegistrar> levels_;
  std::mutex idle_mutex_;
  std::vector<Workspaces> idle_;
};

}  // namespace

void register_registration(py::module_& module) {
  using Result = PyRegistrar::Result;
  py::class_<Result>(module, "FrameRegistration")
      .def_readonly("frame_from_canonical", &Result::frame_from_canonical)
      .def_readonly("status", &Result::status)
      .def_readonly("iterations", &Result::iterations)
      .def_readonly("evaluations", &Result::evaluations)
      .def_readonly("step", &Result::step)
      .def_readonly("difs", &Result::difs)
      .def_readonly("dffs", &Result::dffs)
      .def_readonly("coefficients", &Result::coefficients);
  const RegistrationOptions defaults;
  py::class_<PyRegistrar>(module, "FrameRegistrar")
      .def(py::init<const std::vector<PyRegistrar::LevelArrays>&, const std::pair<int, int>&,
                    const std::string&, const std::string&, double, const std::string&, double, int,
                    double, int>(),
           py::arg("levels"), py::kw_only(), py::arg("shape"), py::arg("motion") = "similarity",
           py::arg("features") = "edges", py::arg("sigma") = 0.8, py::arg("distance") = "both",
           py::arg("tolerance") = defaults.tolerance,
           py::arg("max_iterations") = defaults.max_iterations,
           py::arg("largest_offset") = defaults.largest_offset,
           py::arg("acceleration") = defaults.acceleration)
      .def("register", &PyRegistrar::align, py::arg("frame"), py::arg("initial"), py::kw_only(),
           py::arg("template") = 0, py::arg("search") = "gradient", py::arg("levels") = 1)
      .def("register_all", &PyRegistrar::align_all, py::arg("frame"), py::arg("initial"),
           py::kw_only(), py::arg("lowpass_from"));
}

}  // namespace holdstill::bindings
