"""Writing a picture or a sequence that moves by a model of head movement."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
import scipy

from holdstill._typing import FloatArray
from holdstill.animation.head_warp import HeadWarp, Rgb, displacement
from holdstill.animation.subjects import Subject, open_subject
from holdstill.checks import integer, positive
from holdstill.initial import Initial
from holdstill.motion import MotionModel, compose, decompose
from holdstill.motion.recorded import frame_rate_of
from holdstill.optional import import_optional
from holdstill.outputs import refuse_input
from holdstill.picture_files import check_pictures_path, write_pictures
from holdstill.recording import is_run
from holdstill.run_folder import Run, read_run

DEFAULT_FPS = 25.0
"""Of recordings without timestamps."""

STILL_SECONDS = 10.0
"""Length of the movement of a still picture where none is given."""

LONGEST, FASTEST, SIDES = 86_400.0, 240.0, (16, 8192)
"""Seconds, frames per second and sides of a picture that are sensible."""

log = logging.getLogger("holdstill")


def animate(
    subject: str | os.PathLike[str],
    motion: MotionModel | Run | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    seed: int = 0,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    initial: Initial | Run = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Give a still image or an aligned talking sequence a natural head movement.

    The head moves about where it is; its surroundings follow less and less, and the borders of the
    picture stay. The video has no sound: frame k of a sequence stays frame k, so that its own sound
    fits.

    Parameters
    ----------
    subject : str or path
        A picture; a video seen in the canonical frame, such as a run's ``aligned.mp4``; or a run's
        folder, whose frames are shown whole, their own head movement replaced.
    motion : MotionModel, Run, or path
        Of a model (``.npz``), or of a run that one is fitted to.
    out : str or path
        MP4 file, replaced if it exists; or a folder or ``.zarr`` array, as `holdstill.apply` has
        them.
    seconds : float, optional
        Length; ten seconds for a still by default, all frames of a sequence.
    seed : int
        Equal seeds give equal movements.
    fps : float, optional
        Frames per second of `out`; a sequence's own, and the motion's for a still, by default.
    size : (int, int), optional
        Height and width of `out`: the pictures are scaled to fill it, what sticks out is cut off.
    initial : None, path, array_like, mapping, callable, or Run
        Where the head is in pictures that are not aligned; a still's face is detected otherwise.
        A run, or its folder: `subject` is another stream of its frames, of any size, for instance
        with other lips.
    progress : callable (done, total), optional

    Returns
    -------
    dict
        ``out``, ``frames``, ``fps``, ``size``, ``motion`` (text), ``largest_displacement`` (px).

    Raises
    ------
    ValueError, FileNotFoundError
        If something is not what it should be.
    holdstill.NothingToAlignError
        If a still's face is not found.
    holdstill.outputs.OutputError, FileExistsError
        If it cannot be written.
    ImportError
        If OpenCV, PyAV or statsmodels is missing.
    """
    _check(seconds, fps, size)
    check_pictures_path(out)
    import_optional("cv2", "moving pictures")
    model = _model_of(motion)
    found = open_subject(subject, initial, model.shape)
    with found.frames:
        refuse_input(out, [stream.name for stream in found.frames.streams])
        for given in (subject, motion, initial):
            if isinstance(given, (str, os.PathLike)) and is_run(given):
                given = read_run(given)
            if isinstance(given, Run):
                refuse_input(out, given.files())
        rate = fps or found.fps or model.fps
        n = _length(found, seconds, rate)
        movement = _movement(model, n, rate, seed)
        return {
            "out": os.fspath(out),
            "frames": n,
            "fps": rate,
            "motion": repr(model),
            **_write(found, movement, model.shape, out, rate, size, progress),
        }


def _check(seconds: float | None, fps: float | None, size: tuple[int, int] | None) -> None:
    for name, value, most in (("seconds", seconds, LONGEST), ("fps", fps, FASTEST)):
        if value is not None and positive(name, value) > most:
            raise ValueError(f"{name}: expected at most {most:g}, got {value!r}")
    if fps is not None and fps < 1.0:
        raise ValueError(f"fps: expected at least 1, got {fps!r}")
    if size is not None:
        for side in size:
            integer("size", side, *SIDES)


def _model_of(motion: MotionModel | Run | str | os.PathLike[str]) -> MotionModel:
    if isinstance(motion, MotionModel):
        return motion
    if isinstance(motion, Run) or is_run(motion):
        run = motion if isinstance(motion, Run) else read_run(motion)
        rate = frame_rate_of(run)
        if rate is None:
            log.info("the run has no timestamps: %g frames/s are assumed", DEFAULT_FPS)
        return MotionModel.fit(run, rate or DEFAULT_FPS)
    return MotionModel.load(motion)


