"""l1-regularised least squares with a duality gap, for arrays of your own (equations §3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill.checks import number
from holdstill.reference.l1 import L1Result


def l1_least_squares(
    dictionary: npt.ArrayLike,
    target: npt.ArrayLike,
    jacobian: npt.ArrayLike | None = None,
    *,
    mu: float,
    nu: float | None = None,
    bregman_iterations: int = 20,
    initial: npt.ArrayLike | None = None,
) -> L1Result:
    """Solve min over x, Δτ of ½‖v + JΔτ - Ãx‖₂² + μ‖x‖₁ (equations §3; paper A, eq. 5).

    Split Bregman gives a first guess, an exact active set finishes, a duality gap certifies.

    Parameters
    ----------
    dictionary : array_like, shape (M, r)
        Ã; dependent or repeated columns are allowed.
    target : array_like, shape (M,)
        v.
    jacobian : array_like, shape (M, p), optional
        J of full column rank, p ≤ 8; without it the problem is the lasso.
    mu : float
        Weight μ > 0.
    nu : float, optional
        Penalty of split Bregman; 0.01 tr(ÃᵀÃ)/r by default.
    bregman_iterations : int
        Iterations before the active set.
    initial : array_like, shape (r,), optional
        Coefficients to start the active set from, instead of split Bregman.

    Returns
    -------
    L1Result
        coefficients (r,), step Δτ (p,), objective, gap, iterations, converged, residual (M,).

    Raises
    ------
    ValueError
        If shapes do not fit, entries are not finite, J's columns are dependent, or a number is out
        of range.

    Examples
    --------
    >>> result = l1_least_squares(np.eye(3), [3.0, -1.0, 0.25], mu=0.5)
    >>> result.coefficients.round(12).tolist(), bool(result.gap < 1e-12)
    ([2.5, -0.5, 0.0], True)
    """
    found = _core.l1_least_squares(
        np.asarray(dictionary),
        np.asarray(target),
        None if jacobian is None else np.asarray(jacobian),
        mu=number("mu", mu),
        nu=None if nu is None else number("nu", nu),
        bregman_iterations=bregman_iterations,
        initial=None if initial is None else np.asarray(initial),
    )
    return L1Result(
        found.coefficients,
        found.step,
        found.objective,
        found.gap,
        found.iterations,
        found.converged,
        found.residual,
    )
