"""How colour becomes grey, the one place where it is said.

Grey is luma: Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) of the gamma-encoded, full-range RGB
values, rounded to the nearest integer for integer images. Images and arrays are converted by
`grey_from_rgb`. A video carries luma already: it is expanded to the full range and, where the
stream says that its weights are others (BT.709), converted; there is no way through the RGB
picture. Both agree up to the rounding and clipping of that picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of R, G and B in grey (ITU-R BT.601)."""

# In 16 fractional bits they sum to 65536, and 65535 * 65536 plus the half that rounds still fits an
# uint32.
_FIXED_POINT = tuple(round(weight * 65536) for weight in LUMA_WEIGHTS)


def grey_from_rgb(rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Luma of an RGB image.

    Parameters
    ----------
    rgb : ndarray, shape (H, W, 3), uint8, uint16 or float32
        Gamma-encoded, full range.

    Returns
    -------
    ndarray, shape (H, W), dtype of `rgb`
        Integers are rounded to nearest.

    Raises
    ------
    ValueError
        If the shape or the dtype is another.

    Examples
    --------
    >>> import numpy as np
    >>> grey_from_rgb(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).tolist()
    [[76, 150, 29]]
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"rgb: expected shape (H, W, 3), got {rgb.shape}")
    if rgb.dtype == np.float32:
        # No product of BLAS: its sums depend on how the picture lies in memory.
        red, green, blue = (rgb[..., k] * np.float32(w) for k, w in enumerate(LUMA_WEIGHTS))
        return np.asarray(red + green + blue)
    if rgb.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"rgb: expected dtype uint8, uint16 or float32, got {rgb.dtype}")
    total = np.full(rgb.shape[:2], 32768, np.uint32)
    for channel, weight in enumerate(_FIXED_POINT):
        total += np.multiply(rgb[..., channel], weight, dtype=np.uint32)
    total >>= 16
    return total.astype(rgb.dtype)


def full_range(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Luma of the limited range, 16 to 235, expanded to 0 to 255 (ITU-R BT.601 §2.5.3).

    Parameters
    ----------
    luma : ndarray, uint8
        Levels beyond the limits are clipped.

    Returns
    -------
    ndarray, uint8
        Rounded to nearest.

    Examples
    --------
    >>> full_range(np.array([0, 16, 126, 235, 255], np.uint8)).tolist()
    [0, 0, 128, 255, 255]
    """
    # round(255/219 (Y - 16)), exactly: 255/219 = 85/73, and 73/2 rounds.
    levels = np.clip(luma, 16, 235).astype(np.uint16)
    levels *= 85
    levels -= 16 * 85 - 36
    levels //= 73
    return levels.astype(np.uint8)
