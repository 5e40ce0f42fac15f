"""The folder of a run of registered faces while it is written.

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
from holdstill.outputs import output_errors, replacing
from holdstill.parts import FACE_COLUMNS, as_part, load_pyarrow
from holdstill.recording import clear, refuse_other_contents, write_csv, write_summary
from holdstill.run_layout import CONTACT_SHEET, FACES, MODEL, PARTS, part_name
from holdstill.stores import LocalStore, lock, refuse_url


class FaceRecording:
    """The folder of registered faces while it is written, part by part.

    A context manager: left by an exception (Ctrl-C included) it keeps the parts written so far,
    which stay readable. It is complete once :meth:`finish` has returned.

    Parameters
    ----------
    folder : str or path
        The run's folder; created with its parents where it does not exist.

    Raises
    ------
    FileExistsError
        If the folder holds a run, or other files.
    OutputError
        If it cannot be created or written to, or another process writes there.
    ImportError
        If pyarrow or filelock is missing.

    Examples
    --------
    >>> import tempfile
    >>> from holdstill.transforms import read_transforms
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FaceRecording(os.path.join(folder, "run")) as recording:
    ...         recording.write_part(0, {
    ...             "source": ["a.jpg"], "frame": [0], "time": [None], "status": ["converged"],
    ...             "frame_from_canonical": [np.eye(3)], "iterations": [9], "residual": [0.1],
    ...             "step": [1e-7], "n_atoms": [3], "evaluations": [14], "quality": [0.9],
    ...             "face": [0], "log_likelihood": [8.1], "difs": [0.5], "dffs": [1.2],
    ...             "user": ["ann"]})
    ...         recording.finish({"counts": {"converged": 1}})
    ...     transforms = read_transforms(recording.folder)
    >>> transforms["status"].tolist(), transforms["iterations"].tolist()
    (['converged'], [9])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        load_pyarrow()
        refuse_url(folder, "a run of registered faces")
        self.folder = Path(folder)
        self._store = LocalStore(self.folder)
        refuse_other_contents(self.folder, resumable=False)
        with contextlib.ExitStack() as opened:
            opened.enter_context(lock(self._store))
            # Another process may have been quicker.
            refuse_other_contents(self.folder, resumable=False)
            with output_errors(self.folder):
                (self.folder / PARTS).mkdir()
            self._open = opened.pop_all()

    def __enter__(self) -> FaceRecording:
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
        self._store.write(part_name(index), as_part(columns, FACE_COLUMNS))

    def write_model(self, save: Callable[[Path], object]) -> None:
        """Write ``model.npz``; OutputError if that fails.

        Parameters
        ----------
        save : callable (path)
            Of a face model.
        """
        save(self.folder / MODEL)

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
        folder = self.folder / FACES
        with output_errors(folder):
            folder.mkdir(exist_ok=True)
        _write_png(folder / f"{name}.png", picture)

    def write_contact_sheet(self, picture: npt.NDArray[np.uint8]) -> None:
        """Write ``contact_sheet.png``; OutputError if that fails."""
        _write_png(self.folder / CONTACT_SHEET, picture)

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
            write_csv(self._store, FACE_COLUMNS)
        write_summary(self._store, summary)


def _write_png(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    image = import_optional("PIL.Image", "writing pictures").fromarray(picture)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")
