"""A run's folder: parts of transforms, the aligned video, the dictionary, run.json.

Everything appears under its final name only when it is complete: it is written beside it under a
hidden name, flushed to the disk and renamed. ``run.json`` comes last.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.outputs import OutputError, as_json, output_errors, replacing
from holdstill.segments import Segment, concatenate, load_av
from holdstill.sources.errors import import_optional
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

_OWN_FILES = (
    "run.json", "aligned.mp4", "dictionary.npz", "model.npz", "contact_sheet.png", "transforms.csv",
    "evaluation.json", "evaluation.parquet", "report.html",
)  # fmt: skip
_PARTS = "transforms.parquet"
_SEGMENTS = ".segments"
_FACES = "faces"


class Recording:
    """The folder of a run while it is written.

    A context manager: left by an exception (Ctrl-C included) it removes what is unfinished and
    keeps the parts written so far, which stay readable. It is complete once :meth:`finish` has
    returned.

    Parameters
    ----------
    folder : str or path
        The run's folder; created with its parents where it does not exist.
    fps : float
        Frames per second of the aligned video.
    columns : mapping
        Columns of the transforms and their types.
    overwrite : bool
        Replace the run that the folder holds. A folder of other things is refused all the same.

    Raises
    ------
    FileExistsError
        If the folder holds a run (without `overwrite`) or other files.
    OutputError
        If it cannot be created or written to.
    ImportError
        If pyarrow is missing.

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
        fps: float = 25.0,
        columns: Mapping[str, str] = COLUMNS,
        overwrite: bool = False,
    ) -> None:
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps: expected a number of frames per second > 0, got {fps!r}")
        _pyarrow()
        self.folder = Path(folder)
        self.fps = fps
        self.columns = columns
        self._segments: dict[int, Segment] = {}
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        refuse_other_contents(self.folder, overwrite)
        with output_errors(self.folder):
            _clear(self.folder)
            self._parts.mkdir()

    @property
    def _parts(self) -> Path:
        return self.folder / _PARTS

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drop_segments()
        if kind is not None:
            # Without a part there is nothing to keep, and what is left would bar the next run.
            with contextlib.suppress(OSError):
                self._parts.rmdir()
                _clear(self.folder)

    def write_part(self, index: int, columns: Mapping[str, Any]) -> None:
        """Write the rows of a group of tracks: ``transforms.parquet/part-<index>.parquet``.

        Parameters
        ----------
        index : int
            Number of the part; parts are in the order of their numbers.
        columns : mapping of str to sequence of length n
            The run's columns, with ``frame_from_canonical`` (n, 3, 3) in the place of
            ``h00``, ..., ``h22``. Numbers that are not finite become nulls. Equal rows give equal
            bytes.

        Raises
        ------
        ValueError
            If columns are missing, unknown or of different lengths.
        OutputError
            If the part cannot be written.
        """
        _, pq = _pyarrow()
        table = _table(columns, self.columns)
        with replacing(self._parts / f"part-{index:05d}.parquet") as temporary:
            pq.write_table(
                table, temporary, version="2.6", compression="snappy", row_group_size=1 << 20
            )

    def write_dictionary(
        self, save: Callable[[Path], object], name: str = "dictionary.npz"
    ) -> None:
        """Write ``dictionary.npz``, or ``model.npz``.

        Parameters
        ----------
        save : callable (path)
            :meth:`holdstill.Dictionary.save`, or that of a face model: the file appears at once.
        name : str

        Raises
        ------
        OutputError
            If it cannot be written.
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
        folder = self.folder / _FACES
        with output_errors(folder):
            folder.mkdir(exist_ok=True)
        _write_png(folder / f"{name}.png", picture)

    def write_contact_sheet(self, picture: npt.NDArray[np.uint8]) -> None:
        """Write ``contact_sheet.png``.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        _write_png(self.folder / "contact_sheet.png", picture)

    def open_segment(self, index: int) -> Segment:
        """Open a stretch of the aligned video; stretches are joined in the order of their numbers.

        Several may be open at a time, in different threads.

        Parameters
        ----------
        index : int
            Number of the stretch.

        Returns
        -------
        Segment
            Takes pictures by ``write(rgb)``, (h, w, 3) uint8, and ends with ``close()``.

        Raises
        ------
        OutputError
            If it cannot be written.
        ImportError
            If PyAV is missing.
        """
        load_av()
        with output_errors(self.folder):
            (self.folder / _SEGMENTS).mkdir(exist_ok=True)
        segment = Segment(self.folder / _SEGMENTS / f"{index:05d}.mp4", self.fps)
        self._segments[index] = segment
        return segment

    def finish(self, summary: Mapping[str, Any], *, csv: bool = False) -> None:
        """Complete the run: join the video, write ``transforms.csv`` if asked, then ``run.json``.

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
        segments = [self._segments[index] for index in sorted(self._segments)]
        segments = [segment for segment in segments if segment.n_pictures]
        for segment in segments:
            segment.close()
        if segments:
            with replacing(self.folder / "aligned.mp4") as temporary:
                concatenate(segments, temporary)
        self._drop_segments()
        if csv:
            self._write_csv()
        text = as_json(summary) + "\n"
        with replacing(self.folder / "run.json") as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _write_csv(self) -> None:
        pa, pq = _pyarrow()
        import pyarrow.csv

        schema = _schema(pa, self.columns)
        options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="none")
        with (
            replacing(self.folder / "transforms.csv") as temporary,
            pyarrow.csv.CSVWriter(temporary, schema, write_options=options) as writer,
        ):
            for part in sorted(self._parts.glob("part-*.parquet")):
                writer.write_table(pq.read_table(part))

    def _drop_segments(self) -> None:
        for segment in self._segments.values():
            segment.abandon()
        self._segments.clear()
        shutil.rmtree(self.folder / _SEGMENTS, ignore_errors=True)


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds a run, complete or not."""
    return any((Path(folder) / name).exists() for name in ("run.json", _PARTS))


