"""Which part of the face is replaced: the lips and the chin, in the canonical frame."""

from __future__ import annotations

import numpy as np

from holdstill._typing import FloatArray

CENTRE = (0.5, 0.85)
"""Where the lips close, as fractions (x of the width, y of the height) of the canonical frame."""

SEMI_AXES = (0.23, 0.15, 0.26)
"""How far the region reaches sideways, up to the nose and down to the chin, as the same fractions.

Two half ellipses: a jaw is narrow where it is low, and what lies beside it is not the face.
"""


def depth(x: FloatArray, y: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """How deep canonical points lie in the region: 1 in its middle, 0 on its border, else below.

    Parameters
    ----------
    x, y : ndarray
        Positions in canonical pixels; the region reaches beyond the canonical frame.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, as `x` and `y`

    Examples
    --------
    >>> depth(np.array([100.0, 123.0]), np.array([170.0, 170.0]), (200, 200)).round(6).tolist()
    [1.0, 0.5]
    """
    height, width = shape
    aside, up, below = SEMI_AXES
    down = y / height - CENTRE[1]
    across = (x / width - CENTRE[0]) / aside
    return np.asarray(1.0 - np.hypot(across, down / np.where(down < 0, up, below)))


def outline(shape: tuple[int, int], n: int = 64) -> FloatArray:
    """Points (n, 2) of the region's border in canonical pixels, x and y.

    Examples
    --------
    >>> np.round(outline((200, 200), 4), 6).tolist()
    [[146.0, 170.0], [100.0, 222.0], [54.0, 170.0], [100.0, 140.0]]
    """
    angle = 2 * np.pi * np.arange(n) / n
    aside, up, below = SEMI_AXES
    down = np.sin(angle)
    x = CENTRE[0] + aside * np.cos(angle)
    y = CENTRE[1] + np.where(down < 0, up, below) * down
    return np.stack([x * shape[1], y * shape[0]], axis=1)
