"""Octaves of a dictionary, and the coarse-to-fine driver for solvers in Python (equations §0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import scipy

from holdstill._typing import FloatArray
from holdstill.canonical import Weights

SMALLEST_SIDE = 12
"""A level is used where both sides of its region of interest have at least this many pixels."""

_LOWPASS = 0.4
"""σ in canonical pixels of the low-pass before sampling, where the frame is the larger one."""


class Transformed(Protocol):
    """What a solver returns."""

    @property
    def frame_from_canonical(self) -> FloatArray:
        """Transform or transforms, (..., 3, 3)."""


Result = TypeVar("Result", bound=Transformed)


@dataclass(frozen=True)
class Level:
    """One octave of a dictionary.

    Attributes
    ----------
    atoms : ndarray, shape (M, r), float32
        Columns of unit norm.
    roi : ndarray (h, w), bool or float32
        Region of interest, or weights.
    """

    atoms: npt.NDArray[np.float32]
    roi: Weights


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Height and width of a canonical frame of which every 2**level-th pixel is kept, from 0."""
    height, width = ((size - 1) // 2**level + 1 for size in shape)
    return height, width


def n_levels(roi: Weights) -> int:
    """Levels that a region of interest allows, the finest included.

    Examples
    --------
    >>> n_levels(np.ones((200, 100), dtype=bool))
    4
    """
    rows, columns = np.nonzero(roi)
    side = 1 + min(np.ptp(rows), np.ptp(columns))
    return 1 + max(0, int(np.log2(max(1.0, side / SMALLEST_SIDE))))


def level_roi(roi: Weights, level: int) -> Weights:
    """Region of interest, or weights, of a canonical frame of which every 2**level-th pixel is
    kept, from 0."""
    thinned: Weights = roi[:: 2**level, :: 2**level].copy()
    return thinned


def octave(
    atoms: npt.NDArray[np.float32], roi: Weights, *, planes: int, sigma: float, level: int
) -> Level:
    """Atoms as the dictionary of a canonical frame whose pixels are 2**level times as wide.

    Features are linear in the image, and their scale is fixed in canonical pixels: a coarse level's
    are the fine ones blurred further and thinned out. The blur uses the pixels of the region alone
    (a normalised convolution), since nothing is known beyond it. For magnitude, which is not
    linear, it is an approximation.

    Parameters
    ----------
    atoms : ndarray, shape (M, r), float32
        Of the finest level.
    roi : ndarray (h, w), bool or float32
        Its region of interest, or weights.
    planes : int
        2 for edges, else 1.
    sigma : float
        σ of the feature in canonical pixels, 0 for grey.
    level : int
        1 is half the size.

    Returns
    -------
    Level
    """
    inside = roi > 0
    blur = np.sqrt((4.0**level - 1.0) * (_LOWPASS**2 + sigma**2))
    step = 2**level

    def smooth(picture: npt.NDArray[Any]) -> FloatArray:
        blurred = scipy.ndimage.gaussian_filter(picture.astype(np.float64), blur, mode="constant")
        return np.asarray(blurred[::step, ::step])

    coverage = smooth(inside)
    kept = (coverage > 0.5) & inside[::step, ::step]
    weights = roi.astype(np.float32)
    roots = np.sqrt(weights[inside], dtype=np.float64)
    coarse_roots = np.sqrt(weights[::step, ::step][kept], dtype=np.float64)
    columns = []
    picture = np.zeros(roi.shape)
    for atom in atoms.T:
        column = []
        for plane in atom.reshape(planes, -1):
            picture[inside] = plane / roots
            column.append(smooth(picture)[kept] / coverage[kept] * coarse_roots)
        columns.append(np.concatenate(column))
    coarse = np.stack(columns, axis=1)
    lengths = np.linalg.norm(coarse, axis=0)
    return Level(
        (coarse / np.where(lengths > 0, lengths, 1.0)).astype(np.float32),
        kept if roi.dtype == np.bool_ else np.where(kept, weights[::step, ::step], 0),
    )


def at_level(frame_from_canonical: npt.ArrayLike, level: int) -> FloatArray:
    """Transforms for a canonical frame whose pixels are 2**level times as wide.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (..., 3, 3)
        Of the finest level.
    level : int
        Negative: back.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64
    """
    width = 2.0**level
    transforms = np.asarray(frame_from_canonical, dtype=np.float64)
    return np.asarray(transforms * np.array([width, width, 1.0]))


def coarse_to_fine(
    solve: Callable[[int, FloatArray], Result], initial: npt.ArrayLike, n_levels: int
) -> Result:
    """Solve on octaves, each starting where the coarser one ended.

    Parameters
    ----------
    solve : callable (level, initial) -> object with ``frame_from_canonical``
        The solver of one level, 0 the finest, for transforms of that level's canonical frame.
    initial : array_like, shape (..., 3, 3)
        frame_from_canonical of the finest level.
    n_levels : int
        1 is the finest alone.

    Returns
    -------
    object
        What `solve` returned for level 0.

    Examples
    --------
    RASL first at a quarter and half of the size:

    >>> def solve(level, start):
    ...     return holdstill.rasl(images, start, shape=level_shape((200, 200), level))
    >>> aligned = coarse_to_fine(solve, initial, 3)  # doctest: +SKIP
    """
    start = np.asarray(initial, dtype=np.float64)
    for level in range(n_levels - 1, 0, -1):
        found = solve(level, at_level(start, level))
        start = at_level(found.frame_from_canonical, -level)
    return solve(0, start)
