// The only place where NumPy arrays meet Eigen and the core's views. Everything Python is parsed
// here, with errors that name the argument, before the GIL is released.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "holdstill/image.hpp"
#include "holdstill/linearize.hpp"
#include "holdstill/motion.hpp"

namespace holdstill::bindings {

namespace py = pybind11;

constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
template <typename T>
using FArray = py::array_t<T, py::array::f_style | py::array::forcecast | kAligned>;
template <typename T>
using CArray = py::array_t<T, py::array::c_style | py::array::forcecast | kAligned>;

// A failed conversion leaves a Python error behind, which this one replaces.
[[noreturn]] inline void refuse(const std::string& argument, const std::string& expected,
                                const py::handle& got) {
  PyErr_Clear();
  std::string found = "an object of type " + std::string(Py_TYPE(got.ptr())->tp_name);
  if (py::isinstance<py::array>(got)) {
    const auto array = py::reinterpret_borrow<py::array>(got);
    found = "shape " + py::str(array.attr("shape")).cast<std::string>() + " of dtype " +
            py::str(array.dtype()).cast<std::string>();
  }
  throw py::value_error(argument + ": expected " + expected + ", got " + found);
}

// What samples are, unless said.
constexpr const char* kFeatures = "grey";
constexpr double kSigma = 0.8;

inline Shape parse_shape(const std::pair<int, int>& shape) {
  if (shape.first < 2 || shape.second < 2 || shape.first > 4096 || shape.second > 4096)
    throw py::value_error("shape: expected (height, width), each from 2 to 4096, got (" +
                          std::to_string(shape.first) + ", " + std::to_string(shape.second) + ")");
  return {shape.first, shape.second};
}

inline Eigen::Matrix3d parse_matrix(const py::array& array, const std::string& argument) {
  const auto matrix = CArray<double>::ensure(array);
  if (!matrix || matrix.ndim() != 2 || matrix.shape(0) != 3 || matrix.shape(1) != 3)
    refuse(argument, "a 3x3 float64 matrix", array);
  return Eigen::Map<const Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(matrix.data());
}

inline py::array_t<double> to_array(const Eigen::Matrix3d& matrix) {
  py::array_t<double> out({3, 3});
  Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(out.mutable_data()) = matrix;
  return out;
}

// The centred form of a transform that must be one, and of the model's family.
inline CentredTransform parse_transform(const py::array& array, const std::string& argument,
                                        const Shape& shape, MotionModel motion) {
  const auto transform = centred(parse_matrix(array, argument), shape);
  if (!transform)
    throw py::value_error(argument +
                          ": expected a finite 3x3 matrix that maps the canonical centre to a "
                          "finite point");
  if (const auto wrong = outside_family(motion, *transform))
    throw py::value_error(argument + ": " + *wrong);
  return *transform;
}

// The core counts pixels along a side, and octaves of them, in ints, and reads whole numbers of
// pixels.
inline void check_pixels(const py::array& image, const std::string& argument) {
  constexpr py::ssize_t kLongest = 1 << 20;
  if (*std::max_element(image.shape(), image.shape() + image.ndim()) > kLongest)
    refuse(argument, "no side longer than " + std::to_string(kLongest) + " pixels", image);
  if (!(image.flags() & kAligned))
    refuse(argument, "pixels aligned in memory (numpy.require(image, requirements='A'))", image);
}

inline FrameView parse_frame(const py::array& array, const std::string& argument) {
  if (array.ndim() != 2 || array.shape(0) < 1 || array.shape(1) < 1)
    refuse(argument, "a grey image (height, width) of uint8, uint16 or float32", array);
  check_pixels(array, argument);
  FrameView view{array.data(),
                 PixelType::uint8,
                 static_cast<int>(array.shape(0)),
                 static_cast<int>(array.shape(1)),
                 array.strides(0),
                 array.strides(1)};
  if (py::isinstance<py::array_t<std::uint8_t>>(array))
    view.type = PixelType::uint8;
  else if (py::isinstance<py::array_t<std::uint16_t>>(array))
    view.type = PixelType::uint16;
  else if (py::isinstance<py::array_t<float>>(array))
    view.type = PixelType::float32;
  else
    refuse(argument, "a grey image (height, width) of uint8, uint16 or float32", array);
  return view;
}

inline Region parse_region(const py::object& roi, const Shape& shape) {
  if (roi.is_none()) return Region(shape, nullptr);
  const auto weights = CArray<float>::ensure(roi);
  if (!weights || weights.ndim() != 2 || weights.shape(0) != shape.height ||
      weights.shape(1) != shape.width)
    refuse("roi",
           "a mask or weights of the canonical shape (" + std::to_string(shape.height) + ", " +
               std::to_string(shape.width) + ")",
           roi);
  if (!std::all_of(weights.data(), weights.data() + weights.size(),
                   [](float weight) { return weight >= 0.0f && std::isfinite(weight); }))
    throw py::value_error("roi: expected finite weights of at least 0");
  Region region(shape, weights.data());
  if (region.n_pixels() == 0)
    throw py::value_error("roi: the region of interest is empty; it needs at least one pixel");
  return region;
}

inline Sampling parse_sampling(const std::string& motion, const std::string& features,
                               double sigma) {
  if (!(sigma >= 0.0 && sigma <= 50.0))
    throw py::value_error("sigma: expected 0 to 50 canonical pixels, got " + std::to_string(sigma));
  return {motion_from_name(motion), feature_from_name(features), sigma};
}

// Hands a matrix to NumPy without a copy; the array owns it.
inline py::array_t<double> release(Eigen::MatrixXd&& matrix) {
  auto* owned = new Eigen::MatrixXd(std::move(matrix));
  py::capsule owner(owned, [](void* p) { delete static_cast<Eigen::MatrixXd*>(p); });
  return py::array_t<double>({owned->rows(), owned->cols()},
                             {static_cast<py::ssize_t>(sizeof(double)),
                              static_cast<py::ssize_t>(sizeof(double) * owned->rows())},
                             owned->data(), owner);
}

}  // namespace holdstill::bindings
