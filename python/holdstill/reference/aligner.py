"""One frame aligned to a dictionary: Algorithm 1 of paper A (equations §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .l1 import l1_least_squares
from .motion import FloatArray, centred_matrix, linear_part, parameters_from_matrix, update
from .warp import Linearization, canonical_points, linearize_prepared, prepare_frame

STATUSES = (
    "converged",
    "max_iterations",
    "out_of_frame",
    "singular",
    "collapsed",
    "unreadable",
)
"""How the alignment of one frame can end."""


@dataclass(frozen=True)
class FrameAlignment:
    """One aligned frame.

    Attributes
    ----------
    frame_from_canonical : ndarray, shape (3, 3), float64
        The last transform reached.
    status : str
        One of `STATUSES`.
    iterations : int
        Linearisations solved.
    residual : float
        ‖v + JΔτ - Ãx‖₂ of the last one; NaN where there was none.
    step : float
        Its ‖Δτ‖₂; NaN where there was none.
    coefficients : ndarray, shape (r,), float64
        Its x.
    gap : float
        Its duality gap; NaN where there was none.
    """

    frame_from_canonical: FloatArray
    status: str
    iterations: int
    residual: float
    step: float
    coefficients: FloatArray
    gap: float


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
) -> FrameAlignment:
    """Align one frame to a dictionary: min ½‖I∘τ - Ãx‖₂² + μ‖x‖₁ over x, τ (equations §3).

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

    Returns
    -------
    FrameAlignment
        With the status `out_of_frame` where more than half of the samples leave the frame,
        `singular` where the Jacobian does not determine the motion or the samples are all zero,
        `collapsed` where √|det L| changes by more than a factor 2 or L turns over, `unreadable`
        where the frame is not finite.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or `initial` lies outside the motion model.

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
    samples = len(canonical_points(roi, shape)) * (2 if features == "edges" else 1)
    if dictionary.ndim != 2 or dictionary.shape[0] != samples:
        raise ValueError(f"atoms: expected shape ({samples}, r), got {dictionary.shape}")
    x = np.zeros(dictionary.shape[1])
    if not np.isfinite(frame).all():
        return FrameAlignment(transform, "unreadable", 0, np.nan, np.nan, x, np.nan)
    prepared = prepare_frame(frame, transform, shape=shape, features=features, sigma=sigma)
    start_scale = _signed_scale(transform, shape)
    residual = step = gap = np.nan
    status = "max_iterations"
    iteration = 0
    while iteration < max_iterations:
        now = linearize_prepared(prepared, transform, shape=shape, motion=motion, roi=roi)
        refusal = _refusal(now, features)
        if refusal:
            status = refusal
            break
        # The exact active set makes the solution independent of where it starts.
        solved = l1_least_squares(
            dictionary, now.vector, now.jacobian, mu=mu,
            initial=x, bregman_iterations=20 if iteration == 0 else 0,
        )  # fmt: skip
        iteration += 1
        x, gap = solved.coefficients, solved.gap
        step, residual = float(np.linalg.norm(solved.step)), float(np.linalg.norm(solved.residual))
        moved = _moved(transform, solved.step, start_scale, motion, shape)
        if moved is None:
            status = "collapsed"
            break
        transform = moved
        if step <= tolerance:
            status = "converged"
            break
    return FrameAlignment(transform, status, iteration, residual, step, x, gap)


def _signed_scale(transform: FloatArray, shape: tuple[int, int]) -> float:
    determinant = float(np.linalg.det(linear_part(transform, shape)))
    return float(np.sign(determinant) * np.sqrt(abs(determinant)))


def _refusal(now: Linearization, features: str) -> str | None:
    """Status of a linearisation that cannot be solved, None for one that can."""
    samples = now.vector.size // (2 if features == "edges" else 1)
    if now.outside > samples / 2:
        return "out_of_frame"
    lengths = np.linalg.norm(now.jacobian, axis=0)
    if now.norm == 0.0 or lengths.min() == 0.0:
        return "singular"
    # Columns scaled: those of l and t differ by two orders of magnitude by nature.
    scaled = now.jacobian / lengths
    eigenvalues = np.linalg.eigvalsh(scaled.T @ scaled)
    return "singular" if eigenvalues[0] <= 1e-10 * eigenvalues[-1] else None


def _moved(
    transform: FloatArray, step: FloatArray, start_scale: float, motion: str, shape: tuple[int, int]
) -> FloatArray | None:
    """τ + Δτ, or None where it collapses: scale off by 2, turned over, or the plane's horizon."""
    parameters = parameters_from_matrix(transform, motion, shape) + step
    if not np.isfinite(parameters).all() or (motion == "similarity" and parameters[0] <= 0):
        return None
    moved = update(transform, step, motion, shape)
    ratio = _signed_scale(moved, shape) / start_scale
    if not 0.5 <= ratio <= 2.0:
        return None
    if motion == "homography":
        height, width = shape
        corners = np.array([[x, y, 1.0] for x in (0, width - 1) for y in (0, height - 1)])
        corners[:, :2] -= corners[:, :2].mean(axis=0)
        if (corners @ centred_matrix(moved, shape)[2]).min() <= 0:
            return None
    return moved
