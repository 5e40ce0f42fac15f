"""Passes over the frames of a stream: decoding, aligning, and several of them on threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import TypeVar

from holdstill.alignment import Alignment
from holdstill.initial import Tracks
from holdstill.sources import Frame, FrameSource
from holdstill.threads import ahead, run_in_order
from holdstill.tracking import Aligners, TrackAligner
from holdstill.tracks import Track

Result = TypeVar("Result")

AHEAD = 4
"""Frames, and aligned frames, that may wait between two stages."""


class LostFrame(Frame):
    """An unreadable frame that was there when its source was opened."""


def align_pass(
    frames: FrameSource,
    tracks: Sequence[Track],
    aligners: Aligners,
    starts: Tracks,
    stopped: Callable[[], bool] = lambda: False,
    *,
    staged: bool = False,
) -> Generator[tuple[Frame, Alignment], None, None]:
    """Align the frames of consecutive tracks of one stream, decoded in one pass.

    Every frame of the tracks has its row: one that the stream has lost since it was opened, or that
    reading fails at, is unreadable.

    Parameters
    ----------
    frames : FrameSource
    tracks : sequence of Track
        Of :func:`holdstill.tracks.plan_passes`.
    aligners : Aligners
    starts : Tracks
        Of :func:`holdstill.streaming.initialiser_for`.
    stopped : callable
        Asked before each frame; the pass ends early where it says so.
    staged : bool
        Decode, align and consume on a thread each. The result does not depend on it.

    Yields
    ------
    Frame, Alignment
    """
    pictures = _planned(frames, tracks)
    if staged:
        pictures = ahead(_with_grey(pictures), AHEAD)
    pairs = _align_tracks(pictures, tracks, aligners, starts, stopped)
    if staged:
        pairs = ahead(pairs, AHEAD)
    with closing(pairs):
        yield from pairs


def _planned(frames: FrameSource, tracks: Sequence[Track]) -> Generator[Frame, None, None]:
    stream, numbers = tracks[0].stream, tracks[0].numbers
    numbers = range(numbers.start, tracks[-1].numbers.stop, numbers.step)
    error, read = "the stream ends before this frame", 0
    try:
        for frame in frames.read(stream, numbers.start, numbers.stop, numbers.step):
            yield frame
            read += 1
    except OSError as failure:
        error = f"{type(failure).__name__}: {failure}"
    for number in numbers[read:]:
        yield LostFrame(frames.streams[stream].name, number, error=error)


def _with_grey(pictures: Iterator[Frame]) -> Generator[Frame, None, None]:
    for frame in pictures:
        if frame.readable:
            frame.grey()  # kept by the frame
        yield frame


def _align_tracks(
    pictures: Iterator[Frame],
    tracks: Sequence[Track],
    aligners: Aligners,
    starts: Tracks,
    stopped: Callable[[], bool],
) -> Generator[tuple[Frame, Alignment], None, None]:
    try:
        for track in tracks:
            along = TrackAligner(aligners, starts.for_track())
            rows = islice(pictures, len(track.numbers))
            for row, frame in enumerate(rows, start=track.first_row):
                if stopped():
                    return
                yield frame, along.align(frame, row)
    finally:
        if isinstance(pictures, Generator):
            pictures.close()


def run_passes(
    work: Callable[[list[Track], Callable[[], bool], bool], Iterator[Result]],
    passes: Iterable[list[Track]],
    threads: int,
) -> Generator[Result, None, None]:
    """Run `work` on all passes, on threads, and yield all its results in order.

    Several passes run at a time, and the results of those ahead wait. A single pass is run here,
    result by result; where threads are to spare, its stages have threads of their own.

    Parameters
    ----------
    work : callable (tracks, stopped, staged) -> iterator of results
        See :func:`align_pass`.
    passes : iterable of list of Track
        Of :func:`holdstill.tracks.plan_passes`; taken one by one.
    threads : int

    Yields
    ------
    result
    """
    remaining = iter(passes)
    first = list(islice(remaining, threads + 1))
    staged = threads >= 2 * len(first)
    if threads == 1 or len(first) == 1:
        for tracks in chain(first, remaining):
            yield from work(tracks, lambda: False, staged)
        return

    def together(tracks: list[Track], stopped: Callable[[], bool]) -> list[Result]:
        return list(work(tracks, stopped, staged))

    with closing(run_in_order(together, chain(first, remaining), threads)) as pieces:
        for results in pieces:
            yield from results
