"""RASL: align a batch of images by sparse and low-rank decomposition (equations §1).

Y. Peng, A. Ganesh, J. Wright, W. Xu, Y. Ma: RASL: Robust Alignment by Sparse and Low-Rank
Decomposition for Linearly Correlated Images, IEEE TPAMI 34(11), 2012.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SIGMA, Weights, check_shape, roi_mask
from holdstill.checks import at_least_zero, integer, positive
from holdstill.learning.gauge import canonical_motion, compose_gauge
from holdstill.reference.motion import (
    centre,
    linear_part,
    n_parameters,
    parameters_from_matrix,
)

SOLVERS = ("alm", "apg")
"""Inner solvers: inexact augmented Lagrangian; accelerated proximal gradient, the slow check."""

AS_THEY_ARE = ("uint8", "uint16", "float32")
"""Types of images that need no conversion."""


class RaslImageError(ValueError):
    """One image of a batch cannot take part; a caller may drop it and start again.

    Attributes
    ----------
    index : int
        Position of the image in the batch.
    reason : str
        What is wrong with it.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"images[{index}]: {reason}")
        self.index, self.reason = index, reason


@dataclass(frozen=True)
class RaslResult:
    """A batch of images aligned by RASL; A, E and D∘τ all belong to the returned transforms.

    Attributes
    ----------
    frame_from_canonical : ndarray, shape (n, 3, 3), float64
        Transforms τ.
    low_rank : ndarray, shape (M, n), float64
        A.
    sparse : ndarray, shape (M, n), float64
        E.
    vectors : ndarray, shape (M, n), float64
        D∘τ: the unit-norm feature vectors of the warped images.
    rank : int
        Singular values that the last A-step kept; soft, see equations §2.
    objective : float
        ‖A‖_* + λ‖D∘τ + Qδ - A‖₁ at the end.
    objectives : list of float
        The same after each outer iteration.
    moves : list of float
        Largest move of a canonical corner in each outer iteration, canonical pixels.
    iterations : int
        Outer iterations, each one linearisation and one inner problem.
    status : str
        ``converged`` (the corners rest), ``objective`` (its change fell to `objective_tolerance`)
        or ``max_iterations``.
    seconds : float
        Wall time.
    """

    frame_from_canonical: FloatArray
    low_rank: FloatArray
    sparse: FloatArray
    vectors: FloatArray
    rank: int
    objective: float
    objectives: list[float]
    moves: list[float]
    iterations: int
    status: str
    seconds: float


class _Accuracy(NamedTuple):
    """How exactly the inner problem is solved: the smaller ρ, the closer to its optimum.

    The penalties are in units of 1/‖D‖_F, which is 1/‖D‖₂ but for what tells the images apart.
    """

    rho: float
    penalty: float | None
    """Of the first iteration; None goes on where the last outer iteration ended."""
    max_penalty: float
    max_iterations: int
    apg_tolerance: float


_FIRST = _Accuracy(1.5, None, 50.0, 16, 1e-6)
_COARSE = _Accuracy(1.5, None, 50.0, 8, 1e-6)
_MEDIUM = _Accuracy(1.03, None, np.inf, 12, 1e-6)
_FINE = _Accuracy(1.05, 100.0, np.inf, 1000, 1e-7)
_LAST = _Accuracy(1.25, 50.0, np.inf, 1000, 1e-6)
_COARSE_ABOVE = 0.3
"""Canonical pixels: while corners move more, an inner step wrong by 0.1 px costs nothing."""


@dataclass(frozen=True)
class _Batch:
    """What stays the same through the outer loop."""

    images: list[npt.NDArray[Any]]
    initial: FloatArray
    shape: tuple[int, int]
    motion: str
    features: str
    sigma: float
    roi: Weights
    kernels: ModuleType


