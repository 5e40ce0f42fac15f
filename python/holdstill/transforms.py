"""Transforms from the canonical frame to a frame: from eye corners, a face box, or a file."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SHAPE, eye_corners
from holdstill.checks import refuse_fractions
from holdstill.landmark_files import EYE_COLUMNS, KNOWN, has_pts, read_pts, with_eye_columns
from holdstill.landmarks import similarity_matrix
from holdstill.optional import import_optional
from holdstill.run_layout import PARTS
from holdstill.sources.paths import is_url
from holdstill.stores import copy_of, open_store
from holdstill.tables import read_csv

Cells: TypeAlias = list[Any] | npt.NDArray[Any]
Table = TypeVar("Table")

BOX_WIDTHS_PER_EYE_DISTANCE = 2.05
"""Width of a frontal Viola-Jones box in outer-eye distances (measured, standard deviation 0.12)."""

EYES_ABOVE_BOX_CENTRE = 0.18
"""Height of the middle of the eyes above the box's centre, in outer-eye distances (sd 0.02)."""

MATRIX_COLUMNS = tuple(f"h{row}{column}" for row in range(3) for column in range(3))
BOX_COLUMNS = ("x", "y", "width", "height")

_EXPECTED = (
    "a column frame (and source, where there are several streams) with either h00,h01,...,h22, "
    f"or left_x,left_y,right_x,right_y, or x,y,width,height; or landmarks: {KNOWN}"
)

log = logging.getLogger("holdstill")


def from_eye_corners(
    left: npt.ArrayLike, right: npt.ArrayLike, shape: tuple[int, int] = DEFAULT_SHAPE
) -> FloatArray:
    """Similarity that takes the canonical outer eye corners to two points of the frame.

    Parameters
    ----------
    left, right : array_like, shape (..., 2)
        (x, y) of the outer eye corner at the image's left and right, in frame pixels.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64
        frame_from_canonical (equations §0). Singular where both points coincide, NaN where one of
        them is.

    Raises
    ------
    ValueError
        If `left` and `right` are not points.

    Examples
    --------
    >>> from_eye_corners((100.0, 180.0), (300.0, 180.0), (200, 200)).tolist()
    [[2.0, -0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
    """
    corners = [np.asarray(points, dtype=np.float64) for points in (left, right)]
    for name, points in zip(("left", "right"), corners, strict=True):
        if points.ndim < 1 or points.shape[-1] != 2:
            raise ValueError(f"{name}: expected points of shape (..., 2), got {points.shape}")
    try:
        corners = list(np.broadcast_arrays(*corners))
    except ValueError:
        shapes = f"{corners[0].shape} and {corners[1].shape}"
        raise ValueError(f"left, right: expected points of one shape, got {shapes}") from None
    warn_of_swapped_eyes(*corners)
    first, second = (points[..., 0] + 1j * points[..., 1] for points in corners)
    canonical = eye_corners(shape) @ np.array([1.0, 1j])
    a = (second - first) / (canonical[1] - canonical[0])
    return similarity_matrix(a, first - a * canonical[0])


def warn_of_swapped_eyes(left: FloatArray, right: FloatArray) -> None:
    """Warn where most left eye corners lie right of the right ones: faces would be upside down."""
    apart = np.ravel(right[..., 0] - left[..., 0])
    if np.sum(apart < 0) > np.sum(apart >= 0):
        log.warning(
            "most left eye corners lie right of the right ones: left and right are those of the "
            "image, not of the person"
        )


