"""Which frames of a recording follow one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def least_step(frame: IntArray, stream: IntArray) -> int:
    """Frame numbers from one frame to the next of a recording; 1 where there are no two.

    The least that any is ahead of the one before: numbers that are left out, or come twice, do not
    count.

    Parameters
    ----------
    frame, stream : ndarray of int, shape (n,)
        Frame numbers, and which recording each is from.

    Returns
    -------
    int

    Examples
    --------
    >>> least_step(np.array([0, 5, 5, 15, 25]), np.zeros(5, int))
    5
    """
    steps = np.diff(frame)
    ahead = steps[(np.diff(stream) == 0) & (steps > 0)]
    return int(ahead.min()) if len(ahead) else 1


def follows(frame: IntArray, stream: IntArray) -> npt.NDArray[np.bool_]:
    """Which frames, but for the first, come directly after the one before in one recording.

    Parameters
    ----------
    frame, stream
        As in :func:`least_step`.

    Returns
    -------
    ndarray of bool, shape (n - 1,)

    Examples
    --------
    >>> follows(np.array([0, 5, 5, 10, 20]), np.zeros(5, int)).tolist()
    [True, False, True, False]
    """
    same = np.diff(stream) == 0
    return np.asarray(same & (np.diff(frame) == least_step(frame, stream)))
