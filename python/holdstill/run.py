"""A whole run: align a source into a folder of transforms, pictures and figures."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from holdstill import _core
from holdstill.alignment import Alignment
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial
from holdstill.pictures import canonical_picture
from holdstill.recording import Recording, peak_memory
from holdstill.segments import Segment
from holdstill.sources import Frame, FrameSource
from holdstill.streaming import (
    Track,
    align_pass,
    initialiser_for,
    plan_passes,
    plan_tracks,
    run_passes,
)
from holdstill.threads import thread_count
from holdstill.tracking import Aligners

PART_ROWS = 1000
"""A part holds consecutive whole tracks until it has this many rows."""

_DEFAULT_FPS = 25.0


class NothingAlignedError(RuntimeError):
    """No frame of the run could be aligned; the folder holds a row for each all the same.

    Attributes
    ----------
    summary : dict
        The contents of ``run.json``.
    """

    def __init__(self, message: str, summary: dict[str, Any]) -> None:
        super().__init__(message)
        self.summary = summary


def refuse_nothing(summary: dict[str, Any], whole: str) -> None:
    """Raise NothingAlignedError unless something converged, or came near it.

    Parameters
    ----------
    summary : dict
        The contents of ``run.json``.
    whole : str
        How many of what there were, and what was to become of them, for the message.
    """
    if not {"converged", "max_iterations"} & set(summary["status"]):
        counts = ", ".join(f"{count} {status}" for status, count in summary["status"].items())
        raise NothingAlignedError(f"none of {whole} ({counts})", summary)


@dataclass
class Stages:
    """Seconds spent in each stage; every thread has its own."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def add(self, other: Stages) -> None:
        """Add the times that another thread took."""
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds


