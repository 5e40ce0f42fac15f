"""Unit selection: the sequence of recorded mouths that follows a path and flows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray

IntArray = npt.NDArray[np.int64]

CANDIDATES = 200
"""Mouths nearest to a target that are weighed against each other."""

_AT_A_TIME = 1 << 20
"""Differences of coordinates that are held at a time: 8 MB."""


def choose_mouths(
    targets: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    smoothness: float = 1.0,
    candidates: int = CANDIDATES,
) -> IntArray:
    """Choose recorded mouths that follow a path through the mouth space.

    The choice r_1, ..., r_n has the least sum of target costs ‖s(r_t) - y_t‖² and of
    `smoothness` times the join costs ‖s(r_t) - s(r_{t-1} + 1)‖²: how far a mouth is from the one
    that followed the mouth before it when they were recorded. Recorded stretches cost nothing.

    Parameters
    ----------
    targets : array_like, shape (n, k)
        The path y.
    scores : array_like, shape (N, k)
        Of the recorded mouths, in the order of the recording; NaN where one cannot be used.
    smoothness : float
        Weight of the join costs, at least 0.
    candidates : int
        Only so many mouths nearest to each target are looked at; of that many the choice is the
        best.

    Returns
    -------
    ndarray, shape (n,), int64
        Indices of recorded mouths.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of range or not finite, or no mouth can be used.

    Examples
    --------
    >>> recorded = [[0.0], [1.0], [2.0], [np.nan], [2.1]]
    >>> choose_mouths([[0.1], [1.2], [2.1]], recorded).tolist()
    [0, 1, 2]
    >>> choose_mouths([[0.1], [1.2], [2.1]], recorded, smoothness=0).tolist()
    [0, 1, 4]
    """
    path, recorded = np.asarray(targets, np.float64), np.asarray(scores, np.float64)
    if path.ndim != 2 or recorded.ndim != 2 or path.shape[1] != recorded.shape[1] or not len(path):
        raise ValueError(
            f"targets: expected shape (n, {recorded.shape[-1]}) beside scores of shape "
            f"{recorded.shape}, got {path.shape}"
        )
    if not np.isfinite(path).all():
        raise ValueError("targets: expected finite numbers")
    if not (np.isfinite(smoothness) and smoothness >= 0) or candidates < 1:
        raise ValueError(
            f"smoothness, candidates: expected at least 0 and 1, got {smoothness}, {candidates}"
        )
    usable = np.flatnonzero(np.isfinite(recorded).all(axis=1))
    if not len(usable):
        raise ValueError("scores: expected a mouth that can be used")
    follower = _followers(recorded)
    nearest, costs = _nearest(path, recorded[usable], min(candidates, len(usable)))
    units = usable[nearest]

    def join(t: int) -> FloatArray:
        return smoothness * _squared_distances(follower[units[t - 1]], recorded[units[t]])

    chosen = viterbi(costs, join)
    return np.asarray(units[np.arange(len(path)), chosen])


def viterbi(unary: npt.ArrayLike, pairwise: Callable[[int], FloatArray]) -> IntArray:
    """The path of least cost through states, by dynamic programming.

    Parameters
    ----------
    unary : array_like, shape (n, K)
        Cost of each state at each time.
    pairwise : callable t -> ndarray (K, K)
        Cost of going from each state at time t - 1 (rows) to each at t (columns).

    Returns
    -------
    ndarray, shape (n,), int64
        A state for each time.

    Examples
    --------
    >>> viterbi([[0, 5], [5, 0], [0, 5]], lambda t: np.array([[0.0, 9.0], [9.0, 0.0]])).tolist()
    [0, 0, 0]
    """
    costs = np.asarray(unary, dtype=np.float64)
    total = costs[0]
    came_from = np.zeros(costs.shape, dtype=np.int64)
    for t in range(1, len(costs)):
        through = total[:, None] + pairwise(t)
        came_from[t] = through.argmin(axis=0)
        total = through.min(axis=0) + costs[t]
    path = np.empty(len(costs), dtype=np.int64)
    path[-1] = total.argmin()
    for t in range(len(costs) - 1, 0, -1):
        path[t - 1] = came_from[t, path[t]]
    return path


def _followers(recorded: FloatArray) -> FloatArray:
    """Scores of the mouth after each; of itself where there is none that can be used."""
    follower = np.concatenate([recorded[1:], recorded[-1:]])
    missing = ~np.isfinite(follower).all(axis=1)
    follower[missing] = recorded[missing]
    return follower


def _nearest(path: FloatArray, mouths: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """Indices, rising, and squared distances of the mouths nearest to each point, (n, count)."""
    nearest = np.empty((len(path), count), dtype=np.int64)
    costs = np.empty(nearest.shape)
    # All distances of a long recording would be many gigabytes.
    step = max(1, _AT_A_TIME // max(1, mouths.size))
    for begin in range(0, len(path), step):
        rows = slice(begin, begin + step)
        squares = _squared_distances(path[rows], mouths)
        nearest[rows] = np.sort(np.argpartition(squares, count - 1, axis=1)[:, :count], axis=1)
        costs[rows] = np.take_along_axis(squares, nearest[rows], axis=1)
    return nearest, costs


def _squared_distances(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.asarray(((one[:, None] - other[None]) ** 2).sum(axis=2))
