"""How still the eye corners hold: their dispersion in the canonical frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SHAPE, check_shape
from holdstill.evaluate.points import invertible, map_to_canonical

EYE_CORNERS = (27, 29, 34, 32)
"""Points of the 68-point annotation: outer left, inner left, inner right, outer right."""

SCALED_EYE_DISTANCE = 100.0
"""Distance between the outer eye corners to which errors are scaled, in pixels."""


@dataclass(frozen=True)
class Dispersion:
    """Mean, standard deviation and maximum of errors.

    Attributes
    ----------
    mean, std, max : float
        In pixels at 100 px between the outer eye corners. NaN where no frame counts.
    """

    mean: float
    std: float
    max: float


@dataclass(frozen=True)
class EyeCornerTable:
    """Dispersion of the eye corners in the canonical frame (equations §5).

    Attributes
    ----------
    left, right, average : Dispersion
        Over the errors of both corners of the eye at the image's left and right, and over those of
        all four.
    n_used : int
        Frames that count.
    n_no_transform, n_no_points, n_left_out : int
        Frames that do not: without a finite invertible transform, without all four points, and
        left out by the caller's mask.
    eye_distance : float
        Distance between the mean positions of the outer eye corners in the canonical frame, in
        canonical pixels: divide an error by 100 and multiply by this to have canonical pixels.
    shape : (int, int)
        Height and width of the canonical frame.
    """

    left: Dispersion
    right: Dispersion
    average: Dispersion
    n_used: int
    n_no_transform: int
    n_no_points: int
    n_left_out: int
    eye_distance: float
    shape: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain numbers, each eye's dispersion as a dict of its own."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [("left eye", self.left), ("right eye", self.right), ("average", self.average)]
        lines = [f"{'eye corners':<12}{'mean':>8}{'std':>8}{'max':>8}"]
        lines += [f"{name:<12}{row.mean:8.3f}{row.std:8.3f}{row.max:8.2f}" for name, row in rows]
        height, width = self.shape
        lines.append(
            f"pixels at {SCALED_EYE_DISTANCE:.0f} between the outer corners "
            f"({self.eye_distance:.2f} in the {height}x{width} canonical frame)"
        )
        lines.append(
            f"{self.n_used} frames; not counted: {self.n_no_transform} without a transform, "
            f"{self.n_no_points} without points, {self.n_left_out} left out"
        )
        return "\n".join(lines)


def eye_corner_errors(
    frame_from_canonical: npt.ArrayLike,
    points: npt.ArrayLike,
    eye_corners: Sequence[int] = EYE_CORNERS,
    use: npt.ArrayLike | None = None,
) -> FloatArray:
    """Distance of every frame's eye corners to their mean positions (equations §5).

    Parameters
    ----------
    frame_from_canonical, points, eye_corners
        As in :func:`eye_corner_table`.
    use : array_like of bool, shape (n,), optional
        Frames that the mean positions are of; all by default.

    Returns
    -------
    ndarray, shape (n, 4), float64
        Pixels at 100 px between the mean outer eye corners; NaN where a frame has no transform or
        not all four points.

    Raises
    ------
    ValueError
        If the shapes do not fit or a point does not exist.

    Examples
    --------
    >>> points = np.array([[[50.0, 90.0], [80.0, 90.0], [120.0, 90.0], [150.0, 90.0]]] * 2)
    >>> points[1] += (2.0, 0.0)
    >>> eye_corner_errors([np.eye(3)] * 2, points, (0, 1, 2, 3)).tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    away = eye_corner_deviations(frame_from_canonical, points, eye_corners, use)
    return np.asarray(np.linalg.norm(away, axis=2))


def eye_corner_deviations(
    frame_from_canonical: npt.ArrayLike,
    points: npt.ArrayLike,
    eye_corners: Sequence[int] = EYE_CORNERS,
    use: npt.ArrayLike | None = None,
) -> FloatArray:
    """What :func:`eye_corner_errors` are the lengths of: x and y, (n, 4, 2)."""
    mapped, usable = _mapped_corners(frame_from_canonical, points, eye_corners)
    mean, scale = _mean_and_scale(mapped[usable & _check_mask(use, len(mapped))])
    return (mapped - mean) * scale


