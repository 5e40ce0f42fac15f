#include <pybind11/stl.h>

#include <vector>

#include "holdstill/coarse_to_fine.hpp"
#include "holdstill/registration.hpp"
#include "outer_loop.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

using Workspaces = std::vector<std::unique_ptr<SubspaceRegistrar::Workspace>>;

// The levels of a face model.
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
    check_outer_loop(tolerance, max_iterations, acceleration);
    if (!(largest_offset > 0.0 && std::isfinite(largest_offset)))
      throw py::value_error("largest_offset: expected a positive number, got " +
                            std::to_string(largest_offset));
    options.tolerance = tolerance;
    options.max_iterations = max_iterations;
    options.largest_offset = largest_offset;
    options.acceleration = acceleration;
    if (levels.empty()) throw py::value_error("levels: expected at least one");
    Shape size = shape_;
    for (const auto& [basis, variances, rho, templates, roi] : levels) {
      Region region = parse_region(roi, size);
      const auto parsed_basis = parse_columns(basis, "basis", sampling_, region);
      const auto parsed_templates = parse_columns(templates, "templates", sampling_, region);
      const auto lambdas = CArray<double>::ensure(variances);
      if (!lambdas || lambdas.ndim() != 1 || lambdas.shape(0) != parsed_basis.shape(1))
        refuse("variances", "one for each column of the basis", variances);
      const Eigen::Map<const Eigen::VectorXd> values(lambdas.data(), lambdas.size());
      if (!values.allFinite() || (values.array() <= 0.0).any() ||
          !(rho > 0.0 && std::isfinite(rho)))
        throw py::value_error("variances, rho: expected positive numbers");
      if (!levels_.empty() && parsed_templates.shape(1) != levels_.front().n_templates())
        refuse("templates", std::to_string(levels_.front().n_templates()) + " on every level",
               templates);
      levels_.emplace_back(as_matrix(parsed_basis), values, rho, as_matrix(parsed_templates),
                           std::move(region), sampling_, options);
      size = {(size.height + 1) / 2, (size.width + 1) / 2};
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
    const Eigen::Matrix3d start = parse_start(initial, "initial", shape_, sampling_.motion);
    check_template(which);
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
      idle_.put(std::move(work));
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

  // DIFS and DFFS at a transform.
  std::pair<double, double> distances(const py::array& frame, const py::array& transform,
                                      int which) {
    const FrameView view = parse_frame(frame, "frame");
    const Eigen::Matrix3d at =
        parse_start(transform, "frame_from_canonical", shape_, sampling_.motion);
    check_template(which);
    const py::gil_scoped_release release;
    Workspaces work = take();
    const FrameRegistration found = levels_.front().assess(view, at, which, work[0].get());
    idle_.put(std::move(work));
    return {found.difs, found.dffs};
  }

  // Every template, from one start on the finest level.
  py::dict align_all(const py::array& frame, const py::array& initial,
                     const py::array& lowpass_from) {
    const FrameView view = parse_frame(frame, "frame");
    const Eigen::Matrix3d start = parse_start(initial, "initial", shape_, sampling_.motion),
                          filter =
                              parse_start(lowpass_from, "lowpass_from", shape_, sampling_.motion);
    std::vector<FrameRegistration> found(levels_.front().n_templates());
    int warps = 0;
    {
      const py::gil_scoped_release release;
      Workspaces work = take();
      warps = levels_.front().descend_all(view, start, filter, work[0].get(), found.data());
      idle_.put(std::move(work));
    }
    py::dict out = ends_of(found);
    out["difs"] = column(found, &FrameRegistration::difs);
    out["dffs"] = column(found, &FrameRegistration::dffs);
    out["step"] = column(found, &FrameRegistration::step);
    out["evaluations"] = warps;
    return out;
  }

 private:
  void check_template(int which) const {
    if (which < 0 || which >= levels_.front().n_templates())
      throw py::value_error("template: expected 0 to " +
                            std::to_string(levels_.front().n_templates() - 1) + ", got " +
                            std::to_string(which));
  }

  Workspaces take() {
    return idle_.take([&] {
      Workspaces work;
      for (const SubspaceRegistrar& level : levels_) work.push_back(level.make_workspace());
      return work;
    });
  }

  Sampling sampling_;
  Shape shape_;
  std::vector<SubspaceRegistrar> levels_;
  WorkspacePool<Workspaces> idle_;
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
           py::arg("features") = "edges", py::arg("sigma") = kSigma, py::arg("distance") = "both",
           py::arg("tolerance") = defaults.tolerance,
           py::arg("max_iterations") = defaults.max_iterations,
           py::arg("largest_offset") = defaults.largest_offset,
           py::arg("acceleration") = defaults.acceleration)
      .def("register", &PyRegistrar::align, py::arg("frame"), py::arg("initial"), py::kw_only(),
           py::arg("template") = 0, py::arg("search") = "gradient", py::arg("levels") = 1)
      .def("distances", &PyRegistrar::distances, py::arg("frame"), py::arg("frame_from_canonical"),
           py::kw_only(), py::arg("template") = 0)
      .def("register_all", &PyRegistrar::align_all, py::arg("frame"), py::arg("initial"),
           py::kw_only(), py::arg("lowpass_from"));
}

}  // namespace holdstill::bindings