def peak_memory() -> float | None:
    """Return the peak resident memory of this process in MB (10^6 bytes), None where unknown."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        # ru_maxrss would include the parent's peak at the time it started this process.
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
        import sys
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def refuse_other_contents(folder: Path, overwrite: bool = False) -> None:
    """Raise FileExistsError unless the folder is new, empty or, with `overwrite`, a run's.

    Raises
    ------
    FileExistsError
    OutputError
        If it stands where a file is.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"cannot write {folder}: it is a file; choose another folder (--out)")
    if is_run(folder):
        if not overwrite:
            raise FileExistsError(f"{folder} already holds a run; choose another folder (--out)")
    elif any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty and holds no run; choose another folder (--out)"
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier run left, and nothing else."""
    for name in (_PARTS, _SEGMENTS, _FACES):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    for name in _OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            'writing transforms.parquet needs pyarrow: pip install "holdstill[cli]"'
        ) from None
    return pyarrow, pyarrow.parquet


def _write_png(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    image = import_optional("PIL.Image", "writing pictures").fromarray(picture)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def _schema(pa: Any, kinds: Mapping[str, str]) -> Any:
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in kinds.items()])


def _table(columns: Mapping[str, Any], kinds: Mapping[str, str]) -> Any:
    pa, _ = _pyarrow()
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
        [_column(pa, cells[name], kind) for name, kind in kinds.items()], schema=_schema(pa, kinds)
    )


def _column(pa: Any, cells: Any, kind: str) -> Any:
    if kind == "string":
        texts = [None if cell is None else str(cell) for cell in cells]
        return pa.array(texts, type=pa.string())
    if kind == "float64":
        values: npt.NDArray[np.float64] = np.asarray(cells, dtype=np.float64)
        return pa.array(values, mask=~np.isfinite(values))
    return pa.array(np.asarray(cells, dtype=kind))
