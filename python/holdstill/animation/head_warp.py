"""Moving the head of a picture, while what is far from it stays where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SHAPE, check_shape
from holdstill.talking.blending import smooth_step

Rgb: TypeAlias = npt.NDArray[np.uint8]
Maps: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

HEAD_CENTRE = (0.5, 0.47)
"""Of an ellipse about the whole head with its hair, as fractions of the canonical frame."""

HEAD_AXES = (0.52, 0.75)
"""Its semi-axes: a head is 1.7 outer-eye distances wide, and the eyes are at half its height."""

FALLOFF = 1.7
"""Where the movement has died away, in semi-axes."""

_STEEPEST = 1.5
"""Largest slope of the smooth step."""

_AT_HEAD, _AT_BORDER = 0.4, 0.55
"""Most that each falloff may press pixels together: less than 1 where both meet, without a fold."""


@dataclass(frozen=True)
class HeadWarp:
    """Warps pictures of one size: the head moves as a whole, its surroundings follow less and less.

    On an ellipse about the head the picture moves by the transforms given. From its border on the
    displacement falls smoothly, to nothing at `FALLOFF` semi-axes and at the picture's borders, so
    that no pixel comes from outside of the picture. Both falloffs are as wide as the displacement
    needs: the warp folds nowhere.

    Parameters
    ----------
    size : (int, int)
        Height and width of the pictures.
    shape : (int, int)
        Height and width of the canonical frame.

    Examples
    --------
    >>> picture = np.zeros((40, 60, 3), np.uint8)
    >>> picture[18:22, 28:32] = 200
    >>> at = np.array([[0.1, 0.0, 20.0], [0.0, 0.1, 10.0], [0.0, 0.0, 1.0]])
    >>> to = at + [[0, 0, 2.0], [0, 0, 0], [0, 0, 0]]
    >>> moved = HeadWarp((40, 60))(picture, at, to)
    >>> np.flatnonzero(moved[20, :, 0]).tolist()
    [30, 31, 32, 33]
    """

    size: tuple[int, int]
    shape: tuple[int, int] = DEFAULT_SHAPE
    _pixels: FloatArray = field(init=False, repr=False)
    _to_border: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        height, width = self.size
        if min(height, width) < 2:
            raise ValueError(f"size: expected sides of at least 2 pixels, got {height}x{width}")
        check_shape(self.shape)
        y, x = np.mgrid[:height, :width].astype(np.float64)
        to_border = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
        object.__setattr__(self, "_pixels", np.stack([x, y, np.ones_like(x)]).reshape(3, -1))
        object.__setattr__(self, "_to_border", to_border.ravel())

    def __call__(self, picture: npt.NDArray[Any], source: FloatArray, target: FloatArray) -> Rgb:
        """Move the head of a picture from one place to another.

        Parameters
        ----------
        picture : ndarray, shape (h, w[, 3]), uint8
        source, target : ndarray, shape (3, 3)
            frame_from_canonical where the head is, and where it shall be.

        Returns
        -------
        ndarray, shape (h, w[, 3]), uint8

        Raises
        ------
        ValueError
            If the picture has another size.
        """
        import cv2

        if picture.shape[:2] != self.size:
            raise ValueError(f"picture: expected {self.size}, got {picture.shape[:2]}")
        moved = cv2.remap(
            picture, *self.maps(source, target), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, dtype=np.uint8)

    def maps(self, source: FloatArray, target: FloatArray) -> Maps:
        """Where each pixel comes from: x and y, each (h, w) float32."""
        canonical = np.linalg.inv(target) @ self._pixels
        canonical = canonical[:2] / canonical[2]
        there = source[:2] @ np.vstack([canonical, np.ones(canonical.shape[1])])
        reach = displacement(source, target, self.shape)
        weight = self._falloff(canonical, target, reach)
        weight *= smooth_step(self._to_border / max(1.0, _STEEPEST / _AT_BORDER * reach))
        found = self._pixels[:2] + weight * (there - self._pixels[:2])
        x, y = found.astype(np.float32).reshape(2, *self.size)
        return x, y

    def _falloff(self, canonical: FloatArray, target: FloatArray, reach: float) -> FloatArray:
        height, width = self.shape
        x = (canonical[0] / width - HEAD_CENTRE[0]) / HEAD_AXES[0]
        y = (canonical[1] / height - HEAD_CENTRE[1]) / HEAD_AXES[1]
        axis = min(HEAD_AXES[0] * width, HEAD_AXES[1] * height)
        axis *= np.sqrt(abs(np.linalg.det(target[:2, :2])))
        width_of_falloff = max(FALLOFF - 1.0, _STEEPEST / _AT_HEAD * reach / axis)
        return smooth_step(1.0 - (np.hypot(x, y) - 1.0) / width_of_falloff)


def displacement(
    source: FloatArray, target: FloatArray, shape: tuple[int, int] = DEFAULT_SHAPE
) -> float:
    """Farthest that a point of a head's outline moves, in pixels.

    Parameters
    ----------
    source, target : ndarray, shape (..., 3, 3)
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    float
    """
    height, width = shape
    angle = np.linspace(0.0, 2.0 * np.pi, 33)
    outline = np.stack(
        [
            width * (HEAD_CENTRE[0] + HEAD_AXES[0] * np.cos(angle)),
            height * (HEAD_CENTRE[1] + HEAD_AXES[1] * np.sin(angle)),
            np.ones_like(angle),
        ]
    )
    away = ((target - source) @ outline)[..., :2, :]
    return float(np.hypot(away[..., 0, :], away[..., 1, :]).max(initial=0.0))
