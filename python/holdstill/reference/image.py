"""Low-pass, Gaussian derivatives, octaves and bilinear samples of a frame (equations §0)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

from .motion import FloatArray, linear_part

MINIMUM_SIGMA = 0.7
"""Smallest σ, in pixels, that a sampled Gaussian represents (at 0.5 a unit ramp answers 0.89)."""


def lowpass_sigma(frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]) -> float:
    """σ = max(0.7, 0.4 √|det L|) of the low-pass that precedes sampling (equations §0).

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        The initial transform of the frame; L is its linear part at the canonical centre.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    float
        Frame pixels.

    Examples
    --------
    >>> round(lowpass_sigma(np.diag([4.0, 4.0, 1.0]), (200, 200)), 12)
    1.6
    """
    return max(MINIMUM_SIGMA, 0.4 * _mean_scale(frame_from_canonical, shape))


def feature_sigma(
    frame_from_canonical: npt.ArrayLike, shape: tuple[int, int], sigma: float
) -> float:
    """σ_tot = √(σ_lp² + σ² |det L|): low-pass and Gaussian derivative in one filter.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        The initial transform of the frame.
    shape : (int, int)
        Height and width of the canonical frame.
    sigma : float
        σ of the edge feature in canonical pixels.

    Returns
    -------
    float
        Frame pixels.
    """
    scale = _mean_scale(frame_from_canonical, shape)
    return float(np.hypot(lowpass_sigma(frame_from_canonical, shape), sigma * scale))


def _mean_scale(frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]) -> float:
    return float(np.sqrt(abs(np.linalg.det(linear_part(frame_from_canonical, shape)))))


def octave(sigma: float) -> int:
    """Largest l ≥ 0 with 0.7·2ˡ ≤ σ: a frame blurred by σ is kept at every 2ˡ-th pixel.

    Parameters
    ----------
    sigma : float
        σ of the filter, in frame pixels.

    Returns
    -------
    int

    Examples
    --------
    >>> [octave(sigma) for sigma in (0.7, 1.39, 1.4, 2.8)]
    [0, 0, 1, 2]
    """
    level = 0
    while MINIMUM_SIGMA * 2 ** (level + 1) <= sigma:
        level += 1
    return level


def gaussian_kernel(sigma: float, order: int = 0) -> FloatArray:
    """Sampled Gaussian or its derivative, for true convolution (equations §0).

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels, positive.
    order : {0, 1}
        0: the Gaussian, scaled to sum 1. 1: its derivative, scaled so that a unit ramp answers
        exactly 1.

    Returns
    -------
    ndarray, shape (2 r + 1,), float64
        Values at -r..r, r = int(4 σ + 0.5).

    Raises
    ------
    ValueError
        If `sigma` is not positive and finite, or `order` neither 0 nor 1.

    Examples
    --------
    >>> float(gaussian_kernel(1.0).sum())
    1.0
    """
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma: expected a positive number of pixels, got {sigma}")
    radius = int(4 * sigma + 0.5)
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    bell = np.exp(-(x**2) / (2 * sigma**2))
    if order == 0:
        return np.asarray(bell / bell.sum())
    if order == 1:
        return np.asarray(-x * bell / (x**2 * bell).sum())
    raise ValueError(f"order: expected 0 or 1, got {order}")


def low_pass(image: npt.ArrayLike, sigma: float) -> FloatArray:
    """Gaussian low-pass of a grey frame, nearest border.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    sigma : float
        Frame pixels.

    Returns
    -------
    ndarray, shape (H, W), float64

    Examples
    --------
    >>> low_pass(np.full((4, 5), 7.0), 1.0).round(12).tolist()[0]
    [7.0, 7.0, 7.0, 7.0, 7.0]
    """
    kernel = gaussian_kernel(sigma)
    return _separable(grey(image), kernel, kernel)


def gaussian_derivatives(image: npt.ArrayLike, sigma: float) -> tuple[FloatArray, FloatArray]:
    """g_x = G'_x * G_y * I and g_y = G_x * G'_y * I, nearest border.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    sigma : float
        Frame pixels.

    Returns
    -------
    g_x, g_y : ndarray, shape (H, W), float64
        Grey levels per frame pixel.
    """
    frame = grey(image)
    smooth, derivative = gaussian_kernel(sigma), gaussian_kernel(sigma, order=1)
    return _separable(frame, derivative, smooth), _separable(frame, smooth, derivative)


def _separable(frame: FloatArray, along_x: FloatArray, along_y: FloatArray) -> FloatArray:
    rows_done = scipy.ndimage.convolve1d(frame, along_x, axis=1, mode="nearest")
    return np.asarray(scipy.ndimage.convolve1d(rows_done, along_y, axis=0, mode="nearest"))


def grey(image: npt.ArrayLike) -> FloatArray:
    """The frame as float64, or ValueError where it is not a grey image.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels of any numeric type.

    Returns
    -------
    ndarray, shape (H, W), float64
    """
    frame = np.asarray(image)
    if frame.ndim != 2 or frame.size == 0 or frame.dtype.kind not in "bufi":
        raise ValueError(
            f"image: expected a grey image (H, W) of numbers, got shape {frame.shape}, "
            f"dtype {frame.dtype}"
        )
    return frame.astype(np.float64)


def central_differences(plane: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(I(x+1) - I(x-1))/2 and (I(y+1) - I(y-1))/2, nearest border.

    Parameters
    ----------
    plane : ndarray, shape (H, W), float64

    Returns
    -------
    along_x, along_y : ndarray, shape (H, W), float64
        Per pixel of the plane.
    """
    kernel = np.array([0.5, 0.0, -0.5])
    along_x = np.asarray(scipy.ndimage.convolve1d(plane, kernel, axis=1, mode="nearest"))
    return along_x, np.asarray(scipy.ndimage.convolve1d(plane, kernel, axis=0, mode="nearest"))


def outside(points: FloatArray, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Which positions lie outside [0, W - 1] × [0, H - 1] (a position that is not finite does).

    Parameters
    ----------
    points : ndarray, shape (k, 2)
        (x, y).
    height, width : int
        Size of the plane.

    Returns
    -------
    ndarray, shape (k,), bool
    """
    x, y = points.T
    return np.asarray(~((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)))


def sample_bilinear(planes: FloatArray, points: FloatArray) -> FloatArray:
    """Bilinear samples of planes at positions; outside, the nearest border value.

    Parameters
    ----------
    planes : ndarray, shape (H, W) or (H, W, c)
        Planes sampled together.
    points : ndarray, shape (k, 2)
        (x, y) in pixels of the planes.

    Returns
    -------
    ndarray, shape (k,) or (k, c), float64
    """
    height, width = planes.shape[:2]
    x = np.clip(np.nan_to_num(points[:, 0]), 0, width - 1)
    y = np.clip(np.nan_to_num(points[:, 1]), 0, height - 1)
    x0 = np.minimum(x.astype(np.intp), max(width - 2, 0))
    y0 = np.minimum(y.astype(np.intp), max(height - 2, 0))
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    if planes.ndim == 3:
        fx, fy = fx[:, None], fy[:, None]
    top = (1 - fx) * planes[y0, x0] + fx * planes[y0, x1]
    bottom = (1 - fx) * planes[y1, x0] + fx * planes[y1, x1]
    return np.asarray((1 - fy) * top + fy * bottom)
