#include <pybind11/stl.h>

#include "holdstill/blas.hpp"
#include "holdstill/kernels.hpp"
#include "register.hpp"

namespace holdstill::bindings {

namespace py = pybind11;

void register_blas(py::module_& module) {
  module.def("install_blas", &blas::install, py::kw_only(), py::arg("dgemm"), py::arg("dsyrk"),
             py::arg("dsyevd"));
  module.def("instruction_set", [] { return std::string(kernels::active().name); });
  module.def("instruction_sets", &kernels::available);
  module.def("eigen_version", [] {
    return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
           std::to_string(EIGEN_MINOR_VERSION);
  });
}

}  // namespace holdstill::bindings
