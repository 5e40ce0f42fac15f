"""Autoregressive processes of several values whose innovations are jointly Student-t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from holdstill._typing import FloatArray
from holdstill.optional import import_optional

DEGREES_OF_FREEDOM = (3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0, 100.0)
"""Those tried; the last is as good as Gaussian."""

_TYPICAL = 5.0
"""Degrees of freedom while the order is chosen."""

_ROUNDS, _SETTLED = 100, 1e-6
_FORGOTTEN = 1e-3
"""What a draw may still owe to how it began."""
_LONGEST_MEMORY = 100_000
_BISECTIONS = 40
_MOST_KEPT = 10_000
_LEAST = 1e-12
"""Least variance of an innovation: movement without noise is foreseen entirely."""
_ROWS_PER_COEFFICIENT = 3


@dataclass(frozen=True)
class Autoregression:
    """A stationary process z_t = Σ_i a_i z_{t-i} + e_t, every value by coefficients of its own.

    Attributes
    ----------
    coefficients : ndarray, shape (k, p), float64
        a_1 ... a_p of each of the k values.
    scatter : ndarray, shape (k, k), float64
        Scale matrix of the innovations' Student-t distribution, for densities.
    degrees_of_freedom : float
        Its ν.
    innovations : ndarray, shape (n, k), float64
        Those observed, about their mean. Draws resample them: no draw has a jerk that no recording
        had.
    """

    coefficients: FloatArray
    scatter: FloatArray
    degrees_of_freedom: float
    innovations: FloatArray

    @property
    def order(self) -> int:
        """How many frames a frame depends on."""
        return int(self.coefficients.shape[1])

    @property
    def memory(self) -> int:
        """Frames after which a thousandth of a disturbance is left."""
        radius = max((_radius(row) for row in self.coefficients), default=0.0)
        if radius < 1e-9:
            return self.order
        steps = np.log(_FORGOTTEN) / np.log(radius) if radius < 1.0 else _LONGEST_MEMORY
        return self.order + int(min(np.ceil(steps), _LONGEST_MEMORY))

    def autocovariances(self, n: int) -> FloatArray:
        """Autocovariances of each value at lags 0 ... n-1, (k, n)."""
        processes = [_arma_process(row) for row in self.coefficients]
        variances = (self.innovations**2).mean(axis=0)
        return np.stack([s * p.acovf(n) for s, p in zip(variances, processes, strict=True)])

    def draw(self, n: int, generator: np.random.Generator) -> FloatArray:
        """A stretch of the stationary process, (n, k)."""
        chosen = generator.integers(len(self.innovations), size=n + self.memory)
        innovations = self.innovations[chosen]
        values = [
            scipy.signal.lfilter([1.0], np.r_[1.0, -row], column)
            for row, column in zip(self.coefficients, innovations.T, strict=True)
        ]
        return np.stack(values, axis=1)[-n:]

    def draw_between(
        self, n: int, generator: np.random.Generator, at: Sequence[int], known: FloatArray
    ) -> FloatArray:
        """A stretch that takes the values `known` (m, k) at the frames `at`, (n, k).

        A draw is corrected by what it lacks there, spread by the autocovariances: conditioning by
        kriging, exact where the innovations are Gaussian.
        """
        drawn = self.draw(n, generator)
        if not len(at):
            return drawn
        lags = np.abs(np.arange(n)[:, None] - np.asarray(at))
        for j, covariances in enumerate(self.autocovariances(n)):
            spread = covariances[lags]
            weights = np.linalg.solve(spread[list(at)], known[:, j] - drawn[list(at), j])
            drawn[:, j] += spread @ weights
        drawn[list(at)] = known
        return drawn


def fit(segments: Sequence[FloatArray], max_order: int) -> Autoregression:
    """Coefficients by least squares, innovations by maximum likelihood, the order by BIC.

    Parameters
    ----------
    segments : sequence of ndarray, shape (n_i, k), float64
        Unbroken stretches, about a mean of zero.
    max_order : int
        Largest order tried; lowered where the segments hold too few frames for it.

    Returns
    -------
    Autoregression

    Raises
    ------
    ValueError
        If the segments are too short for any order.
    """
    k = segments[0].shape[1]
    orders = [p for p in range(1, max_order + 1) if _n_rows(segments, p) >= _needed(p, k)]
    if not orders:
        raise ValueError(
            f"expected at least {_needed(1, k)} frames that follow on a frame, "
            f"got {_n_rows(segments, 1)}"
        )
    now, before = history(segments, orders[-1])

    def criterion(p: int) -> float:
        process = _of_order(now, before[:, :p], (_TYPICAL,))
        densities = student_t_log_densities(process.innovations, process)
        return float(np.log(len(now)) * k * p - 2.0 * densities.sum())

    best = _of_order(*history(segments, min(orders, key=criterion)), DEGREES_OF_FREEDOM)
    kept = best.innovations[:: -(-len(best.innovations) // _MOST_KEPT)]
    return replace(best, innovations=kept - kept.mean(axis=0))


def _of_order(now: FloatArray, before: FloatArray, degrees: Sequence[float]) -> Autoregression:
    coefficients = np.stack(
        [np.linalg.lstsq(before[:, :, j], now[:, j], rcond=None)[0] for j in range(now.shape[1])]
    )
    innovations = _innovations(coefficients, now, before)
    fits = [
        Autoregression(coefficients, student_t_scatter(innovations, nu), nu, innovations)
        for nu in degrees
    ]
    return max(fits, key=lambda f: float(student_t_log_densities(innovations, f).sum()))


def with_variance_at_most(process: Autoregression, variances: FloatArray) -> Autoregression:
    """Hold the slowest poles of each value back until its variance is at most the one given.

    A short recording can be explained by a process that wanders off, which no head does. Only
    poles of a modulus above a bound move, onto it: fast movement stays what it was.
    """
    innovations = (process.innovations**2).mean(axis=0)

    def held(row: FloatArray, innovation: float, most: float) -> FloatArray:
        if _variance(row) * innovation <= most:
            return row
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            fits = _variance(_with_poles_within(row, middle)) * innovation <= most
            low, high = (middle, high) if fits else (low, middle)
        return _with_poles_within(row, low)

    rows = zip(process.coefficients, innovations, variances, strict=True)
    return replace(process, coefficients=np.stack([held(*row) for row in rows]))


def _with_poles_within(row: FloatArray, radius: float) -> FloatArray:
    poles = np.roots(np.r_[1.0, -row])
    poles = poles * np.minimum(1.0, radius / np.maximum(np.abs(poles), 1e-12))
    kept = -np.poly(poles)[1:].real
    return np.pad(kept, (0, len(row) - len(kept)))


def log_densities(process: Autoregression, segment: FloatArray) -> FloatArray:
    """Log density of every frame given those before it, (n,); NaN for the first `order`."""
    densities = np.full(len(segment), np.nan)
    if len(segment) > process.order:
        now, before = history([segment], process.order)
        innovations = _innovations(process.coefficients, now, before)
        densities[process.order :] = student_t_log_densities(innovations, process)
    return densities


def history(segments: Sequence[FloatArray], order: int) -> tuple[FloatArray, FloatArray]:
    """Frames that have `order` frames before them, (n, k), and these, latest first, (n, p, k)."""
    long_enough = [segment for segment in segments if len(segment) > order]
    now = np.concatenate([segment[order:] for segment in long_enough])
    before = [
        np.stack([segment[order - i : len(segment) - i] for i in range(1, order + 1)], axis=1)
        for segment in long_enough
    ]
    return now, np.concatenate(before)


def student_t_log_densities(innovations: FloatArray, process: Autoregression) -> FloatArray:
    """Log density of innovations (n, k), (n,)."""
    nu, k = process.degrees_of_freedom, innovations.shape[1]
    constant = (
        scipy.special.gammaln((nu + k) / 2)
        - scipy.special.gammaln(nu / 2)
        - 0.5 * k * np.log(nu * np.pi)
    )
    log_determinant = np.linalg.slogdet(process.scatter)[1]
    distances = _distances(innovations, process.scatter)
    return np.asarray(constant - 0.5 * log_determinant - 0.5 * (nu + k) * np.log1p(distances / nu))


def student_t_scatter(innovations: FloatArray, nu: float) -> FloatArray:
    """Scale matrix of highest likelihood: each frame counts the less the farther out it lies."""
    n, k = innovations.shape
    scatter = innovations.T @ innovations / n + _LEAST * np.eye(k)
    for _ in range(_ROUNDS):
        weights = (nu + k) / (nu + _distances(innovations, scatter))
        before = scatter
        scatter = (innovations * weights[:, None]).T @ innovations / n + _LEAST * np.eye(k)
        if np.abs(scatter - before).max() <= _SETTLED * np.abs(scatter).max():
            break
    return np.asarray(scatter)


def _innovations(coefficients: FloatArray, now: FloatArray, before: FloatArray) -> FloatArray:
    return np.asarray(now - np.einsum("npk,kp->nk", before, coefficients, optimize=True))


def _distances(innovations: FloatArray, scatter: FloatArray) -> FloatArray:
    """Squared Mahalanobis distances."""
    whitened = np.linalg.solve(np.linalg.cholesky(scatter), innovations.T)
    return np.asarray((whitened**2).sum(axis=0), dtype=np.float64)


def _variance(coefficients: FloatArray) -> float:
    """Of the stationary process with innovations of variance 1; infinite where there is none."""
    if _radius(coefficients) >= 1.0 - 1e-9:
        return float("inf")
    return float(_arma_process(coefficients).acovf(1)[0])


def _radius(coefficients: FloatArray) -> float:
    """Largest modulus of a pole."""
    return float(np.abs(np.roots(np.r_[1.0, -coefficients])).max(initial=0.0))


def _n_rows(segments: Sequence[FloatArray], order: int) -> int:
    return sum(max(0, len(segment) - order) for segment in segments)


def _needed(order: int, k: int) -> int:
    return _ROWS_PER_COEFFICIENT * (order + k)


def _arma_process(coefficients: FloatArray) -> Any:
    processes = import_optional(
        "statsmodels.tsa.arima_process", "a model of head movement", "motion"
    )
    return processes.ArmaProcess(np.r_[1.0, -coefficients], [1.0])
