"""Autoregressive processes of several values whose innovations are jointly Student-t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.signal import lfilter
from scipy.special import gammaln

from holdstill.motion.parameters import FloatArray

DEGREES_OF_FREEDOM = (3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0, 100.0)
"""Tried; from 3 on the innovations have a variance and, at the last, are as good as Gaussian."""

_TYPICAL = 5.0
"""Degrees of freedom while the order is chosen."""

_ROUNDS, _SETTLED = 50, 1e-6
_FORGOTTEN = 1e-3
"""What a draw may still owe to how it began."""
_LONGEST_MEMORY = 100_000
_BISECTIONS = 40
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
        Scale matrix of the innovations; their covariance is ν/(ν-2) times it.
    degrees_of_freedom : float
        ν of the innovations' Student-t distribution.
    """

    coefficients: FloatArray
    scatter: FloatArray
    degrees_of_freedom: float

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
        variances = (
            self.degrees_of_freedom / (self.degrees_of_freedom - 2.0) * np.diag(self.scatter)
        )
        return np.stack(
            [s * p.acovf(n) for s, p in zip(variances, processes, strict=True)]
        )  # fmt: skip

    def draw(self, n: int, generator: np.random.Generator) -> FloatArray:
        """A stretch of the stationary process, (n, k)."""
        total = n + self.memory
        k, nu = len(self.coefficients), self.degrees_of_freedom
        normal = generator.standard_normal((total, k)) @ np.linalg.cholesky(self.scatter).T
        innovations = normal * np.sqrt(nu / generator.chisquare(nu, size=(total, 1)))
        values = [
            lfilter([1.0], np.r_[1.0, -row], column)
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
    """Fit by iteratively reweighted least squares; the order is that of the lowest BIC.

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
        process = _reweighted(now, before[:, :p], _TYPICAL)
        densities = student_t_log_densities(_innovations(process, now, before[:, :p]), process)
        return float(np.log(len(now)) * k * p - 2.0 * densities.sum())

    order = min(orders, key=criterion)
    now, before = history(segments, order)
    candidates = [_reweighted(now, before, nu) for nu in DEGREES_OF_FREEDOM]
    return max(
        candidates,
        key=lambda c: float(student_t_log_densities(_innovations(c, now, before), c).sum()),
    )


def with_variance_at_most(process: Autoregression, variances: FloatArray) -> Autoregression:
    """Draw the poles of each value towards zero until its variance is at most the one given.

    A short recording can be explained by a process that wanders off, which no head does.
    """
    nu = process.degrees_of_freedom
    innovations = nu / (nu - 2.0) * np.diag(process.scatter)
    powers = np.arange(1, process.order + 1)

    def contracted(row: FloatArray, innovation: float, most: float) -> FloatArray:
        if _variance(row) * innovation <= most:
            return row
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            fits = _variance(row * middle**powers) * innovation <= most
            low, high = (middle, high) if fits else (low, middle)
        return row * low**powers

    rows = zip(process.coefficients, innovations, variances, strict=True)
    return replace(process, coefficients=np.stack([contracted(*row) for row in rows]))


def log_densities(process: Autoregression, segment: FloatArray) -> FloatArray:
    """Log density of every frame given those before it, (n,); NaN for the first `order`."""
    densities = np.full(len(segment), np.nan)
    if len(segment) > process.order:
        innovations = _innovations(process, *history([segment], process.order))
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
    constant = gammaln((nu + k) / 2) - gammaln(nu / 2) - 0.5 * k * np.log(nu * np.pi)
    log_determinant = np.linalg.slogdet(process.scatter)[1]
    distances = _distances(innovations, process.scatter)
    return np.asarray(constant - 0.5 * log_determinant - 0.5 * (nu + k) * np.log1p(distances / nu))


def _reweighted(now: FloatArray, before: FloatArray, nu: float) -> Autoregression:
    """Each frame counts the less the farther it lies from what was expected of it."""
    k, p = now.shape[1], before.shape[1]
    weights = np.ones(len(now))
    process = Autoregression(np.zeros((k, p)), np.eye(k), nu)
    for _ in range(_ROUNDS):
        weighted = before * weights[:, None, None]
        normal = np.einsum("npk,nqk->kpq", weighted, before, optimize=True)
        right = np.einsum("npk,nk->kp", weighted, now, optimize=True)
        coefficients = np.stack(
            [np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(normal, right, strict=True)]
        )
        innovations = _innovations(Autoregression(coefficients, process.scatter, nu), now, before)
        scatter = (innovations * weights[:, None]).T @ innovations / len(now) + _LEAST * np.eye(k)
        change = np.abs(coefficients - process.coefficients).max()
        process = Autoregression(coefficients, scatter, nu)
        if change < _SETTLED:
            break
        weights = (nu + k) / (nu + _distances(innovations, scatter))
    return process


def _innovations(process: Autoregression, now: FloatArray, before: FloatArray) -> FloatArray:
    expected = np.einsum("npk,kp->nk", before, process.coefficients, optimize=True)
    return np.asarray(now - expected)


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
    try:
        from statsmodels.tsa.arima_process import ArmaProcess
    except ImportError:
        raise ImportError(
            'a model of head movement needs statsmodels: pip install "holdstill[motion]"'
        ) from None
    return ArmaProcess(np.r_[1.0, -coefficients], [1.0])
