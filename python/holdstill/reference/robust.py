"""Robust l1-regularised least squares by an explicit occlusion (equations §3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from .l1 import checked_problem, l1_from_products
from .motion import FloatArray

LOSSES = ("l2", "huber", "l1", "geman-mcclure")
"""What a residual costs: its square; linear above kappa; linear but for a small share of kappa;
bounded."""

L1_THRESHOLD = 0.05
"""Where the loss l1 turns quadratic, as a share of kappa."""


REDESCENDING_SCALE = 4.0 / 1.345
"""Geman and McClure's scale once narrow, in kappa."""

WIDEST, NARROWING = 4.0, 1.3
"""Where it starts, in root mean squares of the plain residual, and what it falls by."""

LEAST_MODEL = 0.8
"""Norm below which the model must not fade under it."""

LEAST_NORM, LARGEST_NORM = 0.3, 2.0
"""Bounds of a frame's norm without what hides it, relative to that with it."""


class RobustResult(NamedTuple):
    """Solution of min ½‖v + JΔτ - Ãx - e‖₂² + κ Σ‖e_i‖₂ + μ‖x‖₁.

    Attributes
    ----------
    coefficients : ndarray, shape (r,), float64
        x; zero off the support exactly.
    step : ndarray, shape (p,), float64
        Δτ; empty without a Jacobian.
    occlusion : ndarray, shape (M,), float64
        e; zero where the residual is below κ exactly.
    objective : float
        Value at (x, Δτ, e).
    gap : float
        Duality gap: the objective is at most this far above the optimum.
    iterations : int
        l1 problems solved.
    converged : bool
        The gap fell to the tolerance.
    residual : ndarray, shape (M,), float64
        v + JΔτ - Ãx, the occlusion still in it.
    """

    coefficients: FloatArray
    step: FloatArray
    occlusion: FloatArray
    objective: float
    gap: float
    iterations: int
    converged: bool
    residual: FloatArray


def magnitudes(residual: npt.ArrayLike, planes: int) -> FloatArray:
    """Length of every pixel's residual, taken over its planes.

    Parameters
    ----------
    residual : array_like, shape (planes * m,)
        Plane after plane.
    planes : int
        2 for edges, else 1.

    Returns
    -------
    ndarray, shape (m,), float64

    Examples
    --------
    >>> magnitudes([3.0, 0.0, 4.0, -1.0], 2).tolist()
    [5.0, 1.0]
    """
    return np.asarray(np.linalg.norm(np.reshape(residual, (planes, -1)), axis=0))


def group_soft_threshold(x: npt.ArrayLike, t: float, planes: int = 1) -> FloatArray:
    """Shrink every pixel's vector by t towards 0: the proximal map of t Σ‖x_i‖₂.

    Parameters
    ----------
    x : array_like, shape (planes * m,)
        Plane after plane.
    t : float
        Threshold, at least 0.
    planes : int
        2 for edges, else 1.

    Returns
    -------
    ndarray of the shape of `x`, float64

    Examples
    --------
    >>> group_soft_threshold([3.0, 0.1, 4.0, 0.1], 1.0, planes=2).round(12).tolist()
    [2.4, 0.0, 3.2, 0.0]
    """
    values = np.asarray(x, dtype=np.float64)
    lengths = magnitudes(values, planes)
    kept = np.maximum(lengths - t, 0.0) / np.where(lengths > 0, lengths, 1.0)
    return values * np.tile(kept, planes) + 0.0  # no -0


def huber(residual: npt.ArrayLike, kappa: float, planes: int = 1) -> float:
    """Σ over the pixels of ½r² where r ≤ κ, κr - ½κ² above: the occlusion minimised out.

    Parameters
    ----------
    residual : array_like, shape (planes * m,)
        Plane after plane.
    kappa : float
        κ.
    planes : int
        2 for edges, else 1.

    Returns
    -------
    float

    Examples
    --------
    >>> huber([1.0, -3.0], 2.0)
    4.5
    """
    r = magnitudes(residual, planes)
    return float(np.where(r <= kappa, 0.5 * r**2, kappa * r - 0.5 * kappa**2).sum())


