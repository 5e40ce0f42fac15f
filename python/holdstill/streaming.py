"""Align whole sources: in order and in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np

from holdstill import _core
from holdstill.alignment import Alignment
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial, Initialiser, make_initial
from holdstill.passes import align_pass, run_passes
from holdstill.solver_options import SolverOptions
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source
from holdstill.threads import thread_count
from holdstill.tracking import Aligners
from holdstill.tracks import Track, plan_passes, plan_tracks

_DEFAULT_FPS = 25.0


def align(
    source: Any,
    dictionary: Dictionary,
    initial: Initial = None,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    independent: bool = False,
    face: str = "best",
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
    face : {"best", "largest", "center", "left", "right"}
        Which face, where the detector finds several; best: the one that the dictionary aligns
        best.
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
