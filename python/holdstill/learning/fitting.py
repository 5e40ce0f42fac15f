"""Learn a dictionary: a sample of frames, RASL on it, its independent columns."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import (
    DEFAULT_ROI,
    DEFAULT_SHAPE,
    DEFAULT_SIGMA,
    Weights,
    check_shape,
    roi_mask,
    roi_name,
)
from holdstill.checks import integer, positive
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial, Initialiser, make_initial
from holdstill.learning.columns import atoms_of, independent_columns
from holdstill.learning.rasl import RaslImageError, RaslResult, rasl
from holdstill.learning.residuals import leave_one_out
from holdstill.learning.selection import Sample, check_selection, draw, grow
from holdstill.pyramid import at_level, coarse_to_fine, level_roi, level_shape, n_levels
from holdstill.sources import FrameSource
from holdstill.sources.opened import opened

COMMON_OUTLIER = 5.0
"""λ_c √n: how many times the root mean square a pixel that all n images share may be.

What exceeds it goes to E, in all of them: the strongest edges of a face reach four or five. A
larger λ_c leaves them, too, but then a hundred frames keep fifty dimensions for themselves, and by
these they drift apart.
"""
RESTS_AT = 2e-3
"""Where `fit` stops RASL by default: edges come to rest with that λ_c, and do not drift apart."""
PUBLISHED_REST = 1e-2

FAR = 0.04
"""Starts are far where RASL on the coarsest octave lowers its objective by more than this share.

From starts within reach of the finest level it gains 1 to 3 %, by moving poses apart.
"""

ANOTHER_REST = 0.1
"""Share by which RASL ends lower, by way of grey levels, where its direct way ended wrong.

