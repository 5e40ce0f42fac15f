"""Training a face model from a source: its images, where the faces are on them, whose they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.evaluate import read_points
from holdstill.initial import Initial
from holdstill.registration.model import FaceModel
from holdstill.registration.registering import Registration, register
from holdstill.registration.starts import face_starts
from holdstill.sources import Frame, FrameSource
from holdstill.tables import file_name, read_csv

FOLDERS = "folders"
"""In place of a file of users: each image's folder has the name of its user."""

log = logging.getLogger("holdstill")


@dataclass
class TrainingImages:
    """What :meth:`holdstill.FaceModel.fit` takes, and what was left out on the way to it.

    Attributes
    ----------
    images : list of ndarray (H, W)
        Grey.
    frame_from_canonical : list of ndarray (3, 3)
        Empty where the images come with points, or are registered already.
    points : list of ndarray (k, 2)
    users : list of str
        Empty where nobody said whose faces they are.
    left_out : list of (str, int, str)
        Source, frame, and why.
    """

    images: list[npt.NDArray[Any]] = field(default_factory=list)
    frame_from_canonical: list[FloatArray] = field(default_factory=list)
    points: list[FloatArray] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    left_out: list[tuple[str, int, str]] = field(default_factory=list)

    def fit(self, **options: Any) -> FaceModel:
        """Fit a model; the options are those of :meth:`holdstill.FaceModel.fit`."""
        try:
            return FaceModel.fit(
                self.images,
                np.stack(self.frame_from_canonical) if self.frame_from_canonical else None,
                points=np.stack(self.points) if self.points else None,
                users=self.users or None,
                **options,
            )
        except ValueError as error:
            if not self.left_out:
                raise
            raise ValueError(
                f"{error} (left out, and not counted: {len(self.left_out)} images)"
            ) from None


def read_training(
    frames: FrameSource,
    *,
    points: str | os.PathLike[str] | None = None,
    landmarks: Sequence[int] | None = None,
    initial: Initial = None,
    users: str | os.PathLike[str] | None = None,
    shape: tuple[int, int],
) -> TrainingImages:
    """Read the images of a source and what is known about them.

    An image that is unreadable, constant, or of which nothing is known is left out, and said.

    Parameters
    ----------
    frames : FrameSource
    points : path, optional
        File of points; see :func:`holdstill.evaluate.read_points`.
    landmarks : sequence of int, optional
        Which of the points to register by, the outer eye corners first, image left and right.
    initial : optional
        Transforms; see :func:`holdstill.initial.make_initial`. Without them and without points the
        images are canonical pictures already.
    users : path or ``"folders"``, optional
        CSV with the column ``user`` and ``frame``, ``source`` or both.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    TrainingImages

    Raises
    ------
    ValueError
        If a file does not fit to the images.
    FileNotFoundError
        If there is no such file.
    """
    marked = None if points is None else _points(points, landmarks, frames)
    starts = None if initial is None else face_starts(frames, shape, initial)
    user_of = None if users is None else _users(users)
    found = TrainingImages()
    for row, frame in enumerate(frames):
        user = None if user_of is None else user_of(frame)
        transforms = starts(frame, row) if starts is not None and frame.readable else []
        reason = _why_not(frame, row, marked)
        if reason is None and starts is not None and len(transforms) != 1:
            reason = "no transform" if not transforms else "several faces"
        if reason is None and user_of is not None and user is None:
            reason = "no user"
        if reason is not None:
            found.left_out.append((frame.source, frame.frame, reason))
            log.warning("left out: frame %d of %s: %s", frame.frame, frame.source, reason)
            continue
        found.images.append(frame.grey())
        found.frame_from_canonical += transforms
        found.points += [] if marked is None else [marked[row]]
        found.users += [] if user is None else [user]
    return found


def enrol_from(
    model: FaceModel,
    user: str,
    frames: FrameSource,
    initial: Initial = None,
    *,
    minimum_size: float | None = None,
) -> tuple[FaceModel, list[Registration]]:
    """Register the images of a user to the mean face, and enrol what they show.

    Parameters
    ----------
    model : FaceModel
    user : str
    frames : FrameSource
        One image is enough; of several, the template is the mean.
    initial : optional
        Where each search starts; a face detector by default.
    minimum_size : float, optional
        Smallest face the detector looks for.

    Returns
    -------
    FaceModel, list of Registration

    Raises
    ------
    ValueError
        If a face could not be registered, or the model does not know how images of one user differ.
    """
    starts = face_starts(frames, model.shape, initial, minimum_size=minimum_size)
    images, found = [], []
    for row, frame in enumerate(frames):
        where = f"frame {frame.frame} of {frame.source}"
        if not frame.readable:
            raise ValueError(f"image: {where} is unreadable: {frame.error}")
        proposals = starts(frame, row)
        if not proposals:
            raise ValueError(f"image: no face found on {where}; say where it is by --initial")
        end = register(frame.grey(), model, proposals[0])
        if not end.converged:
            raise ValueError(f"image: {where} could not be registered: {end.status}")
        images.append(frame.grey())
        found.append(end)
    return model.enrol(user, images, np.stack([end.frame_from_canonical for end in found])), found


def _why_not(frame: Frame, row: int, points: FloatArray | None) -> str | None:
    """Why an image cannot be learnt from."""
    if not frame.readable:
        return f"unreadable ({frame.error})"
    grey = frame.grey()
    if not np.isfinite(grey).all():
        return "pixels that are not finite"
    if not np.ptp(grey) > 0:
        return "constant"
    if points is not None and not np.isfinite(points[row]).all():
        return "no points"
    return None


def _points(
    path: str | os.PathLike[str], landmarks: Sequence[int] | None, frames: FrameSource
) -> FloatArray:
    numbers = np.concatenate([np.asarray(numbers) for numbers in frames.numbers])
    points = read_points(path, numbers)
    if landmarks is None:
        return points
    chosen = [int(index) for index in landmarks]
    if not len(chosen) == len(set(chosen)) >= 2 or not set(chosen) <= set(range(points.shape[1])):
        raise ValueError(
            "landmarks: expected at least two different indices of points from 0 to "
            f"{points.shape[1] - 1}, got {chosen}"
        )
    return np.asarray(points[:, chosen])


def _users(path: str | os.PathLike[str]) -> Callable[[Frame], str | None]:
    """Whose face a frame shows, as a function of the frame; None where that is unknown."""
    if os.fspath(path) == FOLDERS:
        return lambda frame: Path(frame.source).absolute().parent.name
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file of users")
    expected = "expected a CSV with the column user and frame, source or both"
    columns = read_csv(file, expected)
    keys = [name for name in ("source", "frame") if name in columns]
    if "user" not in columns or not keys:
        raise ValueError(f"{file}: found the columns {','.join(columns)}; {expected}")

    def key_of(cells: Mapping[str, str | None]) -> tuple[str, ...]:
        return tuple(file_name(cells[name] or "") for name in keys)

    table: dict[tuple[str, ...], str] = {}
    for row in zip(*columns.values(), strict=True):
        cells = dict(zip(columns, row, strict=True))
        key, user = key_of(cells), cells["user"]
        if user is not None and table.setdefault(key, user) != user:
            raise ValueError(f"{file}: two users of {' '.join(key)}")
    return lambda frame: table.get(key_of({"source": frame.source, "frame": str(frame.frame)}))
