"""Which frames a report shows: those of the player, and the worst ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.evaluate.pictures import spread_evenly
from holdstill.report.states import GOOD, states
from holdstill.run_folder import Run

Rows = npt.NDArray[np.int64]

MOST_PICTURES = 2500
"""Pictures in the player at most."""

MOST_FLAGGED = 800
"""Of these, frames that are not good and would not have their turn."""

MOST_WORST, LEAST_WORST = 60, 12
"""Frames in the gallery; with too few that are not good, the least certain good ones fill it."""


@dataclass(frozen=True)
class Shown:
    """Frames that the player shows.

    Attributes
    ----------
    rows : ndarray of int64
        In order.
    every : int
        Every how many frames it shows one.
    extra, left_out : int
        Frames that are not good and shown out of turn, and such that are not shown.
    """

    rows: Rows
    every: int
    extra: int
    left_out: int

    def __str__(self) -> str:
        if self.every == 1:
            return "every frame"
        text = f"every {_ordinal(self.every)} frame"
        if self.left_out:
            return f"{text}, and {self.extra} more of those to look at"
        return f"{text}, and all of those to look at" if self.extra else text


def shown_rows(run: Run, worst: Rows, most: int = MOST_PICTURES) -> Shown:
    """Rows to show in the player: all, or every k-th and those that are not good.

    Parameters
    ----------
    run : Run
    worst : ndarray of int64
        Rows of the gallery: shown in any case.
    most : int
        Pictures at most.
    """
    n = len(run)
    if n <= most:
        return Shown(np.arange(n), 1, 0, 0)
    flagged = np.flatnonzero(~run.good)
    room = most * MOST_FLAGGED // MOST_PICTURES
    extra = spread_evenly(flagged, max(0, room - len(worst)))
    every = -(-n // (most - len(np.union1d(extra, worst))))
    in_turn = np.arange(0, n, every)
    rows = np.union1d(in_turn, np.union1d(extra, worst))
    left_out = len(np.setdiff1d(flagged, rows))
    return Shown(rows, every, len(np.intersect1d(np.setdiff1d(rows, in_turn), flagged)), left_out)


def worst_rows(run: Run) -> Rows:
    """Rows of the gallery, the worst first.

    Every state that is not good has an even share; within it the lowest quality comes first, and of
    equal ones as many as fit, evenly over the run: long stretches look alike.
    """
    severity = _severity(run)
    of_row = states(run)
    names = sorted(set(of_row.tolist()) - {GOOD}, key=lambda name: int((of_row == name).sum()))
    chosen: list[int] = []
    for position, name in enumerate(names):
        share = -(-(MOST_WORST - len(chosen)) // (len(names) - position))
        chosen += _worst(np.flatnonzero(of_row == name), severity, share).tolist()
    if len(chosen) < LEAST_WORST:
        good = np.flatnonzero(of_row == GOOD)
        chosen += _worst(good, severity, LEAST_WORST - len(chosen)).tolist()
    rows = np.array(chosen, dtype=np.int64)
    return rows[np.lexsort((rows, severity[rows]))]


def _severity(run: Run) -> FloatArray:
    """The lower, the worse: quality; where a run has none, minus the residual."""
    quality = run.rows.get("quality")
    if quality is None or not np.isfinite(quality).any():
        quality = -run.rows.get("residual", np.zeros(len(run)))
    return np.nan_to_num(np.asarray(quality, dtype=np.float64), nan=-np.inf)


def _worst(rows: Rows, severity: FloatArray, most: int) -> Rows:
    if len(rows) <= most:
        return rows
    limit = np.sort(severity[rows])[most - 1]
    below = rows[severity[rows] < limit]
    equal = spread_evenly(rows[severity[rows] == limit], most - len(below))
    return np.concatenate([below, equal])


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"
