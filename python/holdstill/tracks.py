"""Tracks of consecutive frames, and passes of one decoder over several: what is done apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdstill.sources import FrameSource
from holdstill.sources.paths import is_url

TRACK_LENGTH = 250
"""Frames of one stream that a track spans at most; its multiples are where tracks are cut."""

RUN_UP = 0.25
"""Most frames decoded in vain for a pass of its own, as a share of the pass before."""

PASS_BEHIND_URL = 2000
"""Frames decoded in one pass at least where opening a video costs round trips."""


@dataclass(frozen=True, slots=True)
class Track:
    """Consecutive selected frames of one stream, the first of which starts from nothing."""

    stream: int
    numbers: range
    first_row: int

    @property
    def rows(self) -> range:
        """Rows of the source that the frames are."""
        return range(self.first_row, self.first_row + len(self.numbers))


def plan_tracks(frames: FrameSource) -> Iterator[Track]:
    """Cut all selected frames into tracks, by frame number alone.

    Parameters
    ----------
    frames : FrameSource

    Yields
    ------
    Track
        In the order of the rows.
    """
    row = 0
    for stream, numbers in enumerate(frames.numbers):
        for track in each_track(numbers):
            yield Track(stream, track, row)
            row += len(track)


def each_track(numbers: range) -> Iterator[range]:
    """Cut the selected frame numbers of one stream into tracks, one by one.

    They end where the number is a multiple of `TRACK_LENGTH`, wherever the selection starts: a
    frame's track, and so its result, does not depend on what else was asked for.

    Parameters
    ----------
    numbers : range
        Ascending.

    Yields
    ------
    range
        The frame numbers of a track; none is empty.

    Examples
    --------
    >>> list(each_track(range(100, 600)))
    [range(100, 250), range(250, 500), range(500, 600)]
    >>> list(each_track(range(0, 600, 200)))
    [range(0, 250, 200), range(400, 500, 200)]
    """
    frame = numbers.start
    while frame < numbers.stop:
        end = min((frame // TRACK_LENGTH + 1) * TRACK_LENGTH, numbers.stop)
        track = range(frame, end, numbers.step)
        yield track
        frame += len(track) * numbers.step


def plan_passes(
    frames: FrameSource, planned: Iterable[Track], behind_url: int = PASS_BEHIND_URL
) -> Iterator[list[Track]]:
    """Group tracks into passes of one decoder, the unit of parallel work.

    Where keyframes are close, every track is a pass of its own. A pass that begins far from one
    decodes the frames between in vain: tracks are joined until that is a small share.

    Parameters
    ----------
    frames : FrameSource
    planned : iterable of Track
        Of :func:`plan_tracks`.
    behind_url : int
        Frames in a pass over a video behind a URL, at least.

    Yields
    ------
    list of Track
        In order.
    """
    tracks: list[Track] = []
    for track in planned:
        if tracks and not _joined(frames, tracks, track, behind_url):
            yield tracks
            tracks = []
        tracks.append(track)
    if tracks:
        yield tracks


def _joined(frames: FrameSource, before: Sequence[Track], track: Track, behind_url: int) -> bool:
    if before[0].stream != track.stream:
        return False
    n_frames = sum(len(one.numbers) for one in before)
    if n_frames < behind_url and is_url(frames.streams[track.stream].name):
        return True
    length = before[-1].numbers.stop - before[0].numbers.start
    return frames.run_up(track.stream, track.numbers.start) > RUN_UP * length
