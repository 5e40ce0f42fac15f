"""Where the faces of a frame are to be looked for: given transforms, or a detector's boxes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from holdstill._typing import FloatArray
from holdstill.faces import FACES as ONE_FACE
from holdstill.faces import FaceDetector
from holdstill.initial import Initial, TrackInitialiser, make_initial
from holdstill.sources import Frame, FrameSource
from holdstill.transforms import from_box, read_transforms

FACES = (*ONE_FACE, "all")
"""Which faces of a frame to take, where a detector finds several."""


class FaceStarts:
    """Gives the transforms to start from, one for each face of a frame.

    Made by :func:`face_starts`; called with a frame and its row, from any thread.

    Attributes
    ----------
    detections : int
        Number of frames that a face detector has searched.
    """

    def __init__(
        self, proposals: Callable[[Frame, int], list[FloatArray]], detector: FaceDetector | None
    ) -> None:
        self._proposals = proposals
        self._detector = detector

    @property
    def detections(self) -> int:
        """Number of frames that a face detector has searched."""
        return 0 if self._detector is None else self._detector.calls

    def __call__(self, frame: Frame, row: int) -> list[FloatArray]:
        """Starts for the faces of a frame; an empty list where there is none."""
        return self._proposals(frame, row)


def face_starts(
    frames: FrameSource,
    shape: tuple[int, int],
    initial: Initial = None,
    *,
    face: str = "largest",
    minimum_size: float | None = None,
) -> FaceStarts:
    """Choose where searches for faces begin.

    Parameters
    ----------
    frames : FrameSource
    shape : (int, int)
        Height and width of the canonical frame.
    initial : None, path, array_like (n, 3, 3), mapping or callable
        As in :func:`holdstill.initial.make_initial`; but several rows may be about one frame where
        a column ``face`` numbers them.
    face : {"largest", "center", "left", "right", "all"}
        Which faces, where the detector finds several.
    minimum_size : float, optional
        Smallest face the detector looks for.

    Returns
    -------
    FaceStarts

    Raises
    ------
    ValueError, TypeError, FileNotFoundError, ImportError
        As :func:`holdstill.initial.make_initial` and :class:`holdstill.faces.FaceDetector`.

    Examples
    --------
    >>> from holdstill.sources import open as open_source
    >>> frames = open_source(np.zeros((2, 48, 64), np.uint8))
    >>> at = {"frame": [1, 1], "face": [0, 1], "frame_from_canonical": [np.eye(3)] * 2}
    >>> starts = face_starts(frames, (32, 32), at)
    >>> [len(starts(frame, row)) for row, frame in enumerate(frames)]
    [0, 2]
    """
    if face not in FACES:
        raise ValueError(f"face: expected one of {', '.join(FACES)}, got {face!r}")
    if initial is None:
        detector = FaceDetector(minimum_size, "largest" if face == "all" else face)

        def detect(frame: Frame, row: int) -> list[FloatArray]:
            if face == "all":
                return [from_box(box, shape) for box in detector.detect_all(frame.grey())]
            box = detector.detect(frame.grey())
            return [] if box is None else [from_box(box, shape)]

        return FaceStarts(detect, detector)

    tracks = [
        make_initial(
            table,
            shape,
            n_rows=len(frames),
            n_streams=frames.n_readable,
        ).for_track()
        for table in _face_by_face(initial, shape)
    ]
    return FaceStarts(lambda frame, row: _proposed(tracks, frame, row), None)


def _proposed(tracks: list[TrackInitialiser], frame: Frame, row: int) -> list[FloatArray]:
    proposals = (track.propose(frame, row) for track in tracks)
    return [proposal for proposal in proposals if proposal is not None]


def _face_by_face(initial: Initial, shape: tuple[int, int]) -> list[Any]:
    """The initial transforms of the first face of each frame, of the second, and so on."""
    if isinstance(initial, (str, os.PathLike)):
        table: Any = read_transforms(initial, shape=shape)
        if "face" not in table:
            return [initial]
    elif isinstance(initial, Mapping) and "face" in initial:
        table = initial
    else:
        return [initial]
    columns = {name: np.asarray(column) for name, column in table.items()}
    faces = columns["face"]
    if any(column.shape[:1] != faces.shape for column in columns.values()):
        lengths = {name: len(np.atleast_1d(column)) for name, column in columns.items()}
        raise ValueError(f"initial: expected columns of one length, got {lengths}")
    return [
        {name: column[faces == number] for name, column in columns.items()}
        for number in np.unique(faces)
    ]
