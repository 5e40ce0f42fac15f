"""Doing a block: aligning its tracks, and writing what they came to."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from holdstill.alignment import Alignment, without_transform
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial, Initialiser, TrackInitialiser, make_initial
from holdstill.initial_rows import ANGLES
from holdstill.jobs.blocks import Block, PortableBlock, Versions
from holdstill.jobs.crops import Crops, Pictures, digest_of, digest_of_all
from holdstill.jobs.records import (
    Record,
    digest,
    digest_of_file,
    write_record,
)
from holdstill.memory import peak_memory
from holdstill.parts import COLUMNS, as_part
from holdstill.passes import LostFrame, align_pass
from holdstill.pictures import canonical_picture
from holdstill.run_layout import part_name, segment_name
from holdstill.segments import Segment, concatenate
from holdstill.solver_options import SolverOptions
from holdstill.sources import Frame, FrameSource
from holdstill.stores import Store, in_background, scratch
from holdstill.tracking import Aligners
from holdstill.tracks import Track
from holdstill.transforms import read_transforms

_TRACKS_WAITING = 2
"""Tracks of a pass whose pictures may wait to be written."""


@dataclass(frozen=True)
class Outputs:
    """Where the blocks of a job are written, and as what.

    Attributes
    ----------
    store : Store
        The run's folder.
    fps : float
        Of the aligned video.
    video : bool
        Whether there is one.
    crops : Crops or None
        The array of aligned pictures, if there is one.
    """

    store: Store
    fps: float
    video: bool
    crops: Crops | None


@dataclass(frozen=True)
class Task:
    """What all blocks of a job have in common; a worker needs it once.

    Attributes
    ----------
    dictionary : Dictionary
    initial : None, array, mapping or callable
        As :func:`holdstill.initial.make_initial` takes it, files read already.
    options : SolverOptions
    independent, face
        As in :func:`holdstill.align`.
    n_rows, n_streams : int
        Rows of the job, and its readable streams.
    """

    dictionary: Dictionary
    initial: Initial
    options: SolverOptions
    independent: bool
    face: str
    n_rows: int
    n_streams: int

    @classmethod
    def of(
        cls,
        frames: FrameSource,
        dictionary: Dictionary,
        initial: Initial,
        options: SolverOptions,
        *,
        independent: bool,
        face: str,
    ) -> Task:
        """That of a source; wrong arguments are refused here, and not on a worker."""
        n_streams = frames.n_readable
        task = cls(dictionary, initial, options, independent, face, len(frames), n_streams)
        _ = task.aligners, task.starts
        return task

    @cached_property
    def aligners(self) -> Aligners:
        """What aligns frames, made once in each process."""
        return Aligners.of(self.dictionary, self.options)

    @cached_property
    def starts(self) -> Initialiser:
        """Where initial transforms come from, made once in each process."""
        return make_initial(
            self.initial,
            self.dictionary.shape,
            independent=self.independent,
            face=self.face,
            n_rows=self.n_rows,
            n_streams=self.n_streams,
        )

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns of the parts."""
        return {**COLUMNS, **dict.fromkeys(ANGLES if self.starts.has_angles else (), "float64")}

    def __getstate__(self) -> dict[str, Any]:
        made = ("aligners", "starts")
        state = {name: value for name, value in self.__dict__.items() if name not in made}
        if isinstance(self.initial, (str, os.PathLike)):  # a file that others may not see
            state["initial"] = read_transforms(self.initial, shape=self.dictionary.shape)
        return state


def align_block(task: Task, outputs: Outputs, portable: PortableBlock) -> Record:
    """Align a block and write all that comes of it, on one thread, in any process.

    The bytes written depend on the block alone. Doing it twice, or twice at a time, does no harm.

    Parameters
    ----------
    task : Task
    outputs : Outputs
    portable : PortableBlock

    Returns
    -------
    mapping
        The block's record; see :mod:`holdstill.jobs.records`.

    Raises
    ------
    holdstill.outputs.OutputError
        If something cannot be written.
    ValueError
        If the initial transforms do not fit to the source.
    """
    block = portable.block
    frames = portable.open()
    names = [portion.name for portion in portable.portions]
    versions = Versions(dict(zip(names, portable.versions, strict=True)))
    with frames, scratch(outputs.store) as folder:
        done = [
            followed
            for tracks in block.passes
            for followed in follow_tracks(task, outputs, frames, tracks, folder)
        ]
        return finish_block(task, outputs, block, done, versions, folder)