Of faces, which turn, both ends are within 6 %; of a texture whose grains edges mistook, 22 % apart.
"""

MOST_NAMED = 5
"""Of the frames left out of a sample for one reason, how many are named; the others are counted."""

LEAST_FRAMES = 5
"""From which on frames of a sample are held by one another."""

log = logging.getLogger("holdstill")


class NothingToAlignError(ValueError):
    """Too few frames of the sample could be used: no face found, unreadable, or black."""


def fit(
    source: Any,
    initial: Initial = None,
    *,
    n: int = 100,
    selection: str = "random",
    seed: int = 0,
    shape: tuple[int, int] = DEFAULT_SHAPE,
    motion: str = "affine",
    features: str = "edges",
    sigma: float = DEFAULT_SIGMA,
    roi: str | os.PathLike[str] | npt.ArrayLike | None = DEFAULT_ROI,
    lambda_c: float | None = None,
    objective_tolerance: float | None = None,
    levels: int | None = None,
    face: str = "largest",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dictionary:
    """Learn the dictionary of a source: RASL on n of its frames (equations §1, §2; paper A §3.1).

    Parameters
    ----------
    source : path, list of paths, array (n, H, W[, 3]) or FrameSource
        Whatever :func:`holdstill.open` takes.
    initial : None, path, array_like (n, 3, 3), mapping or callable
        Where each frame's initial frame_from_canonical comes from; None is a face detector on every
        frame of the sample. See :func:`holdstill.initial.make_initial`.
    n : int
        Frames in the sample, at least 2; with ``coverage`` at most. Memory and time grow with it,
        not with the source. :meth:`Dictionary.coverage` tells whether it was enough.
    selection : {"random", "stratified", "consecutive", "coverage"}
        Uniformly at random; one at random from each n-th of the source; the first n, which is the
        paper's counter-example; or a small sample to which those of 5 n random candidates are
        added, in three rounds, that its dictionary explains worst: see
        :func:`holdstill.learning.selection.grow`. It ends early where that no longer helps.
    seed : int
        Of the random choice.
    shape : (int, int)
        Height and width of the canonical frame, pixels.
    motion : str
        ``translation``, ``euclidean``, ``similarity``, ``affine`` or ``homography``.
    features : str
        ``grey``, ``edges`` or ``magnitude``. Like `roi` and `lambda_c`, chosen by measurement on
        faces; see the guide.
    sigma : float
        σ of edges and magnitude, canonical pixels.
    roi : str, path, array_like (h, w) or None
        Region of interest: a name, a mask image, a mask, weights. The default is for faces; for
        other things take ``"full"``, or None. With these or a mask, edges and magnitude are also
        reached by way of grey levels; that end is kept where its objective is a tenth lower.
    lambda_c : float, optional
        λ = λ_c/√M of RASL. By default 5/√n (`COMMON_OUTLIER`): 0.5 for a sample of 100, where the
        published value is 1.
    objective_tolerance : float, optional
        RASL stops where an iteration lowers its objective by less than this share. By default
        0.002 (`RESTS_AT`); for grey levels or a `lambda_c` of your own 0.01, as the published
        implementation does: on faces that turn, running on lowers the objective by another percent
        then and moves the frames apart. The guide on choosing options shows figures.
    levels : int, optional
        Octaves of RASL, coarse to fine. By default all that the region allows where the starts are
        far (RASL on the coarsest lowers its objective by more than 4 %: `FAR`), else the finest
        alone.
    face : {"largest", "center", "left", "right"}
        Which face, where the detector finds several.
    threads : int, optional
        Threads of RASL's inner solver; as many as there are processors by default.
    progress : callable (done, total), optional
        Called with the outer iterations of RASL, which runs several times: on every octave, and for
        ``coverage`` or the way by grey levels again.

    Returns
    -------
    Dictionary

    Raises
    ------
    ValueError
        If an option is out of range, or n exceeds the number of frames.
    NothingToAlignError
        If fewer than two frames of the sample could be used.
    OSError
        If the source cannot be opened.

    Examples
    --------
    >>> from holdstill.synthetic import TalkingHead
    >>> head = TalkingHead(12, size=(144, 180), shape=(40, 40), occlusion=False)
    >>> frames = np.stack([frame for frame in head])
    >>> fit(frames, head.initial(), n=8, shape=(40, 40), motion="similarity").shape
    (40, 40)
    """
    shape = check_shape(shape)
    mask = roi_mask(roi, shape)
    seed = integer("seed", seed, 0)
    if levels is not None:
        levels = integer("levels", levels, 1, n_levels(mask))
    if lambda_c is not None:
        lambda_c = positive("lambda_c", lambda_c)
    tolerance = objective_tolerance
    if tolerance is None:
        tolerance = RESTS_AT if lambda_c is None and features != "grey" else PUBLISHED_REST
    options: dict[str, Any] = {
        "shape": shape,
        "motion": motion,
        "features": features,
        "sigma": sigma,
        "roi": mask,
    }

    def batch(sample: Sample) -> RaslResult:
        return _batch(
            sample,
            levels=levels,
            lambda_c=lambda_c,
            objective_tolerance=tolerance,
            threads=threads,
            progress=progress,
            **options,
        )

    with opened(source) as frames:
        n = check_selection(len(frames), n, selection)
        starts = make_initial(
            initial,
            shape,
            independent=True,
            face=face,
            n_rows=len(frames),
            n_streams=frames.n_readable,
        )
        if selection == "coverage":
            # Every round starts from the initial transforms: the result is RASL's on the sample,
            # however the sample was found.
            sample, result = grow(frames, starts, n, seed, batch, options)
        else:
            sample = _drawn(frames, starts, n, selection, seed)
            result = batch(sample)
    provenance = {
        "n": n,
        "selection": selection,
        "seed": seed,
        "initial": _describe(initial),
        "lambda_c": _lambda_c(lambda_c, sample),
        **_outcome(sample, result),
    }
    own = leave_one_out(
        sample.images,
        np.stack(sample.transforms),
        result.frame_from_canonical,
        atoms_of(result),
        independent_columns(result),
        **options,
    )
    dictionary = Dictionary.from_rasl(result, own=own, provenance=provenance, **options)
    log.info(
        "learnt from %d frames in %d iterations%s: %r",
        len(sample),
        result.iterations,
        "" if result.status == "objective" else f" (RASL's end: {result.status})",
        dictionary,
    )
    return dictionary


def _drawn(frames: FrameSource, starts: Initialiser, n: int, selection: str, seed: int) -> Sample:
    sample = draw(frames, starts, n, selection, seed)
    if 2 <= len(sample) < LEAST_FRAMES:
        log.warning(
            "a sample of %d frames explains each of them by itself, wherever it lies: whether they "
            "are aligned their quality does not tell; give more",
            len(sample),
        )
    few = len(sample) < n / 2
    if 2 <= len(sample) < n:
        log.warning(
            "the sample has %d frames instead of %d: the others are unreadable, or no face was "
            "found in them%s",
            len(sample),
            n,
            "; is it a face? look at the report, or give initial transforms" if few else "",
        )
    return sample


def _batch(
    sample: Sample,
    *,
    levels: int | None,
    lambda_c: float | None,
    shape: tuple[int, int],
    roi: Weights,
    **options: Any,
) -> RaslResult:
    """RASL; a frame that it cannot use (black, outside, collapsed) leaves the sample.

    Edges of what may be no face are reached in two ways, straight and by way of its grey levels:
    where grains are finer than their displacement, only those reach far enough.
    """
    if len(sample) < 2:
        raise NothingToAlignError(
            f"only {len(sample)} frames could be used for the dictionary: the others are "
            "unreadable or black, or have nothing to start from: no face was found in them, or no "
            "row of the initial transforms given is about them"
        )

    def descend(start: FloatArray, given: int | None, **changed: Any) -> RaslResult:
        def solve(level: int, at: FloatArray) -> RaslResult:
            return rasl(
                sample.images,
                at,
                shape=level_shape(shape, level),
                roi=level_roi(roi, level),
                **options | changed,
            )

        used = n_levels(roi) if given is None else given
        if given is None and used > 1:
            coarsest = used - 1
            coarse = solve(coarsest, at_level(start, coarsest))
            if _far(coarse):
                start, used = at_level(coarse.frame_from_canonical, -coarsest), coarsest
            else:
                used = 1  # coarse levels would only add their own drift
        return coarse_to_fine(solve, start, used)

    def best_descent() -> RaslResult:
        start = np.stack(sample.transforms)
        options["lambda_c"] = _lambda_c(lambda_c, sample)
        direct = descend(start, levels)
        if options["features"] == "grey" or roi_name(roi) not in (None, "full"):
            return direct
        try:
            by_grey = descend(start, levels, features="grey", objective_tolerance=PUBLISHED_REST)
            other = descend(by_grey.frame_from_canonical, 1)
        except RaslImageError:
            return direct
        return other if other.objective < (1.0 - ANOTHER_REST) * direct.objective else direct

    left_out: dict[str, list[str]] = {}
    try:
        while True:
            try:
                return best_descent()
            except RaslImageError as error:
                frame = sample.drop(error.index)
                name = f"frame {frame.frame} of {frame.source}"
                left_out.setdefault(error.reason, []).append(name)
                if len(sample) < 2:
                    raise NothingToAlignError(
                        "fewer than two frames of the sample could be used; the last one: "
                        f"{name}: {error.reason}"
                    ) from error
    finally:
        _tell_left_out(left_out)


def _tell_left_out(frames_by_reason: Mapping[str, Sequence[str]]) -> None:
    """One warning for all frames that the same is wrong with."""
    for reason, frames in frames_by_reason.items():
        named = ", ".join(frames[:MOST_NAMED])
        more = len(frames) - MOST_NAMED
        if more > 0:
            named += f" and {more} more"
        log.warning("left out of the sample: %s: %s", named, reason)


def _outcome(sample: Sample, result: RaslResult) -> dict[str, Any]:
    """What came of the sample, for the provenance."""
    return {
        "sample": [[frame.source, frame.frame] for frame in sample.frames],
        "rasl": {
            "status": result.status,
            "iterations": result.iterations,
            "objective": result.objective,
            "rank": result.rank,
            "last_move_px": result.moves[-1],
        },
    }


def _lambda_c(given: float | None, sample: Sample) -> float:
    return COMMON_OUTLIER / float(np.sqrt(len(sample))) if given is None else given


def _far(coarse: RaslResult) -> bool:
    return coarse.objectives[-1] < (1.0 - FAR) * coarse.objectives[0]


def _describe(initial: Initial) -> str:
    if initial is None:
        return "face detector"
    if isinstance(initial, (str, os.PathLike)):
        return os.path.basename(os.fspath(initial))
    return "callable" if callable(initial) else "given"
