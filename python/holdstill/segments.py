"""The aligned video: stretches that are encoded apart and joined without encoding anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional
from holdstill.outputs import output_errors

_ENCODERS: dict[str, dict[str, str]] = {
    # Without B-frames every packet is one picture, in order: joining segments is counting.
    # Without its macroblock tree equal pictures give equal bytes: with it about one file in 400, of
    # pictures a few macroblocks wide, differed (x264 core 165 with its assembly).
    "libx264": {"preset": "veryfast", "crf": "16", "bf": "0", "mbtree": "0"},
    "mpeg4": {"qscale": "2", "flags": "+qscale"},
}
"""Encoders of the aligned video in order of preference, with their options."""

_BT601, _LIMITED_RANGE = 6, 1
"""What the conversion from RGB to yuv420p does, in FFmpeg's numbers, so that players undo it."""


def as_rate(fps: float) -> Fraction:
    """Frames per second as a fraction that containers bear, such as 30000/1001."""
    return Fraction(fps).limit_denominator(1001)


class Segment:
    """A stretch of the aligned video: H.264 (MPEG-4 where that encoder is missing), yuv420p.

    Stretches are encoded apart, so that tracks may run in parallel, and joined at the end.

    Parameters
    ----------
    path : path
        The file to write.
    fps : float
        Frames per second.
    clock : Fraction, optional
        Unit in seconds of the times that pictures are given; by default picture i is shown at
        i/fps.

    Attributes
    ----------
    n_pictures : int
        Pictures written so far.
    """

    def __init__(self, path: Path, fps: float, clock: Fraction | None = None) -> None:
        self.path = path
        self.rate = as_rate(fps)
        self.n_pictures = 0
        self._clock = clock or 1 / self.rate
        self._shown_at = -1
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def write(self, rgb: npt.NDArray[np.uint8], time: float | None = None) -> None:
        """Append a picture.

        Parameters
        ----------
        rgb : ndarray, shape (h, w, 3), uint8
            All pictures of a video have one size. An odd side is made even, as yuv420p needs, by
            repeating the last row or column.
        time : float, optional
            When it is shown, in seconds; at the earliest a unit of the clock after the one before.

        Raises
        ------
        ValueError
            If `rgb` is no such picture, or of another size than the first.
        OutputError
            If it cannot be written.
        """
        picture = np.asarray(rgb)
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise ValueError(
                f"rgb: expected uint8 of shape (h, w, 3), got {picture.dtype} {picture.shape}"
            )
        height, width = picture.shape[:2]
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._container is not None and picture.shape != self._shape:
            raise ValueError(f"rgb: expected the size of the first picture, got {height}x{width}")
        with output_errors(self.path):
            if self._container is None:
                self._open(picture.shape)
            frame = load_av().VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            due = self._shown_at + 1 if time is None else round(time / self._clock)
            self._shown_at = max(due, self._shown_at + 1)
            frame.pts, frame.time_base = self._shown_at, self._clock
            self._container.mux(self._stream.encode(frame))
        self.n_pictures += 1

    def close(self) -> None:
        """Finish the file; a second call does nothing.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if self._container is None:
            return
        with output_errors(self.path):
            self._container.mux(self._stream.encode(None))
            self._container.close()
        self._container = self._stream = None

    def abandon(self) -> None:
        """Let go of the file without finishing it."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            with contextlib.suppress(Exception):
                container.close()

    def _open(self, shape: tuple[int, ...]) -> None:
        av = load_av()
        self._shape = shape
        self._container = av.open(str(self.path), "w", format="mp4")
        encoder = next(name for name in _ENCODERS if name in av.codecs_available)
        stream = self._container.add_stream(
            encoder, rate=self.rate, options=dict(_ENCODERS[encoder])
        )
        stream.height, stream.width = shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = self._clock
        stream.codec_context.colorspace = _BT601
        stream.codec_context.color_range = _LIMITED_RANGE
        # Several segments are encoded at a time; and one thread gives the same bytes every time.
        stream.codec_context.thread_count = 1
        self._stream = stream


def concatenate(segments: Iterable[Path], rate: Fraction, path: Path) -> None:
    """Join closed segments without encoding again; picture i is shown at i/rate.

    Parameters
    ----------
    segments : iterable of path
        Taken one by one, each read before the next is asked for.
    rate : Fraction
        Frames per second.
    path : path
        The file to write.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    av = load_av()
    position = 0
    with output_errors(path), av.open(str(path), "w", format="mp4") as joined:
        stream: Any = None
        for segment in segments:
            with av.open(str(segment)) as part:
                if stream is None:
                    stream = joined.add_stream_from_template(part.streams.video[0])
                    stream.time_base = 1 / rate
                for packet in part.demux(part.streams.video[0]):
                    if packet.size == 0:
                        continue
                    packet.stream = stream
                    packet.time_base = 1 / rate
                    packet.pts = packet.dts = position
                    packet.duration = 1
                    joined.mux(packet)
                    position += 1


def load_av() -> Any:
    """PyAV, or an error that says how to install it."""
    return import_optional("av", "writing the aligned video", name="PyAV")
