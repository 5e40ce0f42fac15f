"""Landmark files of other programs: their points, and the outer eye corners for a start."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.checks import refuse_fractions
from holdstill.sources.paths import natural_key
from holdstill.tables import read_csv

Columns: TypeAlias = dict[str, list[Any]]

Landmarks: TypeAlias = tuple[npt.NDArray[np.int64], FloatArray]
"""Frame numbers (m,), each once; points (m, k, 2), pixels counted from 0, NaN where unknown."""

OUTER_EYE_CORNERS = {68: (36, 45), 468: (33, 263), 478: (33, 263)}
"""Image left and right, by the number of points: iBUG's 68 (dlib, OpenFace), MediaPipe's mesh."""

KNOWN = (
    "a folder of 68-point .pts files, or CSV of 68 points (dlib, OpenFace) or of MediaPipe's 468 "
    "or 478 as x_0,...,y_0,... in pixels, or frame,point,x,y"
)

EYE_COLUMNS = ("left_x", "left_y", "right_x", "right_y")
MOST_POINTS, MOST_A_FRAME = 100_000_000, 100_000
"""Frames times points that a file may speak of, and points of a frame."""

_LONG = ("frame", "point", "x", "y")
_DLIBS_EYES = (36, 39, 42, 45)
_X, _Y = re.compile(r"x_?(\d+)"), re.compile(r"y_?(\d+)")

log = logging.getLogger("holdstill")


def has_pts(path: Path) -> bool:
    """Whether this is a ``.pts`` file, or a folder of them."""
    return path.suffix == ".pts" or (path.is_dir() and any(path.glob("*.pts")))


def read_landmarks(file: Path, expected: str) -> Landmarks:
    """Points of every frame: of a ``.pts`` file, a folder of them, or a CSV, whatever its points.

    Parameters
    ----------
    file : pathlib.Path
    expected : str
        What the file should be, for the message where it is neither.

    Returns
    -------
    frame : ndarray, shape (m,), int64
        Of ``.pts`` files their places in natural order.
    points : ndarray, shape (m, k, 2), float64
        (x, y) in pixels counted from 0, NaN where a point is unknown.

    Raises
    ------
    ValueError
        If the file is damaged, or its points are not in pixels.
    """
    if has_pts(file):
        return _of_pts(file)
    columns: Columns = dict(read_csv(file, expected))
    if set(_LONG) <= set(columns):
        return _of_long(columns, file)
    if (names := _coordinates(columns)) is not None:
        return _of_wide(columns, *names, file)
    raise ValueError(f"{file}: {expected}")


def refuse_too_many(rows: float, frame: float, point: float, file: Path) -> None:
    """Room is made for every number up to the largest: a wrong one must not ask for gigabytes."""
    if point >= MOST_A_FRAME:
        raise ValueError(
            f"{file}: expected at most {MOST_A_FRAME} points a frame, got point {point:.0f}"
        )
    if rows * (point + 1) > MOST_POINTS:
        raise ValueError(
            f"{file}: expected at most {MOST_POINTS} points in all, got numbers up to frame "
            f"{frame:.0f}, point {point:.0f}"
        )


def read_pts(path: Path) -> Columns:
    """Outer eye corners of a ``.pts`` file, or of a folder with one for each frame in order.

    The format counts pixels from 1. A file of no points is a frame without a face.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict of list
        ``frame``, and ``left_x``, ``left_y``, ``right_x``, ``right_y`` in pixels counted from 0.

    Raises
    ------
    ValueError
        If a file is no such file, or of an unknown number of points.
    """
    files = _pts_files(path)
    rows = []
    for file in files:
        points = _points_of(file)
        if len(points):
            left, right = _corners(len(points), file)
            rows.append([*points[left], *points[right]])
        else:
            rows.append([None] * 4)
    columns = dict(zip(EYE_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    return {"frame": list(range(len(files))), **columns}


def with_eye_columns(columns: Mapping[str, list[Any]], file: Path) -> Columns | None:
    """Columns of a landmark CSV with outer eye corners in the place of landmarks.

    OpenFace counts frames from 1, says whether it found a face in ``success``, and numbers faces by
    ``face_id``, of which the first is taken.

    Parameters
    ----------
    columns : dict of list
        Cells by header.
    file : pathlib.Path
        For messages.

    Returns
    -------
    dict of list, or None
        None where these are no landmarks.

    Raises
    ------
    ValueError
        If the points are of an unknown number, or not in pixels.
    """
    if set(_LONG) <= set(columns):
        columns = _as_columns(*_of_long(columns, file))
    if (coordinates := _coordinates(columns)) is None:
        return None
    xs, ys = coordinates
    left, right = _corners(max(xs) + 1, file)
    if not {left, right} <= set(xs):
        raise ValueError(f"{file}: expected points {left} and {right}, the outer eye corners")
    names = (xs[left], ys[left], xs[right], ys[right])
    _refuse_normalised(columns, [*xs.values(), *ys.values()], file)
    if max(xs) + 1 == 68:
        _warn_of_another_order([columns[xs[k]] for k in _DLIBS_EYES], file)
    kept = {
        name: cells for name, cells in columns.items() if name not in {*xs.values(), *ys.values()}
    }
    kept |= {eye: columns[name] for eye, name in zip(EYE_COLUMNS, names, strict=True)}
    return _of_openface(kept, EYE_COLUMNS, file) if "success" in columns else kept


def _warn_of_another_order(xs: Sequence[Sequence[Any]], file: Path) -> None:
    """The corners of both eyes lie in order, each as wide as the gap between them at least half."""
    with contextlib.suppress(TypeError, ValueError):  # told of where the numbers are read
        rows = [[float(cell) for cell in row] for row in zip(*xs, strict=True) if None not in row]
        if not rows:
            return
        left, gap, right = np.median(np.diff(rows, axis=1), axis=0)
        if not min(left, right) > gap / 2 > 0:
            log.warning(
                "%s: 68 points are taken for dlib's, but 36, 39, 42 and 45 do not lie as the "
                "corners of two eyes do; of points in another order give the columns %s",
                file,
                ",".join(EYE_COLUMNS),
            )


def _pts_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(path.glob("*.pts"), key=lambda p: natural_key(str(p)))


def _points_of(file: Path) -> FloatArray:
    """Points of a ``.pts`` file, (k, 2), counted from 0 and not from 1 as the format does."""
    text = file.read_text(encoding="utf-8", errors="replace")
    found = re.fullmatch(r"\s*version:.*?n_points:\s*(\d+)\s*\{(.*)\}\s*", text, flags=re.S)
    try:
        if found is None:
            raise ValueError
        points = np.array(found[2].split(), dtype=np.float64).reshape(-1, 2)
        if len(points) != int(found[1]):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{file}: not a .pts file; expected version: 1, n_points: 68, {{, 68 lines of x y, }}"
        ) from None
    return points - 1.0


def _of_pts(path: Path) -> Landmarks:
    files = _pts_files(path)
    found = [_points_of(file) for file in files]
    count = max(map(len, found))
    points = np.full((len(files), count, 2), np.nan)
    for row, (file, of_file) in enumerate(zip(files, found, strict=True)):
        if len(of_file) not in (0, count):
            raise ValueError(f"{file}: expected {count} points as in others, got {len(of_file)}")
        points[row, : len(of_file)] = of_file
    return np.arange(len(files)), points


def _corners(count: int, file: Path) -> tuple[int, int]:
    if count not in OUTER_EYE_CORNERS:
        known = ", ".join(map(str, OUTER_EYE_CORNERS))
        raise ValueError(
            f"{file}: expected {known} points, whose eye corners are known, got {count}"
        )
    return OUTER_EYE_CORNERS[count]


def _coordinates(columns: Mapping[str, Any]) -> tuple[dict[int, str], dict[int, str]] | None:
    """Columns of x and of y by the number of their point; None where they are no landmarks."""
    xs, ys = ({int(m[1]): n for n in columns if (m := of.fullmatch(n))} for of in (_X, _Y))
    if "frame" not in columns or not xs or set(xs) != set(ys) or min(xs) != 0:
        return None
    return xs, ys


def _of_long(columns: Mapping[str, list[Any]], file: Path) -> Landmarks:
    """frame,point,x,y: points that are left out, and those of empty cells, are unknown."""
    try:
        values = np.array([_numbers(columns, name, np.nan, file) for name in _LONG])
    except ValueError:
        raise ValueError(f"{file}: a row without four numbers in {','.join(_LONG)}") from None
    index = values[:2]
    if not index.size or not _whole(index):
        raise ValueError(f"{file}: frame and point must be integers from 0")
    frames, row = np.unique(index[0], return_inverse=True)
    refuse_too_many(len(frames), index[0].max(), index[1].max(), file)
    if np.unique(index, axis=1).shape != index.shape:
        raise ValueError(f"{file}: the same point of the same frame more than once")
    points = np.full((len(frames), int(index[1].max()) + 1, 2), np.nan)
    points[row, index[1].astype(np.int64)] = values[2:].T
    return frames.astype(np.int64), points


def _of_wide(columns: Columns, xs: dict[int, str], ys: dict[int, str], file: Path) -> Landmarks:
    """A row for each frame; points of empty cells are unknown."""
    if "success" in columns:
        columns = _of_openface(columns, (*xs.values(), *ys.values()), file)
    frames = np.array(_numbers(columns, "frame", np.nan, file))
    if not frames.size or not _whole(frames):
        raise ValueError(f"{file}: frame must be integers from 0")
    if len(np.unique(frames)) != len(frames):
        raise ValueError(f"{file}: the same frame more than once")
    refuse_too_many(len(frames), frames.max(), max(xs), file)
    points = np.full((len(frames), max(xs) + 1, 2), np.nan)
    for number in xs:
        for axis, of in enumerate((xs, ys)):
            points[:, number, axis] = _numbers(columns, of[number], np.nan, file)
    _refuse_normalised(columns, [*xs.values(), *ys.values()], file)
    return frames.astype(np.int64), points


def _whole(numbers: FloatArray) -> bool:
    return bool(((numbers >= 0) & (numbers < 2.0**53) & (numbers % 1 == 0)).all())


def _as_columns(frames: npt.NDArray[np.int64], points: FloatArray) -> Columns:
    """Landmarks as a row for each frame; points that no frame has are left out."""
    unknown = np.isnan(points)
    cells = points.astype(object)
    cells[unknown] = None
    columns: Columns = {"frame": frames.tolist()}
    for k in np.flatnonzero(~unknown.all(axis=(0, 2))).tolist():
        columns |= {f"x_{k}": cells[:, k, 0].tolist(), f"y_{k}": cells[:, k, 1].tolist()}
    return columns


def _refuse_normalised(columns: Mapping[str, list[Any]], names: list[str], file: Path) -> None:
    try:
        values = [float(cell) for name in names for cell in columns[name] if cell is not None]
    except ValueError:
        return  # said later, with the row
    refuse_fractions(str(file), values)


def _of_openface(columns: Columns, points: Sequence[str], file: Path) -> Columns:
    """Frames counted from 0, of the first face; columns of `points` are empty where it was lost."""
    first = _numbers(columns, "face_id", 0.0, file)
    rows = [row for row, number in enumerate(first) if number == 0.0]
    kept: Columns = {
        name: [cells[row] for row in rows] for name, cells in columns.items() if name != "face_id"
    }
    kept["frame"] = [frame - 1 for frame in _numbers(kept, "frame", 0.0, file)]
    lost = [success != 1.0 for success in _numbers(kept, "success", 0.0, file)]
    for name in points:
        kept[name] = [None if gone else cell for gone, cell in zip(lost, kept[name], strict=True)]
    return kept


def _numbers(
    columns: Mapping[str, list[Any]], name: str, default: float, file: Path
) -> list[float]:
    cells = columns.get(name, [default] * len(columns["frame"]))
    try:
        return [default if cell is None else float(cell) for cell in cells]
    except (TypeError, ValueError):
        raise ValueError(f"{file}: expected numbers in {name}") from None
