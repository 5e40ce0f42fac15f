#include <pybind11/stl.h>

#include <Eigen/Core>
#include <string>

#include "holdstill/kernels.hpp"
#include "register.hpp"

namespace kernels = holdstill::kernels;

// Free-threaded Python: no state is shared but BLAS's addresses, set once, and what classes guard
// themselves.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  module.doc() = "Compiled kernels of holdstill; holdstill.reference holds their NumPy twins.";
  module.attr("__version__") = HOLDSTILL_VERSION;
  module.def("instruction_set", [] { return std::string(kernels::active().name); });
  module.def("instruction_sets", &kernels::available);
  module.def("eigen_version", [] {
    return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
           std::to_string(EIGEN_MINOR_VERSION);
  });
  holdstill::bindings::register_motion(module);
  holdstill::bindings::register_warp(module);
  holdstill::bindings::register_l1(module);
  holdstill::bindings::register_rasl(module);
  holdstill::bindings::register_aligner(module);
  holdstill::bindings::register_registration(module);
}
