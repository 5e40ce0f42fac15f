"""Where each frame's initial transform comes from: given ones, or a face detector and tracks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SHAPE, check_shape
from holdstill.faces import FACES as ONE_FACE
from holdstill.faces import FaceDetector
from holdstill.initial_rows import NumberedFrame, RowsByFrame, as_transforms, present
from holdstill.transforms import from_box, read_transforms

FACES = ("best", *ONE_FACE)
"""Which face of several a track is to follow; best: the one that is aligned best."""

LONGEST_WAIT = 8
"""Frames between two attempts to find a face that stays lost."""


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

    def rivals(self) -> Sequence[FloatArray]:
        """Starts of equal right beside the last one given, of which the best end is to be kept."""

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

    @property
    def last_frame(self) -> int | None:
        """Largest frame number that a table is about; None where there is no table."""

    def angles(self, frame: NumberedFrame) -> FloatArray:
        """Yaw, pitch and roll of a frame, (3,), as given; NaN where they are not known."""


def make_initial(
    initial: Initial = None,
    shape: tuple[int, int] = DEFAULT_SHAPE,
    *,
    independent: bool = False,
    face: str = "best",
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
    face : {"best", "largest", "center", "left", "right"}
        Which face, where the detector finds several. Best: all of them are aligned, and the one
        with the best end is followed; who does not align takes the largest.
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
    if face not in FACES:
        raise ValueError(f"face: expected one of {', '.join(FACES)}, got {face!r}")
    if initial is None:
        return _Detected(face, canonical_shape, independent)
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
        last_frame: int | None = None,
    ) -> None:
        self._lookup, self._angles, self.last_frame = lookup, angles, last_frame

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

    def rivals(self) -> Sequence[FloatArray]:
        return ()

    def accept(self, frame_from_canonical: FloatArray | None) -> None:
        pass


class _Detected:
    has_angles = False
    last_frame = None

    def __init__(self, face: str, shape: tuple[int, int], independent: bool) -> None:
        self.compare = face == "best"
        self.detector = FaceDetector(face="largest" if self.compare else face)
        self.shape = shape
        self.independent = independent

    def starts(self, grey: npt.NDArray[Any]) -> list[FloatArray]:
        """Those of the faces of a frame that may be followed, the likeliest first."""
        if self.compare:
            boxes = self.detector.detect_all(grey)
            boxes = boxes[np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")]
        else:
            box = self.detector.detect(grey)
            boxes = np.array([] if box is None else [box])
        return [from_box(box, self.shape) for box in boxes]

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
        self._rivals: Sequence[FloatArray] = ()
        self.detections = 0

    def propose(self, frame: GreyFrame, row: int) -> FloatArray | None:
        self._was_detected, self._rivals = False, ()
        if self._previous is not None and not self._shared.independent:
            return self._previous
        return self._detection(frame)

    def retry(self, frame: GreyFrame, row: int) -> FloatArray | None:
        return None if self._was_detected else self._detection(frame)

    def rivals(self) -> Sequence[FloatArray]:
        return self._rivals

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
        starts = self._shared.starts(frame.grey())
        if not starts:
            self._attempt_failed()
            return None
        self._rivals = starts[1:]
        return starts[0]

    def _attempt_failed(self) -> None:
        self._was_detected = False
        self._frames_to_skip = self._wait - 1
        self._wait = min(2 * self._wait, LONGEST_WAIT)


def _checked(function: InitialFunction) -> Callable[[GreyFrame, int], FloatArray | None]:
    def lookup(frame: GreyFrame, row: int) -> FloatArray | None:
        transform = function(frame)
        if transform is None:
            return None
        expected = (
            f"initial: expected the callable to return shape (3, 3) or None for frame "
            f"{frame.frame} of {frame.source}, got"
        )
        try:
            matrix: FloatArray = np.asarray(transform, dtype=np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{expected} {type(transform).__name__}") from None
        if matrix.shape != (3, 3):
            raise ValueError(f"{expected} shape {matrix.shape}")
        return matrix if np.isfinite(matrix).all() else None

    return lookup


def _by_row(
    initial: npt.ArrayLike, n_rows: int | None
) -> Callable[[GreyFrame, int], FloatArray | None]:
    transforms = as_transforms(initial)
    if n_rows is not None and len(transforms) != n_rows:
        raise ValueError(
            f"initial: expected one transform for each of {n_rows} frames, got {len(transforms)}"
        )

    def lookup(frame: GreyFrame, row: int) -> FloatArray | None:
        return present(transforms[row]) if 0 <= row < len(transforms) else None

    return lookup


def _by_frame(table: Mapping[str, npt.NDArray[Any]], n_streams: int, name: str) -> _Given:
    rows = RowsByFrame(table, n_streams, name)
    angles = rows.angles if rows.has_angles else None
    return _Given(lambda frame, _: rows.transform(frame), angles, rows.last_frame)
