"""Where lips come from: for every frame of a run, a frame of the same or another run."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.alignment import GOOD, align_frame
from holdstill.archive import read_array
from holdstill.canonical import eye_corners
from holdstill.reference.motion import map_points
from holdstill.run_folder import Run, read_run
from holdstill.run_frames import RunFrames, canonical_from_resized
from holdstill.talking.pose import usable_rows
from holdstill.talking.selection import choose_mouths
from holdstill.talking.space import MouthSpace
from holdstill.transforms import from_eye_corners

IntArray = npt.NDArray[np.int64]

LipsLike: TypeAlias = "str | os.PathLike[str] | range | tuple[Run, range] | npt.NDArray[Any]"

LOOKED_AT = 25
"""Frames of another run that are aligned with this run's dictionary, to compare both."""

log = logging.getLogger("holdstill")


@dataclass(frozen=True)
class Lips:
    """Lips for every frame of a run.

    Attributes
    ----------
    frames : RunFrames
        Where they come from.
    rows : ndarray, shape (n,), int64
        Which row there, for each row of the run.
    lips_from_canonical : ndarray, shape (3, 3), float64
        From the run's canonical frame to that of the lips.
    """

    frames: RunFrames
    rows: IntArray
    lips_from_canonical: FloatArray


def find_lips(lips: LipsLike, rows: RunFrames) -> Lips:
    """Lips for every frame; what may be given is said at `holdstill.replace_mouth`.

    Raises
    ------
    ValueError
        If they are not to be had.
    OSError
        If another run or a file of targets cannot be read.
    """
    if isinstance(lips, (str, os.PathLike)):
        lips = _parse(os.fspath(lips))
    if isinstance(lips, np.ndarray):
        choose = _given if lips.ndim == 1 else _selected
        return Lips(rows, choose(lips, rows), np.eye(3))
    if isinstance(lips, range):
        return Lips(rows, _in_turn(lips, rows, len(rows)), np.eye(3))
    if not (isinstance(lips, tuple) and len(lips) == 2 and isinstance(lips[1], range)):
        raise TypeError(
            "lips: expected A:B, DIR@A:B, a range, (run, range), rows (n,), or targets (n, k) as "
            f"an array or .npy file, got {type(lips).__name__}"
        )
    other = lips[0] if isinstance(lips[0], Run) else read_run(lips[0])
    theirs = RunFrames(other.open_frames(), other)
    chosen = _in_turn(lips[1], theirs, len(rows))
    return Lips(theirs, chosen, _between(rows.run, theirs))


def _parse(text: str) -> Any:
    match = re.fullmatch(r"(?:(.+)@)?(\d+):(\d+)", text)
    if match:
        numbers = range(int(match[2]), int(match[3]))
        return numbers if match[1] is None else (read_run(match[1]), numbers)
    if not Path(text).is_file():
        raise ValueError(
            "lips: expected frames A:B, those of another run DIR@A:B, or an .npy file, "
            f"got {text!r}"
        )
    try:
        return read_array(text)
    except ValueError:
        raise ValueError(f"lips: {text}: expected an .npy file of numbers (n, k)") from None


def _in_turn(numbers: range, rows: RunFrames, n: int) -> IntArray:
    """Rows of n lips: frames of these numbers in turn, again and again."""
    of_row = rows.run.rows["frame"]
    if rows.run.stream.any():  # several streams number their frames alike
        of_row = np.arange(len(of_row))
    row_of = {int(number): row for row, number in enumerate(of_row)}
    wanted = [row_of[number] for number in numbers if number in row_of]
    if not numbers or numbers[0] < of_row.min() or numbers[-1] > of_row.max() or not wanted:
        raise ValueError(
            f"lips: expected frames from {of_row.min()} to before {of_row.max() + 1}, "
            f"got {numbers.start}:{numbers.stop}"
        )
    what = f"the frames {numbers.start}:{numbers.stop}"
    return _usable(np.array(wanted), rows, what)[np.arange(n) % len(wanted)]


def _given(chosen: npt.NDArray[Any], rows: RunFrames) -> IntArray:
    n = len(rows)
    if chosen.dtype.kind not in "iu" or len(chosen) != n or chosen.min() < 0 or chosen.max() >= n:
        raise ValueError(
            f"lips: expected a row from 0 to {n - 1} for each of {n} frames, got {chosen.dtype} "
            f"{chosen.shape} from {chosen.min(initial=0)} to {chosen.max(initial=0)}"
        )
    return _usable(chosen.astype(np.int64), rows, "these rows")


def _usable(wanted: IntArray, rows: RunFrames, what: str) -> IntArray:
    """In the place of lips that cannot be used, the nearest of these that can."""
    usable = np.unique(wanted[usable_rows(rows)[wanted]])
    if not len(usable):
        raise ValueError(f"lips: none of {what} is good and shows the mouth")
    return np.asarray(usable[np.abs(wanted[:, None] - usable).argmin(axis=1)])


def _selected(targets: npt.NDArray[Any], rows: RunFrames) -> IntArray:
    if targets.ndim != 2 or targets.dtype.kind not in "fiu" or targets.shape[0] != len(rows):
        raise ValueError(
            f"lips: expected targets of shape ({len(rows)}, k), a point of the mouth space for "
            f"each frame, got {targets.dtype} {targets.shape}"
        )
    space = MouthSpace.fit(rows, rows.run, components=targets.shape[1])
    return choose_mouths(targets, space.scores)


def _between(run: Run, theirs: RunFrames) -> FloatArray:
    """lips_from_canonical between the canonical frames of two runs.

    Two dictionaries of one person put the face at slightly different places. Some frames of the
    other run are aligned with this run's dictionary, which also tells whether it knows the person.
    """
    guess = canonical_from_resized(theirs.shape, run.shape)
    if run.registered:
        return guess
    dictionary = run.dictionary()
    if not theirs.run.registered and theirs.run.dictionary().digest == dictionary.digest:
        return guess
    usable = np.flatnonzero(usable_rows(theirs))
    some = usable[np.linspace(0, len(usable) - 1, min(LOOKED_AT, len(usable))).astype(int)]
    found, qualities = [], []
    for row in some.tolist():
        frame = theirs.frames[row]
        if not frame.readable:
            continue
        theirs_from = theirs.run.frame_from_canonical[row]
        # By the eyes alone, since the motion model of this run may be a simpler one.
        left, right = map_points(theirs_from @ guess, eye_corners(run.shape))
        aligned = align_frame(frame.grey(), dictionary, from_eye_corners(left, right, run.shape))
        qualities.append(0.0 if np.isnan(aligned.quality) else aligned.quality)
        if aligned.good and aligned.frame_from_canonical is not None:
            found.append(np.linalg.inv(theirs_from) @ aligned.frame_from_canonical)
    if not found or np.median(qualities) < GOOD:
        log.warning(
            "lips: %s may show another person: this run's dictionary explains it with a quality of "
            "%.2f only",
            theirs.run.address,
            np.median(qualities) if qualities else 0.0,
        )
        return guess
    mean = np.mean([matrix / matrix[2, 2] for matrix in found], axis=0)
    return np.asarray(mean)
