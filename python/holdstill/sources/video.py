"""Videos, through PyAV: exact frame numbers, random access, and damage that stays local."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional

from .frame import Frame
from .grey import full_range
from .stream import Stream
from .truncated import PaddedFile
from .video_index import VideoIndex, open_container, packets, scan

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Decoding on is as fast as seeking (which decodes from a keyframe) up to about so many frames.
_DECODE_RATHER_THAN_SEEK = 16

# Where so many keyframes in a row are damaged, decoding begins at the beginning.
_STARTS_TRIED = 4

_PER_THREAD = threading.local()

_PLANAR = frozenset({"yuv420p", "yuv422p", "yuv444p", "nv12"})
_PLANAR_FULL = frozenset({"yuvj420p", "yuvj422p", "yuvj444p", "gray"})
"""8-bit formats whose first plane is luma; those of `_PLANAR_FULL` have the full range always."""

_FULL = 2
_WEIGHTS_OF_BT601 = (2, 5, 6)
"""Range and colour spaces in FFmpeg's numbers; one that is not specified (2) passes for BT.601."""


class VideoPicture:
    """A decoded video frame, converted to grey or RGB on demand and turned as a player would."""

    __slots__ = ("_frame", "_grey", "_image", "_turns")

    def __init__(self, frame: VideoFrame) -> None:
        self._frame = frame
        self._grey: npt.NDArray[Any] | None = None
        self._image: npt.NDArray[Any] | None = None
        # FFmpeg's rotation counts degrees counterclockwise, as rot90 does.
        self._turns = round(frame.rotation / 90) % 4

    def grey(self) -> npt.NDArray[Any]:
        if self._grey is None:
            luma = _luma(self._frame)
            self._grey = (
                self._convert("gray", "gray16le")
                if luma is None
                else np.ascontiguousarray(np.rot90(luma, self._turns))
            )
        return self._grey

    def image(self) -> npt.NDArray[Any]:
        if len(self._frame.format.components) == 1 and not self._frame.format.has_palette:
            return self.grey()
        if self._image is None:
            self._image = self._convert("rgb24", "rgb48le")
        return self._image

    def _convert(self, format_8: str, format_16: str) -> npt.NDArray[Any]:
        deep = max(component.bits for component in self._frame.format.components) > 8
        # A converter of its own for every thread: it keeps its tables, and it is not thread-safe.
        if not hasattr(_PER_THREAD, "reformatter"):
            _PER_THREAD.reformatter = import_optional(
                "av.video.reformatter", "reading videos"
            ).VideoReformatter()
        converted = _PER_THREAD.reformatter.reformat(
            self._frame, format=format_16 if deep else format_8, dst_color_range="JPEG", threads=1
        )
        return np.ascontiguousarray(np.rot90(converted.to_ndarray(), self._turns))


def _luma(frame: VideoFrame) -> npt.NDArray[np.uint8] | None:
    """A copy of the luma plane, full range; None where grey takes more than that."""
    name = frame.format.name
    if name not in _PLANAR and name not in _PLANAR_FULL:
        return None
    full = name in _PLANAR_FULL or frame.color_range == _FULL
    if not full and frame.colorspace not in _WEIGHTS_OF_BT601:
        return None
    plane = frame.planes[0]
    rows: npt.NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(
        -1, plane.line_size
    )
    luma = rows[: frame.height, : frame.width]
    return luma.copy() if full else full_range(luma)


class _DamagedStart(Exception):
    """The keyframe where decoding began is damaged: what follows depends on what came before it."""


