"""How a region varies over the aligned frames: its principal components (equations §5)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

N_COMPONENTS = 20
"""Components whose accumulated share is told, as in the paper's Fig. 1."""

_PIXELS_AT_A_TIME = 4096


@dataclass(frozen=True)
class RegionVariance:
    """Variance of a region's grey levels over frames, and how few components hold it.

    What moves by itself varies, too: compare two alignments of the same frames. The better has
    the smaller total, and more of it in the first components.

    Attributes
    ----------
    total : float
        Trace of the covariance: the sum of the pixels' variances (divisor n - 1), grey levels²
        from 0 to 255. Times n - 1 it is the sum of squares that the paper gives.
    accumulated : tuple of float
        Share of the total in the first component, the first two, ... up to `N_COMPONENTS`; NaN
        where nothing varies.
    n_frames, n_pixels : int
        Frames, and pixels of the region.
    """

    total: float
    accumulated: tuple[float, ...]
    n_frames: int
    n_pixels: int

    @property
    def per_pixel(self) -> float:
        """Root mean square over the pixels of their standard deviations, grey levels."""
        return float(np.sqrt(self.total / self.n_pixels))

    @property
    def share(self) -> float:
        """Share of the total in all the components told."""
        return self.accumulated[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain numbers."""
        return {
            **asdict(self),
            "accumulated": list(self.accumulated),
            "per_pixel": self.per_pixel,
            "share": self.share,
        }


def region_variance(pixels: npt.ArrayLike) -> RegionVariance:
    """PCA of grey levels through the Gram matrix of the frames.

    Parameters
    ----------
    pixels : array_like, shape (n, m)
        Grey levels from 0 to 255 of a region's m pixels in each of n ≥ 2 frames.

    Returns
    -------
    RegionVariance

    Raises
    ------
    ValueError
        If there are not two frames and a pixel.

    Examples
    --------
    >>> found = region_variance([[0, 0, 5], [4, 0, 5], [2, 3, 5], [2, -3, 5]])
    >>> round(found.total, 3), [round(share, 3) for share in found.accumulated]
    (8.667, [0.692, 1.0, 1.0])
    """
    grey = np.asarray(pixels)
    if grey.ndim != 2 or grey.shape[0] < 2 or grey.shape[1] < 1:
        raise ValueError(f"pixels: expected shape (n, m) with n > 1, m > 0, got {grey.shape}")
    n, m = grey.shape
    gram = np.zeros((n, n))
    for first in range(0, m, _PIXELS_AT_A_TIME):
        block = grey[:, first : first + _PIXELS_AT_A_TIME].astype(np.float64)
        block -= block.mean(axis=0)
        gram += block @ block.T
    values = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)
    total = float(np.trace(gram))
    shares = np.cumsum(values[: min(N_COMPONENTS, n - 1)])
    accumulated = shares / total if total > 0.0 else np.full_like(shares, np.nan)
    return RegionVariance(total / (n - 1), tuple(accumulated.tolist()), n, m)
