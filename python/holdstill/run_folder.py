"""Reading the folder of a run back: its rows, facts, dictionary, frames and pictures."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.alignment import is_good
from holdstill.canonical import roi_name
from holdstill.dictionary import Dictionary
from holdstill.initial import make_initial
from holdstill.initial_rows import ANGLES
from holdstill.recording import is_run
from holdstill.registration.model import FaceModel
from holdstill.run_layout import DICTIONARY, MANIFEST, MODEL, PARTS, SUMMARY, VIDEO
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source
from holdstill.sources.paths import is_url
from holdstill.sources.versions import version_of
from holdstill.stores import copy_of, open_store
from holdstill.transforms import read_transforms, starts_at_faces

INITIAL_TRANSFORMS, FIXED_CROP = "the initial transforms", "a fixed crop"
"""What frames may be shown by as they were before alignment, for a caption."""


class NotARunError(FileNotFoundError):
    """A folder that does not hold a run."""


@dataclass(frozen=True, repr=False, eq=False)
class Run:
    """A run that `align` or `register` wrote.

    Attributes
    ----------
    folder : pathlib.Path
        Of a run behind a URL, a copy of its rows, facts and dictionary for as long as this object
        lives.
    rows : mapping of str to ndarray of length n
        What :func:`~holdstill.transforms.read_transforms` returns: one entry for every frame.
    facts : mapping
        The contents of ``run.json``; empty where the run was interrupted.
    url : str or None
        Of a run behind one.
    """

    folder: Path
    rows: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any]
    url: str | None = None

    def __len__(self) -> int:
        return len(self.rows["frame"])

    def __repr__(self) -> str:
        state = "" if self.complete else ", interrupted"
        return f"Run({self.address}: {len(self)} rows, {int(self.good.sum())} good{state})"

    def _repr_html_(self) -> str:
        from holdstill.notebook import run_html  # only notebooks need it

        return run_html(self)

    @property
    def address(self) -> str:
        """The folder or URL, for messages."""
        return self.url or str(self.folder)

    @property
    def complete(self) -> bool:
        """Whether the run came to its end; an interrupted one holds the parts written so far."""
        return bool(self.facts)

    @property
    def frame_from_canonical(self) -> FloatArray:
        """Transforms, (n, 3, 3); NaN where a frame has none."""
        return self.rows["frame_from_canonical"]

    @property
    def status(self) -> npt.NDArray[np.object_]:
        """Status of every frame, (n,)."""
        return self.rows["status"]

    @property
    def source(self) -> npt.NDArray[np.object_]:
        """Source of every frame, (n,)."""
        return self.rows["source"]

    @property
    def stream(self) -> npt.NDArray[np.int64]:
        """Number of the stream that every row is from, (n,).

        Frame numbers rise within a stream; the images of a folder are one, whatever their names.
        """
        frame, face = self.rows["frame"], self._face
        rises = (np.diff(frame) > 0) | ((np.diff(frame) == 0) & (np.diff(face) > 0))
        # A source that could not be opened has the frame number -1.
        return np.concatenate([[0], np.cumsum(~rises | (frame[:-1] < 0))])

    @property
    def position(self) -> npt.NDArray[np.int64]:
        """Position of every row's frame among those of :meth:`open_frames`, (n,).

        That is the row itself, unless the run registered several faces of a frame.
        """
        stream, frame = self.stream, self.rows["frame"]
        return np.concatenate([[0], np.cumsum((np.diff(stream) > 0) | (np.diff(frame) > 0))])

    @property
    def _face(self) -> npt.NDArray[np.int64]:
        return self.rows.get("face", np.zeros(len(self), dtype=np.int64))

    @property
    def independent(self) -> bool:
        """Whether the pictures are unrelated: photographs, or faces registered one by one."""
        options = self.facts.get("options") or {}
        return self.registered or bool(options.get("independent", False))

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Frames that converged with a quality of at least 0.5, (n,).

        Where a run does not know the quality, what converged counts.
        """
        unknown = np.full(len(self), np.nan)
        return is_good(self.status, self.rows.get("quality", unknown))

    @property
    def angles(self) -> dict[str, FloatArray]:
        """Of yaw, pitch and roll those that any row has, in degrees, (n,); NaN where it has none.

        The initial transforms brought them: those of `holdstill.headpose` do.
        """
        columns = {name: self.rows[name] for name in ANGLES if name in self.rows}
        return {
            name: np.asarray(column, dtype=np.float64)
            for name, column in columns.items()
            if column.dtype.kind in "fiu" and np.isfinite(column).any()
        }

    @cached_property
    def of_face(self) -> bool:
        """Whether the run tells that its pictures are of a face.

        It does where faces were registered, where its region of interest is one that a face has by
        name, or where its frames started from a face detector, a head pose, eye corners, boxes or
        landmarks.
        """
        if self.registered or self.angles or self.facts.get("detections"):
            return True
        if roi_name(self.dictionary().weights) not in (None, "full"):
            return True
        named = self.facts.get("initial")
        try:
            return isinstance(named, str) and starts_at_faces(self._found(named))
        except (FileNotFoundError, ValueError, ImportError):
            return False  # what has gone tells nothing

    @property
    def registered(self) -> bool:
        """Whether the run registered faces to a face model, rather than to a dictionary."""
        return (self.folder / MODEL).is_file()

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Height and width of the canonical frame; read from the folder once.

        Raises
        ------
        FileNotFoundError
            If the run has lost its dictionary or model.
        """
        if self.registered:
            return FaceModel.load(self.folder / MODEL).shape
        return self.dictionary().shape

    @property
    def video(self) -> Path | None:
        """``aligned.mp4``, one picture for every row; None where the run was made without."""
        path = self.folder / VIDEO
        return path if path.is_file() else None

    def dictionary(self) -> Dictionary:
        """Load the dictionary of the run.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        path = self.folder / DICTIONARY
        if not path.is_file():
            raise FileNotFoundError(f"{self.address}: the run has no {DICTIONARY}")
        return Dictionary.load(path)

    def files(self) -> Iterator[str]:
        """Paths of what the run was made of, and of its own video: not to be written over."""
        yield from sorted(set(map(str, self.source)))
        yield os.path.join(self.address, VIDEO)

    def open_frames(self) -> FrameSource:
        """Open the run's sources again; row k of the run is frame ``position[k]``.

        Relative paths are tried from the working directory, then from the run's folder and its
        parent.

        Raises
        ------
        FileNotFoundError, SourceError
            If a source has gone.
        ValueError
            If the run does not say what its sources were, or they hold other frames now, or are
            other files.
        """
        given = self.facts.get("sources")
        if not given:
            raise ValueError(f"{self.address}: the run does not say what its sources were")
        paths = [given] if isinstance(given, str) else list(given)
        selection = self.facts.get("selection") or {}
        self._refuse_replaced()
        frames = open_source([self._found(path) for path in paths], **selection)
        numbers = np.array([number for stream in frames.numbers for number in stream])
        position = self.position
        first = np.flatnonzero(np.diff(position, prepend=-1))
        if not np.array_equal(numbers, self.rows["frame"][first]):
            frames.close()
            now = f"{len(numbers)} frames now, the run {len(first)}"
            if len(numbers) == len(first):
                now = "frames of other numbers now than the run"
            raise ValueError(f"{self.address}: its sources hold {now}")
        return frames

    def _refuse_replaced(self) -> None:
        """A file of another size shows something else; a copy differs in its time alone."""
        manifest = self.folder / MANIFEST
        try:
            inputs = json.loads(manifest.read_bytes())["inputs"] if manifest.is_file() else []
        except (ValueError, KeyError, TypeError):
            return  # damaged: nothing is known
        for name, then in inputs:
            path = self._found(name)
            now = None if is_url(path) else version_of(path)
            if then and now and _size(then) != _size(now):
                raise ValueError(
                    f"{path}: not the file that was aligned, of {_size(then)} then and "
                    f"{_size(now)} now"
                )

    def before(self, initial: str | os.PathLike[str] | None = None) -> tuple[FloatArray, str]:
        """Transforms to show and measure the frames by as they were before alignment.

        The initial transforms where a file of them was given to the run; else one fixed crop for
        each stream, which shows the recording itself: the good transform nearest to their median.
        Unrelated photographs without initial transforms have nothing to show.

        Parameters
        ----------
        initial : path, optional
            File of initial transforms, in place of the one that the run names.

        Returns
        -------
        frame_from_canonical : ndarray, shape (n, 3, 3)
            NaN where there is none.
        what : str
            What they are, for a caption: `INITIAL_TRANSFORMS`, `FIXED_CROP`, or why there are none.

        Raises
        ------
        FileNotFoundError, ValueError
            If `initial` is given and cannot be read.
        """
        named = initial if initial is not None else self.facts.get("initial")
        if isinstance(named, (str, os.PathLike)):
            try:
                return self._initial(self._found(os.fspath(named))), INITIAL_TRANSFORMS
            except (FileNotFoundError, ValueError):  # another file, where it is the run's
                if initial is not None:
                    raise
        if self.independent:
            return np.full((len(self), 3, 3), np.nan), "nothing: the pictures are unrelated"
        return _fixed_crops(self.stream, self.frame_from_canonical, self.good), FIXED_CROP

    def _initial(self, path: str) -> FloatArray:
        streams = len(np.unique(self.stream[self.rows["frame"] >= 0]))
        given = make_initial(path, self.shape, n_streams=streams).for_track()
        found = np.full((len(self), 3, 3), np.nan)
        for row, (source, number) in enumerate(zip(self.source, self.rows["frame"], strict=True)):
            transform = given.propose(_Row(source, int(number)), row)
            if transform is not None:
                found[row] = transform
        if np.isnan(found).all():
            raise ValueError(
                f"{path}: none of its rows is about a frame of this run; expected frame numbers, "
                "and sources if there are several, as the run has them"
            )
        return found

    def _found(self, path: str) -> str:
        if "://" in path or os.path.isabs(path) or os.path.exists(path):
            return path
        candidates = (self.folder / path, self.folder.parent / path)
        return next((str(place) for place in candidates if place.exists()), path)


