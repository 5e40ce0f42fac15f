"""A stream of frames beside the rows of a run, and the run's transforms in their geometry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from holdstill._typing import FloatArray
from holdstill.canonical import EYE_CORNERS
from holdstill.run_folder import Run
from holdstill.sources import Frame, FrameSource
from holdstill.sources import open as open_source

Size = tuple[int, int]

log = logging.getLogger("holdstill")


def frame_from_resized(size: Size, resized: Size) -> FloatArray:
    """Transform from the pixels of a resized frame to those of the frame (equations §0).

    Pixel centres are integers, so that a frame of width w spans -1/2 to w - 1/2 in any resolution.

    Parameters
    ----------
    size, resized : (int, int)
        Height and width of the frame, and of the same frame in another resolution.

    Returns
    -------
    ndarray, shape (3, 3), float64

    Examples
    --------
    >>> (frame_from_resized((100, 100), (200, 200)) @ [0.5, 100.5, 1.0]).tolist()
    [0.0, 50.0, 1.0]
    """
    (h, w), (resized_h, resized_w) = size, resized
    x, y = w / resized_w, h / resized_h
    return np.array([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2], [0.0, 0.0, 1.0]])


def canonical_from_resized(shape: Size, resized: Size) -> FloatArray:
    """Transform from a canonical frame of another size to the canonical frame.

    The face keeps its proportions and the eyes stay where they belong: at a quarter and three
    quarters of the width, and at 0.45 of the height.

    Parameters
    ----------
    shape, resized : (int, int)
        Height and width of the canonical frame, and of the other.

    Returns
    -------
    ndarray, shape (3, 3), float64

    Examples
    --------
    >>> (canonical_from_resized((200, 200), (300, 400)) @ [100.0, 135.0, 1.0]).tolist()
    [50.0, 90.0, 1.0]
    """
    (h, w), (resized_h, resized_w) = shape, resized
    scale, eyes = w / resized_w, EYE_CORNERS[0][1]
    return np.array(
        [[scale, 0.0, 0.0], [0.0, scale, eyes * (h - scale * resized_h)], [0.0, 0.0, 1.0]]
    )


class RunFrames:
    """The frames of a source beside the rows of a run.

    Parameters
    ----------
    source : whatever `holdstill.open` takes
        The run's frames, or another stream of them. A source of all frames of a run that was made
        with ``--start``, ``--stop`` or ``--every`` is thinned out in the same way.
    run : Run
        With one row for every frame.
    frame_size : (int, int), optional
        Height and width of the frames that the run was made of; looked up in its sources by
        default.

    Attributes
    ----------
    shape : (int, int)
        Of the run's canonical frame.

    Raises
    ------
    ValueError
        If there is not one frame for each row, or the run has several faces of a frame.
    OSError
        If the source cannot be opened.
    """

    def __init__(self, source: Any, run: Run, frame_size: Size | None = None) -> None:
        self.run = run
        self.shape = run.shape
        if len(np.unique(run.position)) < len(run):
            raise ValueError(f"{run.address}: expected one face for each frame; the run has more")
        self._source, self._given_size = source, frame_size
        self._sizes: dict[str, Size] = {}
        self._warned = False
        self.frames = self._open(source)

    def close(self) -> None:
        """Close what was opened here; a FrameSource that was given stays open."""
        if self.frames is not self._source:
            self.frames.close()
        if "_own_frames" in self.__dict__:
            self._own_frames.close()

    def __len__(self) -> int:
        return len(self.run)

    def __iter__(self) -> Iterator[tuple[int, Frame]]:
        return enumerate(self.frames)

    def transform(self, row: int, size: Size) -> FloatArray | None:
        """frame_from_canonical of a row for frames of this size; None where it has none.

        Raises
        ------
        ValueError
            If the size of the run's own frames is not known.
        """
        matrix: FloatArray = self.run.frame_from_canonical[row]
        if not np.isfinite(matrix).all():
            return None
        own = self.own_size(row)
        if own == size:
            return matrix
        if not self._warned and abs(np.log(size[0] * own[1] / (size[1] * own[0]))) > 0.02:
            self._warned = True
            log.warning("frames of %dx%d are stretched to the run's %dx%d", *size[::-1], *own[::-1])
        return np.asarray(np.linalg.inv(frame_from_resized(own, size)) @ matrix)

    def own_size(self, row: int) -> Size:
        """Height and width that the frame of a row had when it was aligned.

        Raises
        ------
        ValueError
            If it is not known.
        """
        if self._given_size is not None:
            return self._given_size
        source = str(self.run.source[row])
        if source not in self._sizes:
            self._sizes[source] = self._size_in_source(row)
        return self._sizes[source]

    def _size_in_source(self, row: int) -> Size:
        try:
            image = self._own_frames[row].image
            if image is None:
                raise ValueError(f"frame {row} of its sources is unreadable")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"frame_size: expected the size of the run's frames, since its own cannot be "
                f"read ({error}); on the command line it is --frame-size"
            ) from None
        return image.shape[0], image.shape[1]

    @cached_property
    def _own_frames(self) -> FrameSource:
        """The run's own; opened once, for every image of a folder is a source."""
        return self.run.open_frames()

    def _open(self, source: Any) -> FrameSource:
        frames = open_source(source)
        selection = self.run.facts.get("selection") or {}
        if len(frames) != len(self) and selection and not isinstance(source, FrameSource):
            frames.close()
            frames = open_source(source, **selection)
        if len(frames) != len(self):
            if frames is not source:
                frames.close()
            raise ValueError(
                f"source: expected one frame for each of the {len(self)} rows of "
                f"{self.run.address}, got {len(frames)}"
            )
        return frames
