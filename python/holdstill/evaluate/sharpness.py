"""How sharp the mean of the aligned frames is: what moves is blurred in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Sharpness:
    """Gradient energy of a mean image, beside that of the frames it is the mean of.

    Attributes
    ----------
    mean_image : float
        Mean squared gradient of the mean image in the region, (grey levels / canonical pixel)².
    frames : float
        The same of the frames, their mean: what the mean image would have if nothing moved.
    """

    mean_image: float
    frames: float

    @property
    def kept(self) -> float:
        """Share of the frames' sharpness that is left in their mean: 1 if nothing moves."""
        return self.mean_image / self.frames if self.frames > 0.0 else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain numbers."""
        return {**asdict(self), "kept": self.kept}


def mean_squared_gradient(picture: npt.ArrayLike, mask: npt.NDArray[np.bool_]) -> float:
    """Mean of g_x² + g_y² over a region, by central differences.

    Parameters
    ----------
    picture : array_like, shape (h, w)
        Grey levels.
    mask : ndarray (h, w), bool
        The region.

    Returns
    -------
    float

    Examples
    --------
    >>> mean_squared_gradient(3.0 * np.arange(4.0) + np.zeros((5, 1)), np.ones((5, 4), bool))
    9.0
    """
    # Twice the gradient by slices: np.gradient takes three times as long, once a frame.
    grey = np.asarray(picture, dtype=np.float32)
    padded = np.pad(grey, 1, mode="reflect", reflect_type="odd")
    twice_x = padded[1:-1, 2:] - padded[1:-1, :-2]
    twice_y = padded[2:, 1:-1] - padded[:-2, 1:-1]
    energy = (twice_x * twice_x + twice_y * twice_y)[mask]
    return float(energy.mean(dtype=np.float64)) / 4.0
