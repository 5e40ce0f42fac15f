#include <pybind11/stl.h>

#include "arrays.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

using PyShape = std::pair<int, int>;

Parameters parse_parameters(const py::array& array, const std::string& argument,
                            MotionModel motion) {
  const auto values = CArray<double>::ensure(array);
  const int p = n_parameters(motion);
  if (!values || values.ndim() != 1 || values.shape(0) != p)
    refuse(argument, std::to_string(p) + " parameters", array);
  return Eigen::Map<const Eigen::VectorXd>(values.data(), p);
}

py::array_t<double> parameters_from_matrix(const py::array& frame_from_canonical,
                                           const std::string& motion, const PyShape& shape) {
  const MotionModel model = motion_from_name(motion);
  const Parameters tau = parameters(
      model,
      parse_transform(frame_from_canonical, "frame_from_canonical", parse_shape(shape), model));
  return py::array_t<double>(tau.size(), tau.data());
}

py::array_t<double> matrix_from_parameters(const py::array& values, const py::array& base,
                                           const std::string& motion, const PyShape& shape) {
  const MotionModel model = motion_from_name(motion);
  const Shape canonical = parse_shape(shape);
  const auto start = centred(parse_matrix(base, "base"), canonical);
  if (!start) throw py::value_error("base: expected a finite 3x3 matrix");
  // Of the others nothing is kept.
  if (model == MotionModel::euclidean)
    if (const auto wrong = outside_family(model, *start)) throw py::value_error("base: " + *wrong);
  return to_array(
      matrix(transform(model, parse_parameters(values, "parameters", model), *start), canonical));
}

py::array_t<double> update(const py::array& frame_from_canonical, const py::array& step,
                           const std::string& motion, const PyShape& shape) {
  const MotionModel model = motion_from_name(motion);
  const Shape canonical = parse_shape(shape);
  const auto start =
      parse_transform(frame_from_canonical, "frame_from_canonical", canonical, model);
  const Parameters tau = parameters(model, start) + parse_parameters(step, "step", model);
  return to_array(matrix(transform(model, tau, start), canonical));
}

py::array_t<double> warp_jacobian_at(const py::array& frame_from_canonical,
                                     const std::string& motion, const PyShape& shape,
                                     const py::array& points) {
  const MotionModel model = motion_from_name(motion);
  const Shape canonical = parse_shape(shape);
  const auto at = parse_transform(frame_from_canonical, "frame_from_canonical", canonical, model);
  const auto xy = CArray<double>::ensure(points);
  if (!xy || xy.ndim() != 2 || xy.shape(1) != 2) refuse("points", "shape (k, 2)", points);
  const int p = n_parameters(model);
  py::array_t<double> out({xy.shape(0), py::ssize_t{2}, py::ssize_t{p}});
  for (py::ssize_t i = 0; i < xy.shape(0); ++i) {
    const Eigen::Vector2d offset = Eigen::Vector2d(xy.at(i, 0), xy.at(i, 1)) - canonical.centre();
    Eigen::Map<Eigen::Matrix<double, 2, Eigen::Dynamic, Eigen::RowMajor>>(
        out.mutable_data(i), 2, p) = warp_jacobian(model, at, offset);
  }
  return out;
}

}  // namespace

void register_motion(py::module_& module) {
  module.def(
      "n_parameters",
      [](const std::string& motion) { return n_parameters(motion_from_name(motion)); },
      py::arg("motion"));
  module.def("parameters_from_matrix", &parameters_from_matrix, py::arg("frame_from_canonical"),
             py::arg("motion"), py::arg("shape"));
  module.def("matrix_from_parameters", &matrix_from_parameters, py::arg("parameters"),
             py::arg("base"), py::arg("motion"), py::arg("shape"));
  module.def("update", &update, py::arg("frame_from_canonical"), py::arg("step"), py::arg("motion"),
             py::arg("shape"));
  module.def("warp_jacobian", &warp_jacobian_at, py::arg("frame_from_canonical"), py::arg("motion"),
             py::arg("shape"), py::arg("points"));
}

}  // namespace holdstill::bindings
