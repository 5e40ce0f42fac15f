"""Annotated points: read from a file, and mapped to the canonical frame."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.archive import read_array

MOST_POINTS = 100_000_000
"""Frames times points that a CSV may speak of."""


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
    # Room is made for every number up to the largest: a wrong one must not ask for gigabytes.
    rows_needed = index[:, 0].max() + 1 if frames is None else len(frames)
    if rows_needed * (index[:, 1].max() + 1) > MOST_POINTS:
        raise ValueError(
            f"{file}: expected at most {MOST_POINTS} points in all, got numbers up to frame "
            f"{index[:, 0].max():.0f}, point {index[:, 1].max():.0f}"
        )
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


def invertible(transforms: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of the transforms, (n, 3, 3), are finite and not singular."""
    finite = np.isfinite(transforms).all(axis=(1, 2))
    well = np.zeros(len(transforms), dtype=bool)
    well[finite] = np.linalg.cond(transforms[finite]) < 1.0 / np.finfo(np.float64).eps
    return well