def eye_corner_table(
    frame_from_canonical: npt.ArrayLike,
    points: npt.ArrayLike,
    eye_corners: Sequence[int] = EYE_CORNERS,
    shape: tuple[int, int] = DEFAULT_SHAPE,
    use: npt.ArrayLike | None = None,
) -> EyeCornerTable:
    """Measure how still the eye corners hold in the canonical frame (equations §5).

    The error of a corner in a frame is its distance to that corner's mean position over all frames
    used. The left and right rows pool the errors of an eye's two corners over all frames, the
    average pools all four. Errors are scaled so that the mean positions of the outer corners are
    100 px apart: otherwise whoever shrinks the face would win.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
    points : array_like, shape (n, k, 2)
        (x, y) in frame pixels; NaN where a point is unknown.
    eye_corners : (int, int, int, int)
        Which points are the outer left, inner left, inner right and outer right eye corner; left
        and right are the image's.
    shape : (int, int)
        Height and width of the canonical frame.
    use : array_like of bool, shape (n,), optional
        Frames to count; leave out those with closed eyes, whose corners move.

    Returns
    -------
    EyeCornerTable

    Raises
    ------
    ValueError
        If the shapes do not fit or a point does not exist.

    Examples
    --------
    >>> points = np.array([[[50.0, 90.0], [80.0, 90.0], [120.0, 90.0], [150.0, 90.0]]] * 2)
    >>> points[1] += (2.0, 0.0)
    >>> table = eye_corner_table([np.eye(3)] * 2, points, eye_corners=(0, 1, 2, 3))
    >>> table.average
    Dispersion(mean=1.0, std=0.0, max=1.0)
    """
    canonical_shape = check_shape(shape)
    errors = eye_corner_errors(frame_from_canonical, points, eye_corners, use)
    mapped, usable = _mapped_corners(frame_from_canonical, points, eye_corners)
    transformed = invertible(np.asarray(frame_from_canonical, dtype=np.float64))
    wanted = _check_mask(use, len(mapped))
    counted = wanted & usable
    _, scale = _mean_and_scale(mapped[counted])
    return EyeCornerTable(
        left=_dispersion(errors[counted, :2]),
        right=_dispersion(errors[counted, 2:]),
        average=_dispersion(errors[counted]),
        n_used=int(counted.sum()),
        n_no_transform=int((wanted & ~transformed).sum()),
        n_no_points=int((wanted & transformed & ~usable).sum()),
        n_left_out=int((~wanted).sum()),
        eye_distance=SCALED_EYE_DISTANCE / scale,
        shape=canonical_shape,
    )


def _mapped_corners(
    frame_from_canonical: npt.ArrayLike, points: npt.ArrayLike, eye_corners: Sequence[int]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """The four corners in the canonical frame, NaN unless all are known; and where they are."""
    positions = np.asarray(points, dtype=np.float64)
    corners = check_corners(eye_corners, positions)
    mapped = map_to_canonical(frame_from_canonical, positions[:, corners])
    usable = np.asarray(np.isfinite(mapped).all(axis=(1, 2)))
    mapped[~usable] = np.nan
    return mapped, usable


def _mean_and_scale(mapped: FloatArray) -> tuple[FloatArray, float]:
    """Mean positions, and the factor that brings the outer ones 100 px apart."""
    if not len(mapped):
        return np.full((4, 2), np.nan), np.nan
    mean = mapped.mean(axis=0)
    distance = float(np.linalg.norm(mean[3] - mean[0]))
    return mean, SCALED_EYE_DISTANCE / distance if distance > 0.0 else np.nan


def check_corners(eye_corners: Sequence[int], points: FloatArray) -> list[int]:
    """The four indices of eye corners, or what is wrong with them or the points."""
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f"points: expected shape (n, k, 2), got {points.shape}")
    corners = [int(corner) for corner in eye_corners]
    if len(corners) != 4 or not all(0 <= corner < points.shape[1] for corner in corners):
        raise ValueError(
            f"eye_corners: expected four indices of points from 0 to {points.shape[1] - 1}, "
            f"got {tuple(eye_corners)}"
        )
    return corners


def _check_mask(use: npt.ArrayLike | None, n: int) -> npt.NDArray[np.bool_]:
    mask = np.ones(n, dtype=bool) if use is None else np.asarray(use)
    if mask.shape != (n,) or mask.dtype != np.bool_:
        raise ValueError(f"use: expected bool of shape ({n},), got {mask.dtype} {mask.shape}")
    return mask


def _dispersion(errors: FloatArray) -> Dispersion:
    if errors.size == 0:
        return Dispersion(np.nan, np.nan, np.nan)
    return Dispersion(float(errors.mean()), float(errors.std()), float(errors.max()))
