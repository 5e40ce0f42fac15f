"""Points marked on faces: their mean shape, and the similarity that takes it to each face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import eye_corners as canonical_eye_corners

_ROUNDS = 100
_SETTLED = 1e-9


def similarity_of(points: npt.ArrayLike, canonical_points: npt.ArrayLike) -> FloatArray:
    """Similarity that takes canonical points to points of frames, by least squares.

    Parameters
    ----------
    points : array_like, shape (..., k, 2)
        (x, y) in frame pixels.
    canonical_points : array_like, shape (k, 2)
        (x, y) in canonical pixels; at least two that differ.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64
        frame_from_canonical (equations §0).

    Raises
    ------
    ValueError
        If the shapes do not fit, or the canonical points coincide.

    Examples
    --------
    >>> similarity_of([[10.0, 4.0], [14.0, 4.0]], [[0.0, 0.0], [2.0, 0.0]]).tolist()
    [[2.0, -0.0, 10.0], [0.0, 2.0, 4.0], [0.0, 0.0, 1.0]]
    """
    marked = np.asarray(points, dtype=np.float64)
    canonical = np.asarray(canonical_points, dtype=np.float64)
    if canonical.ndim != 2 or canonical.shape[1] != 2 or len(canonical) < 2:
        raise ValueError(f"canonical_points: expected shape (k, 2), k >= 2, got {canonical.shape}")
    if marked.ndim < 2 or marked.shape[-2:] != canonical.shape:
        raise ValueError(f"points: expected shape (..., {len(canonical)}, 2), got {marked.shape}")
    if not np.ptp(canonical, axis=0).any():
        raise ValueError("canonical_points: expected points that differ, but all coincide")
    to, start = (p[..., 0] + 1j * p[..., 1] for p in (marked, canonical))
    away = start - start.mean()
    a = (to @ away.conj()) / np.vdot(away, away).real
    return similarity_matrix(a, to.mean(axis=-1) - a * start.mean())


def similarity_matrix(a: npt.NDArray[np.complex128], b: npt.NDArray[np.complex128]) -> FloatArray:
    """A similarity as complex numbers have it, z -> a z + b, as a matrix.

    Parameters
    ----------
    a, b : ndarray, shape (...), complex128
        Scale and turn; shift.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64

    Examples
    --------
    >>> similarity_matrix(np.array(2j), np.array(3 + 4j)).tolist()
    [[0.0, -2.0, 3.0], [2.0, 0.0, 4.0], [0.0, 0.0, 1.0]]
    """
    transform = np.zeros((*a.shape, 3, 3))
    transform[..., 0, 0] = transform[..., 1, 1] = a.real
    transform[..., 0, 1] = -a.imag
    transform[..., 1, 0] = a.imag
    transform[..., 0, 2], transform[..., 1, 2] = b.real, b.imag
    transform[..., 2, 2] = 1.0
    return transform


def mean_shape(
    points: npt.ArrayLike, shape: tuple[int, int], eye_corners: tuple[int, int] = (0, 1)
) -> FloatArray:
    """Generalised Procrustes mean of marked faces, its outer eye corners at the canonical places.

    Parameters
    ----------
    points : array_like, shape (n, k, 2)
        (x, y) of the same k points on n faces, in the pixels of each.
    shape : (int, int)
        Height and width of the canonical frame.
    eye_corners : (int, int)
        Which of the points are the outer eye corners, image left and image right.

    Returns
    -------
    ndarray, shape (k, 2), float64
        (x, y) in canonical pixels.

    Raises
    ------
    ValueError
        If `points` has another shape, is not finite, or the points of a face coincide; or
        `eye_corners` are not two of them that differ on average.

    Examples
    --------
    >>> mean_shape([[[0, 0], [4, 0]], [[5, 5], [5, 9]]], (200, 200)).round(9).tolist()
    [[50.0, 90.0], [150.0, 90.0]]
    """
    marked = np.asarray(points, dtype=np.float64)
    if marked.ndim != 3 or marked.shape[1] < 2 or marked.shape[2] != 2 or len(marked) == 0:
        raise ValueError(f"points: expected shape (n, k, 2), k >= 2, got {marked.shape}")
    if not np.isfinite(marked).all():
        raise ValueError("points: expected finite numbers")
    if (np.ptp(marked, axis=1).max(axis=1) == 0).any():
        raise ValueError("points: expected points that differ, but those of a face coincide")
    pair = [index for index in eye_corners if isinstance(index, (int, np.integer))]
    if len(pair) != 2 or len(set(pair)) != 2 or not set(pair) <= set(range(marked.shape[1])):
        raise ValueError(
            f"eye_corners: expected two different indices of points from 0 to "
            f"{marked.shape[1] - 1}, got {eye_corners!r}"
        )
    corners = canonical_eye_corners(shape)
    mean = marked[0]
    for _ in range(_ROUNDS):
        to_mean = np.stack([similarity_of(mean, face) for face in marked])
        moved = (to_mean[:, :2, :2] @ marked.transpose(0, 2, 1)).transpose(0, 2, 1)
        averaged = (moved + to_mean[:, None, :2, 2]).mean(axis=0)
        if not np.ptp(averaged[pair], axis=0).any():
            raise ValueError("eye_corners: expected points that differ, but they coincide")
        gauge = similarity_of(corners, averaged[pair])
        before, mean = mean, averaged @ gauge[:2, :2].T + gauge[:2, 2]
        if np.abs(mean - before).max() < _SETTLED * max(shape):
            break
    return np.asarray(mean)
