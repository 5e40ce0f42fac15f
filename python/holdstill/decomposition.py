"""Transforms taken apart: where the face is, how it is turned, how large, how skewed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.reference.motion import centre


class Motion(NamedTuple):
    """What transforms do to the canonical frame, each (n,) float64 unless stated.

    Attributes
    ----------
    translation : ndarray, shape (n, 2)
        Where the centre of the canonical frame lies in the frame: (x, y), pixels.
    rotation : ndarray
        Angle of the canonical x axis in the frame, degrees; clockwise in the picture.
    scale : ndarray
        √|det L|: frame pixels per canonical pixel.
    aspect : ndarray
        Length of the x axis over √|det L|; 1 for a similarity.
    shear : ndarray
        How far the y axis leans along the x axis, per unit of its height; 0 for a similarity.
    """

    translation: FloatArray
    rotation: FloatArray
    scale: FloatArray
    aspect: FloatArray
    shear: FloatArray


def decompose(frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]) -> Motion:
    """Take transforms apart: L = s R(α) [[a, k], [0, 1/a]] about the centre (equations §0).

    Of a homography it is the linear part at the centre.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
        NaN where a frame has none.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    Motion
        NaN where there is no transform, or its linear part is singular.

    Raises
    ------
    ValueError
        If the shape does not fit.

    Examples
    --------
    >>> found = decompose([[[0.0, -2.0, 50.0], [2.0, 0.0, 30.0], [0.0, 0.0, 1.0]]], (21, 41))
    >>> found.translation.tolist(), found.rotation.tolist(), found.scale.tolist()
    ([[30.0, 70.0]], [90.0], [2.0])
    """
    transforms = np.asarray(frame_from_canonical, dtype=np.float64)
    if transforms.ndim != 3 or transforms.shape[1:] != (3, 3):
        raise ValueError(f"frame_from_canonical: expected shape (n, 3, 3), got {transforms.shape}")
    placed = transforms @ np.append(centre(shape), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        translation = placed[:, :2] / placed[:, 2:]
        # The derivative of the fraction at the centre.
        linear = transforms[:, :2, :2] - translation[:, :, None] * transforms[:, 2:, :2]
        linear = linear / placed[:, 2, None, None]
        length = np.hypot(linear[:, 0, 0], linear[:, 1, 0])
        scale = np.sqrt(np.abs(np.linalg.det(linear)))
        leaning = np.einsum("ni,ni->n", linear[:, :, 0], linear[:, :, 1])
        aspect, shear = length / scale, leaning / (length * scale)
    rotation = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    lost = ~(np.isfinite(aspect) & np.isfinite(shear))
    for part in (translation, rotation, scale, aspect, shear):
        part[lost] = np.nan
    return Motion(translation, rotation, scale, aspect, shear)
