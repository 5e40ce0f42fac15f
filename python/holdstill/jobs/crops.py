"""Aligned pictures as one chunked zarr array, written by many at a time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional
from holdstill.outputs import output_errors
from holdstill.run_layout import CROPS, FRAGMENTS, fragment_name
from holdstill.stores import AT_ONCE, Store, numbers_in
from holdstill.threads import run_in_order
from holdstill.tracks import TRACK_LENGTH

Pictures = npt.NDArray[np.uint8]

_CHUNK_BYTES = 2**20

_DAMAGED = (RuntimeError, ValueError, EOFError)
"""What reading a damaged chunk or fragment raises."""

_ONE_AT_A_TIME = threading.Lock()
"""NumPy reads a header as Python's syntax, at which threads of CPython 3.11 can trip each other."""


def _compression(zarr: Any) -> dict[str, Any]:
    """Zstandard, zarr 3's own choice: blocks of zarr 2's come in the order its threads end in."""
    if int(zarr.__version__.split(".")[0]) >= 3:
        return {}
    numcodecs = import_optional("numcodecs", "writing aligned.zarr", "zarr")
    return {"compressor": numcodecs.Zstd()}


@dataclass(frozen=True)
class Crops:
    """The array of a run: (n, h, w) or (n, h, w, 3), uint8, row for row.

    Tracks are written in any order and from any process. A chunk that two tracks share is written
    by neither: each leaves its rows of it as a fragment, and the last step joins them.

    Attributes
    ----------
    store : Store
        The run's folder.
    n_rows : int
    shape : (int, int)
        Height and width.
    colour : bool
    """

    store: Store
    n_rows: int
    shape: tuple[int, int]
    colour: bool

    @property
    def chunk(self) -> int:
        """Pictures in a chunk: about a megabyte, and a divisor of a track's length."""
        size = self.shape[0] * self.shape[1] * (3 if self.colour else 1)
        divisors = [k for k in range(1, TRACK_LENGTH + 1) if TRACK_LENGTH % k == 0]
        return max((k for k in divisors if k * size <= _CHUNK_BYTES), default=1)

    def create(self) -> None:
        """Make the array, unless it is there and whole."""
        one = (*self.shape, 3) if self.colour else self.shape
        if self.store.exists(CROPS):
            with contextlib.suppress(OSError, KeyError, *_DAMAGED):
                if self._array("r").shape == (self.n_rows, *one):
                    return
        zarr = import_optional("zarr", "writing aligned.zarr", "zarr")
        with output_errors(self._path):
            zarr.open(
                self._address,
                mode="w",
                shape=(self.n_rows, *one),
                chunks=(self.chunk, *one),
                dtype=np.uint8,
                **_compression(zarr),
            )

    def picture(self, rgb: Pictures) -> Pictures:
        """A picture (h, w, 3) as the array holds it."""
        return rgb if self.colour else rgb[:, :, 1]

    def write(self, first_row: int, pictures: Pictures) -> None:
        """Write consecutive rows.

        Parameters
        ----------
        first_row : int
        pictures : ndarray, shape (k, h, w[, 3]), uint8
        """
        end = first_row + len(pictures)
        inner = -(-first_row // self.chunk) * self.chunk, end // self.chunk * self.chunk
        if end == self.n_rows:
            inner = inner[0], end
        if inner[0] >= inner[1]:
            self._leave(first_row, pictures)
            return
        with output_errors(self._path):
            self._open[inner[0] : inner[1]] = pictures[inner[0] - first_row :][
                : inner[1] - inner[0]
            ]
        self._leave(first_row, pictures[: inner[0] - first_row])
        self._leave(inner[1], pictures[inner[1] - first_row :])

    def _leave(self, row: int, pictures: Pictures) -> None:
        if len(pictures):
            file = io.BytesIO()
            np.save(file, pictures)
            self.store.write(fragment_name(row), file.getvalue())

    def join(self) -> None:
        """Bring the fragments into the array, when all tracks are written."""
        rows = self.fragments()
        with closing(run_in_order(lambda row, _: self._fragment(row), rows, AT_ONCE)) as found:
            for row, pictures in zip(rows, found, strict=True):
                with output_errors(self._path):
                    self._set(self._open, row, pictures)
        self.store.remove(FRAGMENTS)

    def _set(self, array: Any, row: int, pictures: Pictures) -> None:
        end = row + len(pictures)
        try:
            array[row:end] = pictures
        except _DAMAGED:  # no row of such a chunk holds: all of them are fragments now
            first, last = row // self.chunk * self.chunk, -(-end // self.chunk) * self.chunk
            array[first : min(last, self.n_rows)] = 0
            array[row:end] = pictures

    def digest(self, tracks: Iterable[range], apart: Sequence[int] | None = None) -> str | None:
        """Digest of the pictures of consecutive tracks, joined or not; None if they are damaged.

        Parameters
        ----------
        tracks : iterable of range
            Their rows.
        apart : sequence of int, optional
            Of :meth:`fragments`, where that is known already.
        """
        found = []
        apart = self.fragments() if apart is None else apart
        try:
            for rows in tracks:
                pictures = np.array(self._open[rows.start : rows.stop])
                first = bisect_right(apart, rows.start - TRACK_LENGTH)
                for row in apart[first : bisect_left(apart, rows.stop)]:
                    _overlay(pictures, self._fragment(row), row - rows.start)
                found.append(digest_of(pictures))
        except _DAMAGED:
            return None
        return digest_of_all(found)

    def fragments(self) -> list[int]:
        """First rows of the fragments that have not been joined, ascending."""
        return numbers_in(self.store, FRAGMENTS, ".npy")

    def _fragment(self, row: int) -> Pictures:
        content = self.store.read(fragment_name(row))
        with _ONE_AT_A_TIME:
            pictures: Pictures = np.load(io.BytesIO(content), allow_pickle=False)
        return pictures

    @property
    def _address(self) -> str:
        return f"{self.store.address}/{CROPS}"

    @property
    def _path(self) -> Path:
        return Path(self._address)

    def _array(self, mode: str) -> Any:
        return import_optional("zarr", "writing aligned.zarr", "zarr").open(
            self._address, mode=mode
        )

    @cached_property
    def _open(self) -> Any:
        """The array; opening it behind a URL takes several answers, one after the other."""
        return self._array("r+")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"}


def digest_of(pictures: Pictures) -> str:
    """SHA-256 of the pictures of a track."""
    return hashlib.sha256(np.ascontiguousarray(pictures).data).hexdigest()


def digest_of_all(digests: Iterable[str]) -> str:
    """SHA-256 of those of several tracks, in order."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _overlay(pictures: Pictures, fragment: Pictures, offset: int) -> None:
    first, end = max(0, offset), min(len(pictures), offset + len(fragment))
    if first < end:
        pictures[first:end] = fragment[first - offset : end - offset]
