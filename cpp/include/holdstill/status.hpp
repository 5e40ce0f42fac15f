// How the alignment of one frame ended.
#pragma once

namespace holdstill {

enum class Status {
  converged,       // the step fell to the tolerance, and the certificate covers all atoms
  max_iterations,  // the cap was reached first
  out_of_frame,    // more than half of the region of interest lies outside the frame
  singular,        // no texture to align by, or a transform that cannot be inverted
  collapsed,       // the scale left the plausible range, or the transform folded over
  unreadable,      // no pixels, or pixels that are not finite
};

inline const char* name_of(Status status) {
  switch (status) {
    case Status::converged:
      return "converged";
    case Status::max_iterations:
      return "max_iterations";
    case Status::out_of_frame:
      return "out_of_frame";
    case Status::singular:
      return "singular";
    case Status::collapsed:
      return "collapsed";
    case Status::unreadable:
      return "unreadable";
  }
  return "";
}

}  // namespace holdstill
