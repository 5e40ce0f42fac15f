"""Gaussian of a class of images in a principal subspace and beside it (equations §4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .motion import FloatArray

DISTANCES = ("both", "difs", "dffs")
"""Which part of the Mahalanobis distance counts: DIFS + DFFS, or one of them."""


class Subspace(NamedTuple):
    """Gaussian with the covariance Φ Λ Φᵀ + ρ (I - Φ Φᵀ).

    Attributes
    ----------
    mean : ndarray, shape (D,)
        x̄; of a user-specific model the user's template.
    basis : ndarray, shape (D, M)
        Φ_M, orthonormal columns.
    variances : ndarray, shape (M,)
        λ, positive.
    rho : float
        ρ, the variance in every direction outside of the subspace.
    """

    mean: FloatArray
    basis: FloatArray
    variances: FloatArray
    rho: float


class Distances(NamedTuple):
    """The two parts of a Mahalanobis distance, squared.

    Attributes
    ----------
    difs : float
        Distance in feature space, Σ y_i²/λ_i.
    dffs : float
        Distance from feature space, ε²/ρ.
    """

    difs: float
    dffs: float


def distances(vector: npt.ArrayLike, subspace: Subspace) -> Distances:
    """DIFS and DFFS of a vector (equations §4).

    Parameters
    ----------
    vector : array_like, shape (D,)
        x.
    subspace : Subspace

    Returns
    -------
    Distances

    Examples
    --------
    >>> plane = Subspace(np.zeros(3), np.eye(3, 2), np.array([4.0, 1.0]), 0.25)
    >>> difs, dffs = distances([2.0, 1.0, 1.0], plane)
    >>> float(difs), float(dffs)
    (2.0, 4.0)
    """
    off = np.asarray(vector, dtype=np.float64) - subspace.mean
    inside = subspace.basis.T @ off
    outside = max(0.0, float(off @ off - inside @ inside))
    return Distances(float((inside**2 / subspace.variances).sum()), outside / subspace.rho)


def log_likelihood(vector: npt.ArrayLike, subspace: Subspace) -> float:
    """Logarithm of the Gaussian's density, its normalisation included.

    Parameters
    ----------
    vector : array_like, shape (D,)
        x.
    subspace : Subspace

    Returns
    -------
    float
        -½ (DIFS + DFFS + Σ log λ_i + (D - M) log ρ + D log 2π).

    Examples
    --------
    >>> round(log_likelihood([0.0], Subspace(np.zeros(1), np.zeros((1, 0)), np.zeros(0), 1.0)), 4)
    -0.9189
    """
    return -0.5 * (sum(distances(vector, subspace)) + log_volume(subspace))


def log_volume(subspace: Subspace) -> float:
    """log det(2π C) of the Gaussian's covariance C: what its log-likelihood has beside d.

    Parameters
    ----------
    subspace : Subspace

    Returns
    -------
    float
        Σ log λ_i + (D - M) log ρ + D log 2π.

    Examples
    --------
    >>> plane = Subspace(np.zeros(3), np.eye(3, 2), np.array([4.0, 1.0]), 0.25)
    >>> round(float(log_volume(plane) - 3 * np.log(2 * np.pi)), 9)  # det C is 1
    0.0
    """
    size, components = subspace.basis.shape
    volume = np.log(subspace.variances).sum() + (size - components) * np.log(subspace.rho)
    return float(volume + size * np.log(2.0 * np.pi))


def precision(subspace: Subspace, distance: str = "both") -> tuple[FloatArray, float]:
    """Weights that make P = outside·I + Φ diag(inside) Φᵀ, which is never formed (equations §4).

    Parameters
    ----------
    subspace : Subspace
    distance : {"both", "difs", "dffs"}
        d = xᵀP x is their sum or one of them.

    Returns
    -------
    inside : ndarray, shape (M,), float64
        1/λ - 1/ρ for both.
    outside : float
        1/ρ for both.

    Raises
    ------
    ValueError
        If the distance is unknown.

    Examples
    --------
    >>> inside, outside = precision(Subspace(np.zeros(2), np.eye(2, 1), np.array([4.0]), 0.5))
    >>> inside.tolist(), outside
    ([-1.75], 2.0)
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance: expected one of {', '.join(DISTANCES)}, got {distance!r}")
    outside = 0.0 if distance == "difs" else 1.0 / subspace.rho
    within = np.zeros(len(subspace.variances)) if distance == "dffs" else 1.0 / subspace.variances
    return within - outside, outside


class NormalEquations(NamedTuple):
    """d near a point, to second order: d + 2 gᵀδ + δᵀHδ (equations §4).

    Attributes
    ----------
    value : float
        d = rᵀP r, r = x - x̄.
    gradient : ndarray, shape (p,)
        JᵀP r, half the gradient of d: minus that of the log-likelihood.
    hessian : ndarray, shape (p, p)
        JᵀP J.
    """

    value: float
    gradient: FloatArray
    hessian: FloatArray


def normal_equations(
    vector: npt.ArrayLike, jacobian: npt.ArrayLike, subspace: Subspace, distance: str = "both"
) -> NormalEquations:
    """What a Gauss-Newton step on d is made of: products with the basis, O(D M p).

    Parameters
    ----------
    vector : array_like, shape (D,)
        x.
    jacobian : array_like, shape (D, p)
        J.
    subspace : Subspace
    distance : {"both", "difs", "dffs"}
        As in `precision`.

    Returns
    -------
    NormalEquations

    Examples
    --------
    >>> line = Subspace(np.zeros(2), np.eye(2, 1), np.array([4.0]), 1.0)
    >>> normal_equations([2.0, 1.0], np.eye(2), line).gradient.tolist()
    [0.5, 1.0]
    """
    inside, outside = precision(subspace, distance)
    off = np.asarray(vector, dtype=np.float64) - subspace.mean
    derivative = np.asarray(jacobian, dtype=np.float64)
    y, k = subspace.basis.T @ off, subspace.basis.T @ derivative
    return NormalEquations(
        float(outside * (off @ off) + (inside * y) @ y),
        outside * (derivative.T @ off) + k.T @ (inside * y),
        outside * (derivative.T @ derivative) + k.T @ (inside[:, None] * k),
    )


def gauss_newton_step(equations: NormalEquations) -> FloatArray:
    """δ = -(JᵀPJ)⁻¹ JᵀP (x₀ - x̄) (equations §4; paper B §2.4.2).

    Parameters
    ----------
    equations : NormalEquations

    Returns
    -------
    ndarray, shape (p,), float64

    Raises
    ------
    numpy.linalg.LinAlgError
        If JᵀPJ is singular.

    Examples
    --------
    >>> line = Subspace(np.zeros(2), np.eye(2, 1), np.array([4.0]), 1.0)
    >>> gauss_newton_step(normal_equations([2.0, 1.0], 2.0 * np.eye(2), line)).tolist()
    [-1.0, -0.5]
    """
    # Columns scaled: scale and shift differ by two orders of magnitude by nature.
    units = np.sqrt(np.diag(equations.hessian))
    if not (units > 0.0).all():
        raise np.linalg.LinAlgError("the Jacobian does not determine the motion")
    scaled = equations.hessian / np.outer(units, units)
    return np.asarray(-np.linalg.solve(scaled, equations.gradient / units) / units)
