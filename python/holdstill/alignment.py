"""Align frames one by one against a dictionary (equations §3; paper A, Algorithm 1)."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial, Initialiser, make_initial, tracks
from holdstill.sources import Frame, FrameSource
from holdstill.sources import open as open_source

FloatArray = npt.NDArray[np.float64]
Job = TypeVar("Job")
Result = TypeVar("Result")

STATUSES = (
    "converged",
    "max_iterations",
    "out_of_frame",
    "singular",
    "collapsed",
    "not_found",
    "unreadable",
)
"""How the alignment of a frame can end."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """One aligned frame, or why it is not.

    Attributes
    ----------
    source : str
        File or stream of the frame.
    frame : int
        Its number there; -1 for a source that could not be opened.
    time : float or None
        Its timestamp, seconds.
    frame_from_canonical : ndarray (3, 3) float64, or None
        The transform; None where there is not even an initial one.
    status : str
        One of `STATUSES`; a cap that was reached is never called converged.
    iterations : int
        Outer iterations.
    evaluations : int
        Linearisations on all levels; the same number here, for there is one level.
    residual : float
        ‖e‖₂ of the unit-norm frame, e = v + JΔτ - Ãx. NaN where nothing was solved.
    step : float
        Last ‖Δτ‖₂. NaN where nothing was solved.
    coefficients : ndarray (r,) float64
        x; zero off its support exactly.
    gap : float
        Duality gap of x at the returned point, over all atoms.
    objective : float
        ½‖e‖₂² + μ‖x‖₁ there.
    """

    source: str
    frame: int
    time: float | None
    frame_from_canonical: FloatArray | None
    status: str
    iterations: int
    evaluations: int
    residual: float
    step: float
    coefficients: FloatArray
    gap: float
    objective: float

    @property
    def converged(self) -> bool:
        """Whether the frame's status is ``converged``."""
        return self.status == "converged"

    @property
    def n_atoms(self) -> int:
        """Number of atoms in use."""
        return int(np.count_nonzero(self.coefficients))


@dataclass(frozen=True, slots=True)
class AlignmentBatch:
    """The fields of :class:`Alignment` as arrays of length n, in the order of the frames."""

    frame_from_canonical: FloatArray
    status: npt.NDArray[np.str_]
    iterations: npt.NDArray[np.int32]
    evaluations: npt.NDArray[np.int32]
    residual: FloatArray
    step: FloatArray
    coefficients: FloatArray
    gap: FloatArray
    objective: FloatArray

    def __len__(self) -> int:
        return len(self.status)

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Which frames' status is ``converged``."""
        return np.asarray(self.status == "converged")


def align_frame(
    frame: npt.ArrayLike,
    dictionary: Dictionary,
    initial: npt.ArrayLike,
    *,
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    verify: bool = False,
) -> Alignment:
    """Align one frame: min over x, τ of ½‖v(τ) - Ãx‖₂² + μ‖x‖₁ (equations §3).

    Parameters
    ----------
    frame : array_like, shape (H, W) or (H, W, 3)
        uint8, uint16 or float. Colour becomes grey by :func:`holdstill.sources.grey_from_rgb`.
    dictionary : Dictionary
        Of :func:`holdstill.fit`.
    initial : array_like, shape (3, 3)
        frame_from_canonical to start from, of the dictionary's motion model.
    mu : float
        Weight of ‖x‖₁; 0 is plain least squares.
    tolerance : float
        Stop at ‖Δτ‖₂ ≤ tolerance.
    max_iterations : int
        Cap of the outer loop.
    verify : bool
        Solve every iteration over all atoms, and certify it. Same result, slower.

    Returns
    -------
    Alignment
        A frame that cannot be aligned gets a status; it raises nothing.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong shape, dtype or range, or `initial` is outside of the motion
        model's family.

    Examples
    --------
    >>> y, x = np.mgrid[:60, :60]
    >>> blob = np.exp(-((x - 30.0) ** 2 + (y - 28.0) ** 2) / 60).astype(np.float32)
    >>> template = warp(blob, [[1, 0, 10], [0, 1, 10], [0, 0, 1]], (40, 40)).reshape(-1, 1)
    >>> atoms = template / np.linalg.norm(template)
    >>> found = align_frame(
    ...     blob, Dictionary(atoms, shape=(40, 40), motion="translation"),
    ...     [[1, 0, 11.5], [0, 1, 9], [0, 0, 1]],
    ... )
    >>> found.status, found.frame_from_canonical[:2, 2].round(2).tolist()
    ('converged', [10.0, 10.0])
    """
    aligner = dictionary.aligner(
        mu=mu, tolerance=tolerance, max_iterations=max_iterations, verify=verify
    )
    return _aligned(Frame("array", 0, None, np.asarray(frame)), aligner, np.asarray(initial))


