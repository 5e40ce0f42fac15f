"""The movement that was recorded: unbroken stretches of good frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.evaluate.consecutive import follows, least_step
from holdstill.run_folder import Run

PAUSE = 10.0
"""Typical steps in time from one frame to the next that are a pause of the recording."""


def stretches_of(recorded: Run | npt.ArrayLike | Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """Transforms of consecutive good frames, a stretch for each gap more.

    Parameters
    ----------
    recorded : Run, array_like (n, 3, 3), or sequence of them
        Of a run the good frames count, and a stretch ends with its stream or where a frame number
        is left out. In arrays NaN is a gap, and each array begins a stretch.

    Returns
    -------
    list of ndarray, shape (n_i, 3, 3), float64
        In order; none is empty.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is not one transform.
    """
    arrays = _of_run(recorded) if isinstance(recorded, Run) else _of_arrays(recorded)
    stretches = []
    for transforms in arrays:
        present = np.isfinite(transforms).all(axis=(1, 2))
        changes = np.flatnonzero(np.diff(np.r_[False, present, False]))
        stretches += [transforms[a:b] for a, b in zip(changes[::2], changes[1::2], strict=True)]
    if not stretches:
        raise ValueError("recorded: expected at least one good frame, got none")
    return stretches


def frame_rate_of(recorded: Run) -> float | None:
    """Frames per second by the timestamps of a run; None where they do not tell.

    Frames over seconds of all that was recorded: of a rate that varies its mean. Frame numbers tell
    how many frames there were where rows or times are missing; what took `PAUSE` times as long as
    is typical was no movement. So it is exact to the rounding of the first and the last time.

    Parameters
    ----------
    recorded : Run
        Of every k-th frame the rate is that of its rows.

    Returns
    -------
    float or None

    Examples
    --------
    >>> from pathlib import Path
    >>> rows = {"frame": np.array([0, 1, 2, 6]), "time": np.array([0.0, 0.033, 0.067, 0.2])}
    >>> round(frame_rate_of(Run(Path("run"), rows, {})), 3)
    30.0
    """
    if "time" not in recorded.rows:
        return None
    number, stream = np.asarray(recorded.rows["frame"], dtype=np.int64), recorded.stream
    time = np.asarray(recorded.rows["time"], dtype=np.float64)
    known = np.isfinite(time)
    frames, seconds = np.diff(number[known]), np.diff(time[known])
    # Times that are rounded more coarsely than frames follow one another stand still at times.
    onward = (np.diff(stream[known]) == 0) & (frames > 0) & (seconds >= 0)
    frames, seconds = frames[onward], seconds[onward]
    if not seconds.any():
        return None
    pace = seconds / frames
    moving = pace < PAUSE * np.median(pace[pace > 0])
    rate = frames[moving].sum() / seconds[moving].sum() / least_step(number, stream)
    return float(rate)


def _of_run(run: Run) -> list[FloatArray]:
    if run.independent:
        raise ValueError("recorded: expected the frames of a movement, got unrelated photographs")
    transforms = np.where(run.good[:, None, None], run.frame_from_canonical, np.nan)
    numbers = np.asarray(run.rows["frame"], dtype=np.int64)
    return np.split(transforms, np.flatnonzero(~follows(numbers, run.stream)) + 1)


def _of_arrays(recorded: npt.ArrayLike | Sequence[npt.ArrayLike]) -> list[FloatArray]:
    several = isinstance(recorded, (list, tuple)) and all(np.ndim(a) == 3 for a in recorded)
    given = recorded if several else [recorded]
    arrays = [np.asarray(array, dtype=np.float64) for array in given]  # type: ignore[union-attr]
    for array in arrays:
        if array.ndim != 3 or array.shape[1:] != (3, 3):
            raise ValueError(f"recorded: expected transforms (n, 3, 3), got shape {array.shape}")
    return arrays
