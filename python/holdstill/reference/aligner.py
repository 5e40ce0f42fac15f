"""One frame aligned to a dictionary: Algorithm 1 of paper A (equations §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .l1 import L1Result, l1_least_squares
from .motion import FloatArray, parameters_from_matrix
from .robust import (
    L1_THRESHOLD,
    LEAST_MODEL,
    LOSSES,
    NARROWING,
    REDESCENDING_SCALE,
    WIDEST,
    RobustResult,
    magnitudes,
    robust_least_squares,
    seen_at_unit_norm,
)
from .status import moved_by, refusal
from .warp import canonical_points, linearize_prepared, n_planes, prepare_frame


@dataclass(frozen=True)
class FrameAlignment:
    """One aligned frame.

    Attributes
    ----------
    frame_from_canonical : ndarray, shape (3, 3), float64
        The last transform reached.
    status : str
        One of `reference.STATUSES`.
    iterations : int
        Linearisations solved.
    residual : float
        ‖v + JΔτ - Ãx‖₂ of the last one, what is hidden included; NaN where there was none.
    step : float
        Its ‖Δτ‖₂; NaN where there was none.
    coefficients : ndarray, shape (r,), float64
        Its x.
    gap : float
        Its duality gap; NaN where there was none.
    weights : ndarray, shape (m,), float64, or None
        Under a robust loss, how much each pixel of the region counts, in (0, 1].
    """

    frame_from_canonical: FloatArray
    status: str
    iterations: int
    residual: float
    step: float
    coefficients: FloatArray
    gap: float
    weights: FloatArray | None = None


def align_frame(
    image: npt.ArrayLike,
    atoms: npt.ArrayLike,
    initial: npt.ArrayLike,
    *,
    shape: tuple[int, int],
    motion: str,
    features: str = "grey",
    sigma: float = 0.8,
    roi: npt.NDArray[Any] | None = None,
    mu: float = 1e-3,
    tolerance: float = 1e-6,
    max_iterations: int = 300,
    loss: str = "l2",
    kappa: float = 0.0,
) -> FrameAlignment:
    """Align one frame to a dictionary: min ½‖I∘τ - Ãx‖₂² + μ‖x‖₁ over x, τ (equations §3).

    Under huber and l1 every linearised problem, which is convex, is solved to its optimum;
    geman-mcclure is reweighted least squares, its v of unit norm were nothing hidden.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    atoms : array_like, shape (M, r)
        Ã, columns of unit norm.
    initial : array_like, shape (3, 3)
        frame_from_canonical to start from.
    shape : (int, int)
        Height and width of the canonical frame.
    motion, features, sigma, roi
        As in `linearize`; those of the dictionary.
    mu : float
        μ > 0.
    tolerance : float
        Stop at ‖Δτ‖₂ ≤ tolerance.
    max_iterations : int
        Cap; reaching it is the status `max_iterations`.
    loss : {"l2", "huber", "l1", "geman-mcclure"}
        What a pixel's residual r, over its planes, costs: ½r²; that up to κ, above it κr - ½κ²; κr,
        quadratic below 0.05 κ; or ½r²/(1 + r²/c²), c falling to 4κ/1.345.
    kappa : float
        κ > 0 of the robust losses.

    Returns
    -------
    FrameAlignment
        With the status `out_of_frame` where more than half of the samples leave the frame,
        `singular` where the Jacobian does not determine the motion or the samples are all zero,
        `collapsed` where √|det L| changes by more than a factor 2, the motion since the start
        stretches one direction twice as much as another or L turns over, `unreadable` where the
        frame is not finite.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or `initial` lies outside the motion model, if the loss
        is unknown, or if a robust one comes without a positive `kappa`.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> blob = lambda cx, cy: np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 50.0)
    >>> options = {"shape": (30, 30), "motion": "translation"}
    >>> from holdstill.reference.warp import linearize
    >>> atom = linearize(blob(15.0, 15.0), np.eye(3), **options).vector
    >>> found = align_frame(blob(16.5, 14.0), atom[:, None], np.eye(3), **options)
    >>> found.status, found.frame_from_canonical[:2, 2].round(2).tolist()
    ('converged', [1.5, -1.0])
    """
    frame = np.asarray(image)
    dictionary = np.asarray(atoms, dtype=np.float64)
    transform = np.array(initial, dtype=np.float64)
    parameters_from_matrix(transform, motion, shape)
    planes = n_planes(features)
    samples = len(canonical_points(roi, shape)) * planes
    _check(dictionary, samples, loss, kappa)
    # The smoothed l1 is a multiple of Huber's loss with a small threshold.
    share = L1_THRESHOLD if loss == "l1" else 1.0
    x = np.zeros(dictionary.shape[1])
    if not np.isfinite(frame).all():
        return FrameAlignment(transform, "unreadable", 0, np.nan, np.nan, x, np.nan)
    prepared = prepare_frame(frame, transform, shape=shape, features=features, sigma=sigma)
    start = transform
    occlusion, weights = None, None
    bounded = loss == "geman-mcclure"
    norm, model, widening = 1.0, np.zeros(0), 1.0
    residual = step = gap = np.nan
    status = "max_iterations"
    iteration = 0
    while iteration < max_iterations:
        now = linearize_prepared(prepared, transform, shape=shape, motion=motion, roi=roi)
        refused = refusal(now, features)
        if refused:
            status = refused
            break
        solved: L1Result | RobustResult
        if loss == "l2" or (bounded and iteration == 0):
            # The exact active set makes the solution independent of where it starts.
            solved = l1_least_squares(
                dictionary, now.vector, now.jacobian, mu=mu,
                initial=x, bregman_iterations=20 if iteration == 0 else 0,
            )  # fmt: skip
        elif bounded:
            v, J, weights, norm = seen_at_unit_norm(
                now.vector, now.jacobian, model, norm / now.norm,
                scale=widening * REDESCENDING_SCALE * kappa, planes=planes,
            )  # fmt: skip
            norm *= now.norm
            solved = _weighted_l1(dictionary, v, J, np.tile(weights, planes), mu, x)
        else:
            solved = robust_least_squares(
                dictionary, now.vector, now.jacobian, mu=share * mu, kappa=share * kappa,
                planes=planes, initial=x, occlusion=occlusion,
            )  # fmt: skip
            occlusion = solved.occlusion
            lengths = magnitudes(solved.residual, planes)
            weights = share * kappa / np.maximum(lengths, share * kappa)
        iteration += 1
        x, gap = solved.coefficients, solved.gap / share
        step, residual = float(np.linalg.norm(solved.step)), float(np.linalg.norm(solved.residual))
        arrived = step <= tolerance and widening == 1.0
        if bounded:
            model = _unfaded(dictionary @ x)
            if iteration == 1:  # the plain fit is a model; its step is the occluder's, too
                typical = residual / np.sqrt(samples / planes)
                widening = max(1.0, WIDEST * typical / (REDESCENDING_SCALE * kappa))
                norm = now.norm
                continue
            residual = float(np.linalg.norm(v - model))
            widening = max(1.0, widening / NARROWING)
        moved = moved_by(transform, solved.step, start, motion, shape)
        if moved is None:
            status = "collapsed"
            break
        transform = moved
        if arrived:
            status = "converged"
            break
    return FrameAlignment(transform, status, iteration, residual, step, x, gap, weights)


def _check(dictionary: FloatArray, samples: int, loss: str, kappa: float) -> None:
    if dictionary.ndim != 2 or dictionary.shape[0] != samples:
        raise ValueError(f"atoms: expected shape ({samples}, r), got {dictionary.shape}")
    if loss not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}")
    if loss != "l2" and not (np.isfinite(kappa) and kappa > 0):
        raise ValueError(f"kappa: expected a positive number for loss={loss!r}, got {kappa}")


def _weighted_l1(
    dictionary: FloatArray, v: FloatArray, J: FloatArray, W: FloatArray, mu: float, x: FloatArray
) -> L1Result:
    """min over x, Δτ of ½(v + JΔτ - Ãx)ᵀW(v + JΔτ - Ãx) + μ‖x‖₁, from an earlier x."""
    roots = np.sqrt(W)
    return l1_least_squares(
        roots[:, None] * dictionary, roots * v, roots[:, None] * J, mu=mu,
        initial=x, bregman_iterations=0,
    )  # fmt: skip


def _unfaded(model: FloatArray) -> FloatArray:
    """a = Ãx, or 0.8 a/‖a‖ where ‖a‖ < 0.8: no face at all explains a flat occluder."""
    return model * max(1.0, LEAST_MODEL / float(np.linalg.norm(model)))