def from_box(box: npt.ArrayLike, shape: tuple[int, int] = DEFAULT_SHAPE) -> FloatArray:
    """Similarity, without rotation, from the box of OpenCV's frontal face detector.

    The box of a Viola-Jones detector says where the eyes are only on average: it is 2.05 outer-eye
    distances wide (standard deviation 0.12), and the middle of the eyes lies 0.18 of that distance
    above its centre (0.02).

    Parameters
    ----------
    box : array_like, shape (..., 4)
        x, y of the top left pixel, width and height, in frame pixels.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64
        frame_from_canonical. Singular where the width is zero, NaN where the box is.

    Raises
    ------
    ValueError
        If `box` is not an array of boxes, or a width or height is negative.

    Examples
    --------
    >>> transform = from_box((100.0, 100.0, 205.0, 205.0), (200, 200))
    >>> (transform @ [100.0, 90.0, 1.0]).tolist()
    [202.0, 184.0, 1.0]
    """
    boxes = np.asarray(box, dtype=np.float64)
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise ValueError(f"box: expected x, y, width, height, shape (..., 4), got {boxes.shape}")
    if (boxes[..., 2:] < 0.0).any():
        raise ValueError("box: expected a width and height of at least 0")
    eye_distance = boxes[..., 2] / BOX_WIDTHS_PER_EYE_DISTANCE
    middle = boxes[..., :2] + (boxes[..., 2:] - 1.0) / 2.0
    middle[..., 1] -= EYES_ABOVE_BOX_CENTRE * eye_distance
    half = np.stack([eye_distance / 2.0, np.zeros_like(eye_distance)], axis=-1)
    return from_eye_corners(middle - half, middle + half, shape)


def read_transforms(
    path: str | os.PathLike[str], *, shape: tuple[int, int] = DEFAULT_SHAPE
) -> dict[str, npt.NDArray[Any]]:
    """Read the transforms of a run, or a file of initial transforms.

    Parameters
    ----------
    path : str or path
        A run's folder (with ``transforms.parquet`` in it), a Parquet file or folder of parts, or a
        CSV file; or an fsspec URL of any of these. Its columns are ``frame``, optionally
        ``source``, and one of three forms: the matrix ``h00``, ``h01``, ..., ``h22``; the outer eye
        corners at the image's left and right, ``left_x``, ``left_y``, ``right_x``, ``right_y``; or
        a face detector's box ``x``, ``y``, ``width``, ``height``. Or landmarks, whose outer eye
        corners are taken: a ``.pts`` file or a folder with one for each frame, in natural order; or
        CSV of dlib's or OpenFace's 68 points or MediaPipe's 468 or 478, ``x_0``, ..., ``y_0``, ...
        in pixels, or the columns ``frame``, ``point``, ``x``, ``y``. Empty cells (nulls) in all
        columns of the form mean that the frame has no transform. A column ``face`` numbers several
        faces of a frame. Further columns are returned as they are.
    shape : (int, int)
        Height and width of the canonical frame, for eye corners and boxes.

    Returns
    -------
    dict of ndarray
        ``frame`` (n,) int64; ``frame_from_canonical`` (n, 3, 3) float64, NaN where there is none;
        ``source`` (n,) object (str), if the file has it; and every further column, (n,). Rows are
        in the file's order.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If the file is neither Parquet nor CSV, columns are missing, a frame number is not an
        integer, a number is not finite, points or boxes are fractions of the frame, or two rows are
        about the same frame. Singular matrices are returned: a frame that cannot be aligned gets a
        status, it does not stop a run.
    ImportError
        If pyarrow is missing and the file is Parquet.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "eyes.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("frame,left_x,left_y,right_x,right_y\\n7,100,180,300,180\\n")
    ...     transforms = read_transforms(path)
    >>> transforms["frame"].tolist(), transforms["frame_from_canonical"][0, 0].tolist()
    ([7], [2.0, -0.0, 0.0])
    """
    if is_url(os.fspath(path)):
        return _of_copy(os.fspath(path), lambda copy: _read(copy, shape))
    return _read(Path(path), shape)


def starts_at_faces(path: str | os.PathLike[str]) -> bool:
    """Whether a file's transforms are of eye corners, face boxes or landmarks, not matrices.

    Parameters
    ----------
    path : str or path
        As :func:`read_transforms` takes it.

    Raises
    ------
    FileNotFoundError, ValueError, ImportError
        As :func:`read_transforms`.
    """
    if is_url(os.fspath(path)):
        columns = _of_copy(os.fspath(path), _columns)
    else:
        columns = _columns(_place(Path(path)))
    return not set(MATRIX_COLUMNS) <= set(columns)


