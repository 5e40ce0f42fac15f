"""An evaluation as files in the run's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.evaluate.evaluation import Evaluation
from holdstill.outputs import as_json, replacing
from holdstill.parts import load_pyarrow
from holdstill.run_layout import EVALUATED_FRAMES, EVALUATION
from holdstill.stores import refuse_url


def write_evaluation(found: Evaluation, folder: str | os.PathLike[str]) -> None:
    """Write ``evaluation.parquet``, one row for every row of the run, and ``evaluation.json``.

    Parameters
    ----------
    found : Evaluation
    folder : str or path
        The run's. Files of an earlier evaluation are replaced.

    Raises
    ------
    holdstill.outputs.OutputError
        If something cannot be written.
    ImportError
        If pyarrow is missing.
    """
    refuse_url(folder, "an evaluation")
    pa, pq = load_pyarrow(EVALUATED_FRAMES)
    table = pa.table({name: _column(pa, cells) for name, cells in found.per_frame.items()})
    with replacing(Path(folder) / EVALUATED_FRAMES) as temporary:
        pq.write_table(table, temporary)
    with replacing(Path(folder) / EVALUATION) as temporary:
        temporary.write_text(as_json(found.to_dict()) + "\n", encoding="utf-8")


def _column(pa: Any, cells: npt.NDArray[Any]) -> Any:
    if cells.dtype == object:
        return pa.array(cells.tolist(), type=pa.string())
    if cells.dtype.kind == "f":
        return pa.array(cells, mask=~np.isfinite(cells))
    return pa.array(cells)
