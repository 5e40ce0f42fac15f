#include <pybind11/stl.h>

#include "arrays.hpp"
#include "holdstill/warp.hpp"
#include "register.hpp"

namespace holdstill::bindings {
namespace {

struct Linearization {
  py::array_t<double> vector, jacobian;
  double norm;
  int outside;
};

Linearization linearize_frame(const py::array& image, const py::array& frame_from_canonical,
                              const std::pair<int, int>& shape, const std::string& motion,
                              const std::string& features, double sigma, const py::object& roi,
                              const py::object& lowpass_from, bool normalize) {
  const Shape canonical = parse_shape(shape);
  const Sampling sampling = parse_sampling(motion, features, sigma);
  const Region region = parse_region(roi, canonical);
  const FrameView frame = parse_frame(image, "image");
  const auto at =
      parse_transform(frame_from_canonical, "frame_from_canonical", canonical, sampling.motion);
  const auto filter_at =
      lowpass_from.is_none()
          ? std::optional(at)
          : centred(parse_matrix(py::array(lowpass_from), "lowpass_from"), canonical);
  if (!filter_at) throw py::value_error("lowpass_from: expected a finite 3x3 matrix");

  const py::ssize_t m = static_cast<py::ssize_t>(n_planes(sampling.feature)) * region.n_pixels();
  const py::ssize_t p = n_parameters(sampling.motion);
  Linearization out{py::array_t<double>(m), FArray<double>({m, p}), 0.0, 0};
  double* vector = out.vector.mutable_data();
  double* jacobian = out.jacobian.mutable_data();
  {
    const py::gil_scoped_release release;
    Patch patch;
    patch.choose_filter(frame, sampling.feature, sampling.sigma, *filter_at);
    if (!cover(frame, region, at, &patch))
      throw std::invalid_argument(
          "frame_from_canonical: expected the region of interest to lie in front of the horizon");
    const DenseLinearization dense =
        linearize(patch, region, sampling, at, normalize, vector, jacobian);
    out.norm = dense.norm;
    out.outside = dense.outside;
  }
  return out;
}

template <typename T>
py::array warp_as(const py::array& image, const Eigen::Matrix3d& matrix, const Shape& shape) {
  const bool colour = image.ndim() == 3;
  const int channels = colour ? static_cast<int>(image.shape(2)) : 1;
  std::vector<py::ssize_t> size = {shape.height, shape.width};
  if (colour) size.push_back(channels);
  py::array_t<T> out(size);
  const StridedImage<T> source{static_cast<const T*>(image.data()),
                               static_cast<int>(image.shape(0)),
                               static_cast<int>(image.shape(1)),
                               channels,
                               image.strides(0),
                               image.strides(1),
                               colour ? image.strides(2) : 0};
  T* target = out.mutable_data();
  {
    const py::gil_scoped_release release;
    warp(source, matrix, shape, target);
  }
  return out;  // as another class of handle, which counts: not without the GIL
}

py::array warp_image(const py::array& image, const py::array& frame_from_canonical,
                     const std::pair<int, int>& shape) {
  const Shape canonical = parse_shape(shape);
  const Eigen::Matrix3d matrix = parse_matrix(frame_from_canonical, "frame_from_canonical");
  if (!matrix.allFinite()) throw py::value_error("frame_from_canonical: expected finite entries");
  const std::string expected = "(height, width[, channels]) of uint8, uint16, float32 or float64";
  if ((image.ndim() != 2 && image.ndim() != 3) || image.size() == 0)
    refuse("image", expected, image);
  check_pixels(image, "image");
  if (py::isinstance<py::array_t<std::uint8_t>>(image))
    return warp_as<std::uint8_t>(image, matrix, canonical);
  if (py::isinstance<py::array_t<std::uint16_t>>(image))
    return warp_as<std::uint16_t>(image, matrix, canonical);
  if (py::isinstance<py::array_t<float>>(image)) return warp_as<float>(image, matrix, canonical);
  if (py::isinstance<py::array_t<double>>(image)) return warp_as<double>(image, matrix, canonical);
  refuse("image", expected, image);
}

}  // namespace

void register_warp(py::module_& module) {
  py::class_<Linearization>(module, "Linearization")
      .def_readonly("vector", &Linearization::vector)
      .def_readonly("jacobian", &Linearization::jacobian)
      .def_readonly("norm", &Linearization::norm)
      .def_readonly("outside", &Linearization::outside);
  module.def("linearize", &linearize_frame, py::arg("image"), py::arg("frame_from_canonical"),
             py::kw_only(), py::arg("shape"), py::arg("motion"), py::arg("features") = kFeatures,
             py::arg("sigma") = kSigma, py::arg("roi") = py::none(),
             py::arg("lowpass_from") = py::none(), py::arg("normalize") = true);
  module.def("warp", &warp_image, py::arg("image"), py::arg("frame_from_canonical"),
             py::arg("shape"));
}

}  // namespace holdstill::bindings
