#include <pybind11/gil_safe_call_once.h>
#include <pybind11/stl.h>

#include "holdstill/blas.hpp"
#include "holdstill/kernels.hpp"
#include "register.hpp"

namespace holdstill::bindings {

namespace py = pybind11;

void load_blas() {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<bool> loaded;
  loaded.call_once_and_store_result([] {
    const auto addresses = py::module_::import("holdstill._blas").attr("addresses")();
    const auto of = [&](const char* name) { return addresses[name].cast<std::uintptr_t>(); };
    blas::install(of("dgemm"), of("dsyrk"), of("dsyevd"));
    return true;
  });
}

void register_blas(py::module_& module) {
  module.def("instruction_set", [] { return std::string(kernels::active().name); });
  module.def("instruction_sets", &kernels::available);
  module.def("eigen_version", [] {
    return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
           std::to_string(EIGEN_MINOR_VERSION);
  });
}

}  // namespace holdstill::bindings
