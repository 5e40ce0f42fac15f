"""Index of a video: which packet is which frame, when it is shown, and where decoding can begin."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional

from .errors import SourceError
from .paths import is_url, open_binary
from .size_limits import MAX_PIXELS, limit
from .truncated import PaddedFile

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# A decoder of ANSI art takes every .txt file for a video.
_NOT_VIDEO_FORMATS = ("tty",)


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """The packets of a video stream, in the order of the file, and the frames they become.

    Attributes
    ----------
    number : ndarray (n,), int32
        Frame number (order of presentation) of each packet; -1 for one that is never shown.
    time : ndarray (frames,), float64
        Timestamp of each frame number, in seconds.
    cut_off : ndarray (n,), bool
        Packets that lie beyond the end of a truncated file.
    keyframes : ndarray (k,), int64
        Packets where decoding can begin, ascending; empty where seeking cannot be trusted.
    pts, dts, size : ndarray (k,), int64
        Timestamps of presentation and decoding, in units of the stream, and bytes of each keyframe.
    rate : float or None
        Frames per second; None where there is one frame only.
    """

    number: npt.NDArray[np.int32]
    time: npt.NDArray[np.float64]
    cut_off: npt.NDArray[np.bool_]
    keyframes: npt.NDArray[np.int64]
    pts: npt.NDArray[np.int64]
    dts: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    rate: float | None

    def __len__(self) -> int:
        return len(self.time)

    @property
    def truncated(self) -> bool:
        """Whether packets lie beyond the end of the file."""
        return bool(self.cut_off.any())

    def keyframe(self, pts: int | None, size: int) -> int | None:
        """The keyframe packet of this timestamp and size, which identify it after a seek."""
        found = np.flatnonzero((self.pts == pts) & (self.size == size))
        return int(self.keyframes[found[0]]) if len(found) else None

    def offsets(self, keyframe: int) -> list[int]:
        """Timestamps by which a container may find a keyframe's packet, the later first."""
        k = int(np.searchsorted(self.keyframes, keyframe))
        return sorted({int(self.pts[k]), int(self.dts[k])}, reverse=True)

    @cached_property
    def _keyframe_numbers(self) -> npt.NDArray[np.int32]:
        return np.maximum.accumulate(self.number[self.keyframes])

    def starts(self, number: int) -> npt.NDArray[np.int64]:
        """Keyframe packets from which a frame can be decoded, the nearest first."""
        earlier = np.searchsorted(self._keyframe_numbers, number, side="right")
        return self.keyframes[:earlier][::-1]


