"""Downhill simplex search of Nelder and Mead, started as paper B §2.4.1 does (equations §4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .motion import FloatArray

REFLECTION, EXPANSION, CONTRACTION, SHRINKAGE = 1.0, 2.0, 0.5, 0.5
"""Nelder and Mead's own coefficients."""


class SimplexResult(NamedTuple):
    """Where a simplex search ended.

    Attributes
    ----------
    point : ndarray, shape (p,), float64
        The best vertex.
    value : float
        The objective there.
    evaluations : int
        Times that the objective was computed, the start included.
    iterations : int
        Moves of the simplex.
    extent : float
        Largest distance of a vertex from the best one, along any axis.
    converged : bool
        Whether that fell to the tolerance before the evaluations were spent.
    """

    point: FloatArray
    value: float
    evaluations: int
    iterations: int
    extent: float
    converged: bool


def initial_simplex(
    objective: Callable[[FloatArray], float], start: npt.ArrayLike, offsets: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """θ₀, and θ₀ ± Δ_i e_i with the better of both signs for each i: 2p + 1 evaluations.

    Parameters
    ----------
    objective : callable (p,) -> float
        To be minimised.
    start : array_like, shape (p,)
        θ₀.
    offsets : array_like, shape (p,)
        Δ, the largest expected offset of each parameter.

    Returns
    -------
    vertices : ndarray, shape (p + 1, p), float64
    values : ndarray, shape (p + 1,), float64

    Examples
    --------
    >>> initial_simplex(lambda x: float(x @ x), [1.0, -1.0], [0.5, 0.5])[0].tolist()
    [[1.0, -1.0], [0.5, -1.0], [1.0, -0.5]]
    """
    first = np.asarray(start, dtype=np.float64)
    vertices, values = [first], [objective(first)]
    for step in np.diag(np.asarray(offsets, dtype=np.float64)):
        either = [(objective(first + sign * step), sign) for sign in (1.0, -1.0)]
        value, sign = min(either)
        vertices.append(first + sign * step)
        values.append(value)
    return np.array(vertices), np.array(values)


def minimize_simplex(
    objective: Callable[[FloatArray], float],
    start: npt.ArrayLike,
    offsets: npt.ArrayLike,
    *,
    tolerance: float,
    max_evaluations: int = 400,
) -> SimplexResult:
    """Minimise by reflecting, stretching and shrinking a simplex.

    Parameters
    ----------
    objective : callable (p,) -> float
        May be infinite where a point is not allowed.
    start, offsets : array_like, shape (p,)
        As in `initial_simplex`.
    tolerance : float
        Stop once no vertex is further from the best one along any axis.
    max_evaluations : int
        Cap; the move in progress is finished.

    Returns
    -------
    SimplexResult

    Examples
    --------
    >>> found = minimize_simplex(lambda x: float(x @ x), [1.0, -2.0], [0.5, 0.5], tolerance=1e-6)
    >>> found.converged, bool(np.abs(found.point).max() < 1e-5)
    (True, True)
    """
    vertices, values = initial_simplex(objective, start, offsets)
    evaluations, iterations = 2 * len(vertices) - 1, 0
    while True:
        order = np.argsort(values, kind="stable")
        vertices, values = vertices[order], values[order]
        extent = float(np.abs(vertices[1:] - vertices[0]).max())
        if extent <= tolerance or evaluations >= max_evaluations:
            break
        middle, worst = vertices[:-1].mean(axis=0), vertices[-1]
        evaluations += _move(objective, vertices, values, middle, worst)
        iterations += 1
    return SimplexResult(
        vertices[0], float(values[0]), evaluations, iterations, extent, extent <= tolerance
    )


def _move(
    objective: Callable[[FloatArray], float],
    vertices: FloatArray,
    values: FloatArray,
    middle: FloatArray,
    worst: FloatArray,
) -> int:
    """Replace the worst vertex, or shrink towards the best one; returns the evaluations."""

    def along(factor: float) -> tuple[FloatArray, float]:
        point = middle + factor * (middle - worst)
        return point, objective(point)

    reflected = along(REFLECTION)
    if reflected[1] < values[0]:
        expanded = along(REFLECTION * EXPANSION)
        vertices[-1], values[-1] = expanded if expanded[1] < reflected[1] else reflected
        return 2
    if reflected[1] < values[-2]:
        vertices[-1], values[-1] = reflected
        return 1
    outside = reflected[1] < values[-1]
    contracted = along(CONTRACTION if outside else -CONTRACTION)
    if contracted[1] < min(reflected[1], values[-1]):
        vertices[-1], values[-1] = contracted
        return 2
    for i in range(1, len(vertices)):
        vertices[i] = vertices[0] + SHRINKAGE * (vertices[i] - vertices[0])
        values[i] = objective(vertices[i])
    return 1 + len(vertices)
