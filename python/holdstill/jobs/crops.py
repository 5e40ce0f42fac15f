"""Aligned pictures as one chunked zarr array, written by many at a time."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.initial import TRACK_LENGTH
from holdstill.outputs import output_errors
from holdstill.sources.errors import import_optional
from holdstill.stores import Store

Pictures = npt.NDArray[np.uint8]

CROPS = "aligned.zarr"
"""Name of the array in a run's folder."""

_FRAGMENTS = "fragments"
_CHUNK_BYTES = 2**20

_DAMAGED = (RuntimeError, ValueError, EOFError)
"""What reading a damaged chunk or fragment raises."""


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
        """Make the array, unless it is there."""
        if self.store.exists(CROPS):
            return
        one = (*self.shape, 3) if self.colour else self.shape
        zarr = import_optional("zarr", "writing aligned.zarr", "zarr")
        with output_errors(self._path):
            zarr.open(
                self._address,
                mode="w",
                shape=(self.n_rows, *one),
                chunks=(self.chunk, *one),
                dtype=np.uint8,
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
            self._array("r+")[inner[0] : inner[1]] = pictures[inner[0] - first_row :][
                : inner[1] - inner[0]
            ]
        self._leave(first_row, pictures[: inner[0] - first_row])
        self._leave(inner[1], pictures[inner[1] - first_row :])

    def _leave(self, row: int, pictures: Pictures) -> None:
        if len(pictures):
            file = io.BytesIO()
            np.save(file, pictures)
            self.store.write(f"{_FRAGMENTS}/{row:012d}.npy", file.getvalue())

    def join(self) -> None:
        """Bring the fragments into the array, when all tracks are written."""
        array: Any = None
        for name in self.store.names(_FRAGMENTS):
            row = int(name.removesuffix(".npy"))
            pictures = self._fragment(name)
            array = self._array("r+") if array is None else array
            with output_errors(self._path):
                self._set(array, row, pictures)
        self.store.remove(_FRAGMENTS)

    def _set(self, array: Any, row: int, pictures: Pictures) -> None:
        end = row + len(pictures)
        try:
            array[row:end] = pictures
        except _DAMAGED:  # no row of such a chunk holds: all of them are fragments now
            first, last = row // self.chunk * self.chunk, -(-end // self.chunk) * self.chunk
            array[first : min(last, self.n_rows)] = 0
            array[row:end] = pictures

    def digest(self, rows: range) -> str | None:
        """SHA-256 of the pictures of consecutive rows, joined or not; None if they are damaged."""
        try:
            return self._digest(rows)
        except _DAMAGED:
            return None

    def _digest(self, rows: range) -> str:
        array, found = self._array("r"), hashlib.sha256()
        apart = {int(n.removesuffix(".npy")): n for n in self.store.names(_FRAGMENTS)}
        for first in range(rows.start, rows.stop, TRACK_LENGTH):
            end = min(first + TRACK_LENGTH, rows.stop)
            pictures = np.array(array[first:end])
            for row, name in apart.items():
                if first - TRACK_LENGTH < row < end:
                    _overlay(pictures, self._fragment(name), row - first)
            found.update(pictures.tobytes())
        return found.hexdigest()

    def _fragment(self, name: str) -> Pictures:
        content = self.store.read(f"{_FRAGMENTS}/{name}")
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


def _overlay(pictures: Pictures, fragment: Pictures, offset: int) -> None:
    first, end = max(0, offset), min(len(pictures), offset + len(fragment))
    if first < end:
        pictures[first:end] = fragment[first - offset : end - offset]
