"""Initial transforms as a table has them, and which row of it is about a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.tables import file_name

ANGLES = ("yaw", "pitch", "roll")
"""Columns of a file of initial transforms that a run carries through: a tracker's head pose."""


class NumberedFrame(Protocol):
    """What a row of a file is found by."""

    @property
    def source(self) -> str:
        """Path or address of the stream."""

    @property
    def frame(self) -> int:
        """Frame number."""


class RowsByFrame:
    """Transforms, and head poses if there are any, of the frames that a table is about.

    Parameters
    ----------
    table : mapping of str to ndarray of length n
        As :func:`holdstill.transforms.read_transforms` returns it.
    n_streams : int
        Readable streams of the source, each with its own frame numbers.
    name : str
        What the table is called in messages.

    Raises
    ------
    ValueError
        If columns are missing, malformed or of different lengths, or rows cannot be told apart.
    """

    def __init__(self, table: Mapping[str, npt.NDArray[Any]], n_streams: int, name: str) -> None:
        if not {"frame", "frame_from_canonical"} <= set(table):
            raise ValueError(
                f"{name}: expected the keys frame and frame_from_canonical, got {','.join(table)}"
            )
        frames = np.asarray(table["frame"])
        self._transforms = as_transforms(table["frame_from_canonical"])
        _refuse_other_lengths(table, len(self._transforms), name)
        if "source" not in table and n_streams > 1:
            raise ValueError(
                f"{name}: {n_streams} streams number their frames alike; "
                "expected a column source that tells them apart"
            )
        self.last_frame = int(frames.max()) if len(frames) else None
        self._index = _RowIndex(frames, table.get("source"))
        if self._index.has_repetitions:
            raise ValueError(f"{name}: expected one row for each frame; some have several faces")
        self._poses = _poses(table, name) if set(ANGLES) <= set(table) else None

    @property
    def has_angles(self) -> bool:
        """Whether the head pose is known as well."""
        return self._poses is not None

    def transform(self, frame: NumberedFrame) -> FloatArray | None:
        """frame_from_canonical of a frame, (3, 3); None where it has none."""
        row = self._index.row_of(frame)
        return None if row is None else present(self._transforms[row])

    def angles(self, frame: NumberedFrame) -> FloatArray:
        """Yaw, pitch and roll of a frame, (3,); NaN where they are not known."""
        row = self._index.row_of(frame)
        return np.full(3, np.nan) if row is None or self._poses is None else self._poses[row]


def _refuse_other_lengths(table: Mapping[str, npt.NDArray[Any]], n: int, name: str) -> None:
    named = {"frame": "frame numbers", "source": "sources"}
    for column in ("frame", "source", *ANGLES):
        length = len(np.atleast_1d(table[column])) if column in table else n
        if length != n:
            what = named.get(column, f"values of {column}")
            raise ValueError(f"{name}: {length} {what} for {n} transforms")


def _poses(table: Mapping[str, npt.NDArray[Any]], name: str) -> FloatArray:
    try:
        return np.stack([np.asarray(table[angle], dtype=np.float64) for angle in ANGLES], axis=1)
    except ValueError:
        raise ValueError(f"{name}: expected numbers in {', '.join(ANGLES)}") from None


class _RowIndex:
    """Which row of a table is about a frame, in a few bytes a row.

    Parameters
    ----------
    frames : ndarray, shape (n,)
        Frame numbers.
    sources : ndarray, shape (n,), of str, or None
        None: there is one source, whatever its name.
    """

    def __init__(
        self, frames: npt.NDArray[np.int64], sources: npt.NDArray[np.object_] | None
    ) -> None:
        self._any_source = sources is None
        self._code_of: dict[str, int] = {}
        codes = np.zeros(len(frames), dtype=np.int64)
        for row, source in enumerate(() if sources is None else sources):
            codes[row] = self._code_of.setdefault(str(source), len(self._code_of))
        self._rows = np.lexsort((frames, codes))
        self._frames, codes = np.asarray(frames)[self._rows], codes[self._rows]
        self._begins = np.searchsorted(codes, np.arange(max(1, len(self._code_of)) + 1))
        same = (np.diff(self._frames) == 0) & (np.diff(codes) == 0)
        self.has_repetitions = bool(same.any())
        self._named: dict[str, list[int]] = {}
        for source, code in self._code_of.items():
            self._named.setdefault(file_name(source), []).append(code)

    def row_of(self, frame: NumberedFrame) -> int | None:
        """Row of a frame: by its source's path, else by its file's name, if that is no other's."""
        if self._any_source:
            return self._row(0, frame.frame)
        source = str(frame.source)
        code = self._code_of.get(source)
        row = None if code is None else self._row(code, frame.frame)
        if row is None:
            codes = self._named.get(file_name(source), [])
            found = [self._row(code, frame.frame) for code in codes]
            # Equal names in different folders cannot be told apart by name: neither is taken.
            rows = [row for row in found if row is not None]
            row = rows[0] if len(rows) == 1 else None
        return row

    def _row(self, code: int, number: int) -> int | None:
        first, end = self._begins[code], self._begins[code + 1]
        place = first + int(np.searchsorted(self._frames[first:end], number))
        if place == end or self._frames[place] != number:
            return None
        return int(self._rows[place])


def as_transforms(initial: npt.ArrayLike) -> FloatArray:
    """Transforms (n, 3, 3), each finite or NaN throughout; a TypeError or ValueError else."""
    try:
        transforms = np.asarray(initial, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            "initial: expected a path, numbers of shape (n, 3, 3), the result of read_transforms, "
            f"a callable or None, got {type(initial).__name__}"
        ) from None
    if transforms.ndim != 3 or transforms.shape[1:] != (3, 3):
        raise ValueError(f"initial: expected shape (n, 3, 3), got {transforms.shape}")
    missing = np.isnan(transforms).all(axis=(1, 2))
    wrong = ~missing & ~np.isfinite(transforms).all(axis=(1, 2))
    if wrong.any():
        raise ValueError(
            f"initial: expected finite numbers (or NaN throughout where there is no transform), "
            f"got others in {int(wrong.sum())} transforms, the first at {np.flatnonzero(wrong)[0]}"
        )
    return transforms


def present(transform: FloatArray) -> FloatArray | None:
    """The transform; None where it is NaN."""
    return None if np.isnan(transform).any() else transform