def rasl(
    images: Sequence[npt.ArrayLike] | npt.NDArray[Any],
    initial: npt.ArrayLike,
    *,
    shape: tuple[int, int] = (200, 200),
    motion: str = "affine",
    features: str = "grey",
    sigma: float = DEFAULT_SIGMA,
    roi: str | npt.ArrayLike | None = None,
    lambda_c: float = 1.0,
    solver: str = "alm",
    tolerance: float = 0.01,
    objective_tolerance: float = 0.0,
    max_iterations: int = 50,
    gauge: bool = True,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    kernels: ModuleType | None = None,
) -> RaslResult:
    """Align a batch: min ‖A‖_* + λ‖E‖₁ s.t. D∘τ = A + E over A, E, τ (equations §1).

    Each outer iteration removes the common motion (gauge), linearises, solves the convex inner
    problem and updates τ, until no canonical corner moves more than `tolerance`.

    There are no coarse levels, as :func:`holdstill.fit` has them. On a face of 200×200, grey levels
    reach about 8 canonical pixels; `edges` and `magnitude`, at the default σ, about 2. A batch that
    starts farther away stays there, and is "converged" nevertheless: start nearer, or take `fit`.

    Parameters
    ----------
    images : sequence of array_like (H_i, W_i), or array (n, H, W)
        Grey frames, at least two; their sizes may differ. Other numbers than uint8 and uint16 are
        taken as float32.
    initial : array_like, shape (n, 3, 3)
        frame_from_canonical to start from.
    shape : (int, int)
        Height and width of the canonical frame.
    motion : str
        ``translation``, ``euclidean``, ``similarity``, ``affine`` or ``homography``.
    features : str
        ``grey``, ``edges`` or ``magnitude``.
    sigma : float
        σ of edges and magnitude, canonical pixels.
    roi : str, path, array_like (h, w) or None
        Region of interest, see `holdstill.canonical.roi_mask`.
    lambda_c : float
        λ = λ_c/√M, M the length of a feature vector. The smaller, the lower the rank of A: at 1, a
        face that turns is explained by a few frames per pose, and the poses drift apart.
    solver : str
        ``alm`` or ``apg``.
    tolerance : float
        Canonical pixels.
    objective_tolerance : float
        Stop, too, where an outer iteration lowers the objective by no more than this share of it;
        0 never does. The published implementation stops at 1e-2.
    max_iterations : int
        Cap of the outer loop.
    gauge : bool
        Hold the mean motion of the batch; without it the batch zooms.
    threads : int, optional
        Threads of the compiled inner solver; as many as there are processors by default.
    progress : callable (done, total), optional
        Called after every outer iteration.
    kernels : module, optional
        Supplies `linearize`, `update`, `rasl_alm` and `rasl_apg`: the compiled core by default,
        `holdstill.reference` for pure NumPy.

    Returns
    -------
    RaslResult

    Raises
    ------
    RaslImageError
        If one image is not grey, not finite, black or featureless in the region of interest, more
        than half outside, or its transform collapses. It is a ValueError with the image's index.
    ValueError
        If another argument is wrong, or λ_c is so small for so few images that nothing of them is
        left in A.

    Examples
    --------
    >>> import holdstill.reference
    >>> y, x = np.mgrid[:40, :40]
    >>> shifts = np.array([[0.0, 0.0], [0.6, -0.4], [-0.5, 0.7], [0.3, 0.2]])
    >>> images = [np.exp(-((x - 20 - a) ** 2 + (y - 20 - b) ** 2) / 40) for a, b in shifts]
    >>> start = np.stack([np.eye(3)] * 4)
    >>> start[:, :2, 2] = 5.0
    >>> options = {"shape": (30, 30), "motion": "translation", "kernels": holdstill.reference}
    >>> aligned = rasl(images, start, **options)
    >>> found = aligned.frame_from_canonical[:, :2, 2]
    >>> aligned.status, float(np.abs((found - found[0]) - (shifts - shifts[0])).max()) < 0.03
    ('converged', True)
    """
    started = time.perf_counter()
    lambda_c, tolerance = positive("lambda_c", lambda_c), positive("tolerance", tolerance)
    max_iterations = integer("max_iterations", max_iterations)
    if solver not in SOLVERS:
        raise ValueError(f"solver: expected one of {', '.join(SOLVERS)}, got {solver!r}")
    objective_tolerance = at_least_zero("objective_tolerance", objective_tolerance)
    core = import_module("holdstill._core") if kernels is None else kernels
    batch = _checked_batch(images, initial, shape, motion, features, sigma, roi, core)
    transforms, accuracy, status = batch.initial, _FIRST, "max_iterations"
    inner = None
    objectives: list[float] = []
    moves: list[float] = []
    Q: FloatArray | None = None
    while True:
        if gauge:
            transforms = compose_gauge(transforms, batch.initial, motion, batch.shape)
        D, Q, R = _linearize_batch(batch, transforms, Q)
        B = canonical_motion(transforms, motion, batch.shape) @ np.linalg.inv(R) if gauge else None
        lam = lambda_c / float(np.sqrt(len(D)))
        inner = _solve(core, D, Q, B, lam, solver, accuracy, threads, inner)
        if inner.rank == 0:
            raise ValueError(
                f"lambda_c: at {lambda_c} nothing of the {len(batch.images)} images is left in "
                "their low-rank part; take a larger lambda_c or more images"
            )
        moved = _updated(batch, transforms, R, inner.delta)
        objectives.append(float(inner.objective))
        moves.append(_corner_move(transforms, moved, batch.shape))
        if progress is not None:
            progress(len(moves), max_iterations)
        if moves[-1] <= tolerance and accuracy is _FINE:
            status = "converged"
        elif (
            objective_tolerance > 0
            and len(moves) > 1
            and objectives[-2] - objectives[-1] <= objective_tolerance * objectives[-1]
        ):
            status = "objective"
        # A and E belong to the transforms they were solved at: the last step is not taken.
        if status != "max_iterations" or len(moves) == max_iterations:
            break
        transforms = moved
        accuracy = _next_accuracy(accuracy, moves[-1], tolerance if solver == "alm" else 0.1)
    if accuracy is not _FINE:
        inner = _solve(core, D, Q, B, lam, solver, _LAST, threads, inner)
        objectives[-1] = float(inner.objective)
    return RaslResult(
        frame_from_canonical=transforms,
        low_rank=np.asarray(inner.low_rank),
        sparse=np.asarray(inner.sparse),
        vectors=D,
        rank=int(inner.rank),
        objective=objectives[-1],
        objectives=objectives,
        moves=moves,
        iterations=len(moves),
        status=status,
        seconds=time.perf_counter() - started,
    )


