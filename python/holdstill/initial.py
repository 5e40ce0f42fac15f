"""Where each frame's initial transform comes from: given ones, or a face detector and tracks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill.canonical import DEFAULT_SHAPE, check_shape
from holdstill.faces import FaceDetector
from holdstill.tables import file_name
from holdstill.transforms import from_box, read_transforms

FloatArray: TypeAlias = npt.NDArray[np.float64]

ANGLES = ("yaw", "pitch", "roll")
"""Columns of a file of initial transforms that a run carries through: a tracker's head pose."""

LONGEST_WAIT = 8
"""Frames between two attempts to find a face that stays lost."""


class NumberedFrame(Protocol):
    """What a row of a file is found by."""

    @property
    def source(self) -> str:
        """Path or address of the stream."""

    @property
    def frame(self) -> int:
        """Frame number."""


class GreyFrame(NumberedFrame, Protocol):
    """What an initial transform may depend on."""

    def grey(self) -> npt.NDArray[Any]:
        """Grey pixels, shape (h, w)."""


InitialFunction: TypeAlias = Callable[[Any], npt.ArrayLike | None]
Initial: TypeAlias = (
    str | os.PathLike[str] | npt.ArrayLike | Mapping[str, npt.NDArray[Any]] | InitialFunction | None
)


class TrackInitialiser(Protocol):
    """Initial transforms along one track, frame after frame."""

    @property
    def detections(self) -> int:
        """Number of the track's frames that a face detector has searched."""

    def propose(self, frame: GreyFrame, row: int) -> FloatArray | None:
        """Return frame_from_canonical to start from, (3, 3); None: the frame is `not_found`."""

    def retry(self, frame: GreyFrame, row: int) -> FloatArray | None:
        """Return another start for a frame whose first led to no good end; None: there is none."""

    def accept(self, frame_from_canonical: FloatArray | None) -> None:
        """Take the aligned transform of the frame just proposed for; None: the face is lost."""


class Tracks(Protocol):
    """What begins tracks."""

    def for_track(self) -> TrackInitialiser:
        """Start a track: a new object, which knows of no other track."""


class Initialiser(Tracks, Protocol):
    """Source of initial transforms; shared by all tracks, which may run on several threads."""

    @property
    def detections(self) -> int:
        """Number of frames that a face detector has searched."""

    @property
    def has_angles(self) -> bool:
        """Whether the head pose is known as well."""

    def angles(self, frame: NumberedFrame) -> FloatArray:
        """Yaw, pitch and roll of a frame, (3,), as given; NaN where they are not known."""


def make_initial(
    initial: Initial = None,
    shape: tuple[int, int] = DEFAULT_SHAPE,
    *,
    independent: bool = False,
    face: str = "largest",
    n_rows: int | None = None,
    n_streams: int = 1,
) -> Initialiser:
    """Choose where initial transforms come from.

    Parameters
    ----------
    initial : None, path, array_like (n, 3, 3), mapping or callable
        None: a face detector where a track starts or is lost, and the previous frame's transform in
        between. A path is read by :func:`~holdstill.transforms.read_transforms`; a mapping is what
        that returns. An array holds frame_from_canonical in the order of the rows, NaN where a
        frame has none. A callable takes a frame and returns its transform (3, 3), or None.
    shape : (int, int)
        Height and width of the canonical frame.
    independent : bool
        Frames are unrelated photographs: without given transforms each is searched for a face.
    face : {"largest", "center"}
        Which face, where the detector finds several.
    n_rows : int, optional
        Number of rows there will be; an array of another length is refused.
    n_streams : int
        Number of readable streams (videos, stacks) of the source, each with its own frame numbers.
        With more than one, a file needs a column ``source``.

    Returns
    -------
    Initialiser

    Raises
    ------
    TypeError
        If `initial` is none of these.
    ValueError
        If it is malformed, or of a length or form that does not fit to the source.
    FileNotFoundError, ImportError
        As :func:`~holdstill.transforms.read_transforms` and
        :class:`~holdstill.faces.FaceDetector`.

    Examples
    --------
    >>> track = make_initial(np.array([np.eye(3), np.diag([2.0, 2.0, 1.0])])).for_track()
    >>> track.propose(None, row=1).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
    """
    canonical_shape = check_shape(shape)
    if initial is None:
        return _Detected(FaceDetector(face=face), canonical_shape, independent)
    if callable(initial):
        return _Given(_checked(initial))
    if isinstance(initial, (str, os.PathLike)):
        table: Mapping[str, npt.NDArray[Any]] = read_transforms(initial, shape=canonical_shape)
        return _by_frame(table, n_streams, os.fspath(initial))
    if isinstance(initial, Mapping):
        return _by_frame(initial, n_streams, "initial")
    return _Given(_by_row(initial, n_rows))


