"""A part of a stream that travels to another process: paths and numbers, no pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .arrays import IN_MEMORY, open_npy, open_zarr
from .frame import Frame
from .images import ImageFiles
from .source import FrameSource
from .stream import FrameReader, Stream, UnreadableSource
from .video import VideoFrames


@dataclass(frozen=True)
class Portion:
    """Some frames of one stream.

    Attributes
    ----------
    kind : {"image", "video", "npy", "zarr", "unreadable"}
    name : str
        Of the stream.
    files : tuple of str
        What to read: for images those of these frames, in order.
    numbers : range
        The frame numbers.
    n_frames : int
        Frames of the whole stream.
    error : str or None
        Why it is unreadable.
    """

    kind: str
    name: str
    files: tuple[str, ...]
    numbers: range
    n_frames: int
    error: str | None = None


def portion_of(frames: FrameSource, stream: int, numbers: range) -> Portion:
    """The frames of these numbers of a stream, as another process can open them.

    Parameters
    ----------
    frames : FrameSource
    stream : int
        Position in its `streams`.
    numbers : range
        Frame numbers.

    Returns
    -------
    Portion

    Raises
    ------
    TypeError
        If the stream is an array in memory.
    """
    reader, about = frames.reader(stream), frames.streams[stream]
    if isinstance(reader, ImageFiles):
        return Portion("image", about.name, reader.files(numbers), numbers, about.frames)
    if isinstance(reader, UnreadableSource):
        kind = "unreadable"
    elif isinstance(reader, VideoFrames):
        kind = "video"
    elif about.name == IN_MEMORY:
        raise TypeError("source: expected paths, which other processes can open, got an array")
    else:
        kind = "npy" if about.name.lower().endswith(".npy") else "zarr"
    return Portion(kind, about.name, (about.name,), numbers, about.frames, about.error)


def open_portions(portions: Sequence[Portion], versions: Sequence[str]) -> FrameSource:
    """Open portions as the streams of one source; what cannot be opened is unreadable.

    Parameters
    ----------
    portions : sequence of Portion
    versions : sequence of str
        Something that changes when a portion's file does: what was learnt by opening a file is kept
        for the next portion of it.

    Returns
    -------
    FrameSource
        It has all frame numbers of each stream; read those of the portions only.
    """
    readers = [
        _reader(portion, version) for portion, version in zip(portions, versions, strict=True)
    ]
    return FrameSource(readers, 0, None, 1)


def _reader(portion: Portion, version: str) -> FrameReader:
    if portion.kind == "unreadable":
        return UnreadableSource(portion.name, portion.error or "unreadable")
    if portion.kind == "image":
        return ImageFiles(portion.name, portion.files, portion.numbers)
    try:
        return _opened(portion.kind, portion.files[0], version)
    except (OSError, ValueError) as error:
        # Its frames are known by number, so that each has its row.
        return _GoneSource(portion.name, portion.n_frames, str(error))


@lru_cache(maxsize=64)
def _opened(kind: str, path: str, version: str) -> FrameReader:
    if kind == "video":
        return VideoFrames(path)
    return open_npy(path) if kind == "npy" else open_zarr(path)


class _GoneSource(UnreadableSource):
    """Stands for a source that could be opened once: none of its frames is readable any more."""

    def __init__(self, name: str, n_frames: int, error: str) -> None:
        super().__init__(name, error)
        self.stream = Stream(name, n_frames)
        self._error = error

    def frame(self, number: int) -> Frame:
        return Frame(self.stream.name, number, error=self._error)
