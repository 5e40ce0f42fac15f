"""Align whole sources: tracks of frames, on threads, in order and in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from holdstill import _core
from holdstill.alignment import Alignment
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial, Initialiser, Tracks, each_track, make_initial
from holdstill.solver_options import SolverOptions
from holdstill.sources import Frame, FrameSource
from holdstill.sources import open as open_source
from holdstill.sources.paths import is_url
from holdstill.threads import ahead, run_in_order, thread_count
from holdstill.tracking import Aligners, TrackAligner

Result = TypeVar("Result")

RUN_UP = 0.25
"""Most frames decoded in vain for a pass of its own, as a share of the pass before."""

PASS_BEHIND_URL = 2000
"""Frames decoded in one pass at least where opening a video costs round trips."""

AHEAD = 4
"""Frames, and aligned frames, that may wait between two stages."""


def align(
    source: Any,
    dictionary: Dictionary,
    initial: Initial = None,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    independent: bool = False,
    face: str = "largest",
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    loss: str = "l2",
    levels: int | None = None,
    search: bool = True,
) -> Iterator[Alignment]:
    """Align every frame of a source, in constant memory.

    Under a robust loss, frames that wait for their turn keep their `weights`, 4 bytes a pixel: of a
    canonical frame of 200x200 up to 40 MB for each thread; 320 MB where videos are behind URLs, and
    more where their keyframes are far apart. A run (:func:`holdstill.run.align_to_folder`), or one
    thread, keeps none.

    Parameters
    ----------
    source : path, list of paths, array (n, H, W[, 3]) or FrameSource
        Whatever :func:`holdstill.open` takes.
    dictionary : Dictionary
        Of :func:`holdstill.fit`.
    initial : None, path, array_like (n, 3, 3), mapping or callable
        Where initial transforms come from. None: a face detector where a track starts or is lost,
        and the previous frame's transform in between. See :func:`holdstill.initial.make_initial`.
    threads : int, optional
        Threads over tracks; as many as there are processors by default. The result does not depend
        on it.
    progress : callable (done, total), optional
        Called after every frame.
    independent : bool
        Frames are unrelated photographs: a detection on each, no tracks.
    face : {"largest", "center"}
        Which face, where the detector finds several.
    mu, tolerance, max_iterations, loss, levels, search
        As in :func:`align_frame`.

    Yields
    ------
    Alignment
        One for every frame, in order. Closing the iterator stops the work.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.
    OSError
        If the source cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> from holdstill import fit
    >>> from holdstill.synthetic import TalkingHead
    >>> head = TalkingHead(12, size=(144, 180), shape=(40, 40), occlusion=False)
    >>> frames = np.stack([frame for frame in head])
    >>> dictionary = fit(frames, head.initial(), n=8, shape=(40, 40), motion="similarity")
    >>> [a.status for a in align(frames, dictionary, head.initial())][:2]
    ['converged', 'converged']
    """
    frames = open_source(source)
    options = SolverOptions(mu, tolerance, max_iterations, loss, levels, search)
    aligners = Aligners.of(dictionary, options)
    starts = initialiser_for(frames, dictionary, initial, independent=independent, face=face)
    return _align_all(frames, aligners, starts, thread_count(threads), progress)


_DEFAULT_FPS = 25.0


class LostFrame(Frame):
    """An unreadable frame that was there when its source was opened."""


@dataclass(frozen=True, slots=True)
class Track:
    """Consecutive selected frames of one stream, the first of which starts from nothing."""

    stream: int
    numbers: range
    first_row: int

    @property
    def rows(self) -> range:
        """Rows of the source that the frames are."""
        return range(self.first_row, self.first_row + len(self.numbers))


def plan_tracks(frames: FrameSource) -> Iterator[Track]:
    """Cut all selected frames into tracks, by frame number alone.

    Parameters
    ----------
    frames : FrameSource

    Yields
    ------
    Track
        In the order of the rows.
    """
    row = 0
    for stream, numbers in enumerate(frames.numbers):
        if numbers.start < 0:  # a source that could not be opened: its one row
            pieces: Iterable[tuple[int, int]] = [(numbers.start, numbers.stop)] * bool(numbers)
        else:
            pieces = each_track(numbers)
        for first, end in pieces:
            track = Track(stream, range(first, end, numbers.step), row)
            row += len(track.numbers)
            yield track


def initialiser_for(
    frames: FrameSource,
    dictionary: Dictionary,
    initial: Initial,
    *,
    independent: bool,
    face: str,
) -> Initialiser:
    """Initial transforms for the rows of a source; see :func:`holdstill.initial.make_initial`."""
    return make_initial(
        initial,
        dictionary.shape,
        independent=independent,
        face=face,
        n_rows=len(frames),
        n_streams=frames.n_readable,
    )


def plan_passes(
    frames: FrameSource, planned: Iterable[Track], behind_url: int = PASS_BEHIND_URL
) -> Iterator[list[Track]]:
    """Group tracks into passes of one decoder, the unit of parallel work.

    Where keyframes are close, every track is a pass of its own. A pass that begins far from one
    decodes the frames between in vain: tracks are joined until that is a small share.

    Parameters
    ----------
    frames : FrameSource
    planned : iterable of Track
        Of :func:`plan_tracks`.
    behind_url : int
        Frames in a pass over a video behind a URL, at least.

    Yields
    ------
    list of Track
        In order.
    """
    tracks: list[Track] = []
    for track in planned:
        if tracks and not _joined(frames, tracks, track, behind_url):
            yield tracks
            tracks = []
        tracks.append(track)
    if tracks:
        yield tracks


def _joined(frames: FrameSource, before: Sequence[Track], track: Track, behind_url: int) -> bool:
    if before[0].stream != track.stream:
        return False
    n_frames = sum(len(one.numbers) for one in before)
    if n_frames < behind_url and is_url(frames.streams[track.stream].name):
        return True
    length = before[-1].numbers.stop - before[0].numbers.start
    return frames.run_up(track.stream, track.numbers.start) > RUN_UP * length


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
        Of :func:`plan_passes`.
    aligners : Aligners
    starts : Tracks
        Of :func:`initialiser_for`.
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
        Of :func:`plan_passes`; taken one by one.
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


def _align_all(
    frames: FrameSource,
    aligners: Aligners,
    starts: Initialiser,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Alignment]:
    total = len(frames)

    def work(tracks: list[Track], stopped: Callable[[], bool], staged: bool) -> Iterator[Alignment]:
        with closing(align_pass(frames, tracks, aligners, starts, stopped, staged=staged)) as pairs:
            for _, found in pairs:
                yield found

    with closing(run_passes(work, plan_passes(frames, plan_tracks(frames)), threads)) as results:
        for done, found in enumerate(results, start=1):
            if progress is not None:
                progress(done, total)
            yield found


def frame_rate(frames: FrameSource) -> float:
    """Selected frames per second of the first stream that has times; 25 where there is none."""
    known = (
        stream.rate / numbers.step
        for stream, numbers in zip(frames.streams, frames.numbers, strict=True)
        if stream.rate is not None
    )
    return float(np.clip(next(known, _DEFAULT_FPS), 1.0, 240.0))
