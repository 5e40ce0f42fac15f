"""A known pose: starts a few pixels away from it, and how far off a result is at the corners."""

from __future__ import annotations

from typing import Any

import numpy as np
from common import FloatArray

from holdstill.limits import roi_corners
from holdstill.reference import n_parameters, update
from holdstill.reference.motion import linear_part, map_points

MARGIN = 20
"""Frame pixels around what is to be aligned."""


def mean_scale(truth: FloatArray, shape: tuple[int, int]) -> float:
    """√|det L|, frame pixels per canonical pixel."""
    return float(np.sqrt(abs(np.linalg.det(linear_part(truth, shape)))))


def start_near(
    truth: FloatArray, settings: dict[str, Any], random: np.random.Generator
) -> FloatArray:
    """A start in the motion's family that is 2 to 3 px off at the corner that is farthest off."""
    motion, shape = settings["motion"], settings["shape"]
    half, scale = max(shape) / 2, mean_scale(truth, shape)
    size = np.full(n_parameters(motion), scale)
    if motion == "homography":
        size[:4], size[6:] = scale / half, 0.3 / half**2
    elif motion != "translation":
        size[:-2] = (1.0 if motion == "euclidean" else scale) / half
    if motion == "similarity":
        size[1] = 1.0 / half
    step = size * random.standard_normal(size.size)
    wanted = random.uniform(2.0, 3.0)
    for _ in range(3):  # the distance is nearly linear in the step
        start = update(truth, step, motion, shape)
        step *= wanted / np.linalg.norm(error_at_corners(start, truth, shape), axis=1).max()
    return update(truth, step, motion, shape)


def error_at_corners(found: FloatArray, truth: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Where `found` puts the canonical corners, less where they belong, (4, 2), canonical px."""
    corners = roi_corners(None, shape)
    return map_points(np.linalg.inv(truth), map_points(found, corners)) - corners