class _Given:
    """Transforms that depend on the frame or its row alone; every track sees the same."""

    detections = 0

    def __init__(
        self,
        lookup: Callable[[GreyFrame, int], FloatArray | None],
        angles: Callable[[NumberedFrame], FloatArray] | None = None,
    ) -> None:
        self._lookup, self._angles = lookup, angles

    @property
    def has_angles(self) -> bool:
        return self._angles is not None

    def angles(self, frame: NumberedFrame) -> FloatArray:
        return np.full(3, np.nan) if self._angles is None else self._angles(frame)

    def for_track(self) -> _Given:
        return self

    def propose(self, frame: GreyFrame, row: int) -> FloatArray | None:
        return self._lookup(frame, row)

    def retry(self, frame: GreyFrame, row: int) -> FloatArray | None:
        return None

    def accept(self, frame_from_canonical: FloatArray | None) -> None:
        pass


class _Detected:
    def __init__(self, detector: FaceDetector, shape: tuple[int, int], independent: bool) -> None:
        self.detector = detector
        self.shape = shape
        self.independent = independent

    has_angles = False

    @property
    def detections(self) -> int:
        return self.detector.calls

    def angles(self, frame: NumberedFrame) -> FloatArray:
        return np.full(3, np.nan)

    def for_track(self) -> _DetectedTrack:
        return _DetectedTrack(self)


class _DetectedTrack:
    """The previous frame's transform; where there is none or it leads nowhere, a detection.

    After a bad frame the last good transform stands for `LONGEST_WAIT` frames more: an eye that
    blinks is no cut. Detecting costs several times what aligning does, so a face that stays lost is
    looked for 1, 2, 4, then every `LONGEST_WAIT` frames after the last attempt. The wait counts
    frames of this track alone, hence any number of threads makes the same attempts.
    """

    def __init__(self, shared: _Detected) -> None:
        self._shared = shared
        self._previous: FloatArray | None = None
        self._missed = 0
        self._wait = 1
        self._frames_to_skip = 0
        self._was_detected = False
        self.detections = 0

    def propose(self, frame: GreyFrame, row: int) -> FloatArray | None:
        self._was_detected = False
        if self._previous is not None and not self._shared.independent:
            return self._previous
        return self._detection(frame)

    def retry(self, frame: GreyFrame, row: int) -> FloatArray | None:
        return None if self._was_detected else self._detection(frame)

    def accept(self, frame_from_canonical: FloatArray | None) -> None:
        if frame_from_canonical is not None:
            self._previous = frame_from_canonical
            self._missed, self._wait, self._frames_to_skip = 0, 1, 0
            return
        self._missed += 1
        if self._missed > LONGEST_WAIT:
            self._previous = None
        if self._was_detected:
            self._attempt_failed()

    def _detection(self, frame: GreyFrame) -> FloatArray | None:
        if self._frames_to_skip > 0 and not self._shared.independent:
            self._frames_to_skip -= 1
            return None
        self._was_detected = True
        self.detections += 1
        box = self._shared.detector.detect(frame.grey())
        if box is None:
            self._attempt_failed()
            return None
        return from_box(box, self._shared.shape)

    def _attempt_failed(self) -> None:
        self._was_detected = False
        self._frames_to_skip = self._wait - 1
        self._wait = min(2 * self._wait, LONGEST_WAIT)


def _checked(function: InitialFunction) -> Callable[[GreyFrame, int], FloatArray | None]:
    def lookup(frame: GreyFrame, row: int) -> FloatArray | None:
        transform = function(frame)
        if transform is None:
            return None
        matrix = _as_floats(transform)
        if matrix.shape != (3, 3):
            raise ValueError(
                f"initial: expected the callable to return shape (3, 3) or None for frame "
                f"{frame.frame} of {frame.source}, got shape {matrix.shape}"
            )
        return matrix if np.isfinite(matrix).all() else None

    return lookup


def _by_row(
    initial: npt.ArrayLike, n_rows: int | None
) -> Callable[[GreyFrame, int], FloatArray | None]:
    transforms = _as_transforms(initial)
    if n_rows is not None and len(transforms) != n_rows:
        raise ValueError(
            f"initial: expected one transform for each of {n_rows} frames, got {len(transforms)}"
        )

    def lookup(frame: GreyFrame, row: int) -> FloatArray | None:
        return _present(transforms[row]) if 0 <= row < len(transforms) else None

    return lookup


