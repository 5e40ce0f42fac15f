"""A run's folder: parts of transforms, the aligned video, the dictionary, run.json.

Everything appears under its final name only when it is complete: it is written beside it under a
hidden name, flushed to the disk and renamed. ``run.json`` comes last.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

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
}
"""Columns of transforms.parquet and their types."""

_OWN_FILES = ("run.json", "aligned.mp4", "dictionary.npz", "transforms.csv")
_PARTS = "transforms.parquet"
_SEGMENTS = ".segments"
_INSTALL = 'pip install "holdstill[cli]"'

_ENCODERS: dict[str, dict[str, str]] = {
    # Without B-frames every packet is one picture, in order: joining segments is counting.
    "libx264": {"preset": "veryfast", "crf": "16", "bf": "0"},
    "mpeg4": {"qscale": "2", "flags": "+qscale"},
}
"""Encoders of the aligned video in order of preference, with their options."""

_BT601, _LIMITED_RANGE = 6, 1
"""What the conversion from RGB to yuv420p does, in FFmpeg's numbers, so that players undo it."""


class OutputError(OSError):
    """An output could not be written: a full disk, a folder without permission."""


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
    ...             "step": [1e-7], "n_atoms": [3], "evaluations": [14]})
    ...         recording.finish({"counts": {"converged": 1}})
    ...     transforms = read_transforms(recording.folder)
    >>> transforms["status"].tolist(), transforms["iterations"].tolist()
    (['converged'], [9])
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, fps: float = 25.0, overwrite: bool = False
    ) -> None:
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps: expected a number of frames per second > 0, got {fps!r}")
        _pyarrow()
        self.folder = Path(folder)
        self.fps = fps
        self._segments: dict[int, Segment] = {}
        with _output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        _refuse_other_contents(self.folder, overwrite)
        with _output_errors(self.folder):
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
            # A folder without parts would pass for a run, and be refused the next time.
            with contextlib.suppress(OSError):
                self._parts.rmdir()

    def write_part(self, index: int, columns: Mapping[str, Any]) -> None:
        """Write the rows of a group of tracks: ``transforms.parquet/part-<index>.parquet``.

        Parameters
        ----------
        index : int
            Number of the part; parts are in the order of their numbers.
        columns : mapping of str to sequence of length n
            The columns of `COLUMNS`, with ``frame_from_canonical`` (n, 3, 3) in the place of
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
        table = _table(columns)
        with _replacing(self._parts / f"part-{index:05d}.parquet") as temporary:
            pq.write_table(
                table, temporary, version="2.6", compression="snappy", row_group_size=1 << 20
            )

    def write_dictionary(self, save: Callable[[Path], object]) -> None:
        """Write ``dictionary.npz`` by calling ``save(path)``.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        # np.savez appends .npz to any other name.
        with _replacing(self.folder / "dictionary.npz", suffix=".tmp.npz") as temporary:
            save(temporary)

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
        _av()
        with _output_errors(self.folder):
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
            with _replacing(self.folder / "aligned.mp4") as temporary:
                _concatenate(segments, temporary)
        self._drop_segments()
        if csv:
            self._write_csv()
        text = json.dumps(_finite_json(summary), indent=2, allow_nan=False) + "\n"
        with _replacing(self.folder / "run.json") as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _write_csv(self) -> None:
        pa, pq = _pyarrow()
        import pyarrow.csv

        options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="none")
        with (
            _replacing(self.folder / "transforms.csv") as temporary,
            pyarrow.csv.CSVWriter(temporary, _schema(pa), write_options=options) as writer,
        ):
            for part in sorted(self._parts.glob("part-*.parquet")):
                writer.write_table(pq.read_table(part))

    def _drop_segments(self) -> None:
        for segment in self._segments.values():
            segment.abandon()
        self._segments.clear()
        shutil.rmtree(self.folder / _SEGMENTS, ignore_errors=True)


