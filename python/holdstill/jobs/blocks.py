"""Blocks: the pieces of a job that are done, written and repeated as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from holdstill.sources import FrameSource
from holdstill.sources.images import ImageFiles
from holdstill.sources.portion import Portion, open_portions, portion_of
from holdstill.sources.versions import version_of, versions_of
from holdstill.tracks import Track, plan_passes, plan_tracks

BLOCK_FRAMES = 2000
"""Frames that a block has at least, unless it is the last: seconds of work, and one part."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive whole tracks, in passes of one decoder each.

    Where blocks are cut depends on the source alone: not on threads, workers or interruptions.
    Short streams share a block; where keyframes are far apart a block may be long.

    Attributes
    ----------
    index : int
    passes : tuple of tuple of Track
    """

    index: int
    passes: tuple[tuple[Track, ...], ...]

    @property
    def tracks(self) -> tuple[Track, ...]:
        """All tracks, in the order of the rows."""
        return tuple(chain.from_iterable(self.passes))

    @property
    def rows(self) -> range:
        """Rows of the job that the block has."""
        return range(self.passes[0][0].first_row, self.passes[-1][-1].rows.stop)


def plan_blocks(frames: FrameSource, n_frames: int = BLOCK_FRAMES) -> Iterator[Block]:
    """Cut all selected frames into blocks.

    Parameters
    ----------
    frames : FrameSource
    n_frames : int
        Frames in a block, at least.

    Yields
    ------
    Block
        In the order of the rows.
    """
    waiting: list[tuple[Track, ...]] = []
    index = rows = 0
    for tracks in plan_passes(frames, plan_tracks(frames), behind_url=n_frames):
        waiting.append(tuple(tracks))
        rows += sum(len(track.numbers) for track in tracks)
        if rows >= n_frames:
            yield Block(index, tuple(waiting))
            index, rows, waiting = index + 1, 0, []
    if waiting:
        yield Block(index, tuple(waiting))


@dataclass(frozen=True, slots=True)
class PortableBlock:
    """A block that another process can do: paths and numbers travel, pixels do not.

    Attributes
    ----------
    block : Block
        Its tracks' streams are positions in `portions`.
    portions : tuple of Portion
    versions : tuple of (str or None)
        Of each portion's file when the job began; see
        :func:`holdstill.sources.versions.version_of`.
    """

    block: Block
    portions: tuple[Portion, ...]
    versions: tuple[str | None, ...]

    @classmethod
    def of(cls, block: Block, frames: FrameSource, versions: Versions) -> PortableBlock:
        """What a block of a source needs.

        Raises
        ------
        TypeError
            If the source is an array in memory.
        """
        streams = sorted({track.stream for track in block.tracks})
        portions = []
        for stream in streams:
            numbers = [track.numbers for track in block.tracks if track.stream == stream]
            whole = range(numbers[0].start, numbers[-1].stop, numbers[0].step)
            portions.append(portion_of(frames, stream, whole))
        there = {stream: place for place, stream in enumerate(streams)}
        passes = tuple(
            tuple(replace(track, stream=there[track.stream]) for track in tracks)
            for tracks in block.passes
        )
        known = tuple(versions.get(frames.streams[stream].name) for stream in streams)
        return cls(Block(block.index, passes), tuple(portions), known)

    def open(self) -> FrameSource:
        """The source that the tracks are of."""
        return open_portions(self.portions, [str(version) for version in self.versions])


class Versions:
    """Versions of the files that streams are read from, as they were when the job began.

    Parameters
    ----------
    known : mapping of str to (str or None)
        Version by name of the stream. An image is read once and whole: only whether it is still
        there is of interest, and it need not be known.
    """

    def __init__(self, known: Mapping[str, str | None]) -> None:
        self._known = known

    @classmethod
    def of(cls, frames: FrameSource) -> Versions:
        """Those of a source as it is now."""
        names = [
            stream.name
            for index, stream in enumerate(frames.streams)
            if not isinstance(frames.reader(index), ImageFiles)
        ]
        return cls(dict(zip(names, versions_of(names), strict=True)))

    def __contains__(self, source: str) -> bool:
        return source in self._known

    def get(self, source: str) -> str | None:
        """The version of a file; None if it is not known, or was not there."""
        return self._known.get(source)

    def changed(self, source: str) -> str | None:
        """What has happened to a file since then, if anything."""
        now = version_of(source)
        if source not in self._known:
            return f"{source}: gone" if now is None else None
        before = self._known[source]
        if now == before:
            return None
        return f"{source}: gone" if now is None else f"{source}: changed ({before} -> {now})"
