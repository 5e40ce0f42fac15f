// What the bindings of both outer loops, the aligner's and the registrar's, have in common.
#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "holdstill/anderson.hpp"

namespace holdstill::bindings {

// A coarse level only has to bring the next one near: canonical pixels of its own.
constexpr double kCoarsePixels = 0.05;

inline void check_outer_loop(double tolerance, int max_iterations, int acceleration) {
  if (!(tolerance > 0.0))
    throw py::value_error("tolerance: expected a positive number, got " +
                          std::to_string(tolerance));
  if (max_iterations < 1)
    throw py::value_error("max_iterations: expected at least 1, got " +
                          std::to_string(max_iterations));
  if (acceleration < 0 || acceleration > Anderson::kMaxDepth)
    throw py::value_error("acceleration: expected a depth from 0 to " +
                          std::to_string(Anderson::kMaxDepth) + ", got " +
                          std::to_string(acceleration));
}

// The vectors of a region's images, as columns.
inline FArray<float> parse_columns(const py::array& given, const std::string& argument,
                                   const Sampling& sampling, const Region& region) {
  const auto columns = FArray<float>::ensure(given);
  const py::ssize_t m = static_cast<py::ssize_t>(n_planes(sampling.feature)) * region.n_pixels();
  if (!columns || columns.ndim() != 2 || columns.shape(0) != m || columns.shape(1) < 1)
    refuse(argument, "shape (" + std::to_string(m) + ", r) for this shape, roi and feature", given);
  if (!Eigen::Map<const Eigen::VectorXf>(columns.data(), columns.size()).allFinite())
    throw py::value_error(argument + ": expected finite entries");
  return columns;
}
inline Eigen::Map<const Eigen::MatrixXf> as_matrix(const FArray<float>& columns) {
  return {columns.data(), columns.shape(0), columns.shape(1)};
}

// What cannot be inverted is the frame's own trouble, a status; a transform of another family than
// the motion model's is a wrong argument.
inline void check_start(const Eigen::Matrix3d& matrix, const std::string& argument,
                        const Shape& shape, MotionModel motion) {
  const auto start = invertible(matrix, shape);
  if (!start) return;
  if (const auto wrong = outside_family(motion, *start))
    throw py::value_error(argument + ": " + *wrong);
}
inline Eigen::Matrix3d parse_start(const py::array& array, const std::string& argument,
                                   const Shape& shape, MotionModel motion) {
  const Eigen::Matrix3d matrix = parse_matrix(array, argument);
  check_start(matrix, argument, shape, motion);
  return matrix;
}

// Idle workspaces: a call takes one and puts it back, so that any number of threads may run at once
// and none allocates per frame.
template <typename Workspace>
class WorkspacePool {
 public:
  template <typename Make>
  Workspace take(Make&& make) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        Workspace work = std::move(idle_.back());
        idle_.pop_back();
        return work;
      }
    }
    return make();
  }
  void put(Workspace work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(work));
  }

 private:
  std::mutex mutex_;
  std::vector<Workspace> idle_;
};

// One field of many results, as an array.
template <typename Found, typename T>
py::array_t<T> column(const std::vector<Found>& found, T Found::* field) {
  py::array_t<T> out(static_cast<py::ssize_t>(found.size()));
  for (std::size_t i = 0; i < found.size(); ++i)
    out.mutable_at(static_cast<py::ssize_t>(i)) = found[i].*field;
  return out;
}

// Where many results ended, and how.
template <typename Found>
py::dict ends_of(const std::vector<Found>& found) {
  const py::ssize_t n = static_cast<py::ssize_t>(found.size());
  py::array_t<double> matrices({n, py::ssize_t{3}, py::ssize_t{3}});
  py::list status;
  for (py::ssize_t i = 0; i < n; ++i) {
    Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(matrices.mutable_data(i, 0, 0)) =
        found[i].frame_from_canonical;
    status.append(name_of(found[i].status));
  }
  py::dict out;
  out["frame_from_canonical"] = matrices;
  out["status"] = status;
  return out;
}

}  // namespace holdstill::bindings