def _by_frame(table: Mapping[str, npt.NDArray[Any]], n_streams: int, name: str) -> _Given:
    if not {"frame", "frame_from_canonical"} <= set(table):
        raise ValueError(
            f"{name}: expected the keys frame and frame_from_canonical, got {','.join(table)}"
        )
    frames = np.asarray(table["frame"])
    transforms = _as_transforms(table["frame_from_canonical"])
    for column in ("frame", "source", *ANGLES):
        length = len(np.atleast_1d(table.get(column, frames)))
        if length != len(transforms):
            named = {"frame": "frame numbers", "source": "sources"}
            what = named.get(column, f"values of {column}")
            raise ValueError(f"{name}: {length} {what} for {len(transforms)} transforms")
    if "source" not in table and n_streams > 1:
        raise ValueError(
            f"{name}: {n_streams} streams number their frames alike; "
            "expected a column source that tells them apart"
        )
    index = _RowIndex(frames, table.get("source"))
    if index.has_repetitions:
        raise ValueError(f"{name}: expected one row for each frame; some have several faces")
    return _given_rows(table, transforms, index.row_of, name)


class _RowIndex:
    """Which row of a table is about a frame, in a few bytes a row.

    Parameters
    ----------
    frames : ndarray, shape (n,)
        Frame numbers.
    sources : ndarray, shape (n,), of str, or None
        None: there is one source, whatever its name.
    """

    def __init__(
        self, frames: npt.NDArray[np.int64], sources: npt.NDArray[np.object_] | None
    ) -> None:
        self._any_source = sources is None
        self._code_of: dict[str, int] = {}
        codes = np.zeros(len(frames), dtype=np.int64)
        for row, source in enumerate(() if sources is None else sources):
            codes[row] = self._code_of.setdefault(str(source), len(self._code_of))
        self._rows = np.lexsort((frames, codes))
        self._frames, codes = np.asarray(frames)[self._rows], codes[self._rows]
        self._begins = np.searchsorted(codes, np.arange(max(1, len(self._code_of)) + 1))
        same = (np.diff(self._frames) == 0) & (np.diff(codes) == 0)
        self.has_repetitions = bool(same.any())
        self._named: dict[str, list[int]] = {}
        for source, code in self._code_of.items():
            self._named.setdefault(file_name(source), []).append(code)

    def row_of(self, frame: NumberedFrame) -> int | None:
        """Row of a frame: by its source's path, else by its file's name, if that is no other's."""
        if self._any_source:
            return self._row(0, frame.frame)
        source = str(frame.source)
        code = self._code_of.get(source)
        row = None if code is None else self._row(code, frame.frame)
        if row is None:
            codes = self._named.get(file_name(source), [])
            found = [self._row(code, frame.frame) for code in codes]
            # Equal names in different folders cannot be told apart by name: neither is taken.
            rows = [row for row in found if row is not None]
            row = rows[0] if len(rows) == 1 else None
        return row

    def _row(self, code: int, number: int) -> int | None:
        first, end = self._begins[code], self._begins[code + 1]
        place = first + int(np.searchsorted(self._frames[first:end], number))
        if place == end or self._frames[place] != number:
            return None
        return int(self._rows[place])


def _given_rows(
    table: Mapping[str, npt.NDArray[Any]],
    transforms: FloatArray,
    row_of: Callable[[NumberedFrame], int | None],
    name: str,
) -> _Given:
    def lookup(frame: GreyFrame, _: int) -> FloatArray | None:
        return _present_at(transforms, row_of(frame))

    if not set(ANGLES) <= set(table):
        return _Given(lookup)
    try:
        poses = np.stack([np.asarray(table[angle], dtype=np.float64) for angle in ANGLES], axis=1)
    except ValueError:
        raise ValueError(f"{name}: expected numbers in {', '.join(ANGLES)}") from None

    def angles(frame: NumberedFrame) -> FloatArray:
        row = row_of(frame)
        return np.full(3, np.nan) if row is None else poses[row]

    return _Given(lookup, angles)


def _present(transform: FloatArray) -> FloatArray | None:
    return None if np.isnan(transform).any() else transform


def _present_at(transforms: FloatArray, row: int | None) -> FloatArray | None:
    return None if row is None else _present(transforms[row])


def _as_floats(initial: npt.ArrayLike) -> FloatArray:
    try:
        return np.asarray(initial, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            "initial: expected a path, numbers of shape (n, 3, 3), the result of read_transforms, "
            f"a callable or None, got {type(initial).__name__}"
        ) from None


def _as_transforms(initial: npt.ArrayLike) -> FloatArray:
    transforms = _as_floats(initial)
    if transforms.ndim != 3 or transforms.shape[1:] != (3, 3):
        raise ValueError(f"initial: expected shape (n, 3, 3), got {transforms.shape}")
    missing = np.isnan(transforms).all(axis=(1, 2))
    wrong = ~missing & ~np.isfinite(transforms).all(axis=(1, 2))
    if wrong.any():
        raise ValueError(
            f"initial: expected finite numbers (or NaN throughout where there is no transform), "
            f"got others in {int(wrong.sum())} transforms, the first at {np.flatnonzero(wrong)[0]}"
        )
    return transforms
