"""Was it good: what a run is worth, measured (equations §5)."""

from holdstill.evaluate.evaluation import BeforeAfter, Evaluation, Spread
from holdstill.evaluate.eye_corners import (
    EYE_CORNERS,
    Dispersion,
    EyeCornerTable,
    eye_corner_errors,
    eye_corner_table,
)
from holdstill.evaluate.jitter import (
    Jitter,
    JitterOfFrames,
    corner_jitter,
    point_jitter,
    second_differences,
)
from holdstill.evaluate.pictures import MOST_FRAMES
from holdstill.evaluate.points import map_to_canonical, read_points
from holdstill.evaluate.run import evaluate_run
from holdstill.evaluate.sharpness import Sharpness, mean_squared_gradient
from holdstill.evaluate.variance import RegionVariance, region_variance
from holdstill.evaluate.writing import write_evaluation

__all__ = [
    "EYE_CORNERS",
    "MOST_FRAMES",
    "BeforeAfter",
    "Dispersion",
    "Evaluation",
    "EyeCornerTable",
    "Jitter",
    "JitterOfFrames",
    "RegionVariance",
    "Sharpness",
    "Spread",
    "corner_jitter",
    "evaluate_run",
    "eye_corner_errors",
    "eye_corner_table",
    "map_to_canonical",
    "mean_squared_gradient",
    "point_jitter",
    "read_points",
    "region_variance",
    "second_differences",
    "write_evaluation",
]
