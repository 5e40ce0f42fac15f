"""Stacks of frames: arrays in memory, .npy files by memory map or by range, and zarr arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional

from .errors import SourceError
from .frame import Frame
from .npy_header import BAD_HEADER, read_npy_header
from .paths import is_url, open_binary, read_range
from .size_limits import refuse_large_picture
from .stream import Stream

_DTYPES = ("uint8", "uint16", "float32", "float64")


class _Stack(Protocol):
    """What the kinds of stack have in common; indexing reads frames."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


def check_frame(name: str, shape: tuple[int, ...]) -> None:
    """Refuse what is not one frame, grey or RGB, such as a stack of them."""
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
        raise ValueError(f"{name}: expected one frame, of shape (H, W) or (H, W, 3), got {shape}")


def check_stack(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what is not a stack of frames.

    Raises
    ------
    ValueError
        Unless the shape is (n, H, W) or (n, H, W, 3 or 4), nothing is empty, and the dtype is
        uint8, uint16, float32 or float64.
    """
    expected = "expected a stack of frames of shape (n, H, W), (n, H, W, 3) or (n, H, W, 4)"
    if dtype.newbyteorder("=").name not in _DTYPES:
        raise ValueError(f"{name}: expected dtype {', '.join(_DTYPES)}, got {dtype}")
    looks_like_colour = len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4
    if len(shape) == 2 or looks_like_colour:
        raise ValueError(f"{name}: {expected}, got {shape}; a single image is image[None]")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (3, 4)):
        raise ValueError(f"{name}: {expected}, got {shape}")
    if 0 in shape:
        raise ValueError(f"{name}: {expected} with at least one pixel, got {shape}")
    if name != IN_MEMORY:
        refuse_large_picture(*shape[1:3])


def _frame_image(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Frame as it leaves a stack: without alpha, float64 as float32, native byte order."""
    image = np.asarray(values)
    dtype = np.float32 if image.dtype.kind == "f" else image.dtype.newbyteorder("=")
    if image.ndim == 3:
        image = image[..., :3]
    return np.ascontiguousarray(image, dtype)


IN_MEMORY = "array"
"""Name of the stream of an array in memory."""


class StackFrames:
    """Reads the frames of a stack.

    Parameters
    ----------
    name : str
        Name of the stream and of every frame's source.
    stack : array-like with `shape`, `dtype` and indexing by frame, thread-safe
        See `check_stack`.
    block : int
        Frames that are stored together: a pass reads so many at once.

    Raises
    ------
    ValueError
        If its shape or dtype is not a stack's.
    """

    def __init__(self, name: str, stack: _Stack, block: int = 1) -> None:
        check_stack(name, tuple(stack.shape), np.dtype(stack.dtype))
        self.stream = Stream(name, stack.shape[0])
        self._stack = stack
        self._block = block

    def run_up(self, number: int) -> int:
        return 0

    def frame(self, number: int) -> Frame:
        return self._frame(number, self._stack.__getitem__)

    def frames(self, numbers: range) -> Iterator[Frame]:
        size = self._block

        @lru_cache(maxsize=1)
        def block(first: int) -> Any:
            return self._stack[first : first + size]

        def read(number: int) -> Any:
            return block(number - number % size)[number % size]

        for number in numbers:
            yield self._frame(number, read)

    def _frame(self, number: int, read: Callable[[int], Any]) -> Frame:
        try:
            return Frame(self.stream.name, number, image=_frame_image(read(number)))
        # What cannot be read concerns its own chunk or range only; codecs raise RuntimeError as
        # well.
        except (OSError, ValueError, RuntimeError) as error:
            return Frame(self.stream.name, number, error=f"{type(error).__name__}: {error}")

    def release(self) -> None:
        """Nothing is kept open beside the stack itself."""


def open_npy(path: str) -> StackFrames:
    """Open a .npy file by memory map, or by range requests behind a URL.

    Raises
    ------
    ValueError
        If it holds something else than a stack of frames; object arrays are never unpickled.
    OSError
        If it cannot be read.
    """
    if is_url(path):
        stack = _RemoteNpy(path)
        return StackFrames(path, stack, stack.block)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, *BAD_HEADER) as error:
        raise ValueError(f"{path}: not a .npy file of numbers: {error}") from error
    return StackFrames(path, array)


class _RemoteNpy:
    """The rows of a .npy file behind a URL, each read by a range request of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        with open_binary(url) as file:
            try:
                self.shape, fortran_order, self.dtype = read_npy_header(file)
            except ValueError as error:
                raise ValueError(f"{url}: not a .npy file of numbers: {error}") from error
            self._offset = file.tell()
        if fortran_order:
            raise ValueError(f"{url}: expected C order, got Fortran order")
        self._row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        # A request costs milliseconds whatever its size: a pass asks for 4 MB at once.
        self.block = max(1, 2**22 // max(1, self._row_bytes))

    def __getitem__(self, key: int | slice) -> npt.NDArray[Any]:
        if isinstance(key, slice):
            first, last, _ = key.indices(self.shape[0])
            return self._read(first, last)
        return np.asarray(self._read(key, key + 1)[0])

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        start = self._offset + first * self._row_bytes
        content = read_range(self._url, start, start + (last - first) * self._row_bytes)
        return np.frombuffer(content, self.dtype).reshape(last - first, *self.shape[1:])


def open_zarr(path: str) -> StackFrames:
    """Open a zarr array, a folder or behind a URL.

    Raises
    ------
    ValueError
        If it is a group, or an array that is not a stack of frames.
    SourceError
        If there is no zarr array.
    ImportError
        If zarr is not installed.
    """
    zarr = import_optional("zarr", f"reading {path!r}", "zarr")
    try:
        node = zarr.open(path, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{path}: not a zarr array: {error}") from error
    if not isinstance(node, zarr.Array):
        arrays = ", ".join(sorted(name for name, _ in node.arrays())) or "none"
        raise ValueError(f"{path}: expected a zarr array, got a group; arrays in it: {arrays}")
    return StackFrames(path, node, node.chunks[0] if node.chunks else 1)
