"""A stream: the frames of one video, of one array, or of all images of a source together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .frame import Frame


@dataclass(frozen=True, slots=True)
class Stream:
    """A run of frames with frame numbers of its own.

    Attributes
    ----------
    name : str
        The path as given; for images the folder, pattern or file; ``"array"`` for an array in
        memory.
    frames : int
        How many frames it has, 1 for a source that cannot be opened.
    error : str or None
        Why the source cannot be opened: it then has one unreadable frame, number -1.
    rate : float or None
        Frames per second, where its frames have times.
    """

    name: str
    frames: int
    error: str | None = None
    rate: float | None = None

    @property
    def numbers(self) -> range:
        """All frame numbers: from 0, or only -1 for a source that cannot be opened."""
        return range(self.frames) if self.error is None else range(-1, 0)


class FrameReader(Protocol):
    """Reads the frames of one stream."""

    @property
    def stream(self) -> Stream:
        """What it reads."""

    def frames(self, numbers: range) -> Iterator[Frame]:
        """The frames of these ascending numbers in one pass that shares nothing with any other."""

    def run_up(self, number: int) -> int:
        """How many frames are decoded in vain where a pass begins with this one."""

    def frame(self, number: int) -> Frame:
        """One frame; cheap shortly after the last one asked for. One thread at a time."""

    def release(self) -> None:
        """Close what `frame` keeps open."""


class UnreadableSource:
    """Stands for a source that cannot be opened, with one unreadable frame."""

    def __init__(self, name: str, error: str) -> None:
        self.stream = Stream(name, 1, error)

    def run_up(self, number: int) -> int:
        return 0

    def frame(self, number: int) -> Frame:
        return Frame(self.stream.name, number, error=self.stream.error)

    def frames(self, numbers: range) -> Iterator[Frame]:
        return map(self.frame, numbers)

    def release(self) -> None:
        """Nothing is open."""
