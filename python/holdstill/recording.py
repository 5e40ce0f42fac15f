"""The folder of a run while it is written: what may be in it, and what is said of it at the end.

Everything appears under its final name only when it is complete. ``run.json`` comes last.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional
from holdstill.outputs import OutputError, as_json, output_errors, replacing
from holdstill.parts import COLUMNS, as_part, load_pyarrow, schema
from holdstill.sources.paths import is_url
from holdstill.stores import LocalStore, Store, lock, open_store, refuse_url, scratch

PARTS = "transforms.parquet"
"""Folder of the parts."""

_OWN = (
    "run.json", "job.json", "aligned.mp4", "aligned.zarr", "dictionary.npz", "model.npz",
    "contact_sheet.png", "transforms.csv", "evaluation.json", "evaluation.parquet", "report.html",
    PARTS, "blocks", "segments", "fragments", "faces",
)  # fmt: skip

_MARKS = {"run.json", "job.json", PARTS}
"""What tells a run's folder, complete or not."""


class Recording:
    """The folder of a run while it is written, part by part.

    A context manager: left by an exception (Ctrl-C included) it keeps the parts written so far,
    which stay readable. It is complete once :meth:`finish` has returned.

    Parameters
    ----------
    folder : str or path
        The run's folder; created with its parents where it does not exist.
    columns : mapping
        Columns of the transforms and their types.
    overwrite : bool
        Replace the run that the folder holds. A folder of other things is refused all the same.

    Raises
    ------
    FileExistsError
        If the folder holds a run (without `overwrite`) or other files.
    OutputError
        If it cannot be created or written to, or another process writes there.
    ImportError
        If pyarrow or filelock is missing.

    Examples
    --------
    >>> import tempfile
    >>> from holdstill.transforms import read_transforms
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Recording(os.path.join(folder, "run")) as recording:
    ...         recording.write_part(0, {
    ...             "source": ["a.mp4"], "frame": [0], "time": [0.0], "status": ["converged"],
    ...             "frame_from_canonical": [np.eye(3)], "iterations": [9], "residual": [0.1],
    ...             "step": [1e-7], "n_atoms": [3], "evaluations": [14], "quality": [0.9]})
    ...         recording.finish({"counts": {"converged": 1}})
    ...     transforms = read_transforms(recording.folder)
    >>> transforms["status"].tolist(), transforms["iterations"].tolist()
    (['converged'], [9])
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] = COLUMNS,
        overwrite: bool = False,
    ) -> None:
        load_pyarrow()
        refuse_url(folder, "a run of registered faces")
        self.folder = Path(folder)
        self.columns = columns
        self._store = LocalStore(self.folder)
        refuse_other_contents(self.folder, overwrite)
        with contextlib.ExitStack() as opened:
            opened.enter_context(lock(self._store))
            clear(self._store)
            with output_errors(self.folder):
                (self.folder / PARTS).mkdir()
            self._open = opened.pop_all()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._open:
            if kind is not None:
                # Without a part there is nothing to keep, and what is left would bar the next run.
                with contextlib.suppress(OSError):
                    (self.folder / PARTS).rmdir()
                    clear(self._store)

    def write_part(self, index: int, columns: Mapping[str, Any]) -> None:
        """Write the rows of a group of frames: ``transforms.parquet/part-<index>.parquet``.

        Parameters
        ----------
        index : int
            Number of the part; parts are in the order of their numbers.
        columns : mapping of str to sequence of length n
            As :func:`holdstill.parts.as_part` takes them.

        Raises
        ------
        ValueError
            If columns are missing, unknown or of different lengths.
        OutputError
            If the part cannot be written.
        """
        self._store.write(part_name(index), as_part(columns, self.columns))

    def write_dictionary(
        self, save: Callable[[Path], object], name: str = "dictionary.npz"
    ) -> None:
        """Write ``dictionary.npz``, or ``model.npz``; OutputError if that fails.

        Parameters
        ----------
        save : callable (path)
            Of a dictionary, or of a face model.
        name : str
        """
        save(self.folder / name)

    def write_face(self, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Write ``faces/<name>.png``; from any thread.

        Parameters
        ----------
        name : str
        picture : ndarray, shape (h, w[, 3]), uint8

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        folder = self.folder / "faces"
        with output_errors(folder):
            folder.mkdir(exist_ok=True)
        _write_png(folder / f"{name}.png", picture)

    def write_contact_sheet(self, picture: npt.NDArray[np.uint8]) -> None:
        """Write ``contact_sheet.png``; OutputError if that fails."""
        _write_png(self.folder / "contact_sheet.png", picture)

    def finish(self, summary: Mapping[str, Any], *, csv: bool = False) -> None:
        """Complete the run: write ``transforms.csv`` if asked, then ``run.json``.

        Parameters
        ----------
        summary : mapping
            What goes into ``run.json``. Numbers that are not finite become null.
        csv : bool
            Write the transforms as text too.

        Raises
        ------
        OutputError
            If something cannot be written.
        """
        if csv:
            write_csv(self._store, self.columns)
        write_summary(self._store, summary)


def part_name(index: int) -> str:
    """Where the rows of a part are."""
    return f"{PARTS}/part-{index:07d}.parquet"


def write_csv(store: Store, columns: Mapping[str, str]) -> None:
    """Write the parts of a run as text beside them: ``transforms.csv``."""
    pa, pq = load_pyarrow()
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="none")
    with scratch(store) as folder:
        file = folder / "transforms.csv"
        with (
            output_errors(file),
            pyarrow.csv.CSVWriter(file, schema(columns), write_options=options) as writer,
        ):
            for name in store.names(PARTS):
                writer.write_table(pq.read_table(pa.BufferReader(store.read(f"{PARTS}/{name}"))))
        store.put("transforms.csv", file)


def write_summary(store: Store, summary: Mapping[str, Any]) -> None:
    """Write ``run.json``, after which a run is complete."""
    store.write("run.json", (as_json(summary) + "\n").encode())


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds a run, complete or not."""
    if is_url(os.fspath(folder)):
        return bool({"run.json", PARTS} & set(open_store(folder).names()))
    return any((Path(folder) / name).exists() for name in ("run.json", PARTS))


def refuse_other_contents(
    folder: str | os.PathLike[str], overwrite: bool = False, going_on: bool = False
) -> None:
    """Raise FileExistsError unless the folder is new, empty or, with `overwrite`, a run's.

    `going_on` is for the message: the run there is not one that could be gone on with.

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
    if there & _MARKS:
        if going_on:
            raise FileExistsError(
                f"{folder} holds a run of another command, which cannot be gone on with; choose "
                "another folder (--out)"
            )
        if not overwrite:
            raise FileExistsError(
                f"{folder} already holds a run; choose another folder (--out), or go on with one "
                "that was interrupted by --resume"
            )
    elif there:
        raise FileExistsError(
            f"{folder} is not empty and holds no run; choose another folder (--out)"
        )


def clear(store: Store) -> None:
    """Remove what an earlier run left, and nothing else."""
    there = set(store.names())
    for name in _OWN:
        if name in there:
            store.remove(name)


def _write_png(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    image = import_optional("PIL.Image", "writing pictures").fromarray(picture)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")
