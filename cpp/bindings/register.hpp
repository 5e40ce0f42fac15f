// One function per topic; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace holdstill::bindings {

// Before the core's first product: importing SciPy's routines takes longer than all of holdstill.
void load_blas();

void register_motion(pybind11::module_& module);
void register_warp(pybind11::module_& module);
void register_l1(pybind11::module_& module);
void register_rasl(pybind11::module_& module);
void register_aligner(pybind11::module_& module);
void register_registration(pybind11::module_& module);

}  // namespace holdstill::bindings
