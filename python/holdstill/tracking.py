"""Along a track: each frame starts where the last good one ended, or anew where that fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.alignment import GOOD, Alignment, align_read, without_transform
from holdstill.dictionary import Dictionary, expect_dictionary
from holdstill.initial import TrackInitialiser
from holdstill.solver_options import DEFAULT_OPTIONS, SolverOptions
from holdstill.sources import Frame

ROUNDS_ONWARD = 6
"""Times that a frame near its rest may go on from where its iterations were over.

Under a homography three of five such frames come to rest, half of those in the first two rounds.
"""

NEAR_LOSS = 0.05
"""Loss of quality from frame to frame above which the finest octave alone is not believed.

Locked onto the next eye or brow a frame may still be good, but not as good as the frame before.
"""


@dataclass(frozen=True, slots=True)
class Aligners:
    """What aligns the frames of a track.

    Attributes
    ----------
    anywhere : FrameAligner
        As asked for: coarse to fine, and with a search where that leads nowhere.
    near : FrameAligner
        The finest octave alone and few iterations, for starts from the frame before.
    """

    anywhere: _core.FrameAligner
    near: _core.FrameAligner

    @classmethod
    def of(cls, dictionary: Dictionary, options: SolverOptions = DEFAULT_OPTIONS) -> Aligners:
        """Both of a dictionary."""
        expect_dictionary(dictionary)
        return cls(dictionary.aligner_for(options), dictionary.aligner_for(options.near()))


class TrackAligner:
    """Aligns the frames of one track, one after the other.

    Parameters
    ----------
    aligners : Aligners
    start : TrackInitialiser
        Of :meth:`~holdstill.initial.Initialiser.for_track`.
    """

    def __init__(self, aligners: Aligners, start: TrackInitialiser) -> None:
        self._aligners = aligners
        self._start = start
        self._last_good: Alignment | None = None

    def align(self, frame: Frame, row: int) -> Alignment:
        """Align the next frame of the track."""
        if not frame.readable:
            return without_transform(frame, "unreadable")
        proposal = self._start.propose(frame, row)
        if proposal is None:
            return without_transform(frame, "not_found")
        found = self._from(proposal, frame)
        starts = [*self._start.rivals()]
        if not found.good and (again := self._start.retry(frame, row)) is not None:
            # A cut, or a track that has lost its way: look for the face anew.
            starts = [again, *self._start.rivals()]
        ends = [align_read(frame, self._aligners.anywhere, start) for start in starts]
        found = self._onward(max([found, *ends], key=_rank), frame)
        self._start.accept(found.frame_from_canonical if found.good else None)
        if found.good:
            self._last_good = found
        return found

    def _from(self, proposal: FloatArray, frame: Frame) -> Alignment:
        anywhere, last = self._aligners.anywhere, self._last_good
        if last is None or proposal is not last.frame_from_canonical:
            return align_read(frame, anywhere, proposal)
        # A frame later little has moved: coarse octaves would only lead to the same rest.
        found = align_read(frame, self._aligners.near, proposal)
        if not found.good or found.quality < last.quality - NEAR_LOSS:
            found = max(found, align_read(frame, anywhere, proposal), key=_rank)
        return found

    def _onward(self, found: Alignment, frame: Frame) -> Alignment:
        """Go on with a frame that is at the right place but has not come to rest there."""
        last = found
        for _ in range(ROUNDS_ONWARD):
            at = last.frame_from_canonical
            if at is None or last.status != "max_iterations" or last.quality < GOOD:
                break
            last = align_read(frame, self._aligners.near, at)
        return max(found, last, key=_rank)


def _rank(found: Alignment) -> tuple[bool, bool, bool, float]:
    """What makes one end of a frame better than another: the right place counts before rest."""
    quality = 0.0 if np.isnan(found.quality) else found.quality
    return found.good, quality >= GOOD, found.converged, quality
