"""How a search on one frame can end, and what ends it early (equations §3, §4)."""

from __future__ import annotations

import numpy as np

from .motion import FloatArray, centred_matrix, linear_part, parameters_from_matrix, update
from .warp import Linearization, n_planes

STATUSES = (
    "converged",
    "max_iterations",
    "out_of_frame",
    "singular",
    "collapsed",
    "unreadable",
)
"""How a search on one frame can end."""

MAX_SCALE_CHANGE = 2.0
"""√|det L| changes by less than this factor since the start, either way."""

MAX_STRETCH = 2.0
"""The singular values of the linear motion since the start stay within this ratio."""


def refusal(now: Linearization, features: str) -> str | None:
    """Status of a linearisation that cannot be solved.

    Parameters
    ----------
    now : Linearization
    features : str
        What it is of.

    Returns
    -------
    str or None
        ``out_of_frame``, ``singular``, or None for one that can be solved.
    """
    samples = now.vector.size // n_planes(features)
    if now.outside > samples / 2:
        return "out_of_frame"
    lengths = np.linalg.norm(now.jacobian, axis=0)
    if now.norm == 0.0 or lengths.min() == 0.0:
        return "singular"
    # Columns scaled: those of l and t differ by two orders of magnitude by nature.
    scaled = now.jacobian / lengths
    eigenvalues = np.linalg.eigvalsh(scaled.T @ scaled)
    return "singular" if eigenvalues[0] <= 1e-10 * eigenvalues[-1] else None


def moved_by(
    transform: FloatArray, step: FloatArray, start: FloatArray, motion: str, shape: tuple[int, int]
) -> FloatArray | None:
    """τ + Δτ, or None where it collapses: zoomed, squeezed, turned over, or past the horizon.

    Parameters
    ----------
    transform : ndarray, shape (3, 3), float64
        frame_from_canonical at τ.
    step : ndarray, shape (p,), float64
        Δτ.
    start : ndarray, shape (3, 3), float64
        frame_from_canonical that the search began with.
    motion : str
        Motion model.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (3, 3), float64, or None
    """
    parameters = parameters_from_matrix(transform, motion, shape) + step
    if not np.isfinite(parameters).all() or (motion == "similarity" and parameters[0] <= 0):
        return None
    moved = update(transform, step, motion, shape)
    since_start = np.linalg.solve(linear_part(start, shape), linear_part(moved, shape))
    area, stretches = np.linalg.det(since_start), np.linalg.svd(since_start, compute_uv=False)
    if not MAX_SCALE_CHANGE**-2 < area < MAX_SCALE_CHANGE**2:
        return None
    if not stretches[0] < MAX_STRETCH * stretches[1]:
        return None
    if motion == "homography":
        height, width = shape
        corners = np.array([[x, y, 1.0] for x in (0, width - 1) for y in (0, height - 1)])
        corners[:, :2] -= corners[:, :2].mean(axis=0)
        if (corners @ centred_matrix(moved, shape)[2]).min() <= 0:
            return None
    return moved
