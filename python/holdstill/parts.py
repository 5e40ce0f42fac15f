"""Rows of a run as Parquet: the columns, and the bytes of a part."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from holdstill._typing import FloatArray
from holdstill.optional import import_optional
from holdstill.run_layout import PARTS
from holdstill.transforms import MATRIX_COLUMNS

COLUMNS = {
    "source": "string",
    "frame": "int64",
    "time": "float64",
    **dict.fromkeys(MATRIX_COLUMNS, "float64"),
    "status": "string",
    "iterations": "int32",
    "residual": "float64",
    "step": "float64",
    "n_atoms": "int32",
    "evaluations": "int32",
    "quality": "float64",
}
"""Columns of transforms.parquet and their types."""

FACE_COLUMNS = {
    **COLUMNS,
    "face": "int32",
    "log_likelihood": "float64",
    "difs": "float64",
    "dffs": "float64",
    "user": "string",
}
"""The same of registered faces."""


def as_part(columns: Mapping[str, Any], kinds: Mapping[str, str] = COLUMNS) -> bytes:
    """Rows as a Parquet file; equal rows give equal bytes.

    Parameters
    ----------
    columns : mapping of str to sequence of length n
        The run's columns, with ``frame_from_canonical`` (n, 3, 3) in the place of ``h00``, ...,
        ``h22``. Numbers that are not finite become nulls.
    kinds : mapping of str to str
        Columns of the file and their types.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If columns are missing, unknown or of different lengths.
    ImportError
        If pyarrow is missing.
    """
    _, pq = load_pyarrow()
    file = io.BytesIO()
    pq.write_table(
        _table(columns, kinds), file, version="2.6", compression="snappy", row_group_size=1 << 20
    )
    return file.getvalue()


def schema(kinds: Mapping[str, str]) -> Any:
    """Columns and their types as pyarrow has them."""
    pa, _ = load_pyarrow()
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in kinds.items()])


def load_pyarrow(written: str = PARTS) -> tuple[Any, Any]:
    """PyArrow and its Parquet module, or an error that says what needs them and how to install."""
    purpose = f"writing {written}"
    return import_optional("pyarrow", purpose), import_optional("pyarrow.parquet", purpose)


def _table(columns: Mapping[str, Any], kinds: Mapping[str, str]) -> Any:
    pa, _ = load_pyarrow()
    expected = {*kinds, "frame_from_canonical"} - set(MATRIX_COLUMNS)
    if set(columns) != expected:
        raise ValueError(f"columns: expected {sorted(expected)}, got {sorted(columns)}")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns: expected one length, got {lengths}")
    matrices = np.asarray(columns["frame_from_canonical"], dtype=np.float64)
    if matrices.size == 0:
        matrices = matrices.reshape(0, 3, 3)
    if matrices.shape[1:] != (3, 3):
        raise ValueError(f"frame_from_canonical: expected shape (n, 3, 3), got {matrices.shape}")
    # A transform is there as a whole or not at all.
    matrices = np.where(np.isfinite(matrices).all(axis=(1, 2), keepdims=True), matrices, np.nan)
    cells = {**columns, **dict(zip(MATRIX_COLUMNS, matrices.reshape(-1, 9).T, strict=True))}
    return pa.table(
        [_column(pa, cells[name], kind) for name, kind in kinds.items()], schema=schema(kinds)
    )


def _column(pa: Any, cells: Any, kind: str) -> Any:
    if kind == "string":
        texts = [None if cell is None else str(cell) for cell in cells]
        return pa.array(texts, type=pa.string())
    if kind == "float64":
        values: FloatArray = np.asarray(cells, dtype=np.float64)
        return pa.array(values, mask=~np.isfinite(values))
    return pa.array(np.asarray(cells, dtype=kind))
