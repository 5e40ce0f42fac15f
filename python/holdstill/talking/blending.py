"""Stitch lips into a frame: Poisson image editing with a soft edge, or the soft edge alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from holdstill._typing import FloatArray
from holdstill.applying import resample
from holdstill.talking.region import depth, outline

BLENDS = ("poisson", "feather")

SOFT_EDGE = 0.25
"""Depth of the region from which on the lips are opaque; on its border they are clear."""

FINENESS = 50
"""Points of the membrane's grid to the width of the canonical frame."""

OUTLIERS = 1.0
"""Median absolute deviations at which a border's difference is cut off."""


def feather(under: npt.NDArray[Any], patch: npt.NDArray[Any], depths: FloatArray) -> FloatArray:
    """The patch over what is under it, clear on the region's border, opaque deep inside.

    Parameters
    ----------
    under, patch : ndarray, shape (n, channels)
        Values of n pixels.
    depths : ndarray, shape (n,)
        Of the pixels in the region.

    Returns
    -------
    ndarray, shape (n, channels), float64
    """
    opacity = smooth_step(depths / SOFT_EDGE)[:, None]
    return np.asarray(under + opacity * (patch - under.astype(np.float64)))


def smooth_step(t: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """0 up to 0, 1 from 1 on, cubic between, and no kink.

    Examples
    --------
    >>> smooth_step(np.array([-1.0, 0.0, 0.5, 2.0])).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    t = np.clip(t, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


class Membrane:
    """The correction that Poisson image editing adds to a patch, in the canonical frame.

    An edited patch keeps its gradients and takes the border's values (Pérez et al., 2003): it is
    the patch plus a membrane c with Δc = 0 inside and, on the border, the difference between what
    was there and the patch. The membrane is smooth: a coarse grid holds it. In the canonical frame
    the region is the same for every frame, and so is the matrix that takes the border's differences
    to the inside: it is made once.

    What differs much more than the rest of the border is no light but another thing, the background
    beside a jaw or a lip that opened wide. Its difference is cut off, so that its colour does not
    run into the face.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the canonical frame.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        step = shape[1] / FINENESS
        low, high = outline(shape).min(axis=0), outline(shape).max(axis=0)
        first = np.floor(low / step) - 2
        n_x, n_y = (np.ceil(high / step) + 3 - first).astype(int)
        self.shape = int(n_y), int(n_x)
        self.canonical_from_grid = np.array(
            [[step, 0.0, first[0] * step], [0.0, step, first[1] * step], [0.0, 0.0, 1.0]]
        )
        y, x = np.mgrid[:n_y, :n_x]
        at = depth((x + first[0]) * step, (y + first[1]) * step, shape) > 0
        # The outermost points inside are the border: next to them lies what is not the face.
        self._inner = scipy.ndimage.binary_erosion(at)
        self._border = at & ~self._inner
        self._nearest = scipy.ndimage.distance_transform_edt(
            ~at, return_distances=False, return_indices=True
        )
        self._weights = _harmonic_weights(self._inner, self._border)

    def differences(
        self,
        frame: npt.NDArray[Any],
        frame_from_canonical: FloatArray,
        lips: npt.NDArray[Any],
        lips_from_canonical: FloatArray,
    ) -> FloatArray:
        """What the frame shows less what the lips' frame shows, at the grid's points.

        Returns
        -------
        ndarray, shape (grid height, grid width, channels), float64
        """
        shown = [
            resample(_channels(image), matrix @ self.canonical_from_grid, self.shape)
            for image, matrix in ((frame, frame_from_canonical), (lips, lips_from_canonical))
        ]
        return np.asarray(shown[0].astype(np.float64) - shown[1])

    def over(self, differences: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
        """The membrane on its grid.

        Parameters
        ----------
        differences : ndarray, shape (grid height, grid width, channels)
            Only the border counts.
        known : ndarray of bool, shape (grid height, grid width)
            Where both frames have pixels; what others differ by is taken for the median.

        Returns
        -------
        ndarray, as `differences`
        """
        border = differences[self._border]
        seen = known[self._border]
        membrane = np.zeros_like(differences)
        if not seen.any():
            return membrane
        middle = np.median(border[seen], axis=0)
        spread = np.median(np.abs(border[seen] - middle), axis=0)
        apart = np.where(seen[:, None], border - middle, 0.0)
        border = middle + np.clip(apart, -OUTLIERS * spread, OUTLIERS * spread)
        membrane[self._border] = border
        membrane[self._inner] = self._weights @ border
        return np.asarray(membrane[tuple(self._nearest)])

    def at(self, membrane: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
        """Bilinear values of a membrane at canonical positions inside of the region, (n, channels).

        Parameters
        ----------
        membrane : ndarray
            Of :meth:`over`.
        x, y : ndarray, shape (n,)
        """
        step = self.canonical_from_grid[0, 0]
        where = (
            (y - self.canonical_from_grid[1, 2]) / step,
            (x - self.canonical_from_grid[0, 2]) / step,
        )
        return np.stack(
            [
                scipy.ndimage.map_coordinates(membrane[..., channel], where, order=1)
                for channel in range(membrane.shape[2])
            ],
            axis=1,
        )

    def points(self) -> FloatArray:
        """Canonical positions of the grid's points, (grid height, grid width, 2)."""
        y, x = np.mgrid[: self.shape[0], : self.shape[1]]
        step = self.canonical_from_grid[0, 0]
        return np.asarray(np.stack([x, y], axis=-1) * step + self.canonical_from_grid[:2, 2])


def _channels(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return image if image.ndim == 3 else image[:, :, None]


def _harmonic_weights(inner: npt.NDArray[np.bool_], border: npt.NDArray[np.bool_]) -> FloatArray:
    """Weights (inner points, border points): harmonic functions inside, of their border's values.

    The five-point Laplacian L c = 0 reads L_ii c_i = -L_ib c_b.
    """
    n, m = int(inner.sum()), int(border.sum())
    number = np.full(inner.shape, -1)
    number[inner], number[border] = np.arange(n), n + np.arange(m)
    laplacian = np.zeros((n, n + m))
    laplacian[np.arange(n), np.arange(n)] = 4.0
    y, x = np.nonzero(inner)
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        laplacian[np.arange(n), number[y + dy, x + dx]] -= 1.0
    weights = np.linalg.solve(laplacian[:, :n], -laplacian[:, n:])
    return np.asarray(weights, dtype=np.float64)
