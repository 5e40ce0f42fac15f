// How far a transform moves the region of interest, and what makes a motion implausible.
#pragma once

#include <vector>

#include "holdstill/linearize.hpp"

namespace holdstill {

// False where a pixel is NaN or infinite; `row` is scratch.
bool all_finite(const FrameView& frame, std::vector<float>* row);

// Canonical pixels by which the region's corners move per unit of each parameter, root mean square.
Parameters pixels_per_unit(MotionModel motion, const Region& region,
                           const CentredTransform& transform);

// Largest distance, in canonical pixels, between what two transforms make of the region's corners.
double corner_motion(const Region& region, const CentredTransform& from,
                     const CentredTransform& to);

// Beyond these an alignment has failed, whatever its residual.
struct MotionLimits {
  double scale_change = 2.0;  // of sqrt|det L| since the start, either way
  double stretch = 2.0;       // ratio of the singular values of the linear motion since the start
  double outside = 0.5;       // share of the region's samples that may lie outside the frame
};
// False, too, where the transform folded over; a start that mirrors may stay mirrored.
bool plausible(const CentredTransform& start, const CentredTransform& now,
               const MotionLimits& limits);

}  // namespace holdstill
