"""Aligned pictures as one chunked zarr array, written by many at a time."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
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
                array[row : row + len(pictures)] = pictures
        self.store.remove(_FRAGMENTS)

    def digest(self, tracks: Iterable[range]) -> str:
        """Digest of the pictures of consecutive tracks, joined or not; see `digest_of`."""
        array = self._array("r")
        apart = {int(n.removesuffix(".npy")): n for n in self.store.names(_FRAGMENTS)}
        found = []
        for rows in tracks:
            pictures = np.array(array[rows.start : rows.stop])
            for row, name in apart.items():
                if rows.start - self.chunk < row < rows.stop:
                    _overlay(pictures, self._fragment(name), row - rows.start)
            found.append(digest_of(pictures))
        return digest_of_all(found)

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


def digest_of(pictures: Pictures) -> str:
    """SHA-256 of the pictures of a track."""
    return hashlib.sha256(pictures.tobytes()).hexdigest()


def digest_of_all(digests: Iterable[str]) -> str:
    """SHA-256 of those of several tracks, in order."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _overlay(pictures: Pictures, fragment: Pictures, offset: int) -> None:
    first, end = max(0, offset), min(len(pictures), offset + len(fragment))
    if first < end:
        pictures[first:end] = fragment[first - offset : end - offset]
