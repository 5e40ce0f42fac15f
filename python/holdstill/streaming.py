"""Align whole sources: tracks of frames, on threads, in order and in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdstill import _core
from holdstill.alignment import Alignment, align_read, without_transform
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial, Initialiser, make_initial, tracks
from holdstill.sources import Frame, FrameSource
from holdstill.sources import open as open_source
from holdstill.threads import run_in_order, thread_count


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
    aligner = dictionary.aligner(
        mu=mu,
        tolerance=tolerance,
        max_iterations=max_iterations,
        loss=loss,
        levels=levels,
        search=search,
    )
    starts = initialiser_for(frames, dictionary, initial, independent=independent, face=face)
    return _align_all(frames, aligner, starts, thread_count(threads), progress)


@dataclass(frozen=True, slots=True)
class Track:
    """Consecutive selected frames of one stream; the unit of parallel work."""

    stream: int
    numbers: range
    first_row: int


def plan_tracks(frames: FrameSource) -> list[Track]:
    """Cut all selected frames into tracks, by frame number alone.

    Parameters
    ----------
    frames : FrameSource

    Returns
    -------
    list of Track
        In the order of the rows.
    """
    planned: list[Track] = []
    row = 0
    for stream, numbers in enumerate(frames.numbers):
        if numbers.start < 0:  # a source that could not be opened: its one row
            pieces = [(numbers.start, numbers.stop)] if len(numbers) else []
        else:
            pieces = tracks(numbers.stop, numbers.start, numbers.stop, numbers.step)
        for first, end in pieces:
            planned.append(Track(stream, range(first, end, numbers.step), row))
            row += len(planned[-1].numbers)
    return planned


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
        n_streams=sum(stream.error is None for stream in frames.streams),
    )


def align_track(
    frames: FrameSource,
    track: Track,
    aligner: _core.FrameAligner,
    starts: Initialiser,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Frame, Alignment]]:
    """Align the frames of a track one after the other.

    Parameters
    ----------
    frames : FrameSource
    track : Track
        Of :func:`plan_tracks`.
    aligner : FrameAligner
        Of :meth:`Dictionary.aligner`.
    starts : Initialiser
        Of :func:`initialiser_for`.
    stopped : callable
        Asked before each frame; the track ends early where it says so.

    Yields
    ------
    Frame, Alignment
    """
    start = starts.for_track()
    numbers = track.numbers
    pictures = frames.read(track.stream, numbers.start, numbers.stop, numbers.step)
    for row, frame in enumerate(pictures, start=track.first_row):
        if stopped():
            return
        if not frame.readable:
            yield frame, without_transform(frame, "unreadable")
            continue
        proposal = start.propose(frame, row)
        if proposal is None:
            yield frame, without_transform(frame, "not_found")
            continue
        found = align_read(frame, aligner, proposal)
        if not found.good:
            # A cut, or a track that has lost its way: look for the face anew.
            again = start.retry(frame, row)
            if again is not None:
                second = align_read(frame, aligner, again)
                found = second if _rank(second) > _rank(found) else found
        start.accept(found.frame_from_canonical if found.good else None)
        yield frame, found


def _rank(found: Alignment) -> tuple[bool, bool, float]:
    """What makes one end of a frame better than another."""
    return found.good, found.converged, 0.0 if np.isnan(found.quality) else found.quality


def _align_all(
    frames: FrameSource,
    aligner: _core.FrameAligner,
    starts: Initialiser,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Alignment]:
    planned = plan_tracks(frames)
    total, done = len(frames), 0

    def found_in(track: Track, stopped: Callable[[], bool]) -> list[Alignment]:
        return [found for _, found in align_track(frames, track, aligner, starts, stopped)]

    if threads == 1:
        pieces: Iterator[list[Alignment]] = (
            [found] for track in planned for _, found in align_track(frames, track, aligner, starts)
        )
    else:
        pieces = run_in_order(found_in, planned, threads)
    for piece in pieces:
        for found in piece:
            done += 1
            if progress is not None:
                progress(done, total)
            yield found
