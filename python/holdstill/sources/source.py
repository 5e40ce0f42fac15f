"""`open`: any source as a sequence of frames."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from . import paths
from .arrays import IN_MEMORY, StackFrames, open_npy, open_zarr
from .errors import SourceError, source_errors
from .frame import Frame
from .images import ImageFiles
from .stream import FrameReader, Stream, UnreadableSource
from .video import VideoFrames

Path: TypeAlias = Union[str, "os.PathLike[str]"]
SourceLike: TypeAlias = Union[Path, Sequence[Path], npt.NDArray[Any], "FrameSource"]

_OPENERS: dict[paths.Kind, Callable[[str], FrameReader]] = {
    "video": VideoFrames,
    "npy": open_npy,
    "zarr": open_zarr,
}


class FrameSource:
    """A sequence of frames, stream by stream, that is read one frame at a time.

    Made by `holdstill.open`. It has a length, yields its frames in order, and gives any of them by
    its position; `read` gives a range of one stream, and may be used by several threads at once.
    """

    def __init__(
        self, readers: Sequence[FrameReader], start: int, stop: int | None, every: int
    ) -> None:
        self._readers = tuple(readers)
        self._streams = tuple(reader.stream for reader in readers)
        self._rows = tuple(_selection(stream, start, stop, every) for stream in self._streams)
        self._ends = np.cumsum([len(numbers) for numbers in self._rows])
        self._lock = threading.Lock()
        self._last_read: FrameReader | None = None
        self._closed = False

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams, in order, with all their frames, selected or not."""
        return self._streams

    @property
    def n_readable(self) -> int:
        """How many of them could be opened, each with frame numbers of its own."""
        return sum(stream.error is None for stream in self._streams)

    @property
    def numbers(self) -> tuple[range, ...]:
        """Selected frame numbers of each stream: the rows of the source, in order."""
        return self._rows

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __iter__(self) -> Iterator[Frame]:
        for index, numbers in enumerate(self._rows):
            yield from self.read(index, numbers.start, numbers.stop, numbers.step)

    def __getitem__(self, position: int) -> Frame:
        """The frame at a position of the source, negative from its end.

        Raises
        ------
        IndexError
            If there is no such position.
        TypeError
            If it is not an integer.
        SourceError
            If its stream is no longer there.
        """
        try:
            row = range(len(self))[position.__index__()]
        except IndexError:
            raise IndexError(f"position {position} of a source of {len(self)} frames") from None
        except AttributeError:
            raise TypeError(f"position: expected an integer, got {position!r}") from None
        self._check_open()
        index = int(np.searchsorted(self._ends, row, side="right"))
        reader = self._readers[index]
        with self._lock:
            # Only the stream read last is kept open, however many there are.
            if self._last_read is not None and self._last_read is not reader:
                self._last_read.release()
            self._last_read = reader
            with source_errors(reader.stream.name):
                return reader.frame(self._rows[index][row - int(self._ends[index])])

    def read(self, stream: int, start: int, stop: int, every: int = 1) -> Iterator[Frame]:
        """Frames of one stream, in one pass with a decoder of its own.

        Parameters
        ----------
        stream : int
            Position in `streams`.
        start, stop, every : int
            The frame numbers ``range(start, stop, every)``; those that the stream does not have are
            left out.

        Yields
        ------
        Frame
            In order.

        Raises
        ------
        IndexError
            If there is no such stream.
        ValueError
            If `every` is not positive, or the source is closed.
        SourceError
            If the stream is no longer there.
        """
        self._check_open()
        if every < 1:
            raise ValueError(f"every: expected at least 1, got {every}")
        if not 0 <= stream < len(self._readers):
            raise IndexError(f"stream {stream} of a source of {len(self._readers)} streams")
        reader = self._readers[stream]
        known = reader.stream.numbers
        skipped = max(0, -(-(known.start - start) // every))
        return _frames(reader, range(start + skipped * every, min(stop, known.stop), every))

    def run_up(self, stream: int, number: int) -> int:
        """How many frames of a stream are decoded in vain where a pass begins with this one.

        Parameters
        ----------
        stream : int
            Position in `streams`.
        number : int
            Frame number.

        Returns
        -------
        int
            Those from the nearest keyframe on; 0 for what is not a video.
        """
        return self._readers[stream].run_up(number)

    def reader(self, stream: int) -> FrameReader:
        """What reads a stream, by its position in `streams`."""
        return self._readers[stream]

    def close(self) -> None:
        """Close the files that random access keeps open; nothing can be read afterwards."""
        self._closed = True
        with self._lock:
            for reader in self._readers:
                reader.release()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("this source is closed")

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        names = [stream.name for stream in self.streams]
        shown = ", ".join(names) if len(names) <= 3 else f"{names[0]}, ..., {names[-1]}"
        streams = "1 stream" if len(names) == 1 else f"{len(names)} streams"
        return f"FrameSource({shown}: {len(self)} frames in {streams})"


def _frames(reader: FrameReader, numbers: range) -> Iterator[Frame]:
    with source_errors(reader.stream.name):
        yield from reader.frames(numbers)


def _selection(stream: Stream, start: int, stop: int | None, every: int) -> range:
    # The one row of a source that cannot be opened is not a frame that could be left out.
    return stream.numbers if stream.error else stream.numbers[start:stop:every]


def open(
    source: SourceLike, *, start: int = 0, stop: int | None = None, every: int = 1
) -> FrameSource:
    """Open a source of frames.

    Parameters
    ----------
    source : path, sequence of paths, ndarray or FrameSource
        A video, an image, a folder of images and videos, a glob pattern, a .npy stack, a .zarr
        array, an fsspec URL of any of these, a sequence of any of these, or an array of shape (n,
        H, W), (n, H, W, 3) or (n, H, W, 4) and dtype uint8, uint16, float32 or float64. All images
        together are one stream, in natural order; every video and every stack is a stream of its
        own. A `FrameSource` is returned as it is.
    start, stop, every : int
        Select the frame numbers ``range(start, stop, every)`` of each stream.

    Returns
    -------
    FrameSource
        A path that cannot be opened among others that can is a stream of one unreadable frame with
        number -1.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the one path given, its folder is empty, or its pattern matches
        nothing.
    SourceError
        If nothing can be read; the message names each path and the reason.
    ValueError
        If `start`, `stop` or `every` is out of range or selects nothing, the sequence is empty, or
        an array has another shape or dtype.
    TypeError
        If `source` is none of these.
    ImportError
        If a package for it is not installed; the message names the command that installs it.

    Examples
    --------
    >>> import numpy as np
    >>> frames = open(np.zeros((10, 48, 64), np.uint8), start=2, every=3)
    >>> len(frames), [frame.frame for frame in frames], frames[-1].image.shape
    (3, [2, 5, 8], (48, 64))
    """
    _check_selection(start, stop, every)
    if isinstance(source, FrameSource):
        if (start, stop, every) != (0, None, 1):
            raise ValueError("start, stop, every: select frames where the source is opened")
        return source
    opened = FrameSource(_readers(source), start, stop, every)
    readable = (n for s, n in zip(opened.streams, opened.numbers, strict=True) if s.error is None)
    if not any(readable):
        most = max((s.frames for s in opened.streams if s.error is None), default=0)
        raise ValueError(
            f"start, stop, every: {start}, {stop}, {every} select none of {most} frames"
        )
    return opened


def _check_selection(start: int, stop: int | None, every: int) -> None:
    for name, number, least in (("start", start, 0), ("stop", stop, 1), ("every", every, 1)):
        if number is None and name == "stop":
            continue
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
            raise TypeError(f"{name}: expected an integer, got {number!r}")
        if number < least:
            raise ValueError(f"{name}: expected at least {least}, got {number}")


def _readers(source: Any) -> list[FrameReader]:
    if isinstance(source, np.ndarray):
        return [StackFrames(IN_MEMORY, source)]
    if isinstance(source, (str, os.PathLike)):
        return _open_paths([os.fspath(source)])
    if isinstance(source, Sequence) and all(isinstance(s, (str, os.PathLike)) for s in source):
        if not source:
            raise ValueError("source: expected at least one path, got an empty sequence")
        return _open_paths([os.fspath(path) for path in source])
    raise TypeError(
        "source: expected a path, a sequence of paths, an array (n, H, W[, 3]) or a FrameSource, "
        f"got {type(source).__name__}"
    )


def _open_paths(given: list[str]) -> list[FrameReader]:
    files: list[str] = []
    failures: dict[str, Exception] = {}
    for path in given:
        try:
            files += paths.expand(path)
        except OSError as error:
            files.append(path)
            failures[path] = error
    readers = _open_files(files, failures, given[0] if len(given) == 1 else None)
    if not all(isinstance(reader, UnreadableSource) for reader in readers):
        return readers
    if len(readers) == 1:
        raise next(iter(failures.values()))
    lines = [f"{reader.stream.name}: {reader.stream.error}" for reader in readers]
    raise SourceError("\n  ".join(["none of these sources can be read:", *lines]))


def _open_files(
    files: list[str], failures: dict[str, Exception], name: str | None
) -> list[FrameReader]:
    """Readers of the files, the images where the first of them stands; adds to `failures`."""
    kinds = {file: paths.kind_of(file) for file in files if file not in failures}
    images = [file for file in files if kinds.get(file) == "image"]
    if name is None:  # else what one path stands for, which is in order
        images.sort(key=paths.natural_key)
    readers: list[FrameReader] = []
    for file in files:
        kind = kinds.get(file)
        if kind == "image":
            if images:
                readers.append(ImageFiles(name or _common_name(images), images))
                images = []
            continue
        try:
            if file in failures:
                raise failures[file]
            readers.append(_OPENERS[kinds[file]](file))
        except (OSError, ValueError) as error:
            failures[file] = error
            readers.append(UnreadableSource(file, str(error).removeprefix(f"{file}: ")))
    return readers


def _common_name(images: list[str]) -> str:
    folders = {os.path.dirname(image) for image in images}
    if len(images) == 1:
        return images[0]
    return folders.pop() or "." if len(folders) == 1 else f"{len(images)} images"