def _size(version: str) -> str:
    """The size of a version of a file: "1024 bytes"."""
    return version.partition(",")[0]


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read the folder of a run that `align` or `register` wrote, complete or interrupted.

    Parameters
    ----------
    folder : str or path
        Or an fsspec URL; the aligned video stays there.

    Returns
    -------
    Run

    Raises
    ------
    NotARunError
        A FileNotFoundError: the folder does not exist or holds no run.
    ValueError
        If its files are damaged, or hold no row.

    Examples
    --------
    >>> read_run("no-such-run")
    Traceback (most recent call last):
    ...
    holdstill.run_folder.NotARunError: no-such-run: not the folder of a run (no transforms in it)
    """
    name = os.fspath(folder)
    if not is_url(name):
        return _read(Path(name))
    place = Path(tempfile.mkdtemp(prefix="holdstill-"))
    try:
        run = _read(_copied(name, place), name)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    weakref.finalize(run, shutil.rmtree, place, ignore_errors=True)
    return run


def _copied(url: str, place: Path) -> Path:
    """A copy of what is read of a run behind a URL."""
    if not is_run(url):
        raise NotARunError(f"{url}: not the folder of a run (no transforms in it)")
    store = open_store(url)
    there = {SUMMARY, DICTIONARY, MODEL, PARTS} & set(store.names())
    for name in there:
        copy_of(f"{url.rstrip('/')}/{name}", place)
    return place


def _read(path: Path, url: str | None = None) -> Run:
    address = url or path
    if not is_run(path):
        raise NotARunError(f"{address}: not the folder of a run (no transforms in it)")
    rows = read_transforms(path)
    missing = {"source", "status", "iterations"} - set(rows)
    if missing:
        names = ", ".join(sorted(missing))
        raise ValueError(f"{address}: expected the columns of a run; {names} missing")
    if not len(rows["frame"]):
        raise ValueError(f"{address}: the run holds no frame")
    facts: dict[str, Any] = {}
    try:
        text = (path / SUMMARY).read_text(encoding="utf-8")
    except FileNotFoundError:
        text = "{}"
    try:
        facts = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{address}/{SUMMARY}: not readable as JSON ({error})") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{address}/{SUMMARY}: expected an object")
    return Run(path, rows, facts, url)


class _Row(NamedTuple):
    """What initial transforms of a file depend on."""

    source: str
    frame: int

    def grey(self) -> npt.NDArray[Any]:
        raise TypeError("transforms of a file do not depend on pixels")


def _fixed_crops(
    streams: npt.NDArray[np.int64], transforms: FloatArray, good: npt.NDArray[np.bool_]
) -> FloatArray:
    crops = np.full_like(transforms, np.nan)
    finite = np.isfinite(transforms).all(axis=(1, 2))
    for stream in np.unique(streams):
        of_stream = streams == stream
        usable = of_stream & finite & good
        if not usable.any():
            usable = of_stream & finite
        if usable.any():
            candidates = transforms[usable]
            away = np.abs(candidates - np.median(candidates, axis=0)).sum(axis=(1, 2))
            crops[of_stream] = candidates[away.argmin()]
    return crops
