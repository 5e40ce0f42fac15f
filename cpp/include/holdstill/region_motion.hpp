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

// Ratio of the singular values of the linear motion since the start, large where it is squeezed.
double stretch(const CentredTransform& start, const CentredTransform& now);

}  // namespace holdstill
