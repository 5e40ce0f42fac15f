"""The canonical frame: its size, where the eyes go, and the regions of interest by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.optional import import_optional

Mask: TypeAlias = npt.NDArray[np.bool_]
Weights: TypeAlias = npt.NDArray[np.bool_] | npt.NDArray[np.float32]

DEFAULT_SHAPE = (200, 200)
"""Height and width of the canonical frame where none is given."""

EYE_CORNERS = ((0.25, 0.45), (0.75, 0.45))
"""Outer eye corners, image left then right, as fractions (x of the width, y of the height)."""


def _ellipse(x: FloatArray, y: FloatArray) -> Mask:
    return np.asarray(((x - 0.5) / 0.42) ** 2 + ((y - 0.5) / 0.48) ** 2 <= 1.0)


def _rectangle(
    x0: float, x1: float, y0: float, y1: float
) -> Callable[[FloatArray, FloatArray], Mask]:
    return lambda x, y: np.asarray((x >= x0) & (x < x1) & (y >= y0) & (y < y1))


def _eyes_first(x: FloatArray, y: FloatArray) -> Weights:
    eyes, around = (ROIS[name](x, y).astype(np.float32) for name in ("eyes", "eyes-nose"))
    return np.maximum(eyes, around / 8)


ROIS: dict[str, Callable[[FloatArray, FloatArray], Weights]] = {
    "full": _rectangle(0.0, 1.0, 0.0, 1.0),
    "face": _ellipse,
    "upper-face": _rectangle(0.08, 0.92, 0.10, 0.62),
    "eyes-nose": _rectangle(0.15, 0.85, 0.22, 0.68),
    "eyes": _rectangle(0.12, 0.88, 0.20, 0.50),
    "eyes-first": _eyes_first,
    "mouth": _rectangle(0.25, 0.75, 0.70, 1.0),
}
"""Regions of interest by name, as functions of the position in fractions of the canonical frame."""

DEFAULT_ROI = "eyes-first"
"""Of a face: the eyes, and the rest of eyes-nose at an eighth of the weight."""

DEFAULT_SIGMA = 0.8
"""σ of edges and magnitude, canonical pixels; the core has the same."""


def check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return `shape` as two integers, or say what is wrong with it.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the canonical frame in pixels, each between 2 and 4096.

    Raises
    ------
    ValueError
        If it is not a pair of integers in that range.
    """
    try:
        height, width = (int(n) for n in shape)
        integral = all(int(n) == n for n in shape)
    except (TypeError, ValueError):
        raise ValueError(f"shape: expected (height, width), got {shape!r}") from None
    if not integral or not (2 <= height <= 4096 and 2 <= width <= 4096):
        raise ValueError(f"shape: expected (height, width), each from 2 to 4096, got {shape!r}")
    return height, width


def eye_corners(shape: tuple[int, int] = DEFAULT_SHAPE) -> FloatArray:
    """Positions of the outer eye corners in the canonical frame.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (2, 2), float64
        (x, y) in canonical pixels: image left, image right.

    Examples
    --------
    >>> eye_corners((200, 200)).tolist()
    [[50.0, 90.0], [150.0, 90.0]]
    """
    height, width = check_shape(shape)
    return np.array([[fx * width, fy * height] for fx, fy in EYE_CORNERS])


def roi_mask(
    roi: str | os.PathLike[str] | npt.ArrayLike | None, shape: tuple[int, int] = DEFAULT_SHAPE
) -> Weights:
    """Region of interest as a mask of the canonical frame, or as weights of its pixels.

    Weights multiply the squared residuals: a pixel of weight 0.25 counts as a quarter of one.

    Parameters
    ----------
    roi : str, path, array_like (h, w) or None
        A name (``full``, ``face``, ``upper-face``, ``eyes-nose``, ``eyes``, ``eyes-first``,
        ``mouth``), the path of a mask image of the canonical size, or an array. Zero is outside;
        where the others differ, they are weights, scaled so that the largest is 1. None is
        ``full``.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (h, w), bool, or float32 where pixels weigh differently

    Raises
    ------
    ValueError
        If the name is unknown, the mask's shape is not `shape`, a weight is negative or not finite,
        or no pixel is selected.

    Examples
    --------
    >>> int(roi_mask("eyes", (200, 200)).sum())
    9120
    >>> roi_mask([[0, 255], [51, 255]], (2, 2)).tolist()
    [[0.0, 1.0], [0.20000000298023224, 1.0]]
    """
    height, width = check_shape(shape)
    if roi is None:
        roi = "full"
    if isinstance(roi, str) and roi in ROIS:
        y, x = np.mgrid[:height, :width]
        mask: npt.NDArray[Any] = np.asarray(ROIS[roi](x / width, y / height))
    elif isinstance(roi, (str, os.PathLike)):
        mask = _read_mask(roi)
    else:
        mask = np.asarray(roi)
    if mask.shape != (height, width):
        raise ValueError(
            f"roi: expected a mask of the canonical shape {(height, width)}, got shape {mask.shape}"
        )
    if mask.dtype.kind not in "buif":
        raise ValueError(f"roi: expected a boolean or numeric mask, got dtype {mask.dtype}")
    if not np.isfinite(mask).all():
        raise ValueError(
            f"roi: expected finite weights, got {np.count_nonzero(~np.isfinite(mask))} that are not"
        )
    if mask.min() < 0:
        raise ValueError(f"roi: expected weights of at least 0, got {mask.min()}")
    if not mask.any():
        raise ValueError("roi: the region of interest is empty; it needs at least one pixel")
    weights = mask.astype(np.float64) / float(mask.max())
    if ((weights == 0) | (weights == 1)).all():
        return np.ascontiguousarray(mask != 0)
    return np.ascontiguousarray(weights, dtype=np.float32)


def roi_name(weights: Weights) -> str | None:
    """Name of the region of interest that these weights are; None where they are another.

    Parameters
    ----------
    weights : ndarray, shape (h, w)
        As :func:`roi_mask` returns them.

    Returns
    -------
    str or None

    Examples
    --------
    >>> roi_name(roi_mask("mouth", (64, 48)))
    'mouth'
    """
    height, width = weights.shape
    names = (name for name in ROIS if np.array_equal(roi_mask(name, (height, width)), weights))
    return next(names, None)


def _read_mask(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    names = ", ".join(sorted(ROIS))
    if not os.path.isfile(path):
        raise ValueError(f"roi: {os.fspath(path)!r} is neither a mask image nor one of {names}")
    pillow = import_optional("PIL.Image", "roi: reading a mask image", name="Pillow")
    try:
        with pillow.open(path) as image:
            return np.asarray(image.convert("L"))
    except OSError as error:
        raise ValueError(f"roi: {os.fspath(path)!r} is not a readable image ({error})") from None
