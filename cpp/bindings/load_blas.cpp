#include <pybind11/gil_safe_call_once.h>

#include <cstdint>

#include "holdstill/blas.hpp"
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

}  // namespace holdstill::bindings