def _next_accuracy(accuracy: _Accuracy, move: float, fine_below: float) -> _Accuracy:
    """Coarse while the corners move far, then medium; once fine, fine to the end.

    Coarse, one run of the ALM at a fixed penalty goes on across the linearisations, a few
    iterations on each; medium, the penalty grows slowly as well. Fine, each problem is solved for
    itself, and from a penalty low enough for its multipliers to change.
    """
    if accuracy is _FINE or (accuracy is _MEDIUM and move <= fine_below):
        return _FINE
    return _COARSE if accuracy is not _MEDIUM and move > _COARSE_ABOVE else _MEDIUM


def _solve(
    kernels: ModuleType,
    D: FloatArray,
    Q: FloatArray,
    B: FloatArray | None,
    lam: float,
    solver: str,
    accuracy: _Accuracy,
    threads: int | None,
    start: Any,
) -> Any:
    # Only the compiled solvers have threads of their own to set.
    options: dict[str, Any] = {"lam": lam} if threads is None else {"lam": lam, "threads": threads}
    if solver == "alm":
        size = float(np.linalg.norm(D))
        return kernels.rasl_alm(
            D,
            Q,
            B,
            rho=accuracy.rho,
            max_iterations=accuracy.max_iterations,
            start=start,
            penalty=None if start is None or accuracy.penalty is None else accuracy.penalty / size,
            max_penalty=accuracy.max_penalty / size,
            certify=False,
            **options,
        )
    return kernels.rasl_apg(D, Q, B, tol=accuracy.apg_tolerance, **options)


def _checked_batch(
    images: Sequence[npt.ArrayLike] | npt.NDArray[Any],
    initial: npt.ArrayLike,
    shape: tuple[int, int],
    motion: str,
    features: str,
    sigma: float,
    roi: str | npt.ArrayLike | None,
    kernels: ModuleType,
) -> _Batch:
    n_parameters(motion)
    shape = check_shape(shape)
    mask = roi_mask(roi, shape)
    frames = [np.asarray(image) for image in images]
    if len(frames) < 2:
        raise ValueError(f"images: expected at least two, got {len(frames)}")
    start = np.array(initial, dtype=np.float64)
    if start.shape != (len(frames), 3, 3):
        raise ValueError(f"initial: expected shape ({len(frames)}, 3, 3), got {start.shape}")
    for index, (frame, transform) in enumerate(zip(frames, start, strict=True)):
        if frame.ndim != 2 or frame.size == 0 or frame.dtype.kind not in "bufi":
            raise RaslImageError(
                index,
                f"expected a grey image (H, W) of numbers, got shape {frame.shape}, "
                f"dtype {frame.dtype}",
            )
        if not np.isfinite(frame).all():
            raise RaslImageError(index, "expected finite grey levels, got NaN or inf")
        try:
            if not abs(np.linalg.det(linear_part(transform, shape))) > 0:
                raise RaslImageError(index, "its initial transform is not invertible")
            parameters_from_matrix(transform, motion, shape)
        except RaslImageError:
            raise
        except ValueError as error:
            raise ValueError(f"initial[{index}]: {error}") from None
    frames = [f if f.dtype in AS_THEY_ARE else f.astype(np.float32) for f in frames]
    return _Batch(frames, start, shape, motion, features, sigma, mask, kernels)


