"""Annotated points: read from a file, and mapped to the canonical frame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.archive import read_array
from holdstill.landmark_files import has_pts, read_landmarks, refuse_too_many

_EXPECTED = (
    "expected an .npy file (n, k, 2), .pts files, or a CSV with the columns frame,point,x,y or "
    "frame,x_0,...,y_0,... in pixels"
)


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
    usable = invertible(transforms)
    inverse = np.full_like(transforms, np.nan)
    inverse[usable] = np.linalg.inv(transforms[usable])
    homogeneous = np.concatenate([positions, np.ones((*positions.shape[:2], 1))], axis=2)
    mapped = homogeneous @ inverse.transpose(0, 2, 1)
    return np.asarray(mapped[..., :2] / mapped[..., 2:])


def read_points(path: str | os.PathLike[str], frames: npt.ArrayLike | None = None) -> FloatArray:
    """Read annotated points.

    Parameters
    ----------
    path : str or path
        An .npy file of shape (n, k, 2), in the order of the run's rows. Or landmarks by frame
        number, as :func:`holdstill.read_transforms` takes them, of any number of points: a CSV file
        with the columns frame, point, x, y (frame number, index of the point, position in frame
        pixels) or frame, x_0, ..., y_0, ...; a ``.pts`` file, or a folder with one for each of the
        frames 0, 1, ... in natural order, whose pixels count from 1.
    frames : array_like of int, shape (n,), optional
        Frame number of each of the run's rows. Without it the rows of landmarks are frames 0, 1,
        ... up to the last that there is.

    Returns
    -------
    ndarray, shape (n, k, 2), float64
        (x, y) in frame pixels; NaN where the file has no point.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of none of these forms, or does not fit to `frames`.

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
    rows = None if frames is None else np.asarray(frames)
    if file.exists() and has_pts(file):
        return _read_by_frame(file, rows)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file of points")
    with file.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            return _read_by_frame(file, rows)
    points = read_array(file)
    if points.ndim != 3 or points.shape[2] != 2 or points.dtype.kind not in "fiu":
        raise ValueError(
            f"{file}: expected numbers of shape (n, k, 2), got {points.dtype} {points.shape}"
        )
    if rows is not None and len(points) != len(rows):
        raise ValueError(
            f"{file}: expected one entry for each of {len(rows)} rows, got {len(points)}"
        )
    return np.asarray(points, dtype=np.float64)


def _read_by_frame(file: Path, frames: npt.NDArray[Any] | None) -> FloatArray:
    number, found = read_landmarks(file, _EXPECTED)
    count = found.shape[1]
    rows_needed = number.max() + 1 if frames is None else len(frames)
    refuse_too_many(rows_needed, number.max(), count - 1, file)
    if frames is None:
        frames = np.arange(rows_needed)
    row_of = {int(frame): row for row, frame in enumerate(frames)}
    if len(row_of) != len(frames):
        raise ValueError(
            f"{file}: frame numbers of several streams are ambiguous; "
            "expected an .npy file in the order of the rows"
        )
    points = np.full((len(frames), count, 2), np.nan)
    rows = np.array([row_of.get(frame, -1) for frame in number.tolist()])
    points[rows[rows >= 0]] = found[rows >= 0]
    return points


def invertible(transforms: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of the transforms, (n, 3, 3), are finite and not singular."""
    finite = np.isfinite(transforms).all(axis=(1, 2))
    well = np.zeros(len(transforms), dtype=bool)
    well[finite] = np.linalg.cond(transforms[finite]) < 1.0 / np.finfo(np.float64).eps
    return well
