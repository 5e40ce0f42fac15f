"""How still the eye corners hold: their dispersion in the canonical frame."""

from __future__ import annotations

import csv
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill.canonical import DEFAULT_SHAPE, check_shape

FloatArray: TypeAlias = npt.NDArray[np.float64]

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


def map_to_canonical(frame_from_canonical: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Map points of frames to the canonical frame.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
    points : array_like, shape (n, k, 2)
        (x, y) in frame pixels.

    Returns
    -------
    ndarray, shape (n, k, 2), float64
        (x, y) in canonical pixels; NaN where the transform is singular or not finite.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> map_to_canonical([np.diag([2.0, 2.0, 1.0])], [[[10.0, 20.0]]]).tolist()
    [[[5.0, 10.0]]]
    """
    transforms = np.asarray(frame_from_canonical, dtype=np.float64)
    positions = np.asarray(points, dtype=np.float64)
    if transforms.ndim != 3 or transforms.shape[1:] != (3, 3):
        raise ValueError(f"frame_from_canonical: expected shape (n, 3, 3), got {transforms.shape}")
    if positions.ndim != 3 or positions.shape[2] != 2 or len(positions) != len(transforms):
        raise ValueError(
            f"points: expected shape (n, k, 2) with n = {len(transforms)}, got {positions.shape}"
        )
    usable = _invertible(transforms)
    inverse = np.full_like(transforms, np.nan)
    inverse[usable] = np.linalg.inv(transforms[usable])
    homogeneous = np.concatenate([positions, np.ones((*positions.shape[:2], 1))], axis=2)
    mapped = homogeneous @ inverse.transpose(0, 2, 1)
    return np.asarray(mapped[..., :2] / mapped[..., 2:])


def eye_corner_table(
    frame_from_canonical: npt.ArrayLike,
    points: npt.ArrayLike,
    eye_corners: tuple[int, int, int, int] = EYE_CORNERS,
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
    positions = np.asarray(points, dtype=np.float64)
    corners = _check_corners(eye_corners, positions)
    mapped = map_to_canonical(frame_from_canonical, positions[:, corners])
    transformed = _invertible(np.asarray(frame_from_canonical, dtype=np.float64))
    annotated = np.isfinite(positions[:, corners]).all(axis=(1, 2))
    wanted = _check_mask(use, len(positions))
    mapped = mapped[wanted & transformed & annotated]
    n_used = len(mapped)
    mean = mapped.mean(axis=0) if n_used else np.full((4, 2), np.nan)
    eye_distance = float(np.linalg.norm(mean[3] - mean[0]))
    scale = SCALED_EYE_DISTANCE / eye_distance if eye_distance > 0.0 else np.nan
    errors = np.linalg.norm(mapped - mean, axis=2) * scale
    return EyeCornerTable(
        left=_dispersion(errors[:, :2]),
        right=_dispersion(errors[:, 2:]),
        average=_dispersion(errors),
        n_used=n_used,
        n_no_transform=int((wanted & ~transformed).sum()),
        n_no_points=int((wanted & transformed & ~annotated).sum()),
        n_left_out=int((~wanted).sum()),
        eye_distance=eye_distance,
        shape=canonical_shape,
    )


def read_points(path: str | os.PathLike[str], frames: npt.ArrayLike | None = None) -> FloatArray:
    """Read annotated points.

    Parameters
    ----------
    path : str or path
        An .npy file of shape (n, k, 2), in the order of the run's rows; or a CSV file with the
        columns frame, point, x, y: frame number, index of the point, position in frame pixels.
    frames : array_like of int, shape (n,), optional
        Frame number of each of the run's rows. Without it the rows of a CSV file are frames
        0, 1, ... up to the last that it names.

    Returns
    -------
    ndarray, shape (n, k, 2), float64
        (x, y) in frame pixels; NaN where the file has no point.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not of either form, or does not fit to `frames`.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "points.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("frame,point,x,y\\n1,0,2.5,3.5\\n")
    ...     points = read_points(path, frames=[1])
    >>> points.tolist()
    [[[2.5, 3.5]]]
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file of points")
    rows = None if frames is None else np.asarray(frames)
    with file.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            return _read_points_csv(file, rows)
    try:
        points = np.load(file, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{file}: not a readable .npy file ({error})") from None
    if points.ndim != 3 or points.shape[2] != 2 or points.dtype.kind not in "fiu":
        raise ValueError(
            f"{file}: expected numbers of shape (n, k, 2), got {points.dtype} {points.shape}"
        )
    if rows is not None and len(points) != len(rows):
        raise ValueError(
            f"{file}: expected one entry for each of {len(rows)} rows, got {len(points)}"
        )
    return np.asarray(points, dtype=np.float64)


def _read_points_csv(file: Path, frames: npt.NDArray[Any] | None) -> FloatArray:
    expected = "expected an .npy file (n, k, 2) or a CSV with the columns frame,point,x,y"
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream) if line]
        header = [name.strip() for name in lines[0]]
        columns = [header.index(name) for name in ("frame", "point", "x", "y")]
    except (UnicodeDecodeError, csv.Error, IndexError, ValueError):
        raise ValueError(f"{file}: {expected}") from None
    try:
        values = np.array([[float(line[c]) for c in columns] for line in lines[1:]]).reshape(-1, 4)
    except (IndexError, ValueError):
        raise ValueError(f"{file}: a row without four numbers; {expected}") from None
    index = values[:, :2]
    if len(values) == 0 or not (np.isfinite(index) & (index >= 0) & (index % 1 == 0)).all():
        raise ValueError(f"{file}: frame and point must be integers from 0; {expected}")
    number, point = index.astype(np.int64).T
    if frames is None:
        frames = np.arange(number.max() + 1)
    row_of = {int(frame): row for row, frame in enumerate(frames)}
    if len(row_of) != len(frames):
        raise ValueError(
            f"{file}: frame numbers of several streams are ambiguous; "
            "expected an .npy file in the order of the rows"
        )
    if len(np.unique(index, axis=0)) != len(index):
        raise ValueError(f"{file}: the same point of the same frame more than once")
    points = np.full((len(frames), int(point.max()) + 1, 2), np.nan)
    rows = np.array([row_of.get(frame, -1) for frame in number.tolist()])
    points[rows[rows >= 0], point[rows >= 0]] = values[rows >= 0, 2:]
    return points


def _invertible(transforms: FloatArray) -> npt.NDArray[np.bool_]:
    finite = np.isfinite(transforms).all(axis=(1, 2))
    well = np.zeros(len(transforms), dtype=bool)
    well[finite] = np.linalg.cond(transforms[finite]) < 1.0 / np.finfo(np.float64).eps
    return well


def _check_corners(eye_corners: tuple[int, int, int, int], points: FloatArray) -> list[int]:
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