def _of_copy(url: str, read: Callable[[Path], Table]) -> Table:
    is_run = open_store(url).exists(PARTS)
    with tempfile.TemporaryDirectory() as place:
        copy = copy_of(f"{url.rstrip('/')}/{PARTS}" if is_run else url, Path(place))
        try:
            return read(copy)
        except ValueError as error:
            raise ValueError(str(error).replace(str(copy), url)) from None


def _read(file: Path, shape: tuple[int, int]) -> dict[str, npt.NDArray[Any]]:
    file = _place(file)
    return _interpret(_columns(file), file, shape)


def _place(file: Path) -> Path:
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file or folder of transforms")
    return file / PARTS if (file / PARTS).exists() else file


def _columns(file: Path) -> Mapping[str, Cells]:
    if has_pts(file):
        return read_pts(file)
    if _is_parquet(file):
        return _read_parquet(file)
    return read_csv(file, f"neither Parquet nor CSV; expected {_EXPECTED}")


def _is_parquet(file: Path) -> bool:
    if file.is_dir():
        return True
    with file.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _read_parquet(file: Path) -> dict[str, Cells]:
    purpose = f"{file}: reading Parquet"
    pa, pq = (import_optional(name, purpose) for name in ("pyarrow", "pyarrow.parquet"))
    # Hidden files are parts that a run has not finished writing.
    parts = sorted(p for p in file.glob("*.parquet") if p.name[0] not in "._")
    if file.is_dir() and not parts:
        raise ValueError(
            f"{file}: a folder without transforms; expected a run's folder, or parts *.parquet"
        )
    try:
        table = pa.concat_tables([pq.read_table(part) for part in parts or [file]])
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}: not readable as Parquet ({error})") from None
    return {name: _cells(table.column(name)) for name in table.column_names}


def _cells(column: Any) -> Cells:
    """Cells of an Arrow column, in a few bytes a row where they are all of a kind."""
    import pyarrow as pa

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = np.asarray(column.to_numpy())
        # As NaN a null is told from a number that is none by their count.
        if values.dtype.kind != "f" or (~np.isfinite(values)).sum() == column.null_count:
            return values
    elif pa.types.is_string(column.type) and not column.null_count and len(column):
        encoded = column.dictionary_encode().combine_chunks()
        texts: npt.NDArray[Any] = np.array(encoded.dictionary.to_pylist(), dtype=object)
        return np.asarray(texts[encoded.indices.to_numpy()])
    cells: list[Any] = column.to_pylist()
    return cells


def _interpret(
    columns: Mapping[str, Cells], file: Path, shape: tuple[int, int]
) -> dict[str, npt.NDArray[Any]]:
    forms: list[tuple[Sequence[str], Callable[[FloatArray], FloatArray]]] = [
        (MATRIX_COLUMNS, lambda values: values.reshape(-1, 3, 3)),
        (EYE_COLUMNS, lambda values: from_eye_corners(values[:, :2], values[:, 2:], shape)),
        (BOX_COLUMNS, lambda values: from_box(values, shape)),
    ]
    form = next((form for form in forms if set(form[0]) <= set(columns)), None)
    if form is None:
        listed = {name: _listed(column) for name, column in columns.items()}
        if (landmarks := with_eye_columns(listed, file)) is not None:
            columns, form = landmarks, forms[1]
    if "frame" not in columns or form is None:
        found = ",".join([*columns][:20]) + (",..." if len(columns) > 20 else "")
        raise ValueError(f"{file}: found the columns {found}; expected {_EXPECTED}")
    names, transforms_of = form
    values = np.stack([_finite(columns[name], name, file) for name in names], axis=1)
    missing = np.isnan(values)
    _refuse(missing.any(axis=1) & ~missing.all(axis=1), f"some of {','.join(names)} empty", file)
    if names is BOX_COLUMNS:
        _refuse((values[:, 2:] < 0.0).any(axis=1), "a width or height below 0", file)
    if names is not MATRIX_COLUMNS:
        refuse_fractions(str(file), values)
    table: dict[str, npt.NDArray[Any]] = {"frame": _frame_numbers(columns["frame"], file)}
    if "face" in columns:
        table["face"] = _frame_numbers(columns["face"], file, "face")
    if "source" in columns:
        table["source"] = _texts(columns["source"], file)
    _refuse(_repeated(table), "the same frame as an earlier row", file)
    transforms = transforms_of(values)
    transforms[missing.all(axis=1)] = np.nan
    table["frame_from_canonical"] = transforms
    for name, column in columns.items():
        if name not in table and name not in names:
            table[name] = _as_array(column)
    return table