def align_batch(
    frames: npt.ArrayLike,
    dictionary: Dictionary,
    initial: npt.ArrayLike,
    *,
    threads: int | None = None,
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    verify: bool = False,
) -> AlignmentBatch:
    """Align a stack of frames in one call into the compiled core.

    Parameters
    ----------
    frames : array_like, shape (n, H, W)
        Grey, uint8, uint16 or float32.
    dictionary : Dictionary
        Of :func:`holdstill.fit`.
    initial : array_like, shape (n, 3, 3)
        frame_from_canonical to start from, for each frame.
    threads : int, optional
        Threads over the frames; as many as there are processors by default. The result does not
        depend on it.
    mu, tolerance, max_iterations, verify
        As in :func:`align_frame`.

    Returns
    -------
    AlignmentBatch

    Raises
    ------
    ValueError, TypeError
        As :func:`align_frame`.
    """
    stack = np.asarray(frames)
    if stack.dtype == np.float64:
        stack = stack.astype(np.float32)
    aligner = dictionary.aligner(
        mu=mu, tolerance=tolerance, max_iterations=max_iterations, verify=verify
    )
    found = aligner.align_batch(stack, np.asarray(initial), threads=thread_count(threads))
    return AlignmentBatch(
        frame_from_canonical=found["frame_from_canonical"],
        status=np.array(found["status"]),
        iterations=found["iterations"],
        evaluations=found["iterations"],
        residual=found["residual"],
        step=found["step"],
        coefficients=found["coefficients"],
        gap=found["gap"],
        objective=found["objective"],
    )


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
    mu, tolerance, max_iterations
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
    >>> from holdstill import fit
    >>> from holdstill.synthetic import TalkingHead
    >>> head = TalkingHead(12, size=(144, 180), shape=(40, 40), occlusion=False)
    >>> frames = np.stack([frame for frame in head])
    >>> dictionary = fit(frames, head.initial(), n=8, shape=(40, 40), motion="similarity")
    >>> [a.status for a in align(frames, dictionary, head.initial())][:2]
    ['converged', 'converged']
    """
    frames = open_source(source)
    aligner = dictionary.aligner(mu=mu, tolerance=tolerance, max_iterations=max_iterations)
    starts = initialiser_for(frames, dictionary, initial, independent=independent, face=face)
    return _align_all(frames, aligner, starts, thread_count(threads), progress)


def warp(
    frame: npt.ArrayLike, frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]
) -> npt.NDArray[Any]:
    """The frame seen in the canonical frame: (I∘τ)(u) = I(W(u; τ)) (equations §0).

    Parameters
    ----------
    frame : array_like, shape (H, W) or (H, W, channels)
        uint8, uint16, float32 or float64.
    frame_from_canonical : array_like, shape (3, 3)
        Transform; canonical pixels to frame pixels.
    shape : (int, int)
        Height and width of the result.

    Returns
    -------
    ndarray, shape (h, w[, channels]), dtype of `frame`
        Bilinear samples; outside of the frame its nearest border pixel.

    Raises
    ------
    ValueError
        If a shape or dtype does not fit, or the transform is not finite.

    Examples
    --------
    >>> picture = np.arange(12, dtype=np.float32).reshape(3, 4)
    >>> warp(picture, [[1, 0, 0.5], [0, 1, 1], [0, 0, 1]], (2, 2)).tolist()
    [[4.5, 5.5], [8.5, 9.5]]
    """
    return np.asarray(_core.warp(np.asarray(frame), np.asarray(frame_from_canonical), shape))


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
            yield frame, _without_transform(frame, "unreadable")
            continue
        proposal = start.propose(frame, row)
        if proposal is None:
            yield frame, _without_transform(frame, "not_found")
            continue
        found = _aligned(frame, aligner, proposal)
        start.accept(found.frame_from_canonical if found.converged else None)
        yield frame, found


def run_in_order(
    work: Callable[[Job, Callable[[], bool]], Result], jobs: Sequence[Job], threads: int
) -> Generator[Result, None, None]:
    """Run `work` on every job, on threads, and yield the results in the order of the jobs.

    At most `threads` jobs are ahead of the one that is waited for: memory stays bounded.

    Parameters
    ----------
    work : callable (job, stopped) -> result
        Asks `stopped` now and then, and returns early where it says so.
    jobs : sequence
    threads : int

    Yields
    ------
    result
    """
    stop = threading.Event()
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="holdstill")
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job, stop.is_set))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def thread_count(threads: int | None) -> int:
    """Threads to use: as asked for, else the processors this process may run on."""
    if threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if int(threads) != threads or threads < 1:
        raise ValueError(f"threads: expected an integer of at least 1, got {threads!r}")
    return int(threads)


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


def _aligned(frame: Frame, aligner: _core.FrameAligner, initial: FloatArray) -> Alignment:
    try:
        found = aligner.align(_as_grey(frame), initial)
    except ValueError as error:
        raise ValueError(f"frame {frame.frame} of {frame.source}: {error}") from None
    solved = found.iterations > 0
    return Alignment(
        frame.source,
        frame.frame,
        frame.time,
        found.frame_from_canonical,
        found.status,
        found.iterations,
        found.iterations,
        found.residual if solved else float("nan"),
        found.step if solved else float("nan"),
        found.coefficients,
        found.gap if solved else float("nan"),
        found.objective if solved else float("nan"),
    )


def _as_grey(frame: Frame) -> npt.NDArray[Any]:
    grey = frame.grey()
    return grey.astype(np.float32) if grey.dtype == np.float64 else grey


def _without_transform(frame: Frame, status: str) -> Alignment:
    nan = float("nan")
    nothing = np.zeros(0)
    return Alignment(
        frame.source, frame.frame, frame.time, None, status, 0, 0, nan, nan, nothing, nan, nan
    )
