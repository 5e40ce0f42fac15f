"""Transforms without the jitter between frames: a Kalman smoother over their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SHAPE
from holdstill.checks import positive
from holdstill.motion.parameters import compose, decompose
from holdstill.optional import import_optional

_FEWEST = 4
"""Transforms that a noise and a movement can be told apart in."""

_STILL = 1e-9
_LEAST, _MOST = -25.0, 5.0
"""Logarithms of the variances that are tried, in units of the parameter's variance."""


def smooth(
    frame_from_canonical: npt.ArrayLike,
    *,
    shape: tuple[int, int] = DEFAULT_SHAPE,
    motion: str = "affine",
    strength: float | None = None,
) -> FloatArray:
    """Smooth the transforms of consecutive frames; for looks, since it moves off the optimum.

    Every parameter of :func:`decompose` is taken for a movement whose speed wanders, seen under
    white noise: with y the parameter and λ the strength, the result is the x of least

        Σ_t (y_t - x_t)² + λ Σ_t (x_{t+1} - 2x_t + x_{t-1})²,

    found by the Kalman (Rauch-Tung-Striebel) smoother of that model.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
        Transforms of consecutive frames. NaN is a gap: it stays one, and the movement is followed
        across it.
    shape : (int, int)
        Height and width of the canonical frame.
    motion : {"affine", "similarity"}
        Family of the transforms.
    strength : float, optional
        λ, the same for every parameter: 1 takes off what changes from frame to frame, 100 what
        changes within half a second. By default each parameter's own of maximum likelihood.

    Returns
    -------
    ndarray, shape (n, 3, 3), float64

    Raises
    ------
    ValueError
        If there are fewer than four transforms, or an argument is wrong.
    ImportError
        If statsmodels is missing.

    Examples
    --------
    >>> t = np.arange(60.0)
    >>> noise = np.random.default_rng(0).normal(size=60)
    >>> still = np.zeros(60)
    >>> shaken = compose(np.stack([100 + 0.5 * t + noise, 80 + still, still, still], axis=1))
    >>> steady = decompose(smooth(shaken, motion="similarity"), motion="similarity")
    >>> bool(np.abs(steady[:, 0] - (100 + 0.5 * t)).mean() < 0.4 * np.abs(noise).mean())
    True
    """
    transforms = np.asarray(frame_from_canonical, dtype=np.float64)
    if transforms.ndim != 3 or transforms.shape[1:] != (3, 3):
        raise ValueError(f"frame_from_canonical: expected shape (n, 3, 3), got {transforms.shape}")
    if strength is not None:
        positive("strength", strength)
    values = decompose(transforms, shape=shape, motion=motion)
    present = np.isfinite(values).all(axis=1)
    if present.sum() < _FEWEST:
        raise ValueError(
            f"frame_from_canonical: expected at least {_FEWEST} transforms, got {present.sum()}"
        )
    values[present, 2] = np.unwrap(values[present, 2])
    smoothed = np.stack([_smoothed(column, strength) for column in values.T], axis=1)
    smoothed[~present] = np.nan
    return compose(smoothed, shape=shape)


def _smoothed(column: FloatArray, strength: float | None) -> FloatArray:
    middle, spread = np.nanmean(column), np.nanstd(column)
    if spread <= _STILL:
        return column
    model = _model((column - middle) / spread)
    variances = _likeliest(model) if strength is None else np.array([1.0, 1.0 / strength])
    return np.asarray(middle + spread * model.smooth(variances).smoothed_state[0])


def _likeliest(model: Any) -> FloatArray:
    """Variances of the noise and of the speed's steps that explain the parameter best."""

    def unlikelihood(logarithms: FloatArray) -> float:
        return -float(model.loglike(np.exp(np.clip(logarithms, _LEAST, _MOST))))

    starts = [np.array([-6.0, -9.0]), np.array([-10.0, -5.0])]
    ends = [scipy.optimize.minimize(unlikelihood, start, method="Nelder-Mead") for start in starts]
    best = min(ends, key=lambda end: float(end.fun))
    return np.asarray(np.exp(np.clip(best.x, _LEAST, _MOST)))


def _model(column: FloatArray) -> Any:
    structural = import_optional(
        "statsmodels.tsa.statespace.structural", "smoothing transforms", "motion"
    )
    return structural.UnobservedComponents(column, level="smooth trend", use_exact_diffuse=True)
