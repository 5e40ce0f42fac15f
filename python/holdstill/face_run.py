"""A whole run of registrations: every face of a source, into a folder like `align`'s."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import check_shape
from holdstill.face_recording import FaceRecording
from holdstill.initial import Initial
from holdstill.memory import peak_memory
from holdstill.pictures import ContactSheet, canonical_picture
from holdstill.reference.registration import SEARCHES
from holdstill.registration.learning import EVERYBODY
from holdstill.registration.model import FaceModel
from holdstill.registration.registering import Registration, identify, register
from holdstill.registration.starts import face_starts
from holdstill.run import refuse_nothing
from holdstill.run_layout import MODEL
from holdstill.sources import Frame, FrameSource
from holdstill.sources.paths import kind_of
from holdstill.threads import run_in_order, thread_count


@dataclass(frozen=True, slots=True)
class RegisteredFace:
    """One row of a run: a face of a frame, or why there is none.

    Attributes
    ----------
    frame : Frame
    face : int
        Its number in the frame, from 0.
    found : Registration or None
        None where there was nothing to begin with.
    status : str
        One of `holdstill.alignment.STATUSES`.
    """

    frame: Frame
    face: int
    found: Registration | None
    status: str

    @property
    def frame_from_canonical(self) -> FloatArray | None:
        """The transform, where it is there and finite."""
        if self.found is None or not np.isfinite(self.found.frame_from_canonical).all():
            return None
        return self.found.frame_from_canonical


def register_to_folder(
    frames: FrameSource,
    model: FaceModel,
    folder: str | os.PathLike[str],
    initial: Initial = None,
    *,
    search: str = "gradient",
    user: str | None = None,
    face: str = "largest",
    minimum_size: float | None = None,
    threads: int | None = None,
    pictures: bool = True,
    picture_shape: tuple[int, int] | None = None,
    csv: bool = False,
    progress: Callable[[int, int], None] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Register the faces of every frame and write the run's folder.

    The folder gets ``model.npz``, ``transforms.parquet`` (as :func:`holdstill.run.align_to_folder`
    writes it, with `holdstill.parts.FACE_COLUMNS`), the faces that converged as images in
    ``faces``, ``contact_sheet.png`` and, last, ``run.json``. The rows do not depend on the number
    of threads.

    Parameters
    ----------
    frames : FrameSource
        Of :func:`holdstill.open`; no frame depends on another.
    model : FaceModel
    folder : str or path
        New, or empty.
    initial : None, path, array_like (n, 3, 3), mapping or callable
        Where each search starts. None: a face detector. Several rows about a frame are several
        faces of it; a column ``face`` numbers them.
    search : {"gradient", "simplex"}
        As in :func:`holdstill.register`.
    user : str, optional
        Whose template to register to; ``all``: whoever of those enrolled is likeliest.
    face : {"largest", "center", "left", "right", "all"}
        Which faces, where the detector finds several.
    minimum_size : float, optional
        Smallest face looked for; see :class:`holdstill.faces.FaceDetector`.
    threads : int, optional
        As many as there are processors by default.
    pictures : bool
        Write ``faces`` and ``contact_sheet.png``.
    picture_shape : (int, int), optional
        Height and width of the images in ``faces``; those of the canonical frame by default.
    csv : bool
        Write ``transforms.csv`` beside.
    progress : callable (done, total), optional
        Called after every frame.
    facts : mapping, optional
        Further entries for ``run.json``.

    Returns
    -------
    dict
        The contents of ``run.json``.

    Raises
    ------
    ValueError
        If an option is out of range, or the user is not enrolled.
    FileExistsError
        If the folder holds something already.
    holdstill.outputs.OutputError
        If something cannot be written.
    holdstill.run.NothingAlignedError
        If not one face converged or came to a transform; everything has been written.
    """
    registered = _registration_by(model, search, user)
    starts = face_starts(frames, model.shape, initial, face=face, minimum_size=minimum_size)
    workers = thread_count(threads)
    sheet = ContactSheet(model.shape, len(frames)) if pictures else None
    shape = model.shape if picture_shape is None else _checked_picture_shape(picture_shape)
    started = time.perf_counter()

    with FaceRecording(folder) as recording:
        recording.write_model(model.save)

        def work(job: tuple[int, Frame], stopped: Callable[[], bool]) -> list[RegisteredFace]:
            row, frame = job
            faces = list(_faces_of(frame, row, starts, registered, stopped))
            if pictures:
                _write_faces(recording, row, faces, model.shape, shape)
            return faces

        rows = _Rows(recording)
        with closing(run_in_order(work, enumerate(frames), workers)) as results:
            for done, faces in enumerate(results):
                rows.add(faces)
                if sheet is not None and sheet.wants(done):
                    _show(faces, sheet)
                if progress is not None:
                    progress(done + 1, len(frames))
        rows.write()
        drawn = None if sheet is None else sheet.draw()
        if drawn is not None:
            recording.write_contact_sheet(drawn)
        seconds = time.perf_counter() - started
        saved = (recording.folder / MODEL).read_bytes()
        summary = {
            **(facts or {}),
            "options": {
                "threads": workers,
                "search": search,
                "user": user,
                "face": face,
                "minimum_size": minimum_size,
            },
            "model": {"sha256": hashlib.sha256(saved).hexdigest(), "summary": repr(model)},
            "frames": len(frames),
            **rows.counts(),
            "detections": starts.detections,
            "seconds": {"register": seconds},
            "frames_per_second": len(frames) / seconds if seconds > 0 else None,
            "peak_memory_mb": peak_memory(),
        }
        recording.finish(summary, csv=csv)
    refuse_nothing(summary, f"{summary['frames']} frames showed a face that could be registered")
    return summary


