"""l1-regularised least squares by split Bregman and an exact active set (equations §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from .motion import FloatArray


class L1Result(NamedTuple):
    """Solution of min ½‖v + JΔτ - Ãx‖₂² + μ‖x‖₁.

    Attributes
    ----------
    coefficients : ndarray, shape (r,), float64
        x; zero off the support exactly.
    step : ndarray, shape (p,), float64
        Δτ; empty without a Jacobian.
    objective : float
        Value at (x, Δτ).
    gap : float
        Duality gap: the objective is at most this far above the optimum.
    iterations : int
        Bregman iterations and active-set steps together.
    converged : bool
        The active set ended with the optimality conditions fulfilled.
    residual : ndarray, shape (M,), float64
        v + JΔτ - Ãx.
    """

    coefficients: FloatArray
    step: FloatArray
    objective: float
    gap: float
    iterations: int
    converged: bool
    residual: FloatArray


class ProductsSolution(NamedTuple):
    """Solution of the l1 problem stated by products; fields as in `L1Result`."""

    coefficients: FloatArray
    objective: float
    gap: float
    iterations: int
    converged: bool


def soft_threshold(x: npt.ArrayLike, t: float) -> FloatArray:
    """S_t(x) = sign(x) max(|x| - t, 0), entry by entry.

    Parameters
    ----------
    x : array_like
        Any shape.
    t : float
        Threshold, at least 0.

    Returns
    -------
    ndarray of the shape of `x`, float64

    Examples
    --------
    >>> soft_threshold([-3.0, 0.5, 2.0], 1.0).tolist()
    [-2.0, 0.0, 1.0]
    """
    values = np.asarray(x, dtype=np.float64)
    return np.asarray(values - np.clip(values, -t, t))


def l1_least_squares(
    dictionary: npt.ArrayLike,
    target: npt.ArrayLike,
    jacobian: npt.ArrayLike | None = None,
    *,
    mu: float,
    nu: float | None = None,
    bregman_iterations: int = 20,
    initial: npt.ArrayLike | None = None,
    max_active_set_steps: int = 1000,
) -> L1Result:
    """min over x, Δτ of ½‖v + JΔτ - Ãx‖₂² + μ‖x‖₁ (equations §3; paper A, eq. 5).

    Δτ is eliminated by the thin QR of J; a target v with Jᵀv ≠ 0 is allowed.

    Parameters
    ----------
    dictionary : array_like, shape (M, r)
        Ã.
    target : array_like, shape (M,)
        v.
    jacobian : array_like, shape (M, p), optional
        J, of full column rank; without it the plain lasso.
    mu : float
        μ > 0.
    nu : float, optional
        Penalty ν of split Bregman; 0.01 tr(ÃᵀÃ)/r by default.
    bregman_iterations : int
        Iterations before the active set; 0 starts it at `initial`.
    initial : array_like, shape (r,), optional
        Coefficients to start from, zeros by default.
    max_active_set_steps : int
        Cap of the active set.

    Returns
    -------
    L1Result

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, `mu` is not positive or J is rank deficient.

    Examples
    --------
    >>> result = l1_least_squares(np.eye(3), [3.0, -1.0, 0.25], mu=0.5)
    >>> result.coefficients.round(12).tolist()
    [2.5, -0.5, 0.0]
    """
    atoms, v, J = checked_problem(dictionary, target, jacobian)
    Q, R = np.linalg.qr(J)
    if J.shape[1] and np.abs(np.diag(R)).min() <= 1e-14 * np.linalg.norm(J):
        raise ValueError("jacobian: expected full column rank, its columns are dependent")
    N, q = atoms.T @ Q, Q.T @ v
    solution = l1_from_products(
        atoms.T @ atoms,
        N,
        atoms.T @ v,
        q,
        float(v @ v),
        mu=mu,
        nu=nu,
        bregman_iterations=bregman_iterations,
        initial=initial,
        max_active_set_steps=max_active_set_steps,
    )
    x = solution.coefficients
    step = scipy.linalg.solve_triangular(R, N.T @ x - q) if J.shape[1] else np.zeros(0)
    residual = v + J @ step - atoms @ x
    return L1Result(x, np.asarray(step), *solution[1:], residual)


def checked_problem(
    dictionary: npt.ArrayLike, target: npt.ArrayLike, jacobian: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ã, v and J as float64, J (M, 0) where there is none; ValueError where one does not fit."""
    atoms = np.asarray(dictionary, dtype=np.float64)
    v = np.asarray(target, dtype=np.float64)
    if atoms.ndim != 2 or 0 in atoms.shape:
        raise ValueError(f"dictionary: expected shape (M, r), got {atoms.shape}")
    if v.shape != (atoms.shape[0],):
        raise ValueError(f"target: expected shape ({atoms.shape[0]},), got {v.shape}")
    J = np.zeros((v.size, 0)) if jacobian is None else np.asarray(jacobian, dtype=np.float64)
    if J.ndim != 2 or J.shape[0] != v.size or J.shape[1] > v.size:
        raise ValueError(f"jacobian: expected shape ({v.size}, p), got {J.shape}")
    for name, values in (("dictionary", atoms), ("target", v), ("jacobian", J)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite entries")
    return atoms, v, J


def l1_from_products(
    G: FloatArray,
    N: FloatArray,
    c: FloatArray,
    q: FloatArray,
    target_sq: float,
    *,
    mu: float,
    nu: float | None = None,
    bregman_iterations: int = 20,
    initial: npt.ArrayLike | None = None,
    max_active_set_steps: int = 1000,
) -> ProductsSolution:
    """`l1_least_squares` stated by products with P = I - QQᵀ, no array of length M (equations §3).

    Parameters
    ----------
    G : ndarray, shape (r, r)
        ÃᵀÃ.
    N : ndarray, shape (r, p)
        ÃᵀQ.
    c : ndarray, shape (r,)
        Ãᵀv.
    q : ndarray, shape (p,)
        Qᵀv, zero for a unit-norm frame.
    target_sq : float
        vᵀv.
    mu, nu, bregman_iterations, initial, max_active_set_steps
        As in `l1_least_squares`.

    Returns
    -------
    ProductsSolution
        With x; Δτ = R⁻¹(Nᵀx - q).
    """
    if not (np.isfinite(mu) and mu > 0):
        raise ValueError(f"mu: expected a positive number, got {mu}")
    problem = _Problem(G - N @ N.T, c - N @ q, target_sq - float(q @ q), mu)
    start = np.zeros(len(c)) if initial is None else np.asarray(initial, dtype=np.float64)
    if start.shape != c.shape:
        raise ValueError(f"initial: expected shape {c.shape}, got {start.shape}")
    penalty = 0.01 * float(np.trace(G)) / len(c) if nu is None else nu
    d = _split_bregman(problem, start, penalty, bregman_iterations)
    x, steps, converged = _active_set(problem, d, max_active_set_steps)
    objective, gap = problem.objective_and_gap(x)
    return ProductsSolution(x, objective, gap, bregman_iterations + steps, converged)


@dataclass(frozen=True)
class _Problem:
    """min ½xᵀΓx - βᵀx + ½vᵀPv + μ‖x‖₁ with Γ = ÃᵀPÃ, β = ÃᵀPv."""

    gamma: FloatArray
    beta: FloatArray
    target_sq: float
    mu: float

    def value(self, x: FloatArray, support: npt.NDArray[np.intp]) -> float:
        """Objective less its constant at an x that is zero off the support."""
        y = x[support]
        quadratic = 0.5 * y @ self.gamma[np.ix_(support, support)] @ y - self.beta[support] @ y
        return float(quadratic + self.mu * np.abs(y).sum())

    def objective_and_gap(self, x: FloatArray) -> tuple[float, float]:
        correlation = self.beta - self.gamma @ x  # Ãᵀr, r = P(v - Ãx)
        v_r = self.target_sq - float(self.beta @ x)  # vᵀr
        r_sq = max(v_r - float(correlation @ x), 0.0)
        objective = 0.5 * r_sq + self.mu * float(np.abs(x).sum())
        largest = float(np.abs(correlation).max())
        omega = np.inf if largest == 0.0 else self.mu / largest
        k = float(np.clip(v_r / r_sq, -omega, omega)) if r_sq > 0.0 else 0.0
        return objective, max(objective - k * v_r + 0.5 * k**2 * r_sq, 0.0)


def _split_bregman(problem: _Problem, start: FloatArray, nu: float, iterations: int) -> FloatArray:
    """The three lines of equations §3 with Δτ eliminated; returns d, which is sparse."""
    d = start
    if iterations == 0:
        return d
    mu, gamma, beta = problem.mu, problem.gamma, problem.beta
    factor = scipy.linalg.cho_factor(gamma + nu * np.eye(len(d)))
    # At a fixed point ν b = β - Γx, so a good start implies its own b.
    b = np.clip((beta - gamma @ d) / nu, -mu / nu, mu / nu)
    for _ in range(iterations):
        x = scipy.linalg.cho_solve(factor, beta + nu * (d - b))
        d = soft_threshold(x + b, mu / nu)
        b = b + x - d
    return d


def _active_set(
    problem: _Problem, start: FloatArray, max_steps: int
) -> tuple[FloatArray, int, bool]:
    """Exact finish from any x: solve on the support, cross signs, admit the worst violator."""
    x, signs = start.copy(), np.sign(start)
    tolerance = 1e-10 * problem.mu + 1e-15 * float(np.abs(problem.beta).max())
    for steps in range(max_steps):
        support = np.flatnonzero(signs)
        if support.size:
            x, whole = _move_on_support(problem, x, signs, support)
            if not whole:
                signs = np.sign(x)
                continue
        correlation = problem.beta - problem.gamma @ x
        violation = np.where(x == 0.0, np.abs(correlation) - problem.mu, -np.inf)
        worst = int(np.argmax(violation))
        if violation[worst] <= tolerance:
            return x, steps + 1, True
        signs = np.sign(x)
        signs[worst] = np.sign(correlation[worst])
    return x, max_steps, False


def _move_on_support(
    problem: _Problem, x: FloatArray, signs: FloatArray, support: npt.NDArray[np.intp]
) -> tuple[FloatArray, bool]:
    """x + θ(x̂ - x) with the best θ of 1 and the sign changes on the way; was it the whole way?"""
    gamma = problem.gamma[np.ix_(support, support)]
    goal, bounded = _support_solution(
        gamma, problem.beta[support] - problem.mu * signs[support], x[support]
    )
    direction = goal - x[support]
    crossing = np.sign(goal) * signs[support] < 0
    if not bounded:
        crossing = direction * signs[support] < 0
    if not crossing.any():
        moved = x.copy()
        moved[support] = goal
        return moved, True
    best, lowest = x, np.inf
    thetas = -x[support][crossing] / direction[crossing]
    for theta in (*thetas, *((1.0,) if bounded else ())):
        candidate = x.copy()
        candidate[support] += theta * direction
        candidate[support[crossing][thetas == theta]] = 0.0
        value = problem.value(candidate, support)
        if value < lowest:
            best, lowest = candidate, value
    return best, False


def _support_solution(
    gamma: FloatArray, right: FloatArray, x: FloatArray
) -> tuple[FloatArray, bool]:
    """x̂ = Γ_SS⁻¹(β_S - μ s_S); where atoms are dependent, a solution or a ray of descent."""
    try:
        factor = scipy.linalg.cho_factor(gamma)
        if np.diag(factor[0]).min() > 1e-7 * np.diag(factor[0]).max():
            return np.asarray(scipy.linalg.cho_solve(factor, right)), True
    except scipy.linalg.LinAlgError:
        pass
    goal = np.linalg.lstsq(gamma, right, rcond=1e-13)[0]
    left_over = right - gamma @ goal
    if np.abs(left_over).max() <= 1e-9 * np.abs(right).max():
        return np.asarray(goal), True
    return np.asarray(x + left_over), False


def least_squares(
    dictionary: npt.ArrayLike, target: npt.ArrayLike, jacobian: npt.ArrayLike | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """min over x, Δτ of ½‖v + JΔτ - Ãx‖₂²: the paper's comparison, μ = 0 (equations §3).

    Parameters
    ----------
    dictionary : array_like, shape (M, r)
        Ã.
    target : array_like, shape (M,)
        v.
    jacobian : array_like, shape (M, p), optional
        J.

    Returns
    -------
    coefficients : ndarray, shape (r,), float64
    step : ndarray, shape (p,), float64
    residual : ndarray, shape (M,), float64
        v + JΔτ - Ãx.

    Raises
    ------
    ValueError
        If shapes do not fit or an entry is not finite.

    Examples
    --------
    >>> x, step, residual = least_squares(np.eye(3)[:, :2], [3.0, -1.0, 0.25])
    >>> residual.round(12).tolist()
    [0.0, 0.0, 0.25]
    """
    atoms, v, J = checked_problem(dictionary, target, jacobian)
    y = np.asarray(np.linalg.lstsq(np.hstack([atoms, -J]), v, rcond=None)[0], dtype=np.float64)
    x, step = y[: atoms.shape[1]], y[atoms.shape[1] :]
    return x, step, v + J @ step - atoms @ x