def align_to_folder(
    frames: FrameSource,
    dictionary: Dictionary,
    folder: str | os.PathLike[str],
    initial: Initial = None,
    *,
    threads: int | None = None,
    independent: bool = False,
    face: str = "largest",
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    loss: str = "l2",
    video: bool = True,
    csv: bool = False,
    progress: Callable[[int, int], None] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Align every frame and write the run's folder.

    The folder gets ``dictionary.npz``, ``transforms.parquet`` (a folder of parts, each complete
    when it appears; one row for every frame), ``aligned.mp4`` and, last, ``run.json``. Given the
    dictionary, the parts are the same bytes for any number of threads.

    Parameters
    ----------
    frames : FrameSource
        Of :func:`holdstill.open`.
    dictionary : Dictionary
    folder : str or path
        New, or empty.
    initial, threads, independent, face, mu, tolerance, max_iterations, loss
        As in :func:`holdstill.align`.
    video : bool
        Write ``aligned.mp4``: a picture for every row, black where a frame has no transform.
    csv : bool
        Write ``transforms.csv`` beside.
    progress : callable (done, total), optional
        Called after every frame, from the threads that align.
    facts : mapping, optional
        Further entries for ``run.json``.

    Returns
    -------
    dict
        The contents of ``run.json``.

    Raises
    ------
    FileExistsError
        If the folder holds something already.
    holdstill.outputs.OutputError
        If something cannot be written.
    NothingAlignedError
        If not one frame converged or came to a transform; everything has been written.
    """
    aligners = Aligners.of(
        dictionary, mu=mu, tolerance=tolerance, max_iterations=max_iterations, loss=loss
    )
    starts = initialiser_for(frames, dictionary, initial, independent=independent, face=face)
    workers = thread_count(threads)
    stages, counter = Stages(), _Counter(len(frames), progress)
    started = time.perf_counter()
    statuses: Counter[str] = Counter()
    iterations = evaluations = good = 0

    with Recording(folder, fps=frame_rate(frames)) as recording:
        recording.write_dictionary(dictionary.save)

        def work(
            tracks: list[Track], stopped: Callable[[], bool], staged: bool
        ) -> Iterator[tuple[list[Alignment], Stages]]:
            pairs = align_pass(frames, tracks, aligners, starts, stopped, staged=staged)
            with closing(pairs):
                for track in tracks:
                    if stopped():
                        return
                    segment = recording.open_segment(track.first_row) if video else None
                    rows = islice(pairs, len(track.numbers))
                    yield _follow(rows, segment, dictionary.shape, counter)

        part, rows = 0, list[Alignment]()
        passes = plan_passes(frames, plan_tracks(frames))
        # Closed before the recording is, come what may: the threads write into its folder.
        with closing(run_passes(work, passes, workers)) as results:
            for found, clock in results:
                stages.add(clock)
                rows += found
                statuses.update(alignment.status for alignment in found)
                iterations += sum(alignment.iterations for alignment in found)
                evaluations += sum(alignment.evaluations for alignment in found)
                good += sum(alignment.good for alignment in found)
                if len(rows) >= PART_ROWS:
                    with stages.timed("write"):
                        recording.write_part(part, _columns(rows))
                    part, rows = part + 1, []
        if rows:
            with stages.timed("write"):
                recording.write_part(part, _columns(rows))
        seconds = time.perf_counter() - started
        total = sum(statuses.values())
        solved = total - statuses["not_found"] - statuses["unreadable"]
        summary = {
            **(facts or {}),
            "options": {
                "threads": workers,
                "independent": independent,
                "face": face,
                "mu": mu,
                "tolerance": tolerance,
                "max_iterations": max_iterations,
                "loss": loss,
            },
            "dictionary": {"sha256": dictionary.digest, "summary": repr(dictionary)},
            "frames": total,
            "status": dict(sorted(statuses.items())),
            "good": good,
            "mean_iterations": iterations / solved if solved else None,
            "mean_evaluations": evaluations / solved if solved else None,
            "detections": starts.detections,
            "seconds": {"align": seconds, "by_stage_over_threads": dict(stages.seconds)},
            "frames_per_second": total / seconds if seconds > 0 else None,
            "peak_memory_mb": peak_memory(),
        }
        recording.finish(summary, csv=csv)
    refuse_nothing(summary, f"{total} frames could be aligned")
    return summary


def _follow(
    pairs: Iterator[tuple[Frame, Alignment]],
    segment: Segment | None,
    shape: tuple[int, int],
    counter: _Counter,
) -> tuple[list[Alignment], Stages]:
    """The rows of a track, while its pictures go into a segment; and what that took."""
    found: list[Alignment] = []
    clock = Stages()
    while True:
        with clock.timed("decode and align"):
            pair = next(pairs, None)
        if pair is None:
            break
        if segment is not None:
            with clock.timed("picture"):
                segment.write(canonical_picture(pair[0], pair[1].frame_from_canonical, shape))
        found.append(_without_coefficients(pair[1]))
        counter.count()
    if segment is not None:
        with clock.timed("picture"):
            segment.close()
    return found, clock


class _Counter:
    """Counts finished frames over all threads."""

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self._lock = threading.Lock()

    def count(self) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += 1
            self._progress(self._done, self._total)


def frame_rate(frames: FrameSource) -> float:
    """Frames per second of the first stream that has times; 25 where there are none."""
    for index, numbers in enumerate(frames.numbers):
        if len(numbers) < 2 or numbers.start < 0:
            continue
        times = [
            frame.time
            for frame in frames.read(
                index, numbers.start, numbers.start + 2 * numbers.step, numbers.step
            )
        ]
        if (
            len(times) == 2
            and times[0] is not None
            and times[1] is not None
            and times[1] > times[0]
        ):
            return float(np.clip(1.0 / (times[1] - times[0]), 1.0, 240.0))
        return _DEFAULT_FPS
    return _DEFAULT_FPS


def _without_coefficients(found: Alignment) -> Alignment:
    """Rows wait for their part without what no column holds: the coefficients but their number."""
    nonzero = found.coefficients[found.coefficients != 0.0]
    return replace(found, coefficients=nonzero, weights=None)


def _columns(rows: list[Alignment]) -> dict[str, Any]:
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
    return columns
