"""RASL's inner convex problem: inexact ALM, and APG as its check (equations §1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .l1 import soft_threshold
from .motion import FloatArray


class RaslStep(NamedTuple):
    """Solution of min ‖A‖_* + λ‖E‖₁ s.t. D + Σ Q_i δ_i ε_iᵀ = A + E, Σ B_i δ_i = 0.

    Attributes
    ----------
    low_rank : ndarray, shape (M, n), float64
        A.
    sparse : ndarray, shape (M, n), float64
        E.
    delta : ndarray, shape (n, p), float64
        δ_i = R_i Δτ_i.
    multipliers : ndarray, shape (M, n), float64
        Y of the constraint, as the last iteration left it.
    rank : int
        Singular values that the last A-step kept.
    iterations : int
        Iterations done.
    penalty : float
        μ, as a next iteration would take it.
    objective : float
        ‖A‖_* + λ‖D + Qδ - A‖₁, an upper bound of the optimum.
    lower_bound : float
        ⟨Y, D⟩ of the multipliers made feasible, a lower bound of it.
    converged : bool
        The stopping rule was met before the cap.
    """

    low_rank: FloatArray
    sparse: FloatArray
    delta: FloatArray
    multipliers: FloatArray
    rank: int
    iterations: int
    penalty: float
    objective: float
    lower_bound: float
    converged: bool


def rasl_alm(
    D: npt.ArrayLike,
    Q: npt.ArrayLike,
    B: npt.ArrayLike | None = None,
    *,
    lam: float,
    rho: float = 1.25,
    tol: float = 1e-7,
    max_iterations: int = 1000,
    start: RaslStep | None = None,
    penalty: float | None = None,
    max_penalty: float = np.inf,
    certify: bool = True,
) -> RaslStep:
    """Inexact augmented Lagrangian of the inner problem (equations §1).

    The stop measures feasibility, not optimality: the smaller ρ, the closer to the optimum.

    Parameters
    ----------
    D : array_like, shape (M, n)
        Unit-norm warped images as columns.
    Q : array_like, shape (n, M, p)
        Orthonormal bases of the Jacobians, J_i = Q_i R_i.
    B : array_like, shape (n, q, p), optional
        Gauge constraint Σ B_i δ_i = 0; none by default.
    lam : float
        λ > 0.
    rho : float
        Growth ρ > 1 of the penalty.
    tol : float
        Stop at ‖D + Qδ - A - E‖_F ≤ tol ‖D‖_F.
    max_iterations : int
        Cap.
    start : RaslStep, optional
        Solution of a neighbouring problem, whose E and Y to go on from. The compiled core puts the
        new solution into its arrays.
    penalty : float, optional
        μ > 0 of the first iteration; 1.25/‖D‖₂ by default, or where `start` ended.
    max_penalty : float
        μ grows no further.
    certify : bool
        Work out `lower_bound`, which is not a number otherwise.

    Returns
    -------
    RaslStep

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, D is zero, or a number is out of range.

    Examples
    --------
    >>> D = np.outer([3.0, 4.0, 0.0, 0.0], [0.2, 0.2, 0.2])
    >>> step = rasl_alm(D, np.zeros((3, 4, 0)), lam=0.5)
    >>> step.rank, bool(np.allclose(step.low_rank, D, atol=1e-6))
    (1, True)
    """
    D, Q, gauge = _checked(D, Q, B, lam, max_iterations)
    if not rho > 1:
        raise ValueError(f"rho: expected a number above 1, got {rho}")
    for name, value in (("penalty", penalty), ("max_penalty", max_penalty)):
        if value is not None and not value > 0:
            raise ValueError(f"{name}: expected a positive number, got {value}")
    if start is None:
        spectral = _spectral_norm(D)
        Y = D / max(spectral, np.abs(D).max() / lam)
        E, mu = np.zeros_like(D), 1.25 / spectral
    elif start.sparse.shape == D.shape:
        Y, E, mu = start.multipliers, start.sparse, start.penalty
    else:
        raise ValueError(f"start: expected a step of shape {D.shape}, got {start.sparse.shape}")
    mu = mu if penalty is None else penalty
    delta, limit = np.zeros(Q.shape[::2]), tol * np.linalg.norm(D)
    moved, converged, iteration = D, False, 0
    while not converged and iteration < max_iterations:
        iteration += 1
        A, rank = singular_value_threshold(moved - E + Y / mu, 1 / mu)
        E = soft_threshold(moved - A + Y / mu, lam / mu)
        delta = gauge(_project(Q, A + E - D - Y / mu))
        moved = D + _columns(Q, delta)
        gap = moved - A - E
        Y = Y + mu * gap
        mu = max(mu, min(rho * mu, max_penalty))
        converged = bool(np.linalg.norm(gap) <= limit)
    bound = _lower_bound(D, Q, Y, lam, gauge) if certify else np.nan
    return RaslStep(
        A, E, delta, Y, rank, iteration, mu, upper_bound(D, delta, Q, A, lam), bound, converged
    )


def rasl_apg(
    D: npt.ArrayLike,
    Q: npt.ArrayLike,
    B: npt.ArrayLike | None = None,
    *,
    lam: float,
    tol: float = 1e-7,
    max_iterations: int = 3000,
) -> RaslStep:
    """Accelerated proximal gradient on the relaxed inner problem (equations §1).

    Proven to converge, and slow: the check of `rasl_alm`. Its A + E misses D + Qδ by a little;
    compare `objective`, which does not, or the step.

    Parameters
    ----------
    D, Q, B, lam
        As in `rasl_alm`.
    tol : float
        Stop when the subgradient, relative to the iterate, falls below 3 tol.
    max_iterations : int
        Cap.

    Returns
    -------
    RaslStep

    Raises
    ------
    ValueError
        As in `rasl_alm`.

    Examples
    --------
    >>> D = np.outer([3.0, 4.0, 0.0, 0.0], [0.2, 0.2, 0.2])
    >>> step = rasl_apg(D, np.zeros((3, 4, 0)), lam=0.5)
    >>> step.rank, bool(np.allclose(step.low_rank, D, atol=1e-3))
    (1, True)
    """
    D, Q, gauge = _checked(D, Q, B, lam, max_iterations)
    spectral = _spectral_norm(D)
    kappa, kappa_end = spectral, 1e-4 * spectral
    A, E, delta = np.zeros_like(D), np.zeros_like(D), np.zeros(Q.shape[::2])
    A_old, E_old, delta_old = A, E, delta
    t_old = t = 1.0
    converged, iteration = False, 0
    while not converged and iteration < max_iterations:
        iteration += 1
        momentum = (t_old - 1) / t
        A_hat = A + momentum * (A - A_old)
        E_hat = E + momentum * (E - E_old)
        delta_hat = delta + momentum * (delta - delta_old)
        A_old, E_old, delta_old = A, E, delta
        G = A_hat + E_hat - D - _columns(Q, delta_hat)
        A, rank = singular_value_threshold(A_hat - G / 3, kappa / 3)
        E = soft_threshold(E_hat - G / 3, lam * kappa / 3)
        delta = gauge(delta_hat + _project(Q, G) / 3)
        t_old, t = t, (1 + np.sqrt(1 + 4 * t * t)) / 2
        if kappa == kappa_end:
            dA, dE, dd = A - A_hat, E - E_hat, delta - delta_hat
            T = dA + dE - _columns(Q, dd)
            subgradient = _norm(T - 3 * dA, T - 3 * dE, gauge(3 * dd + _project(Q, T)))
            converged = subgradient <= 3 * tol * max(1.0, _norm(A, E, delta))
        kappa = max(0.9 * kappa, kappa_end)
    Y = (D + _columns(Q, delta) - A - E) / kappa
    return RaslStep(
        A, E, delta, Y, rank, iteration, 1 / kappa,
        upper_bound(D, delta, Q, A, lam), _lower_bound(D, Q, Y, lam, gauge), converged,
    )  # fmt: skip


def upper_bound(
    D: npt.ArrayLike, delta: npt.ArrayLike, Q: npt.ArrayLike, A: npt.ArrayLike, lam: float
) -> float:
    """p = ‖A‖_* + λ‖D + Qδ - A‖₁, an upper bound of the inner optimum (equations §1).

    Parameters
    ----------
    D : array_like, shape (M, n)
    delta : array_like, shape (n, p)
    Q : array_like, shape (n, M, p)
    A : array_like, shape (M, n)
    lam : float
        λ.

    Returns
    -------
    float

    Examples
    --------
    >>> upper_bound(np.eye(2), np.zeros((2, 0)), np.zeros((2, 2, 0)), np.eye(2), 1.0)
    2.0
    """
    A = np.asarray(A, dtype=np.float64)
    moved = np.asarray(D) + _columns(np.asarray(Q), np.asarray(delta))
    nuclear = np.linalg.svd(A, compute_uv=False).sum()
    return float(nuclear + lam * np.abs(moved - A).sum())


def singular_value_threshold(X: FloatArray, t: float) -> tuple[FloatArray, int]:
    """U S_t(Σ) Vᵀ and the number of singular values kept.

    Parameters
    ----------
    X : ndarray, shape (M, n), float64
    t : float
        Threshold; above about 1e-7 ‖X‖₂, below which the Gram matrix resolves nothing.

    Returns
    -------
    ndarray, shape (M, n), float64
    rank : int
    """
    if X.shape[0] < X.shape[1]:
        transposed, rank = singular_value_threshold(X.T, t)
        return transposed.T, rank
    # The n×n Gram matrix in float64 gives the same A-step as a full SVD, at a fraction of its cost.
    eigenvalues, V = np.linalg.eigh(X.T @ X)
    sigma = np.sqrt(np.maximum(eigenvalues, 0.0))
    kept = sigma > t
    shrunk = V[:, kept] * (1.0 - t / sigma[kept])
    return np.asarray((V[:, kept] @ (shrunk.T @ X.T)).T), int(kept.sum())


class _Gauge:
    """δ̂ ↦ δ̂_i - B_iᵀ(Σ B_j B_jᵀ)⁺ Σ B_j δ̂_j; the identity without B."""

    def __init__(self, B: FloatArray | None) -> None:
        self.B = B
        if B is not None:
            self.inverse = np.linalg.pinv(np.einsum("iqp,irp->qr", B, B), hermitian=True)

    def __call__(self, delta: FloatArray) -> FloatArray:
        if self.B is None:
            return delta
        common = self.inverse @ np.einsum("iqp,ip->q", self.B, delta)
        return np.asarray(delta - np.einsum("iqp,q->ip", self.B, common))


def _checked(
    D: npt.ArrayLike,
    Q: npt.ArrayLike,
    B: npt.ArrayLike | None,
    lam: float,
    max_iterations: int,
) -> tuple[FloatArray, FloatArray, _Gauge]:
    images = np.asfortranarray(D, dtype=np.float64)
    bases = np.asarray(Q, dtype=np.float64)
    if images.ndim != 2 or 0 in images.shape:
        raise ValueError(f"D: expected shape (M, n), got {images.shape}")
    M, n = images.shape
    if bases.ndim != 3 or bases.shape[:2] != (n, M):
        raise ValueError(f"Q: expected shape ({n}, {M}, p), got {bases.shape}")
    gauge = None if B is None else np.asarray(B, dtype=np.float64)
    if gauge is not None and (gauge.ndim != 3 or gauge.shape[::2] != bases.shape[::2]):
        raise ValueError(f"B: expected shape ({n}, q, {bases.shape[2]}), got {gauge.shape}")
    for name, values in (("D", images), ("Q", bases), ("B", gauge)):
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite entries")
    if not images.any():
        raise ValueError("D: expected an image that is not zero")
    if not (np.isfinite(lam) and lam > 0):
        raise ValueError(f"lam: expected a positive number, got {lam}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations: expected at least 1, got {max_iterations}")
    return images, bases, _Gauge(gauge)


def _columns(Q: FloatArray, delta: FloatArray) -> FloatArray:
    """Qδ = Σ Q_i δ_i ε_iᵀ, shape (M, n)."""
    return np.asarray((Q @ delta[:, :, None])[:, :, 0].T)


def _project(Q: FloatArray, X: FloatArray) -> FloatArray:
    """Q_iᵀ X_i for every column, shape (n, p)."""
    return np.asarray((X.T[:, None, :] @ Q)[:, 0, :])


def _spectral_norm(X: FloatArray) -> float:
    gram = X.T @ X if X.shape[0] >= X.shape[1] else X @ X.T
    return float(np.sqrt(np.linalg.eigvalsh(gram)[-1]))


def _norm(*parts: FloatArray) -> float:
    return float(np.sqrt(sum(float((part**2).sum()) for part in parts)))


def _lower_bound(D: FloatArray, Q: FloatArray, Y: FloatArray, lam: float, gauge: _Gauge) -> float:
    """⟨Y, D⟩ with Q_iᵀY_i = B_iᵀη (0 without B), ‖Y‖₂ ≤ 1 and max|Y| ≤ λ (equations §1)."""
    feasible = Y - _columns(Q, gauge(_project(Q, Y)))
    scale = max(1.0, _spectral_norm(feasible), np.abs(feasible).max() / lam)
    return float((feasible * D).sum() / scale)