def align_rows(task: Task, portable: PortableBlock) -> list[Alignment]:
    """Align a block and return its rows, on one thread, in any process.

    Parameters
    ----------
    task : Task
    portable : PortableBlock

    Returns
    -------
    list of Alignment
        Without the weights of the pixels.
    """
    with portable.open() as frames:
        return [
            replace(found, weights=None)
            for tracks in portable.block.passes
            for _, found in align_pass(frames, tracks, task.aligners, task.starts)
        ]


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


def finish_block(
    task: Task,
    outputs: Outputs,
    block: Block,
    done: list[Followed],
    versions: Versions,
    folder: Path,
) -> Record:
    """Write the part of a block, its stretch of the video, and its record.

    Parameters
    ----------
    task : Task
    outputs : Outputs
    block : Block
    done : list of Followed
        All tracks of the block, in order.
    versions : Versions
        A stream whose file is another by now is lost: its rows are unreadable.
    folder : path
        For unfinished files.

    Returns
    -------
    mapping
        The record.

    Raises
    ------
    holdstill.outputs.OutputError
        If something cannot be written.
    """
    started, store = time.perf_counter(), outputs.store
    rows, lost = _rows_that_hold(done, versions)
    files = {}
    part = as_part(_columns(rows, task.starts), task.columns)
    files[part_name(block.index)] = digest(part)
    writing = [one.written for one in done]
    writing.append(in_background(store, lambda: store.write(part_name(block.index), part)))
    segments = [one.segment for one in done if one.segment is not None]
    if segments:
        joined = folder / f"block-{block.index}.mp4"
        concatenate([segment.path for segment in segments], segments[0].rate, joined)
        files[segment_name(block.index)] = digest_of_file(joined)
        name = segment_name(block.index)
        writing.append(in_background(store, lambda: store.put(name, joined)))
        for segment in segments:
            segment.path.unlink()
    for future in writing:
        future.result()
    crops = None if outputs.crops is None else digest_of_all(one.crops for one in done)
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in done:
        for stage, spent in one.stages.seconds.items():
            seconds[stage] += spent
    seconds["write"] += time.perf_counter() - started
    statuses = Counter(row.status for row in rows)
    record = {
        "block": block.index,
        "rows": [block.rows.start, block.rows.stop],
        "files": files,
        "crops": crops,
        "status": dict(sorted(statuses.items())),
        "good": sum(row.good for row in rows),
        "iterations": sum(row.iterations for row in rows),
        "evaluations": sum(row.evaluations for row in rows),
        "detections": sum(one.detections for one in done),
        "lost": lost,
        "seconds": dict(seconds),
        "finished": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "peak_memory_mb": peak_memory(),
    }
    write_record(store, record)
    return record


def _rows_that_hold(done: list[Followed], versions: Versions) -> tuple[list[Alignment], list[str]]:
    """Rows, unreadable where their source is not what it was; and what became of such sources."""
    changes: dict[str, str | None] = {}
    rows: list[Alignment] = []
    lost: list[str] = []
    for one in done:
        for row in one.rows:
            if row.source not in changes and (row.source in versions or row.status == "unreadable"):
                changes[row.source] = versions.changed(row.source)
            if changes.get(row.source) is not None:
                row = without_transform(Frame(row.source, row.frame, row.time), "unreadable")
            rows.append(row)
        if one.lost:
            lost.append(f"{one.rows[0].source}: {one.lost} frames could not be read")
    return rows, [*(change for change in changes.values() if change is not None), *lost]


def _without_coefficients(found: Alignment) -> Alignment:
    """Rows wait for their part without what no column holds: the coefficients but their number."""
    nonzero = found.coefficients[found.coefficients != 0.0]
    return replace(found, coefficients=nonzero, weights=None)


def _columns(rows: list[Alignment], starts: Initialiser) -> dict[str, Any]:
    nowhere = np.full((3, 3), np.nan)
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in (
            "source", "frame", "time", "status", "iterations", "residual", "step", "n_atoms",
            "evaluations", "quality",
        )
    }  # fmt: skip
    columns["frame_from_canonical"] = np.stack(
        [nowhere if row.frame_from_canonical is None else row.frame_from_canonical for row in rows]
    )
    if starts.has_angles:
        columns |= dict(zip(ANGLES, np.stack([starts.angles(row) for row in rows]).T, strict=True))
    return columns