def _length(subject: Subject, seconds: float | None, fps: float) -> int:
    if subject.still:
        return max(1, round((STILL_SECONDS if seconds is None else seconds) * fps))
    available = len(subject.frames)
    return available if seconds is None else max(1, min(available, round(seconds * fps)))


def _movement(model: MotionModel, n: int, fps: float, seed: int) -> FloatArray:
    """Canonical motion from the rest position, (n, 3, 3), beginning there."""
    rest = compose(model.mean, shape=model.shape)
    count = max(2, int(np.ceil((n - 1) * model.fps / fps)) + 1)
    drawn = decompose(
        model.sample(count, seed=seed, start=rest), shape=model.shape, motion=model.motion
    )
    drawn[:, 2] = np.unwrap(drawn[:, 2])
    # Between two frames this goes beyond neither, hence never beyond the observed range.
    between = scipy.interpolate.PchipInterpolator(np.arange(count) / model.fps, drawn)
    return np.asarray(np.linalg.inv(rest) @ compose(between(np.arange(n) / fps), shape=model.shape))


def _write(
    subject: Subject,
    movement: FloatArray,
    shape: tuple[int, int],
    out: str | os.PathLike[str],
    fps: float,
    size: tuple[int, int] | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    n = len(movement)
    pictures = subject.pictures()
    first = next(pictures)
    canvas = _Canvas.of(first.shape[:2], size)
    canvas.tell_what_is_cut_off()
    rows = np.zeros(n, dtype=int) if subject.still else np.arange(n)
    sources = canvas.from_picture @ subject.frame_from_canonical[rows]
    targets = canvas.from_picture @ subject.rest @ movement
    warp = HeadWarp(canvas.scaled, shape)

    def moved() -> Iterator[Rgb]:
        shown = repeat(first, n) if subject.still else islice(chain([first], pictures), n)
        for done, (picture, source, target) in enumerate(zip(shown, sources, targets, strict=True)):
            yield canvas.cut(warp(canvas.scale(picture), source, target))
            if progress is not None:
                progress(done + 1, n)

    write_pictures(moved(), out, n, fps)
    return {
        "size": list(canvas.size),
        "largest_displacement": displacement(sources, targets, shape),
    }


@dataclass(frozen=True)
class _Canvas:
    """Pictures scaled until they fill the size shown; their middle is cut out at the end."""

    picture: tuple[int, int]
    scaled: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def of(cls, picture: tuple[int, ...], size: tuple[int, int] | None) -> _Canvas:
        height, width = picture
        shown = (height, width) if size is None else size
        scale = max(shown[0] / height, shown[1] / width)
        scaled = max(shown[0], round(scale * height)), max(shown[1], round(scale * width))
        return cls((height, width), scaled, shown)

    @property
    def from_picture(self) -> FloatArray:
        """Pixel q of the picture is (q + 1/2) s - 1/2 of the scaled one."""
        y, x = (s / p for s, p in zip(self.scaled, self.picture, strict=True))
        return np.array([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2], [0.0, 0.0, 1.0]])

    def tell_what_is_cut_off(self) -> None:
        """A pixel is the rounding of another height or width."""
        for name, all_of_it, shown in zip(("height", "width"), self.scaled, self.size, strict=True):
            if all_of_it > shown + 1:
                log.info(
                    "size: pictures of %dx%d fill %dx%d, which cuts off %.0f %% of their %s",
                    *self.picture, *self.size, 100.0 * (1.0 - shown / all_of_it), name,
                )  # fmt: skip

    def scale(self, picture: Rgb) -> Rgb:
        import cv2

        if picture.shape[:2] != self.picture:
            raise ValueError(
                f"expected pictures of one size, got {picture.shape[:2]} after {self.picture}"
            )
        if self.scaled == self.picture:
            return picture
        how = cv2.INTER_AREA if self.scaled[0] < self.picture[0] else cv2.INTER_CUBIC
        scaled = cv2.resize(picture, self.scaled[::-1], interpolation=how)
        return np.asarray(scaled, dtype=np.uint8)

    def cut(self, picture: Rgb) -> Rgb:
        top, left = ((a - b) // 2 for a, b in zip(self.scaled, self.size, strict=True))
        return picture[top : top + self.size[0], left : left + self.size[1]]
