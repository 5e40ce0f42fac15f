// What the aligner's two files share.
#pragma once

#include "holdstill/aligner.hpp"

namespace holdstill {

// One linearisation, its solution included.
struct FrameAligner::Step {
  double norm = 0.0;        // of the value; under a bounded loss, were nothing hidden
  double model_norm = 1.0;  // || A x ||
  bool weighted = false;    // by the last residual
  double widening = 1.0;    // of Geman and McClure's scale
  double energy = 1.0;      // v^T W^(1/2) P W^(1/2) v
  ParameterMatrix r;        // J = Q R
  Parameters v_q;           // Q^T W^(1/2) v
  Parameters delta;         // the solution's step
  L1Summary summary;
};

}  // namespace holdstill
