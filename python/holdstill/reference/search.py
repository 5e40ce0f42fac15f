"""Where to start when the given start leads nowhere: a coarse look around it."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .motion import FloatArray, map_points
from .warp import canonical_points, linearize_prepared, n_planes, prepare_frame

COMPONENTS = 8
"""Of the dictionary, that a first look needs: what is common, and a few ways to differ."""

LEAST_SHARE = 1e-3
"""Of the largest singular value, that a component has at least."""

APART = 0.06
"""Of the canonical width, by which starts differ at some corner of the region."""


class SearchRange(NamedTuple):
    """How far the true transform may be from the given one, in the canonical frame.

    Attributes
    ----------
    shift, shift_step : float
        Either way, shares of the canonical width.
    rotation, rotation_step : float
        Either way, radians.
    scale, scale_step : float
        Either way, factors.
    """

    shift: float = 0.33
    shift_step: float = 0.055
    rotation: float = 0.8
    rotation_step: float = 0.27
    scale: float = 1.6
    scale_step: float = 1.265


class Starts(NamedTuple):
    """Transforms that are worth starting from, the best first.

    Attributes
    ----------
    frame_from_canonical : ndarray, shape (k, 3, 3), float64
    unexplained : ndarray, shape (k,), float64
        ‖v - BBᵀv‖² of the unit-norm vector seen through each.
    """

    frame_from_canonical: FloatArray
    unexplained: FloatArray


def search(
    image: npt.ArrayLike,
    atoms: npt.ArrayLike,
    initial: npt.ArrayLike,
    *,
    shape: tuple[int, int],
    motion: str,
    features: str = "grey",
    sigma: float = 0.8,
    roi: npt.NDArray[Any] | None = None,
    kept: int = 6,
) -> Starts:
    """Transforms around `initial` that leave the least of a frame unexplained (equations §3).

    A grid over shift, rotation and scale, as far as the motion model has them, about the middle of
    the region. Each candidate is scored by what the main components B of the dictionary leave of
    the frame seen through it; of near neighbours only the best is kept.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    atoms : array_like, shape (M, r)
        Ã of a coarse octave.
    initial : array_like, shape (3, 3)
        frame_from_canonical, which also sets the low-pass.
    shape, motion, features, sigma, roi
        As in `linearize`; those of the dictionary.
    kept : int
        Transforms returned at most.

    Returns
    -------
    Starts
        Empty where the frame shows nothing.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> spot = np.exp(-((x - 24.0) ** 2 + (y - 19.0) ** 2) / 20.0)
    >>> options = {"shape": (20, 20), "motion": "translation"}
    >>> from holdstill.reference.warp import linearize
    >>> there = [[1.0, 0.0, 14.0], [0.0, 1.0, 10.0], [0.0, 0.0, 1.0]]
    >>> atom = linearize(spot, there, **options).vector
    >>> starts = search(spot, atom[:, None], np.array(there) - [[0, 0, 4.4], [0, 0, 0], [0, 0, 0]],
    ...                 **options)
    >>> starts.frame_from_canonical[0, :2, 2].round(1).tolist()
    [14.0, 10.0]
    """
    start = np.asarray(initial, dtype=np.float64)
    corners = _corners(roi, shape)
    middle = np.eye(3)
    middle[:2, 2] = 0.5 * (corners[0] + corners[2])
    prepared = prepare_frame(image, start, shape=shape, features=features, sigma=sigma)
    basis = _main_components(np.asarray(atoms, dtype=np.float64))
    planes = n_planes(features)
    pixels = len(basis) // planes
    scored: list[tuple[float, FloatArray]] = []
    for offset in _offsets(motion, shape[1], SearchRange()):
        at = start @ middle @ offset @ np.linalg.inv(middle)
        # What is not estimated is not looked at: only values are used here.
        seen = linearize_prepared(prepared, at, shape=shape, motion="homography", roi=roi)
        if seen.norm > 0.0 and 2 * seen.outside <= pixels:
            left = 1.0 - float(np.sum((basis.T @ seen.vector) ** 2))
            if left < 1.0:
                scored.append((left, at))
    best: list[tuple[float, FloatArray]] = []
    for left, at in sorted(scored, key=lambda pair: pair[0]):
        if len(best) == kept:
            break
        if all(_apart(other, at, corners) >= APART * shape[1] for _, other in best):
            best.append((left, at))
    return Starts(
        np.array([at for _, at in best]).reshape(-1, 3, 3), np.array([left for left, _ in best])
    )


def _main_components(atoms: FloatArray) -> FloatArray:
    left, values, _ = np.linalg.svd(atoms, full_matrices=False)
    return np.asarray(left[:, :COMPONENTS][:, values[:COMPONENTS] > LEAST_SHARE * values[0]])


def _offsets(motion: str, width: int, limits: SearchRange) -> list[FloatArray]:
    """Similarities of the canonical frame, about its origin."""
    turns = motion != "translation"
    scales = turns and motion != "euclidean"
    shifts = _steps(limits.shift / limits.shift_step)
    rotations = _steps(limits.rotation / limits.rotation_step) if turns else 0
    octaves = _steps(np.log(limits.scale) / np.log(limits.scale_step)) if scales else 0
    found = []
    for i, j, y, x in product(*(range(-n, n + 1) for n in (octaves, rotations, shifts, shifts))):
        if x * x + y * y > shifts * shifts:
            continue
        a = limits.scale_step**i * np.exp(1j * j * limits.rotation_step)
        dx, dy = np.array([x, y]) * limits.shift_step * width
        found.append(np.array([[a.real, -a.imag, dx], [a.imag, a.real, dy], [0.0, 0.0, 1.0]]))
    return found


def _steps(ratio: float) -> int:
    return int(np.ceil(ratio - 1e-9))


def _corners(roi: npt.NDArray[Any] | None, shape: tuple[int, int]) -> FloatArray:
    """Of the region's rectangle, in turn."""
    points = canonical_points(roi, shape)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _apart(first: FloatArray, second: FloatArray, corners: FloatArray) -> float:
    """Farthest that a corner moves from one transform to the other, canonical pixels."""
    moved = map_points(np.linalg.solve(first, second), corners)
    return float(np.linalg.norm(moved - corners, axis=1).max())
