"""What plots over time need of any kind of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.alignment import Alignment, AlignmentBatch
from holdstill.evaluate import Evaluation
from holdstill.run_folder import Run

Results = Run | Evaluation | AlignmentBatch | Sequence[Alignment]

_OF_ALIGNMENT = ("frame", "status", "good", "residual", "quality", "iterations", "step")


class Rows(NamedTuple):
    """Columns of results, and where along the axis they stand.

    Attributes
    ----------
    columns : dict of str to ndarray of length n
    at : ndarray, shape (n,), float64
        Seconds where all are known and there is one recording; else frame numbers of one
        recording; else row numbers.
    axis : str
        What `at` is, with its unit.
    """

    columns: dict[str, npt.NDArray[Any]]
    at: FloatArray
    axis: str

    def curve(self, values: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Places and values of a curve over the rows, (n,), which ends where a recording does."""
        if "frame" not in self.columns:
            return self.at, values
        first = np.flatnonzero(np.diff(self.columns["frame"]) < 0) + 1
        return np.insert(self.at, first, self.at[first]), np.insert(values, first, np.nan)


def rows_of(results: Results) -> Rows:
    """The columns of a run, an evaluation, a batch or a sequence of alignments.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if isinstance(results, Run):
        columns = {**results.rows, "good": results.good}
    elif isinstance(results, Evaluation):
        columns = dict(results.per_frame)
    elif isinstance(results, AlignmentBatch):
        names = ("status", "good", "residual", "quality", "iterations", "step")
        columns = {name: getattr(results, name) for name in names}
        columns["frame_from_canonical"] = results.frame_from_canonical
    elif isinstance(results, Sequence) and all(isinstance(row, Alignment) for row in results):
        columns = _columns(results)
    else:
        raise TypeError(
            "results: expected a Run, an Evaluation, an AlignmentBatch or a sequence of "
            f"Alignment, got {type(results).__name__}"
        )
    return Rows(columns, *_axis(columns))


def _columns(found: Sequence[Alignment]) -> dict[str, npt.NDArray[Any]]:
    columns = {name: np.array([getattr(row, name) for row in found]) for name in _OF_ALIGNMENT}
    columns["time"] = np.array([np.nan if r.time is None else r.time for r in found], dtype=float)
    nowhere = np.full((3, 3), np.nan)
    matrices = [
        nowhere if r.frame_from_canonical is None else r.frame_from_canonical for r in found
    ]
    columns["frame_from_canonical"] = np.array(matrices).reshape(-1, 3, 3)
    return columns


def _axis(columns: dict[str, npt.NDArray[Any]]) -> tuple[FloatArray, str]:
    n = len(columns["status"])
    for name, label in (("time", "time (s)"), ("frame", "frame")):
        along = columns.get(name)
        if along is None or along.dtype.kind not in "if":
            continue
        at = along.astype(np.float64)
        if np.isfinite(at).all() and (np.diff(at) > 0).all():
            return at, label
    return np.arange(n, dtype=np.float64), "row"
