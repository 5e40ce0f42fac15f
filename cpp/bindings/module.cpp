#include "register.hpp"

PYBIND11_MODULE(_core, module) {
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
