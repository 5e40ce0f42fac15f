"""Was it good: what a run is worth, measured."""

from holdstill.evaluate.eye_corners import (
    EYE_CORNERS,
    Dispersion,
    EyeCornerTable,
    eye_corner_table,
)
from holdstill.evaluate.points import map_to_canonical, read_points

__all__ = [
    "EYE_CORNERS",
    "Dispersion",
    "EyeCornerTable",
    "eye_corner_table",
    "map_to_canonical",
    "read_points",
]
