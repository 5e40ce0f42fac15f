"""One frame registered to a face subspace: SHR (equations §4; paper B §2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..pyramid import at_level, coarse_to_fine
from .motion import (
    FloatArray,
    linear_part,
    map_points,
    matrix_from_parameters,
    parameters_from_matrix,
    warp_jacobian,
)
from .simplex import minimize_simplex
from .status import moved_by, refusal
from .subspace import (
    Subspace,
    distances,
    gauss_newton_step,
    log_volume,
    normal_equations,
    precision,
)
from .warp import PreparedFrame, canonical_points, linearize_prepared, prepare_frame

SEARCHES = ("gradient", "simplex")
"""Names of the ways to look for the best transform."""


COARSE_TOLERANCE = 0.05
"""Canonical pixels of a coarse level: it only has to bring the next one near."""


class Level(NamedTuple):
    """One octave of a face model.

    Attributes
    ----------
    subspace : Subspace
        Of the vectors seen on this level.
    roi : ndarray (h, w), bool or float
        Region of interest, or weights; its shape is the level's canonical shape.
    """

    subspace: Subspace
    roi: npt.NDArray[Any]


@dataclass(frozen=True)
class FrameRegistration:
    """One registered frame.

    Attributes
    ----------
    frame_from_canonical : ndarray, shape (3, 3), float64
        The best transform found.
    status : str
        One of `reference.STATUSES`.
    iterations : int
        Gauss-Newton steps, or moves of the simplex, on the finest level.
    evaluations : int
        Times that the frame was warped, on all levels and from all starts.
    log_likelihood : float
        Of the registered frame; NaN where nothing was solved. So are the next four.
    difs, dffs : float
        Its distance in feature space and from it.
    step : float
        How far the last step moved a corner of the region; of the simplex, its last extent.
        Canonical pixels.
    coefficients : ndarray, shape (M,), float64
        y = Φᵀ(x - x̄).
    """

    frame_from_canonical: FloatArray
    status: str
    iterations: int
    evaluations: int
    log_likelihood: float
    difs: float
    dffs: float
    step: float
    coefficients: FloatArray


@dataclass(frozen=True)
class Options:
    """What the search on every level shares.

    Attributes
    ----------
    motion, features, sigma
        As in `linearize`.
    distance : {"both", "difs", "dffs"}
        What is minimised.
    tolerance : float
        Canonical pixels. Gradient: stop once no corner of the region moves by more. Simplex: once
        no vertex moves them by more, root mean square, than the best one does.
    max_iterations : int
        Cap of the Gauss-Newton steps on a level; of the simplex, a quarter of the evaluations.
    largest_offset : float
        Δ_i of the simplex: the largest expected offset of each parameter moves the corners of the
        region by this share of the canonical width, root mean square.
    """

    motion: str = "similarity"
    features: str = "edges"
    sigma: float = 0.8
    distance: str = "both"
    tolerance: float = 0.01
    max_iterations: int = 100
    largest_offset: float = 0.05


class _End(NamedTuple):
    """Where the search on one level ended; `at_level`'s transform, not the finest one's."""

    frame_from_canonical: FloatArray
    status: str
    iterations: int
    evaluations: int
    step: float


def register_frame(
    image: npt.ArrayLike,
    levels: Sequence[Level],
    initial: npt.ArrayLike,
    *,
    search: str = "gradient",
    options: Options | None = None,
) -> FrameRegistration:
    """Find the transform under which a frame is most likely to be of the class (equations §4).

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    levels : sequence of Level
        Octaves to search on, the finest first.
    initial : array_like, shape (3, 3) or (k, 3, 3)
        frame_from_canonical to start from; of several starts, the likeliest end counts.
    search : {"gradient", "simplex"}
        Gauss-Newton steps on -log-likelihood until they are small, or a downhill simplex.
    options : Options, optional

    Returns
    -------
    FrameRegistration
        With a status as `align_frame` has it.

    Raises
    ------
    ValueError
        If an argument has the wrong shape, or `initial` lies outside the motion model.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> blob = lambda cx, cy: np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 50.0)
    >>> from holdstill.reference.warp import linearize
    >>> options = Options(motion="translation", features="grey")
    >>> mean = linearize(blob(15, 15), np.eye(3), shape=(30, 30), motion="translation").vector
    >>> blobs = Subspace(mean, np.zeros((mean.size, 0)), np.zeros(0), 1e-6)
    >>> level = Level(blobs, np.ones((30, 30), dtype=bool))
    >>> found = register_frame(blob(16.5, 14.0), [level], np.eye(3), options=options)
    >>> found.status, found.frame_from_canonical[:2, 2].round(2).tolist()
    ('converged', [1.5, -1.0])
    """
    options = options or Options()
    if search not in SEARCHES:
        raise ValueError(f"search: expected one of {', '.join(SEARCHES)}, got {search!r}")
    precision(levels[0].subspace, options.distance)
    starts = np.asarray(initial, dtype=np.float64)
    starts = starts[None] if starts.ndim == 2 else starts
    if starts.ndim != 3 or starts.shape[1:] != (3, 3) or len(starts) == 0:
        raise ValueError(f"initial: expected shape (3, 3) or (k, 3, 3), got {np.shape(initial)}")
    for start in starts:
        parameters_from_matrix(start, options.motion, _shape(levels[0]))
    frame = np.asarray(image)
    if not np.isfinite(frame).all():
        return _nothing(starts[0], "unreadable", levels[0])
    found = [_from_start(frame, levels, start, search, options) for start in starts]
    best = max(found, key=_rank)
    return FrameRegistration(
        **{**vars(best), "evaluations": sum(each.evaluations for each in found)}
    )


def _rank(found: FrameRegistration) -> tuple[bool, float]:
    value = found.log_likelihood
    return found.status == "converged", value if np.isfinite(value) else -np.inf


def _shape(level: Level) -> tuple[int, int]:
    height, width = level.roi.shape
    return height, width


def _nothing(start: FloatArray, status: str, level: Level) -> FrameRegistration:
    nothing = np.full(len(level.subspace.variances), np.nan)
    return FrameRegistration(start, status, 0, 0, np.nan, np.nan, np.nan, np.nan, nothing)


def _from_start(
    frame: npt.NDArray[Any],
    levels: Sequence[Level],
    initial: FloatArray,
    search: str,
    options: Options,
) -> FrameRegistration:
    find = _gradient if search == "gradient" else _simplex
    prepared = [
        prepare_frame(
            frame,
            at_level(initial, octave),
            shape=_shape(level),
            features=options.features,
            sigma=options.sigma,
        )
        for octave, level in enumerate(levels)
    ]
    coarse = replace(options, tolerance=max(options.tolerance, COARSE_TOLERANCE))
    evaluations = 0

    def solve(octave: int, start: FloatArray) -> _End:
        nonlocal evaluations
        end = find(prepared[octave], levels[octave], start, options if octave == 0 else coarse)
        evaluations += end.evaluations
        if octave == 0 or end.status == "converged":
            return end
        return end._replace(frame_from_canonical=start)  # a coarse level that fails is skipped

    end = coarse_to_fine(solve, initial, len(levels))
    return _scored(prepared[0], levels[0], end, evaluations, options)


def _scored(
    prepared: PreparedFrame, level: Level, end: _End, evaluations: int, options: Options
) -> FrameRegistration:
    now = linearize_prepared(
        prepared, end.frame_from_canonical, shape=_shape(level), motion=options.motion,
        roi=level.roi,
    )  # fmt: skip
    if now.norm == 0.0:
        return _nothing(end.frame_from_canonical, end.status, level)
    parts = distances(now.vector, level.subspace)
    return FrameRegistration(
        end.frame_from_canonical,
        end.status,
        end.iterations,
        evaluations + 1,
        -0.5 * (sum(parts) + log_volume(level.subspace)),
        parts.difs,
        parts.dffs,
        end.step,
        level.subspace.basis.T @ (now.vector - level.subspace.mean),
    )


def _corners(level: Level) -> FloatArray:
    points = canonical_points(level.roi, _shape(level))
    low, high = points.min(axis=0), points.max(axis=0)
    return np.array([[x, y] for x in (low[0], high[0]) for y in (low[1], high[1])])


def corner_motion(first: FloatArray, second: FloatArray, level: Level) -> float:
    """Largest distance between what two transforms make of the region's corners.

    Parameters
    ----------
    first, second : ndarray, shape (3, 3)
        frame_from_canonical.
    level : Level

    Returns
    -------
    float
        Canonical pixels of the level.

    Examples
    --------
    >>> line = Subspace(np.zeros(1), np.zeros((1, 0)), np.zeros(0), 1.0)
    >>> level = Level(line, np.ones((5, 5), dtype=bool))
    >>> shifted = np.diag([2.0, 2.0, 1.0])
    >>> shifted[0, 2] = 3.0  # of the frame's pixels, two of which are a canonical one
    >>> corner_motion(np.diag([2.0, 2.0, 1.0]), shifted, level)
    1.5
    """
    corners = _corners(level)
    scale = np.sqrt(abs(np.linalg.det(linear_part(first, _shape(level)))))
    moved = map_points(second, corners) - map_points(first, corners)
    return float(np.linalg.norm(moved, axis=1).max() / scale)


def _gradient(prepared: PreparedFrame, level: Level, start: FloatArray, options: Options) -> _End:
    """Gauss-Newton steps until no corner moves (equations §4)."""
    shape, transform = _shape(level), start
    step = np.nan
    for iteration in range(options.max_iterations):
        now = linearize_prepared(
            prepared, transform, shape=shape, motion=options.motion, roi=level.roi
        )
        status = refusal(now, options.features)
        if status:
            return _End(transform, status, iteration, iteration + 1, step)
        equations = normal_equations(now.vector, now.jacobian, level.subspace, options.distance)
        try:
            delta = gauss_newton_step(equations)
        except np.linalg.LinAlgError:
            return _End(transform, "singular", iteration, iteration + 1, step)
        moved = moved_by(transform, delta, start, options.motion, shape)
        if moved is None:
            return _End(transform, "collapsed", iteration + 1, iteration + 1, step)
        step = corner_motion(transform, moved, level)
        transform = moved
        if step <= options.tolerance:
            return _End(transform, "converged", iteration + 1, iteration + 1, step)
    return _End(transform, "max_iterations", options.max_iterations, options.max_iterations, step)


def pixels_per_unit(transform: FloatArray, motion: str, level: Level) -> FloatArray:
    """Canonical pixels by which the region's corners move per unit of each parameter.

    Parameters
    ----------
    transform : ndarray, shape (3, 3)
        frame_from_canonical.
    motion : str
        One of `MOTIONS`.
    level : Level

    Returns
    -------
    ndarray, shape (p,), float64
        Root mean square over the corners.

    Examples
    --------
    >>> line = Subspace(np.zeros(1), np.zeros((1, 0)), np.zeros(0), 1.0)
    >>> level = Level(line, np.ones((5, 5), dtype=bool))
    >>> pixels_per_unit(np.diag([2.0, 2.0, 1.0]), "translation", level).tolist()
    [0.5, 0.5]
    """
    shape = _shape(level)
    motions = warp_jacobian(transform, motion, shape, _corners(level))
    area = abs(np.linalg.det(linear_part(transform, shape)))
    return np.asarray(np.sqrt((motions**2).sum(axis=1).mean(axis=0) / area))


def _simplex(prepared: PreparedFrame, level: Level, start: FloatArray, options: Options) -> _End:
    """Downhill simplex over parameters in units of canonical pixels (paper B §2.4.1)."""
    shape, motion = _shape(level), options.motion
    inside, outside = precision(level.subspace, options.distance)
    units = pixels_per_unit(start, motion, level)
    origin = parameters_from_matrix(start, motion, shape)
    refusals: list[str] = []

    def transform_of(point: FloatArray) -> FloatArray | None:
        return moved_by(start, point / units, start, motion, shape)

    def distance(point: FloatArray) -> float:
        transform = transform_of(point)
        if transform is None:
            return np.inf
        now = linearize_prepared(prepared, transform, shape=shape, motion=motion, roi=level.roi)
        refused = refusal(now, options.features)
        if refused:
            refusals.append(refused)
            return np.inf
        off = now.vector - level.subspace.mean
        y = level.subspace.basis.T @ off
        return float(outside * (off @ off) + (inside * y) @ y)

    found = minimize_simplex(
        distance,
        np.zeros(len(units)),
        np.full(len(units), options.largest_offset * shape[1]),
        tolerance=options.tolerance,
        max_evaluations=4 * options.max_iterations,
    )
    if not np.isfinite(found.value):
        return _End(start, refusals[0] if refusals else "collapsed", 0, found.evaluations, np.nan)
    best = matrix_from_parameters(origin + found.point / units, start, motion, shape)
    status = "converged" if found.converged else "max_iterations"
    return _End(best, status, found.iterations, found.evaluations, found.extent)