def _listed(column: Cells) -> list[Any]:
    """Cells one by one, None where they are empty."""
    if isinstance(column, list):
        return column
    return [None if cell != cell else cell for cell in column.tolist()]


def _finite(column: Cells, name: str, file: Path) -> FloatArray:
    """Floats of a column, NaN where it is empty; every other value must be a finite number."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "iuf":
        return column.astype(np.float64)
    try:
        values = np.array([np.nan if cell is None else float(cell) for cell in column])
    except (TypeError, ValueError):
        _refuse(np.array([not _is_number(cell) for cell in column]), f"no number in {name}", file)
        raise
    empty = np.array([cell is None for cell in column], dtype=bool)
    _refuse(~np.isfinite(values) & ~empty, f"a number that is not finite in {name}", file)
    return values.astype(np.float64)


def _is_number(cell: Any) -> bool:
    if cell is None:
        return True
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _frame_numbers(column: Cells, file: Path, name: str = "frame") -> npt.NDArray[np.int64]:
    values = _finite(column, name, file)
    wrong = np.isnan(values) | (values != np.round(values)) | (values < -1.0) | (values >= 2.0**53)
    _refuse(wrong, f"no {name} number (an integer from 0) in {name}", file)
    return values.astype(np.int64)


def _texts(column: Cells, file: Path) -> npt.NDArray[np.object_]:
    _refuse(np.array([not isinstance(cell, str) for cell in column]), "no text in source", file)
    return np.array(column, dtype=object)


def _repeated(table: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Rows about a frame, or a face of one, that an earlier row is about."""
    n = len(table["frame"])
    code_of: dict[str, int] = {}
    codes = [code_of.setdefault(text, len(code_of)) for text in table.get("source", ())]
    keys = table.get("face", np.zeros(n)), table["frame"], np.array(codes or [0] * n)
    order = np.lexsort(keys)  # stable: of equal rows the earliest comes first
    repeated = np.zeros(n, dtype=bool)
    if n:
        same = [key[order[1:]] == key[order[:-1]] for key in keys]
        repeated[order[1:]] = np.logical_and.reduce(same)
    return repeated


def _refuse(wrong: npt.ArrayLike, what: str, file: Path) -> None:
    wrong = np.asarray(wrong, dtype=bool)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0]) + 1
        raise ValueError(f"{file}: {what} in row {first} ({int(wrong.sum())} such rows)")


def _as_array(column: Cells) -> npt.NDArray[Any]:
    """Integers of 64 bits and floats as such (NaN for nulls), anything else as objects."""
    if isinstance(column, np.ndarray):
        kinds = {"i": np.int64, "u": np.int64, "f": np.float64}
        kind = column.dtype.kind
        if kind == "u" and column.max(initial=0) > np.iinfo(np.int64).max:
            kind = "O"
        return column.astype(kinds.get(kind, object))
    if all(cell is None or _is_number(cell) for cell in column):
        if all(cell is not None and str(cell).lstrip("+-").isdigit() for cell in column):
            try:
                return np.array([int(cell) for cell in column], dtype=np.int64)
            except (OverflowError, ValueError):  # beyond 64 bits, or beyond what Python reads
                return np.array(column, dtype=object)
        return np.array([np.nan if cell is None else float(cell) for cell in column])
    return np.array(column, dtype=object)
