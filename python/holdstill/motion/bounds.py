"""A smooth fold: whatever is drawn comes to lie within the observed range."""

from __future__ import annotations

import numpy as np

from holdstill._typing import FloatArray

STRAIGHT = 0.8
"""Share of the half range in which values stay what they are."""


def fold(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Values, turned back smoothly where they leave a range; twice continuously differentiable.

    With the range from -1 to 1: the identity up to `STRAIGHT`, then a sine that reaches 1 with
    slope 0 and comes back as the value goes on.

    Parameters
    ----------
    values : ndarray, shape (..., k), float64
    low, high : ndarray, shape (k,), float64
        Where both are equal, they are the result.

    Returns
    -------
    ndarray, shape (..., k), float64
        From `low` to `high`.

    Examples
    --------
    >>> values = np.array([[0.0], [0.8], [0.8 + 0.1 * np.pi], [5.0]])
    >>> fold(values, np.array([-1.0]), np.array([1.0])).ravel().round(3).tolist()
    [0.0, 0.8, 1.0, 0.967]
    """
    middle, half = (low + high) / 2, (high - low) / 2
    beyond = np.abs(values - middle) / np.where(half > 0, half, 1.0) - STRAIGHT
    rest = 1.0 - STRAIGHT
    turned = half * (STRAIGHT + rest * np.sin(np.maximum(beyond, 0.0) / rest))
    folded = np.where(beyond > 0, middle + np.copysign(turned, values - middle), values)
    # A sum may round past its bound.
    return np.clip(folded, low, high)


def unfold(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """The nearest values that :func:`fold` takes to these, which lie in the range.

    Parameters
    ----------
    values : ndarray, shape (..., k), float64
    low, high : ndarray, shape (k,), float64

    Returns
    -------
    ndarray, shape (..., k), float64

    Examples
    --------
    >>> unfold(np.array([[0.8], [1.0]]), np.array([-1.0]), np.array([1.0])).round(3).tolist()
    [[0.8], [1.114]]
    """
    middle, half = (low + high) / 2, (high - low) / 2
    rest = 1.0 - STRAIGHT
    beyond = np.abs(values - middle) / np.where(half > 0, half, 1.0) - STRAIGHT
    away = half * (STRAIGHT + rest * np.arcsin(np.clip(beyond / rest, 0.0, 1.0)))
    return np.where(beyond > 0, middle + np.copysign(away, values - middle), values)