class _Decoder:
    """One open video that gives frames of ascending number with the least decoding."""

    def __init__(self, path: str, index: VideoIndex) -> None:
        self._path = path
        self._index = index
        self._open = ExitStack()
        self._video: tuple[InputContainer, VideoStream] | None = None
        self._decoded: Iterator[tuple[int, VideoFrame]] = iter(())
        self._pending: tuple[int, VideoFrame] | None = None
        # The lowest frame number that can still come; past the end, nothing can.
        self._next = len(index)
        self._errors: dict[int, str] = {}

    def close(self) -> None:
        self._decoded = iter(())
        self._pending = None
        self._next = len(self._index)
        self._video = None
        self._open.close()

    def frame(self, number: int) -> Frame:
        """Decode one frame; if that is impossible, it says why."""
        starts = [*self._index.starts(number)[:_STARTS_TRIED], 0]
        nearest = int(self._index.number[starts[0]])
        if number < self._next or nearest > self._next + _DECODE_RATHER_THAN_SEEK:
            self._begin(starts.pop(0))
        while True:
            try:
                picture = self._advance(number)
                break
            except _DamagedStart:
                self._begin(starts.pop(0))
        time = float(self._index.time[number])
        error = None if picture else self._errors.get(number, "its packet gave no frame")
        return Frame(self._path, number, time, VideoPicture(picture) if picture else None, error)

    def _advance(self, number: int) -> VideoFrame | None:
        self._next = number + 1
        while self._pending is None or self._pending[0] < number:
            self._pending = next(self._decoded, None)
            if self._pending is None:
                return None
        if self._pending[0] > number:
            return None
        picture = self._pending[1]
        self._pending = None
        # The decoder has put in something of its own for what was damaged.
        if picture.is_corrupt:
            self._errors[number] = "its packet is damaged"
            return None
        return picture

    def _begin(self, start: int) -> None:
        """Begin at a keyframe's packet, or with packet 0 where no seek leads there."""
        self._pending = None
        self._errors = {}
        found = self._seek(start) if start else None
        if found is None:
            self._open.close()
            self._video = self._opened()
            found = 0, packets(*self._video)
        self._decoded = self._decode(*found)

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        # A file that is whole is not looked at again: behind a URL that takes as long as a block.
        file = PaddedFile.around(self._path) if self._index.truncated else None
        return self._open.enter_context(open_container(self._path, file))

    def _seek(self, start: int) -> tuple[int, Iterator[Any]] | None:
        """Seek to a keyframe's packet or one before: its position, and the packets from it."""
        if self._video is None:
            self._video = self._opened()
        container, stream = self._video
        index = self._index
        # Containers index by the one or by the other; the later finds the nearer keyframe but can
        # overshoot.
        for offset in index.offsets(start):
            container.seek(offset, stream=stream)
            following = packets(container, stream)
            for packet in following:
                # What precedes the keyframe after a seek is a rest that nothing can be decoded
                # from.
                at = index.keyframe(packet.pts, packet.size) if packet.is_keyframe else None
                if at is not None:
                    if at <= start:
                        return at, itertools.chain([packet], following)
                    break
        return None

    def _decode(self, first: int, following: Iterator[Any]) -> Iterator[tuple[int, VideoFrame]]:
        """Frames with their numbers, from packet number `first` on.

        Raises
        ------
        _DamagedStart
            Unless the first frame, but for those shown before it, is a sound one of packet `first`;
            at the beginning of the file there is nothing better.
        """
        number = self._index.number
        began = first == 0
        for frame in self._decode_packets(first, following):
            if not began and number[frame.pts] >= number[first]:
                if frame.pts != first or frame.is_corrupt:
                    raise _DamagedStart
                began = True
            yield int(number[frame.pts]), frame
        if not began:
            raise _DamagedStart

    def _decode_packets(self, first: int, following: Iterator[Any]) -> Iterator[Any]:
        """Frames whose `pts` is the number of their packet."""
        av = import_optional("av", "reading videos")
        number = self._index.number
        # A file that has grown since it was scanned has more packets than are known.
        for k, packet in zip(range(first, len(number)), following, strict=False):
            if self._index.cut_off[k]:
                self._errors[int(number[k])] = "the file is truncated before its packet"
                continue
            # The decoder hands a packet's timestamp on to its frame: it serves to tell whose frame
            # comes out.
            packet.pts = k
            try:
                yield from packet.decode()
            except av.error.FFmpegError as error:
                self._errors[int(number[k])] = f"its packet cannot be decoded: {error.strerror}"
        if self._video is not None:
            yield from self._video[1].codec_context.decode(None)


class VideoFrames:
    """Reads the frames of a video.

    Parameters
    ----------
    path : str
        A file, or an fsspec URL.

    Raises
    ------
    SourceError
        If it cannot be opened, has no video stream or no frames.
    ImportError
        If PyAV is not installed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._index = scan(path)
        self.stream = Stream(path, len(self._index), rate=self._index.rate)
        self._decoder = _Decoder(path, self._index)

    def frame(self, number: int) -> Frame:
        return self._decoder.frame(number)

    def run_up(self, number: int) -> int:
        starts = self._index.starts(number)
        return number - int(self._index.number[starts[0]]) if len(starts) else number

    def frames(self, numbers: range) -> Iterator[Frame]:
        with closing(_Decoder(self._path, self._index)) as decoder:
            yield from map(decoder.frame, numbers)

    def release(self) -> None:
        self._decoder.close()
