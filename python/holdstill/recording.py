"""The folder of a run while it is written: what may be in it, and what is said of it at the end.

Everything appears under its final name only when it is complete. ``run.json`` comes last.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdstill.outputs import OutputError, as_json, output_errors
from holdstill.parts import load_pyarrow, schema
from holdstill.run_layout import ALL, MARKS, PARTS, READABLE, SUMMARY, TEXT
from holdstill.sources.paths import is_url
from holdstill.stores import Store, open_store, scratch


def write_csv(store: Store, columns: Mapping[str, str]) -> None:
    """Write the parts of a run as text beside them: ``transforms.csv``."""
    pa, pq = load_pyarrow()
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="none")
    with scratch(store) as folder:
        file = folder / TEXT
        with (
            output_errors(file),
            pyarrow.csv.CSVWriter(file, schema(columns), write_options=options) as writer,
        ):
            for name in store.names(PARTS):
                writer.write_table(pq.read_table(pa.BufferReader(store.read(f"{PARTS}/{name}"))))
        store.put(TEXT, file)


def write_summary(store: Store, summary: Mapping[str, Any]) -> None:
    """Write ``run.json``, after which a run is complete."""
    store.write(SUMMARY, (as_json(summary) + "\n").encode())


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds a run that can be read, complete or not."""
    if is_url(os.fspath(folder)):
        return not READABLE.isdisjoint(open_store(folder).names())
    return any((Path(folder) / name).exists() for name in READABLE)


def refuse_other_contents(
    folder: str | os.PathLike[str], going_on: bool = False, resumable: bool = True
) -> None:
    """Raise FileExistsError unless the folder is new or empty.

    The others are for the message: whether the run there is one that was to be gone on with, and
    whether the command knows how.

    Raises
    ------
    FileExistsError
    OutputError
        If it stands where a file is.
    """
    store = open_store(folder)
    if store.local is not None and store.local.exists() and not store.local.is_dir():
        raise OutputError(f"cannot write {folder}: it is a file; choose another folder (--out)")
    there = set(store.names())
    if there & MARKS:
        if going_on:
            raise FileExistsError(
                f"{folder} holds a run of another command, which cannot be gone on with; choose "
                "another folder (--out)"
            )
        resume = ", or go on with one that was interrupted by --resume" if resumable else ""
        raise FileExistsError(
            f"{folder} already holds a run; choose another folder (--out){resume}"
        )
    if there:
        raise FileExistsError(
            f"{folder} is not empty and holds no run; choose another folder (--out)"
        )


def clear(store: Store) -> None:
    """Remove what a run has written, and nothing else."""
    there = set(store.names())
    for name in ALL:
        if name in there:
            store.remove(name)
