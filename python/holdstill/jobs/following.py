"""Aligning the tracks of a block, and writing their pictures on the way."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from holdstill.alignment import Alignment
from holdstill.initial import Initialiser, TrackInitialiser
from holdstill.jobs.crops import Pictures, digest_of
from holdstill.jobs.task import Outputs, Task
from holdstill.passes import LostFrame, align_pass
from holdstill.pictures import canonical_picture
from holdstill.segments import Segment
from holdstill.sources import Frame, FrameSource
from holdstill.stores import in_background
from holdstill.tracks import Track

_TRACKS_WAITING = 2
"""Tracks of a pass whose pictures may wait to be written."""


@dataclass
class Stages:
    """Seconds spent in each stage; every track has its own."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started


@dataclass(frozen=True)
class Followed:
    """A track that has been aligned.

    Attributes
    ----------
    track : Track
    rows : list of Alignment
    stages : Stages
    detections : int
    lost : int
        Frames that could not be read for a reason outside of the file.
    segment : Segment or None
        Its stretch of the aligned video, closed.
    crops : str
        Digest of its pictures in the array.
    written : Future
        Done when these are written.
    """

    track: Track
    rows: list[Alignment]
    stages: Stages
    detections: int
    lost: int
    segment: Segment | None
    crops: str
    written: Future[None]


class _Searched:
    """Initial transforms, and how often their tracks have searched for a face."""

    def __init__(self, starts: Initialiser) -> None:
        self._starts, self._tracks = starts, list[TrackInitialiser]()

    @property
    def detections(self) -> int:
        return sum(track.detections for track in self._tracks)

    def for_track(self) -> TrackInitialiser:
        self._tracks.append(self._starts.for_track())
        return self._tracks[-1]


def follow_tracks(
    task: Task,
    outputs: Outputs,
    frames: FrameSource,
    tracks: Iterable[Track],
    folder: Path,
    *,
    stopped: Callable[[], bool] = lambda: False,
    staged: bool = False,
    count: Callable[[], None] = lambda: None,
) -> Iterator[Followed]:
    """Align the tracks of one pass; their pictures are written on the way.

    Parameters
    ----------
    task : Task
    outputs : Outputs
    frames : FrameSource
    tracks : iterable of Track
        Consecutive ones of one stream.
    folder : path
        For stretches of the aligned video.
    stopped : callable
        Asked before each frame; the pass ends early where it says so.
    staged : bool
        Decode, align and consume on a thread each.
    count : callable
        Called after each frame.

    Yields
    ------
    Followed
    """
    tracks, starts, writing = list(tracks), _Searched(task.starts), deque[Future[None]]()
    pairs = align_pass(frames, tracks, task.aligners, starts, stopped, staged=staged)
    counted = 0
    with closing(pairs), _waited_for(writing):
        for track in tracks:
            if stopped():
                return
            rows = islice(pairs, len(track.numbers))
            followed = _follow(task, outputs, track, rows, folder, count)
            detections = starts.detections - counted
            counted += detections
            writing.append(followed.written)
            if len(writing) > _TRACKS_WAITING:
                writing.popleft().result()
            yield replace(followed, detections=detections)


@contextmanager
def _waited_for(writing: Iterable[Future[None]]) -> Iterator[None]:
    """Nothing is written any more after this, come what may."""
    try:
        yield
    finally:
        wait(list(writing))


def _follow(
    task: Task,
    outputs: Outputs,
    track: Track,
    pairs: Iterator[tuple[Frame, Alignment]],
    folder: Path,
    count: Callable[[], None],
) -> Followed:
    rows: list[Alignment] = []
    pictures = []
    lost, stages, shape = 0, Stages(), task.dictionary.shape
    with _segment(folder / f"{track.first_row}.mp4", outputs) as segment:
        while True:
            with stages.timed("decode and align"):
                pair = next(pairs, None)
            if pair is None:
                break
            frame, found = pair
            lost += isinstance(frame, LostFrame)
            if outputs.video or outputs.crops:
                with stages.timed("picture"):
                    picture = canonical_picture(frame, found.frame_from_canonical, shape)
                    if segment is not None:
                        segment.write(picture)
                    if outputs.crops is not None:
                        pictures.append(outputs.crops.picture(picture))
            rows.append(_without_coefficients(found))
            count()
        with stages.timed("picture"):
            if segment is not None:
                segment.close()
            crops, written = _write_crops(outputs, track.first_row, pictures)
    return Followed(track, rows, stages, 0, lost, segment, crops, written)


@contextmanager
def _segment(path: Path, outputs: Outputs) -> Iterator[Segment | None]:
    """A stretch of the aligned video, if there is one; let go of where it is not closed."""
    segment = Segment(path, outputs.fps) if outputs.video else None
    try:
        yield segment
    finally:
        if segment is not None:
            segment.abandon()


def _write_crops(
    outputs: Outputs, first: int, pictures: list[Pictures]
) -> tuple[str, Future[None]]:
    """Have the pictures of a track written: their digest, and when that is done."""
    crops = outputs.crops
    if crops is None or not pictures:
        return "", in_background(outputs.store, lambda: None)
    stack = np.stack(pictures)
    return digest_of(stack), in_background(outputs.store, lambda: crops.write(first, stack))


def _without_coefficients(found: Alignment) -> Alignment:
    """Rows wait for their part without what no column holds: the coefficients but their number."""
    nonzero = found.coefficients[found.coefficients != 0.0]
    return replace(found, coefficients=nonzero, weights=None)