@contextmanager
def open_container(
    path: str, file: IO[bytes] | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video and its (best) video stream, decoded by one thread.

    Parameters
    ----------
    path : str
    file : file, optional
        What to read instead, of :meth:`PaddedFile.around`; closed in the end.

    Raises
    ------
    SourceError
        If it cannot be opened or has no video stream.
    """
    av = import_optional("av", f"reading {path!r}")
    if file is None and is_url(path):
        file = open_binary(path)
    try:
        try:
            # FFmpeg reads a file of a disk that is whole best on its own.
            name = path if not is_url(path) and not isinstance(file, PaddedFile) else file
            container = av.open(name, metadata_errors="ignore")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{path}: cannot be opened as a video: {_reason(error)}") from error
        with container:
            stream = container.streams.best("video")
            if stream is None or container.format.name in _NOT_VIDEO_FORMATS:
                raise SourceError(f"{path}: has no video stream")
            if stream.codec_context is None:
                raise SourceError(f"{path}: no decoder knows its video stream")
            if stream.disposition & av.stream.Disposition.attached_pic:
                raise SourceError(f"{path}: has no video stream, only a cover picture")
            # Parallel work is by ranges of frames; threads of the decoder would only add delay and
            # memory.
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(limit(MAX_PIXELS))}
            yield container, stream
    finally:
        if file is not None:
            file.close()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Any]:
    """Packets of the stream, in the order of the file.

    A part of the file that cannot be parsed ends nothing: reading goes on behind it while there is
    progress.
    """
    av = import_optional("av", "reading videos")
    failures = 0
    while failures < 100:
        try:
            for packet in container.demux(stream):
                # The empty packet at the end would flush the decoder.
                if packet.size:
                    failures = 0
                    yield packet
            return
        except av.error.FFmpegError:
            failures += 1


def scan(path: str) -> VideoIndex:
    """Read the packets of a video once, without decoding them.

    Where timestamps are missing, repeated or run backwards, the video is decoded once to learn the
    order of its frames, their times follow from the frame rate, and it is always decoded from the
    beginning.

    Raises
    ------
    SourceError
        If it cannot be opened, has no video stream or no frames.
    """
    import_optional("av", f"reading {path!r}")
    seen, file = _Packets(), PaddedFile.around(path)
    available = file.available if isinstance(file, PaddedFile) else math.inf
    with open_container(path, file) as (container, stream):
        hides = stream.codec_context.name in ("vp8", "libvpx")
        for packet in packets(container, stream):
            seen.add(packet, hides, available)
        unit = stream.time_base or Fraction(1)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
    pts, dts, size = (np.frombuffer(column, np.int64) for column in (seen.pts, seen.dts, seen.size))
    begins, shown, cut_off = (
        np.frombuffer(column, np.bool_) for column in (seen.begins, seen.shown, seen.cut_off)
    )
    trusted = _timestamps_tell_order(pts[shown], dts[dts != _NONE])
    if trusted:
        candidates = np.flatnonzero(shown)
        order = candidates[np.argsort(pts[candidates])]
        time: npt.NDArray[Any] = pts[order] * float(unit.numerator) / unit.denominator
    else:
        order = _decoded_order(path)
        time = np.arange(len(order)) / rate
    if not order.size:
        raise SourceError(f"{path}: has no frames")
    number = np.full(len(pts), -1, np.int32)
    number[order] = np.arange(len(order))
    keyframes = np.flatnonzero(begins & shown & ~cut_off & trusted).astype(np.int64)
    return VideoIndex(
        number=number,
        time=time.astype(np.float64),
        cut_off=cut_off.copy(),
        keyframes=keyframes,
        pts=pts[keyframes],
        dts=np.where(dts == _NONE, pts, dts)[keyframes],
        size=size[keyframes],
        rate=_rate(time, rate, float(unit)),
    )


def _rate(time: npt.NDArray[np.float64], stated: float, unit: float) -> float | None:
    """Frames per second over all frames: the container's, unless its timestamps say another.

    Timestamps are rounded to a unit of up to a millisecond, so that the first two know little.
    """
    span = float(time[-1] - time[0])
    if span <= 0:
        return None
    steps = len(time) - 1
    return stated if abs(steps / stated - span) <= unit else steps / span


_NONE = -(2**63)
"""In the place of a missing timestamp; FFmpeg's own mark."""


class _Packets:
    """What the scan keeps of each packet, as columns: a long video has millions of them."""

    def __init__(self) -> None:
        self.pts, self.dts, self.size = array("q"), array("q"), array("q")
        self.begins, self.shown, self.cut_off = bytearray(), bytearray(), bytearray()

    def add(self, packet: Any, hides: bool, available: float) -> None:
        # VP8 has packets that are decoded but never shown (RFC 6386 §9.1), an edit list (MP4) too.
        hidden = packet.is_discard or (hides and not memoryview(packet)[0] & 0x10)
        self.pts.append(_NONE if packet.pts is None else packet.pts)
        self.dts.append(_NONE if packet.dts is None else packet.dts)
        self.size.append(packet.size)
        self.begins.append(bool(packet.is_keyframe))
        self.shown.append(not hidden)
        self.cut_off.append((packet.pos or 0) + packet.size > available)


def _timestamps_tell_order(pts: npt.NDArray[np.int64], dts: npt.NDArray[np.int64]) -> bool:
    complete = bool((pts != _NONE).all()) and len(np.unique(pts)) == len(pts)
    return complete and bool((np.diff(dts) >= 0).all())


def _decoded_order(path: str) -> npt.NDArray[np.int64]:
    """Packets in the order in which they are shown; a damaged one keeps its place."""
    av = import_optional("av", "reading videos")
    order: list[Any] = []
    with open_container(path, PaddedFile.around(path)) as (container, stream):
        for k, packet in enumerate(packets(container, stream)):
            packet.pts = k
            try:
                order += [frame.pts for frame in packet.decode()]
            except av.error.FFmpegError:
                order.append(k)
        order += [frame.pts for frame in stream.codec_context.decode(None)]
    return np.array(list(dict.fromkeys(order)), np.int64)
