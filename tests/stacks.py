"""Zarr arrays for tests, by either of the library's major versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


def write_zarr(path: Path, stack: np.ndarray, chunks: tuple[int, ...]) -> None:
    """A zarr array of these frames."""
    zarr = pytest.importorskip("zarr")
    array = zarr.open_array(
        str(path), mode="w", shape=stack.shape, chunks=chunks, dtype=stack.dtype
    )
    array[...] = stack


def chunk_of(path: Path, *index: int) -> Path:
    """The file of one chunk."""
    if (path / ".zarray").is_file():  # format 2
        return path / ".".join(map(str, index))
    return path.joinpath("c", *map(str, index))


def content_of(path: Path) -> bytes:
    """What an array holds: chunks that zarr 2 compresses on threads differ in their bytes."""
    content: bytes = pytest.importorskip("zarr").open(str(path), mode="r")[...].tobytes()
    return content
