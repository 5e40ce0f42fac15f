"""How well scores tell people apart: verification and identification."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray


class Roc(NamedTuple):
    """Rates of a verification at every threshold, the strictest first.

    Attributes
    ----------
    thresholds : ndarray (k,), float64
        Falling; scores at or above one are accepted. The first accepts nobody.
    false_accept : ndarray (k,), float64
        Share of the impostors that are accepted.
    false_reject : ndarray (k,), float64
        Share of the genuine that are not.
    """

    thresholds: FloatArray
    false_accept: FloatArray
    false_reject: FloatArray


def verification_roc(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> Roc:
    """False accepts against false rejects, as the threshold on a score falls.

    Parameters
    ----------
    genuine, impostor : array_like, shape (n,) and (m,)
        Scores of pairs of the same person, and of two; larger is more alike.

    Returns
    -------
    Roc

    Raises
    ------
    ValueError
        If there are none, or some are NaN or infinity; minus infinity is a score.

    Examples
    --------
    >>> roc = verification_roc([2.0, 3.0], [1.0, 2.0])
    >>> roc.thresholds.tolist(), roc.false_accept.tolist(), roc.false_reject.tolist()
    ([inf, 3.0, 2.0, 1.0], [0.0, 0.0, 0.5, 1.0], [1.0, 0.5, 0.0, 0.0])
    """
    own, other = _scores("genuine", genuine), _scores("impostor", impostor)
    thresholds = np.append(np.inf, np.unique(np.concatenate([own, other]))[::-1])
    return Roc(thresholds, 1.0 - _below(other, thresholds), _below(own, thresholds))


def equal_error_rate(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> float:
    """Where false accepts and false rejects are as frequent, between thresholds by a line.

    Parameters
    ----------
    genuine, impostor : array_like, shape (n,) and (m,)
        As in `verification_roc`.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError
        If there are none, or some are NaN or infinity; minus infinity is a score.

    Examples
    --------
    >>> equal_error_rate([0.9, 0.8, 0.4], [0.1, 0.2, 0.5])
    0.3333333333333333
    """
    _, accepted, rejected = verification_roc(genuine, impostor)
    gap = accepted - rejected  # rises from -1 to 1
    after = int(np.argmax(gap >= 0.0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(accepted[after - 1] + share * (accepted[after] - accepted[after - 1]))


def rank_one(
    scores: npt.ArrayLike, probes: npt.ArrayLike, gallery: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """Which probes are most like an entry of their own person.

    Parameters
    ----------
    scores : array_like, shape (n, g)
        Of each probe with each entry; larger is more alike, NaN where there is none.
    probes, gallery : array_like, shape (n,) and (g,)
        Who they are.

    Returns
    -------
    ndarray, shape (n,), bool
        A probe without a score is not recognised.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> rank_one([[0.9, 0.1], [0.6, 0.4]], ["ann", "bob"], ["ann", "bob"]).tolist()
    [True, False]
    """
    table = np.asarray(scores, dtype=np.float64)
    who, entries = np.asarray(probes), np.asarray(gallery)
    if table.shape != (len(who), len(entries)) or len(entries) == 0:
        raise ValueError(
            f"scores: expected shape ({len(who)}, {len(entries)}), one row for each probe and one "
            f"column for each entry of the gallery, got {table.shape}"
        )
    scored = ~np.isnan(table).all(axis=1)
    best = np.where(np.isnan(table), -np.inf, table).argmax(axis=1)
    return np.asarray(scored & (entries[best] == who))


def _below(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    return np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)


def _scores(name: str, values: npt.ArrayLike) -> FloatArray:
    scores = np.asarray(values, dtype=np.float64).ravel()
    if len(scores) == 0 or not (scores < np.inf).all():
        raise ValueError(f"{name}: expected at least one score, and none of them NaN or infinity")
    return scores
