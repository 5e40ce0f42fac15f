"""How much the picture trembles from frame to frame: second differences over time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.evaluate.consecutive import follows, least_step
from holdstill.evaluate.points import invertible, map_to_canonical
from holdstill.reference.motion import map_points


@dataclass(frozen=True)
class Jitter:
    """Root mean square of second differences over time.

    Attributes
    ----------
    of : str
        ``points`` seen in the canonical frame, which hold still where the alignment is perfect; or
        the canonical frame's ``corners`` seen in the frame, which follow the head: then this is how
        smooth the estimated motion is, the head's own acceleration included.
    rms : float
        Canonical pixels. NaN where no three consecutive frames have transforms.
    rms_in_frame : float or None
        Frame pixels; of corners only.
    n : int
        Frames with both neighbours.
    step : int
        Frame numbers from one frame to the next; figures of different steps do not compare.
    """

    of: str
    rms: float
    rms_in_frame: float | None
    n: int
    step: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain numbers."""
        return asdict(self)


class JitterOfFrames(NamedTuple):
    """The jitter of every frame, and of all.

    Attributes
    ----------
    per_frame : ndarray, shape (n,), float64
        Root mean square over the points, canonical pixels; NaN without both neighbours.
    overall : Jitter
    """

    per_frame: FloatArray
    overall: Jitter


def second_differences(
    positions: npt.ArrayLike, frame: npt.ArrayLike, stream: npt.ArrayLike | None = None
) -> FloatArray:
    """p(t - 1) - 2 p(t) + p(t + 1) of points over consecutive frames of one stream.

    White noise of standard deviation s in each coordinate has second differences of √6 s in each;
    a constant velocity has none.

    Parameters
    ----------
    positions : array_like, shape (n, k, 2)
    frame : array_like of int, shape (n,)
        Frame numbers; frames are consecutive where they differ by the least step there is.
    stream : array_like of int, shape (n,), optional
        Which recording a frame is from; all from one by default.

    Returns
    -------
    ndarray, shape (n, k, 2), float64
        NaN where a frame lacks a neighbour, or a point is unknown in one of the three.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> second_differences([[[0.0, 0.0]], [[1.0, 0.0]], [[4.0, 0.0]]], [7, 8, 9])[1].tolist()
    [[2.0, 0.0]]
    """
    path = np.asarray(positions, dtype=np.float64)
    if path.ndim != 3 or path.shape[2] != 2:
        raise ValueError(f"positions: expected shape (n, k, 2), got {path.shape}")
    numbers = _of_length("frame", frame, len(path))
    streams = np.zeros_like(numbers) if stream is None else _of_length("stream", stream, len(path))
    next_to = follows(numbers, streams)
    found = np.full_like(path, np.nan)
    if len(path) > 2:
        inner = path[:-2] - 2.0 * path[1:-1] + path[2:]
        found[1:-1] = np.where((next_to[:-1] & next_to[1:])[:, None, None], inner, np.nan)
    return found


def point_jitter(
    frame_from_canonical: npt.ArrayLike,
    points: npt.ArrayLike,
    frame: npt.ArrayLike,
    stream: npt.ArrayLike | None = None,
) -> JitterOfFrames:
    """Jitter of points of the thing itself, seen in the canonical frame.

    Give points that do not move by themselves, such as eye corners. The annotation's own noise is
    part of it, before and after alignment alike.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
    points : array_like, shape (n, k, 2)
        (x, y) in frame pixels; NaN where unknown.
    frame, stream
        As in :func:`second_differences`.

    Returns
    -------
    JitterOfFrames

    Examples
    --------
    >>> points = [[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]]]
    >>> point_jitter([np.eye(3)] * 3, points, [0, 1, 2]).overall.rms
    2.0
    """
    mapped = map_to_canonical(frame_from_canonical, points)
    moves = np.linalg.norm(second_differences(mapped, frame, stream), axis=2)
    return JitterOfFrames(
        _rms(moves, axis=1),
        Jitter("points", float(_rms(moves)), None, _count(moves), _step(frame, stream)),
    )


def corner_jitter(
    frame_from_canonical: npt.ArrayLike,
    shape: tuple[int, int],
    frame: npt.ArrayLike,
    stream: npt.ArrayLike | None = None,
) -> JitterOfFrames:
    """Jitter of the canonical frame's corners in the frame: how smooth the transforms are.

    Nothing but transforms goes into it. It is small where they are smooth, not where they are
    right, and it contains the head's own acceleration: compare runs on the same recording by it,
    and take :func:`point_jitter` where there are points.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
        NaN where a frame has none.
    shape : (int, int)
        Height and width of the canonical frame.
    frame, stream
        As in :func:`second_differences`.

    Returns
    -------
    JitterOfFrames
        In canonical pixels by the frame's own scale √|det L|.

    Examples
    --------
    >>> shifts = np.tile(2.0 * np.eye(3), (3, 1, 1))
    >>> shifts[:, 2, 2] = 1.0
    >>> shifts[1, 0, 2] = 4.0
    >>> found = corner_jitter(shifts, (40, 40), [0, 1, 2]).overall
    >>> found.rms, found.rms_in_frame
    (4.0, 8.0)
    """
    transforms = np.array(frame_from_canonical, dtype=np.float64)
    transforms[~invertible(transforms)] = np.nan
    height, width = shape
    corners = np.array(
        [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64
    )
    placed = np.array([map_points(transform, corners) for transform in transforms])
    placed = placed.reshape(-1, 4, 2)
    moves = np.linalg.norm(second_differences(placed, frame, stream), axis=2)
    scale = np.sqrt(_area(placed) / ((width - 1) * (height - 1)))
    scaled = moves / scale[:, None]
    return JitterOfFrames(
        _rms(scaled, axis=1),
        Jitter(
            "corners",
            float(_rms(scaled)),
            float(_rms(moves)),
            _count(moves),
            _step(frame, stream),
        ),
    )


def _area(corners: FloatArray) -> FloatArray:
    """Area of quadrilaterals (n, 4, 2), by their diagonals."""
    first, second = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    return np.asarray(0.5 * np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]))


def _rms(values: FloatArray, axis: int | None = None) -> FloatArray:
    """Root mean square of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0) ** 2
    count = known.sum(axis=axis)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(np.divide(total.sum(axis=axis), count)))


def _count(moves: FloatArray) -> int:
    return int(np.isfinite(moves).any(axis=1).sum())


def _step(frame: npt.ArrayLike, stream: npt.ArrayLike | None) -> int:
    numbers = np.asarray(frame, dtype=np.int64)
    return least_step(numbers, np.zeros_like(numbers) if stream is None else np.asarray(stream))


def _of_length(name: str, values: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    found = np.asarray(values)
    if found.shape != (n,) or found.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers of shape ({n},), got shape {found.shape}")
    return found.astype(np.int64)