def robust_least_squares(
    dictionary: npt.ArrayLike,
    target: npt.ArrayLike,
    jacobian: npt.ArrayLike | None = None,
    *,
    mu: float,
    kappa: float,
    planes: int = 1,
    initial: npt.ArrayLike | None = None,
    occlusion: npt.ArrayLike | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 20000,
) -> RobustResult:
    """min over x, Δτ of the Huber loss of v + JΔτ - Ãx, plus μ‖x‖₁ (equations §3, "Robust losses").

    The occlusion e is explicit, which splits the problem into the l1 problem for v - e and a soft
    threshold, iterated with momentum; it restarts where the momentum points uphill. A pixel's
    planes are occluded together, so the threshold is of its vector's length.

    Parameters
    ----------
    dictionary : array_like, shape (M, r)
        Ã.
    target : array_like, shape (M,)
        v; plane after plane.
    jacobian : array_like, shape (M, p), optional
        J, of full column rank.
    mu : float
        μ > 0.
    kappa : float
        κ > 0, the residual of a pixel above which its cost is linear.
    planes : int
        2 for edges, else 1.
    initial : array_like, shape (r,), optional
        Coefficients to start from, zeros by default.
    occlusion : array_like, shape (M,), optional
        e to start from, zeros by default.
    tolerance : float
        Stop where the duality gap is at most this share of the objective.
    max_iterations : int
        Cap.

    Returns
    -------
    RobustResult

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, `mu` or `kappa` is not positive or J is rank
        deficient.

    Examples
    --------
    The third sample is hidden; it neither pulls the coefficient nor the fit of the others.

    >>> atom = np.full((4, 1), 0.5)
    >>> found = robust_least_squares(atom, [0.5, 0.5, 9.5, 0.5], mu=0.01, kappa=0.1)
    >>> found.coefficients.round(3).tolist(), found.occlusion.round(3).tolist()
    ([1.053], [0.0, 0.0, 8.873, 0.0])
    """
    atoms, v, J = checked_problem(dictionary, target, jacobian)
    if not (np.isfinite(kappa) and kappa > 0):
        raise ValueError(f"kappa: expected a positive number, got {kappa}")
    if planes < 1 or v.size % planes:
        raise ValueError(f"planes: expected a divisor of the {v.size} samples, got {planes}")
    Q, R = np.linalg.qr(J)
    if J.shape[1] and np.abs(np.diag(R)).min() <= 1e-14 * np.linalg.norm(J):
        raise ValueError("jacobian: expected full column rank, its columns are dependent")
    x = np.zeros(atoms.shape[1]) if initial is None else np.asarray(initial, dtype=np.float64)
    e = np.zeros(v.size) if occlusion is None else np.asarray(occlusion, dtype=np.float64)
    if e.shape != v.shape:
        raise ValueError(f"occlusion: expected shape {v.shape}, got {e.shape}")
    G, N = atoms.T @ atoms, atoms.T @ Q
    ahead, momentum = e, 1.0
    for iteration in range(1, max_iterations + 1):
        seen = v - ahead
        q = Q.T @ seen
        x = l1_from_products(
            G, N, atoms.T @ seen, q, float(seen @ seen), mu=mu,
            initial=x, bregman_iterations=20 if iteration == 1 else 0,
        ).coefficients  # fmt: skip
        residual = v + Q @ (N.T @ x - q) - atoms @ x
        following = group_soft_threshold(residual, kappa, planes)
        objective = huber(residual, kappa, planes) + mu * float(np.abs(x).sum())
        gap = objective - _dual_value(atoms, v, residual - ahead, mu, kappa, planes)
        if gap <= tolerance * objective:
            break
        if (ahead - following) @ (following - e) > 0:
            momentum = 1.0
        after = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = following + (momentum - 1.0) / after * (following - e)
        e, momentum = following, after
    step = scipy.linalg.solve_triangular(R, N.T @ x - q) if J.shape[1] else np.zeros(0)
    converged = gap <= tolerance * objective
    return RobustResult(
        x, np.asarray(step), following, objective, max(gap, 0.0), iteration, converged, residual
    )


def _dual_value(
    atoms: FloatArray, v: FloatArray, r: FloatArray, mu: float, kappa: float, planes: int
) -> float:
    """max over k of θᵀv - ½‖θ‖², θ = k r, with |Ãᵀθ| ≤ μ and ‖θ_i‖ ≤ κ; Jᵀr = 0 already."""
    v_r, r_sq = float(v @ r), float(r @ r)
    if r_sq == 0.0:
        return 0.0
    bound = min(
        limit / largest if largest > 0.0 else np.inf
        for limit, largest in (
            (mu, float(np.abs(atoms.T @ r).max())),
            (kappa, float(magnitudes(r, planes).max())),
        )
    )
    k = float(np.clip(v_r / r_sq, -bound, bound))
    return k * v_r - 0.5 * k**2 * r_sq


def seen_at_unit_norm(
    w: FloatArray,
    jacobian: FloatArray,
    model: FloatArray,
    norm: float,
    *,
    scale: float,
    planes: int = 1,
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """v = w/N, of unit norm were nothing hidden, and J with JᵀWv = 0 (equations §3).

    Parameters
    ----------
    w : ndarray, shape (M,)
        Sampled vector, of any norm.
    jacobian : ndarray, shape (M, p)
        Its Jacobian. What changes w along itself does not matter.
    model : ndarray, shape (M,)
        Ãx: what the weights let through of its energy, they let through of w's.
    norm : float
        N so far.
    scale : float
        c of Geman and McClure's weights.
    planes : int
        2 for edges, else 1.

    Returns
    -------
    (ndarray, ndarray, ndarray of shape (m,), float)
        v, J, the pixels' weights and N.

    Examples
    --------
    The second half is hidden by something twice as bright; a norm of all would be 9.5.

    >>> w, model = np.array([3.0, 3.0, 6.0, 6.0]), np.full(4, 0.5)
    >>> _, _, weights, norm = seen_at_unit_norm(w, np.zeros((4, 0)), model, 6.0, scale=0.01)
    >>> weights.round(3).tolist(), round(norm, 3)
    ([1.0, 1.0, 0.0, 0.0], 6.0)
    """
    weights = (1.0 + (magnitudes(w / norm - model, planes) / scale) ** 2) ** -2
    spread = np.tile(weights, planes)
    seen = float(spread @ w**2)
    share = float(spread @ model**2) / float(model @ model)
    size = float(np.linalg.norm(w))
    norm = float(np.clip(np.sqrt(seen / share), LEAST_NORM * size, LARGEST_NORM * size))
    J = (jacobian - np.outer(w, (jacobian.T @ (spread * w)) / seen)) / norm
    return w / norm, J, weights, norm