PART_ROWS = 1000
"""Rows of a part, unless it is the last."""


class _Rows:
    """The rows of a run on their way into its parts, and what they count."""

    def __init__(self, recording: FaceRecording) -> None:
        self._statuses: Counter[str] = Counter()
        self._recording, self._good = recording, 0
        self._waiting: list[dict[str, Any]] = []
        self._part = self._evaluations = 0

    def add(self, faces: list[RegisteredFace]) -> None:
        for face in faces:
            self._statuses[face.status] += 1
            self._evaluations += 0 if face.found is None else face.found.evaluations
            self._good += face.found is not None and face.found.good
            self._waiting.append(_row(face))
        if len(self._waiting) >= PART_ROWS:
            self.write()

    def write(self) -> None:
        """Write what waits as a part."""
        if self._waiting:
            columns = {name: [row[name] for row in self._waiting] for name in self._waiting[0]}
            self._recording.write_part(self._part, columns)
            self._part, self._waiting = self._part + 1, []

    def counts(self) -> dict[str, Any]:
        total = sum(self._statuses.values())
        solved = total - self._statuses["not_found"] - self._statuses["unreadable"]
        return {
            "faces": solved,
            "status": dict(sorted(self._statuses.items())),
            "good": self._good,
            "mean_evaluations": self._evaluations / solved if solved else None,
        }


def _checked_picture_shape(shape: tuple[int, int]) -> tuple[int, int]:
    try:
        return check_shape(shape)
    except ValueError as error:
        raise ValueError(f"picture_{error}") from None


Registrar = Callable[[npt.NDArray[Any], FloatArray], Registration]


def _registration_by(model: FaceModel, search: str, user: str | None) -> Registrar:
    """What registers one face; wrong options are refused here, before anything is written."""
    if search not in SEARCHES:
        raise ValueError(f"search: expected one of {', '.join(SEARCHES)}, got {search!r}")
    if user == EVERYBODY:
        if search != "gradient":
            raise ValueError(f"search: everybody is searched by gradient only, got {search!r}")
        if not model.users:
            raise ValueError("user: nobody is enrolled in this model")
        model.user_index(model.users[0])
        return lambda grey, start: _likeliest(grey, model, start)
    if user is not None:
        model.user_index(user)
    return lambda grey, start: register(grey, model, start, search=search, user=user)