class Segment:
    """A stretch of the aligned video: H.264 (MPEG-4 where that encoder is missing), yuv420p.

    Stretches are encoded apart, so that tracks may run in parallel, and joined at the end.

    Parameters
    ----------
    path : path
        The file to write.
    fps : float
        Frames per second.

    Attributes
    ----------
    n_pictures : int
        Pictures written so far.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.rate = Fraction(fps).limit_denominator(1001)
        self.n_pictures = 0
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def write(self, rgb: npt.NDArray[np.uint8]) -> None:
        """Append a picture.

        Parameters
        ----------
        rgb : ndarray, shape (h, w, 3), uint8
            All pictures of a video have one size. An odd side is made even, as yuv420p needs, by
            repeating the last row or column.

        Raises
        ------
        ValueError
            If `rgb` is no such picture, or of another size than the first.
        OutputError
            If it cannot be written.
        """
        picture = np.asarray(rgb)
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise ValueError(
                f"rgb: expected uint8 of shape (h, w, 3), got {picture.dtype} {picture.shape}"
            )
        height, width = picture.shape[:2]
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._container is not None and picture.shape != self._shape:
            raise ValueError(f"rgb: expected the size of the first picture, got {height}x{width}")
        with _output_errors(self.path):
            if self._container is None:
                self._open(picture.shape)
            frame = _av().VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = self.n_pictures, 1 / self.rate
            self._container.mux(self._stream.encode(frame))
        self.n_pictures += 1

    def close(self) -> None:
        """Finish the file; a second call does nothing.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if self._container is None:
            return
        with _output_errors(self.path):
            self._container.mux(self._stream.encode(None))
            self._container.close()
        self._container = self._stream = None

    def abandon(self) -> None:
        """Let go of the file without finishing it."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            with contextlib.suppress(Exception):
                container.close()

    def _open(self, shape: tuple[int, ...]) -> None:
        av = _av()
        self._shape = shape
        self._container = av.open(str(self.path), "w", format="mp4")
        encoder = next(name for name in _ENCODERS if name in av.codecs_available)
        stream = self._container.add_stream(
            encoder, rate=self.rate, options=dict(_ENCODERS[encoder])
        )
        stream.height, stream.width = shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / self.rate
        stream.codec_context.colorspace = _BT601
        stream.codec_context.color_range = _LIMITED_RANGE
        # Several segments are encoded at a time; and one thread gives the same bytes every time.
        stream.codec_context.thread_count = 1
        self._stream = stream


def _concatenate(segments: Sequence[Segment], path: Path) -> None:
    """Join closed segments without encoding again; picture i is shown at i/fps."""
    av = _av()
    rate = segments[0].rate
    position = 0
    with av.open(str(path), "w", format="mp4") as joined:
        stream: Any = None
        for segment in segments:
            with av.open(str(segment.path)) as part:
                if stream is None:
                    stream = joined.add_stream_from_template(part.streams.video[0])
                    stream.time_base = 1 / rate
                for packet in part.demux(part.streams.video[0]):
                    if packet.size == 0:
                        continue
                    packet.stream = stream
                    packet.time_base = 1 / rate
                    packet.pts = packet.dts = position
                    packet.duration = 1
                    joined.mux(packet)
                    position += 1


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


def _refuse_other_contents(folder: Path, overwrite: bool) -> None:
    if is_run(folder):
        if not overwrite:
            raise FileExistsError(f"{folder} already holds a run; choose another folder (--out)")
    elif any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty and holds no run; choose another folder (--out)"
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier run left, and nothing else."""
    for name in (_PARTS, _SEGMENTS):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    for name in _OWN_FILES:
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def _replacing(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, which then becomes `path` at once."""
    temporary = path.with_name(f".{path.name}{suffix}")
    try:
        with _output_errors(path):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(f"writing transforms.parquet needs pyarrow: {_INSTALL}") from None
    return pyarrow, pyarrow.parquet


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise ImportError(f"writing the aligned video needs PyAV: {_INSTALL}") from None
    return av


def _schema(pa: Any) -> Any:
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])


def _table(columns: Mapping[str, Any]) -> Any:
    pa, _ = _pyarrow()
    expected = {*COLUMNS, "frame_from_canonical"} - set(MATRIX_COLUMNS)
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
        [_column(pa, cells[name], kind) for name, kind in COLUMNS.items()], schema=_schema(pa)
    )


def _column(pa: Any, cells: Any, kind: str) -> Any:
    if kind == "string":
        return pa.array([str(cell) for cell in cells], type=pa.string())
    if kind == "float64":
        values: npt.NDArray[np.float64] = np.asarray(cells, dtype=np.float64)
        return pa.array(values, mask=~np.isfinite(values))
    return pa.array(np.asarray(cells, dtype=kind))


def _finite_json(value: Any) -> Any:
    """Turn NumPy values and paths into plain ones, and numbers that are not finite into None."""
    if isinstance(value, Mapping):
        return {str(key): _finite_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _finite_json(value.tolist())
    if isinstance(value, (list, tuple, set)):
        return [_finite_json(item) for item in value]
    if isinstance(value, np.generic):
        return _finite_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
