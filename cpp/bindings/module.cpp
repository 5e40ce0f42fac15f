#include "register.hpp"

// Free-threaded Python: no state is shared but BLAS's addresses, set once, and what classes guard
// themselves.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  module.doc() = "Compiled kernels of holdstill; holdstill.reference holds their NumPy twins.";
  module.attr("__version__") = HOLDSTILL_VERSION;
  holdstill::bindings::register_blas(module);
  holdstill::bindings::register_motion(module);
  holdstill::bindings::register_warp(module);
  holdstill::bindings::register_l1(module);
  holdstill::bindings::register_rasl(module);
  holdstill::bindings::register_aligner(module);
  holdstill::bindings::register_registration(module);
}