def _likeliest(grey: npt.NDArray[Any], model: FaceModel, start: FloatArray) -> Registration:
    """The registration to the likeliest user, brought to rest on its own."""
    among = identify(grey, model, start)
    if among.best is None:
        return register(grey, model, start)
    best = among.users.index(among.best)
    found = register(grey, model, among.frame_from_canonical[best], user=among.best, levels=1)
    return replace(found, evaluations=among.evaluations + found.evaluations)


def _faces_of(
    frame: Frame, row: int, starts: Any, registered: Registrar, stopped: Callable[[], bool]
) -> Iterator[RegisteredFace]:
    if not frame.readable:
        yield RegisteredFace(frame, 0, None, "unreadable")
        return
    grey = frame.grey()
    if grey.dtype.kind == "f" and not np.isfinite(grey).all():
        yield RegisteredFace(frame, 0, None, "unreadable")
        return
    proposals = starts(frame, row)
    if not proposals:
        yield RegisteredFace(frame, 0, None, "not_found")
    for number, start in enumerate(proposals):
        if stopped():
            return
        try:
            found = registered(grey, start)
        except ValueError as error:
            raise ValueError(f"frame {frame.frame} of {frame.source}: {error}") from None
        yield RegisteredFace(frame, number, found, found.status)


def _write_faces(
    recording: FaceRecording,
    row: int,
    faces: list[RegisteredFace],
    canonical: tuple[int, int],
    shape: tuple[int, int],
) -> None:
    for face in faces:
        if face.status == "converged":
            at = _resized(face.frame_from_canonical, canonical, shape)
            recording.write_face(_name(row, face), canonical_picture(face.frame, at, shape))


def _resized(
    frame_from_canonical: FloatArray | None,
    canonical: tuple[int, int],
    shape: tuple[int, int],
) -> FloatArray | None:
    """The transform for a canonical frame of another size."""
    if frame_from_canonical is None:
        return None
    scales = canonical[1] / shape[1], canonical[0] / shape[0]
    return np.asarray(frame_from_canonical @ np.diag([*scales, 1.0]))


def _name(row: int, face: RegisteredFace) -> str:
    # What no file name may hold, or no file system is long enough for, is left out.
    stem = re.sub(r"[^\w.-]+", "_", Path(face.frame.source).stem)[:100]
    number = f"_{face.face}" if face.face else ""
    return f"{row:06d}_{stem}{number}"


def _show(faces: list[RegisteredFace], sheet: ContactSheet) -> None:
    for face in faces:
        good = face.found is not None and face.found.good
        sheet.add(face.frame, face.frame_from_canonical, _caption(face), good)


def _caption(face: RegisteredFace) -> list[str]:
    name = Path(face.frame.source).stem
    if kind_of(face.frame.source) != "image":
        name += f" {face.frame.frame}"
    lines = [name, face.status]
    if face.found is not None and np.isfinite(face.found.quality):
        lines[-1] += f", {face.found.quality:.2f}"
    if face.found is not None and face.found.user is not None:
        lines.append(face.found.user)
    return lines


def _row(face: RegisteredFace) -> dict[str, Any]:
    frame, found, nan = face.frame, face.found, float("nan")
    row = {"source": frame.source, "frame": frame.frame, "time": frame.time, "face": face.face,
           "status": face.status, "quality": nan}  # fmt: skip
    nowhere = np.full((3, 3), np.nan)
    if found is None:
        return {**row, "frame_from_canonical": nowhere, "iterations": 0, "residual": nan,
                "step": nan, "n_atoms": 0, "evaluations": 0, "log_likelihood": nan, "difs": nan,
                "dffs": nan, "user": None}  # fmt: skip
    at = face.frame_from_canonical
    return {
        **row,
        "frame_from_canonical": nowhere if at is None else at,
        "iterations": found.iterations,
        "residual": found.residual,
        "quality": found.quality,
        "step": found.step,
        "n_atoms": len(found.coefficients) if np.isfinite(found.difs) else 0,
        "evaluations": found.evaluations,
        "log_likelihood": found.log_likelihood,
        "difs": found.difs,
        "dffs": found.dffs,
        "user": found.user,
    }
