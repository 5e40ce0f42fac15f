"""What can be given a movement: a photograph, an aligned sequence, the frames of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from holdstill._typing import FloatArray
from holdstill.animation.head_warp import Rgb
from holdstill.initial import Initial, make_initial
from holdstill.learning.fitting import NothingToAlignError
from holdstill.motion import compose, decompose
from holdstill.pictures import as_rgb8
from holdstill.recording import is_run
from holdstill.run_folder import Run, read_run
from holdstill.run_frames import RunFrames
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source
from holdstill.streaming import frame_rate

SAME_PROPORTIONS = 0.05
"""Logarithm of the ratio of two pictures' proportions up to which they are the same."""

log = logging.getLogger("holdstill")


@dataclass(frozen=True)
class Subject:
    """Pictures, and where the head is in each.

    Attributes
    ----------
    frames : FrameSource
    frame_from_canonical : ndarray, shape (n, 3, 3), float64
        For each frame.
    rest : ndarray, shape (3, 3), float64
        Where the head is in the middle of a movement.
    fps : float or None
        Frames per second; None of a still.
    """

    frames: FrameSource
    frame_from_canonical: FloatArray
    rest: FloatArray
    fps: float | None

    @property
    def still(self) -> bool:
        """Whether it is one picture."""
        return len(self.frames) == 1

    def pictures(self) -> Iterator[Rgb]:
        """The frames as 8-bit RGB; an unreadable one is the one before."""
        before: Rgb | None = None
        for frame in self.frames:
            if frame.image is not None:
                before = as_rgb8(frame.image)
            if before is None:
                raise ValueError(f"{frame.source}: its first frame is unreadable: {frame.error}")
            yield before


def open_subject(
    given: str | os.PathLike[str], initial: Initial | Run, shape: tuple[int, int]
) -> Subject:
    """Open a still image, an aligned video or the folder of a run.

    Parameters
    ----------
    given : str or path
        One picture, whose face is found by a detector. Several (a video, a folder of images), seen
        in the canonical frame. Or a run's folder: its sources, with the run's transforms.
    initial : None, path, array_like, mapping, callable, or Run
        Where the heads are in pictures that are not aligned; see
        :func:`holdstill.initial.make_initial`. Of a run, or its folder, `given` is another stream
        of the frames, in any resolution.
    shape : (int, int)
        Height and width of the canonical frame of the transforms wanted.

    Raises
    ------
    holdstill.NothingToAlignError
        If no face is found.
    """
    if is_run(given):
        return _of_run(read_run(given), shape)
    frames = open_source(given)
    try:
        first = next((frame.image for frame in frames if frame.image is not None), None)
        if first is None:
            raise ValueError(f"{os.fspath(given)}: no frame is readable: {frames[0].error}")
        size = (first.shape[0], first.shape[1])
        if isinstance(initial, (str, os.PathLike)) and is_run(initial):
            initial = read_run(initial)
        if isinstance(initial, Run):
            found = _by_run(frames, size, initial, shape)
        elif len(frames) == 1 or initial is not None:
            found = _found(frames, initial, shape)
        else:
            _warn_of_other_proportions(frames.streams[0].name, size, shape)
            found = np.tile(_rescaled(size, shape), (len(frames), 1, 1))
    except BaseException:
        frames.close()
        raise
    rate = None if len(frames) == 1 else frame_rate(frames)
    return Subject(frames, found, _middle(found, shape), rate)


def _of_run(run: Run, shape: tuple[int, int]) -> Subject:
    good = np.where(run.good[:, None, None], run.frame_from_canonical, np.nan)
    found = _without_gaps(good @ _rescaled(run.shape, shape), shape)
    frames = run.open_frames()
    try:
        RunFrames(frames, run)  # refuses several faces of a frame
    except ValueError:
        frames.close()
        raise
    return Subject(frames, found, _middle(found, shape), frame_rate(frames))


def _found(frames: FrameSource, initial: Initial, shape: tuple[int, int]) -> FloatArray:
    streams = frames.n_readable
    track = make_initial(initial, shape, n_rows=len(frames), n_streams=streams).for_track()
    found = np.full((len(frames), 3, 3), np.nan)
    for row, frame in enumerate(frames):
        transform = track.propose(frame, row) if frame.readable else None
        if transform is not None:
            found[row] = transform
    if np.isnan(found).all():
        name = frames.streams[0].name
        raise NothingToAlignError(f"{name}: no face was found; say where it is by --initial")
    return _without_gaps(found, shape)


def _by_run(
    frames: FrameSource, size: tuple[int, int], run: Run, shape: tuple[int, int]
) -> FloatArray:
    """Where a run found the head in its frames, of which these, of a size, are another stream."""
    found = np.full((len(run), 3, 3), np.nan)
    with closing(RunFrames(frames, run)) as rows:
        for row in np.flatnonzero(run.good).tolist():
            found[row] = rows.transform(row, size)
    return _without_gaps(found @ _rescaled(run.shape, shape), shape)


def _warn_of_other_proportions(name: str, size: tuple[int, int], shape: tuple[int, int]) -> None:
    """Whole recordings are rarely as wide as a canonical frame for their height."""
    if abs(np.log((size[1] / size[0]) / (shape[1] / shape[0]))) > SAME_PROPORTIONS:
        log.warning(
            "%s: pictures of %dx%d are taken for aligned ones, of %dx%d though the movement is; if "
            "they are not aligned, align them and give the run by --initial",
            name, *size, *shape,
        )  # fmt: skip


def _rescaled(of: tuple[int, int], shape: tuple[int, int]) -> FloatArray:
    """From a canonical frame to one of another shape; the eye corners stay eye corners."""
    return np.diag([of[1] / shape[1], of[0] / shape[0], 1.0])


def _without_gaps(found: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Transforms for all frames: those between two are in between, those outside the nearest."""
    values = decompose(found, shape=shape)
    present = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not len(present):
        raise NothingToAlignError("no frame of the sequence has a good transform")
    values[present, 2] = np.unwrap(values[present, 2])
    rows = np.arange(len(values))
    return compose(
        np.stack([np.interp(rows, present, column[present]) for column in values.T], axis=1),
        shape=shape,
    )


def _middle(found: FloatArray, shape: tuple[int, int]) -> FloatArray:
    values = decompose(found, shape=shape)
    values[:, 2] = np.unwrap(values[:, 2])
    return compose(values.mean(axis=0), shape=shape)