def _linearize_batch(
    batch: _Batch, transforms: FloatArray, bases: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """D∘τ (M, n) and the thin QR of every Jacobian, J_i = Q_i R_i: (n, M, p) and (n, p, p).

    `bases` is Q of an earlier call, to write into: it is by far the largest array of RASL.
    """
    D = rows = np.empty(0)
    triangles = np.empty((len(transforms), *2 * (n_parameters(batch.motion),)))
    for index, (image, transform) in enumerate(zip(batch.images, transforms, strict=True)):
        now = batch.kernels.linearize(
            image,
            transform,
            shape=batch.shape,
            motion=batch.motion,
            features=batch.features,
            sigma=batch.sigma,
            roi=batch.roi,
            # Frozen at the start: a low-pass that follows τ would change the problem on the way.
            lowpass_from=batch.initial[index],
        )
        if now.outside > np.count_nonzero(batch.roi) / 2:
            raise RaslImageError(
                index, "more than half of the region of interest lies outside of the frame"
            )
        if now.norm == 0.0:
            raise RaslImageError(index, "the region of interest is all zero")
        if index == 0:
            M = len(now.vector)
            D = np.empty((M, len(transforms)), order="F")
            # Every Q_i column by column, as the solvers read it: they need no copy.
            shape = (len(transforms), triangles.shape[1], M)
            rows = np.empty(shape) if bases is None else bases.transpose(0, 2, 1)
        D[:, index] = now.vector
        rows[index] = np.asarray(now.jacobian).T
        try:
            triangles[index] = _orthonormalise(rows[index])
        except np.linalg.LinAlgError:
            raise RaslImageError(
                index, f"what it shows in the region of interest does not fix a {batch.motion}"
            ) from None
    return D, rows.transpose(0, 2, 1), triangles


def _orthonormalise(rows: FloatArray) -> FloatArray:
    """Rows Jᵀ become Qᵀ; returns the triangle R of J = Q R.

    By Cholesky's factor of the Gram matrix, which costs a fraction of Householder's reflections;
    the second pass makes good what the square of the condition took from the first.

    Raises
    ------
    LinAlgError
        If the rows, scaled to one length, have a condition above 1e5.
    """
    R = np.eye(len(rows))
    for first in (True, False):
        gram = rows @ rows.T
        lengths = np.sqrt(gram.diagonal())
        if not lengths.all():
            raise np.linalg.LinAlgError("a row is zero")
        gram /= np.outer(lengths, lengths)
        if first:
            squares = np.linalg.eigvalsh(gram)
            if squares[0] < 1e-10 * squares[-1]:
                raise np.linalg.LinAlgError("the rows are dependent")
        factor = lengths[:, None] * np.linalg.cholesky(gram)
        rows[:] = np.linalg.inv(factor) @ rows
        R = factor.T @ R
    return R


def _updated(batch: _Batch, transforms: FloatArray, R: FloatArray, delta: FloatArray) -> FloatArray:
    """τ_i + R_i⁻¹ δ_i; RaslImageError where the scale leaves a factor 2 of its start."""
    steps = np.linalg.solve(R, np.asarray(delta)[:, :, None])[:, :, 0]
    moved = np.stack(
        [
            batch.kernels.update(transform, step, batch.motion, batch.shape)
            for transform, step in zip(transforms, steps, strict=True)
        ]
    )
    ratios = _areas(moved, batch.shape) / _areas(batch.initial, batch.shape)
    collapsed = np.flatnonzero(~((ratios >= 0.25) & (ratios <= 4.0)))
    if collapsed.size:
        raise RaslImageError(int(collapsed[0]), "its transform collapsed; its start may be far off")
    return moved


def _areas(transforms: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """det L: frame pixels per canonical pixel, at the canonical centre."""
    weights = transforms[:, 2, :2] @ centre(shape) + transforms[:, 2, 2]
    return np.asarray(np.linalg.det(transforms) / weights**3)


def _corner_move(before: FloatArray, after: FloatArray, shape: tuple[int, int]) -> float:
    """Largest move of a corner of the canonical frame, in canonical pixels."""
    height, width = shape
    corners = np.array([[x, y, 1.0] for x in (0, width - 1) for y in (0, height - 1)])
    moved = corners @ np.linalg.solve(before, after).transpose(0, 2, 1)
    moves = moved[:, :, :2] / moved[:, :, 2:] - corners[:, :2]
    return float(np.linalg.norm(moves, axis=-1).max())
