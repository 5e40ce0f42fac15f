"""Landmark files of other programs: the outer eye corners are what initial transforms need."""

from __future__ import annotations

import contextlib
import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from holdstill.checks import refuse_fractions
from holdstill.sources.paths import natural_key

Columns: TypeAlias = dict[str, list[Any]]

OUTER_EYE_CORNERS = {68: (36, 45), 468: (33, 263), 478: (33, 263)}
"""Image left and right, by the number of points: iBUG's 68 (dlib, OpenFace), MediaPipe's mesh."""

KNOWN = (
    "a folder of 68-point .pts files, or CSV of 68 points (dlib, OpenFace) or of MediaPipe's 468 "
    "or 478 as x_0,...,y_0,... in pixels, or frame,point,x,y"
)

EYE_COLUMNS = ("left_x", "left_y", "right_x", "right_y")
_DLIBS_EYES = (36, 39, 42, 45)
_X, _Y = re.compile(r"x_?(\d+)"), re.compile(r"y_?(\d+)")

log = logging.getLogger("holdstill")


def has_pts(path: Path) -> bool:
    """Whether this is a ``.pts`` file, or a folder of them."""
    return path.suffix == ".pts" or (path.is_dir() and any(path.glob("*.pts")))


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
    files = (
        [path] if path.is_file() else sorted(path.glob("*.pts"), key=lambda p: natural_key(str(p)))
    )
    rows = []
    for file in files:
        points = _points_of(file)
        if len(points):
            left, right = _corners(len(points), file)
            rows.append([*(points[left] - 1.0), *(points[right] - 1.0)])
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
    if {"frame", "point", "x", "y"} <= set(columns):
        columns = _wide(columns)
    xs, ys = ({int(m[1]): n for n in columns if (m := of.fullmatch(n))} for of in (_X, _Y))
    if "frame" not in columns or not xs or set(xs) != set(ys) or min(xs) != 0:
        return None
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
    return _of_openface(kept, file) if "success" in columns else kept


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


def _points_of(file: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
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
    return points


def _corners(count: int, file: Path) -> tuple[int, int]:
    if count not in OUTER_EYE_CORNERS:
        known = ", ".join(map(str, OUTER_EYE_CORNERS))
        raise ValueError(
            f"{file}: expected {known} points, whose eye corners are known, got {count}"
        )
    return OUTER_EYE_CORNERS[count]


def _wide(columns: Mapping[str, list[Any]]) -> Columns:
    """frame,point,x,y as a row for each frame; a point that is left out is an empty cell."""
    at: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    cells = zip(*(columns[name] for name in ("frame", "point", "x", "y")), strict=True)
    for frame, point, x, y in cells:
        at[frame] |= {f"x_{point}": x, f"y_{point}": y}
    names = dict.fromkeys(name for row in at.values() for name in row)
    wide: Columns = {"frame": list(at)}
    return wide | {name: [row.get(name) for row in at.values()] for name in names}


def _refuse_normalised(columns: Mapping[str, list[Any]], names: list[str], file: Path) -> None:
    try:
        values = [float(cell) for name in names for cell in columns[name] if cell is not None]
    except ValueError:
        return  # said later, with the row
    refuse_fractions(str(file), values)


def _of_openface(columns: Columns, file: Path) -> Columns:
    first = _numbers(columns, "face_id", 0.0, file)
    rows = [row for row, number in enumerate(first) if number == 0.0]
    kept: Columns = {
        name: [cells[row] for row in rows] for name, cells in columns.items() if name != "face_id"
    }
    kept["frame"] = [frame - 1 for frame in _numbers(kept, "frame", 0.0, file)]
    lost = [success != 1.0 for success in _numbers(kept, "success", 0.0, file)]
    for name in EYE_COLUMNS:
        kept[name] = [None if gone else cell for gone, cell in zip(lost, kept[name], strict=True)]
    return kept


def _numbers(columns: Columns, name: str, default: float, file: Path) -> list[float]:
    cells = columns.get(name, [default] * len(columns["frame"]))
    try:
        return [default if cell is None else float(cell) for cell in cells]
    except (TypeError, ValueError):
        raise ValueError(f"{file}: expected numbers in {name}") from None
