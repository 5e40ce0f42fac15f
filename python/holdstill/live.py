"""Align frames as they come: from a camera, a call, a game."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill.alignment import Alignment
from holdstill.dictionary import Dictionary
from holdstill.initial import make_initial
from holdstill.solver_options import SolverOptions
from holdstill.sources import Frame
from holdstill.sources.arrays import check_frame, check_stack
from holdstill.tracking import Aligners, TrackAligner

_SOURCE = "live"


class LiveAligner:
    """Aligns one frame at a time, and keeps the track in between.

    A frame starts where the last good one ended. At first, after a cut, and when the face is lost,
    a detector looks for it: at once, then after 1, 2, 4 and every 8 frames. That is a track of
    :func:`holdstill.align`, with the same results to the last bit; only that function begins a new
    track after 250 frames, and a live one goes on.

    Parameters
    ----------
    dictionary : Dictionary
        Of :func:`holdstill.fit`, learnt from a recording of the same person.
    face : {"best", "largest", "center", "left", "right"}
        Which face, where the detector finds several; best: the one that the dictionary aligns
        best.
    mu, tolerance, max_iterations, loss, levels, search
        As in :func:`holdstill.align_frame`.

    Raises
    ------
    ValueError
        If an option is out of range.
    ImportError
        If OpenCV, which detects faces, is missing.

    Examples
    --------
    >>> from holdstill import fit
    >>> from holdstill.synthetic import TalkingHead
    >>> head = TalkingHead(4, size=(360, 450), shape=(40, 40), occlusion=False)
    >>> live = LiveAligner(fit(np.stack(list(head)), head.initial(), n=4, shape=(40, 40)))
    >>> [live.align(frame).status for frame in head]
    ['converged', 'converged', 'converged', 'converged']
    """

    def __init__(
        self,
        dictionary: Dictionary,
        *,
        face: str = "best",
        mu: float = _core.DEFAULT_MU,
        tolerance: float = _core.DEFAULT_TOLERANCE,
        max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
        loss: str = "l2",
        levels: int | None = None,
        search: bool = True,
    ) -> None:
        options = SolverOptions(mu, tolerance, max_iterations, loss, levels, search)
        self._aligners = Aligners.of(dictionary, options)
        self._starts = make_initial(None, dictionary.shape, face=face)
        self._n_frames = 0
        self.reset()

    @property
    def detections(self) -> int:
        """Number of frames that the face detector has searched."""
        return self._starts.detections

    def align(self, frame: npt.ArrayLike | None, time: float | None = None) -> Alignment:
        """Align the next frame.

        Parameters
        ----------
        frame : array_like, shape (H, W) or (H, W, 3), or None
            Grey or RGB (OpenCV's BGR is ``frame[:, :, ::-1]``); uint8, uint16 or float. None is a
            frame that was lost on the way.
        time : float, optional
            Its timestamp in seconds, for the result.

        Returns
        -------
        Alignment
            Its `frame` counts the frames so far, from 0; its `source` is ``"live"``.

        Raises
        ------
        ValueError
            If it is not a frame.
        """
        image = None
        if frame is not None:
            image = np.asarray(frame)
            if image.ndim == 3 and image.shape[2] == 4:
                image = image[..., :3]
            check_frame("frame", image.shape)
            check_stack("frame", (1, *image.shape), image.dtype)
            image = np.ascontiguousarray(image)
            if image.dtype == np.float64:
                image = image.astype(np.float32)
        number, self._n_frames = self._n_frames, self._n_frames + 1
        return self._track.align(Frame(_SOURCE, number, time, image), number)

    def reset(self) -> None:
        """Forget the track: the next frame begins with a detection, as after a change of scene."""
        self._track = TrackAligner(self._aligners, self._starts.for_track())
