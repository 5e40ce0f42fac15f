"""A video with its own times and a sound track, which is copied where MP4 allows."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.outputs import output_errors, replacing
from holdstill.pictures import as_rgb8
from holdstill.segments import Segment, load_av
from holdstill.sources import SourceError

CLOCK = Fraction(1, 90000)
"""Unit of a picture's time, the one of MPEG."""

_COPIED = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
"""Kinds of sound that MP4 holds; others become AAC."""

_RATE = 48000
"""Samples per second of what is encoded."""


def has_sound(path: str | os.PathLike[str]) -> bool:
    """Whether a file has a sound track.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    SourceError
        If it is no video and no sound.
    """
    av = load_av()
    file = os.fspath(path)
    if not os.path.isfile(file):
        raise FileNotFoundError(f"{file}: no such file")
    try:
        with av.open(file) as container:
            return bool(container.streams.audio)
    except av.error.FFmpegError as error:
        raise SourceError(f"{file}: no video and no sound ({error.strerror})") from None


def write_video(
    pictures: Iterator[tuple[npt.NDArray[Any], float]],
    path: str | os.PathLike[str],
    fps: float,
    *,
    sound: str | os.PathLike[str] | None = None,
    begin: float = 0.0,
) -> int:
    """Write pictures at their times, with sound.

    Parameters
    ----------
    pictures : iterator of (ndarray (h, w[, 3]), float)
        Each with the time in seconds when it is shown, from 0.
    path : str or path
        MP4; an odd side becomes even, as H.264 needs, by repeating the last row or column.
    fps : float
        Frames per second, for how long the last picture is shown.
    sound : path, optional
        A file with a sound track.
    begin : float
        Time in that track, in seconds, at which the first picture is shown.

    Returns
    -------
    int
        Pictures written.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    out = Path(path)
    silent = out.with_name(f".{out.name}.pictures.tmp")
    with output_errors(out), replacing(out) as temporary:
        try:
            count, end = _write_pictures(pictures, temporary if sound is None else silent, fps)
            if sound is not None:
                _join(silent, Path(sound), temporary, begin, end)
        finally:
            silent.unlink(missing_ok=True)
    return count


def _write_pictures(
    pictures: Iterator[tuple[npt.NDArray[Any], float]], path: Path, fps: float
) -> tuple[int, float]:
    segment = Segment(path, fps, CLOCK)
    end = 0.0
    try:
        for picture, time in pictures:
            segment.write(as_rgb8(picture), time)
            end = time + 1.0 / fps
        segment.close()
    finally:
        segment.abandon()
    return segment.n_pictures, end


def _join(pictures: Path, sound: Path, path: Path, begin: float, end: float) -> None:
    """Both in one file, without encoding the pictures again."""
    av = load_av()
    with (
        av.open(str(pictures)) as video,
        av.open(str(sound)) as audio,
        av.open(str(path), "w", format="mp4") as joined,
    ):
        seen, heard = video.streams.video[0], audio.streams.audio[0]
        shown = joined.add_stream_from_template(seen)
        shown.time_base = seen.time_base
        if heard.codec_context.name in _COPIED:
            played = joined.add_stream_from_template(heard)
            packets = _copied(audio, heard, played, begin, end)
        else:
            played = joined.add_stream("aac", rate=_RATE)
            # A file may say how many channels it has, and not which.
            played.layout = "mono" if heard.codec_context.channels == 1 else "stereo"
            packets = _encoded(audio, heard, played, begin, end)
        for _, packet in heapq.merge(
            _pictures(video, seen, shown), packets, key=lambda timed: timed[0]
        ):
            joined.mux(packet)


def _pictures(video: Any, seen: Any, shown: Any) -> Iterator[tuple[float, Any]]:
    for packet in video.demux(seen):
        if packet.size:
            packet.stream = shown
            yield float(packet.dts * packet.time_base), packet


def _copied(
    audio: Any, heard: Any, played: Any, begin: float, end: float
) -> Iterator[tuple[float, Any]]:
    """Packets from `begin` on, at the times of the pictures."""
    for packet in audio.demux(heard):
        if packet.size == 0 or packet.pts is None:
            continue
        unit = float(packet.time_base)
        time = packet.pts * unit - begin
        # A packet is cut nowhere: it counts where more than half of it lies.
        if time + packet.duration * unit / 2 < 0.0:
            continue
        if time >= end:
            break
        packet.pts = packet.dts = max(0, round(time / unit))
        packet.stream = played
        yield time, packet


def _encoded(
    audio: Any, heard: Any, played: Any, begin: float, end: float
) -> Iterator[tuple[float, Any]]:
    """Packets of the samples from `begin` on, encoded anew."""
    av = load_av()
    wanted, written = math.ceil(end * _RATE), 0

    def packets(frame: Any) -> Iterator[tuple[float, Any]]:
        for packet in played.encode(frame):
            yield max(0.0, float(packet.dts * packet.time_base)), packet

    for samples in _samples(audio, heard, played.layout, begin):
        piece = np.ascontiguousarray(samples[:, : wanted - written])
        if piece.shape[1]:
            frame = av.AudioFrame.from_ndarray(piece, "fltp", played.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = _RATE, written, Fraction(1, _RATE)
            written += piece.shape[1]
            yield from packets(frame)
        if written >= wanted:
            break
    yield from packets(None)


def _samples(
    audio: Any, heard: Any, layout: Any, begin: float
) -> Iterator[npt.NDArray[np.float32]]:
    """Pieces (channels, n) of a track from `begin` on; silence until it begins."""
    decoded = audio.decode(heard)
    first = next(decoded, None)
    if first is None:
        return
    lead = round(((first.time or 0.0) - begin) * _RATE)
    silence = np.zeros((layout.nb_channels, _RATE), dtype=np.float32)
    for still in range(lead, 0, -_RATE):
        yield silence[:, :still]
    skip = max(0, -lead)
    resampler = load_av().AudioResampler(format="fltp", layout=layout.name, rate=_RATE)
    for frame in chain([first], decoded, [None]):  # None: what the resampler still holds
        for piece in resampler.resample(frame):
            samples = piece.to_ndarray()
            yield samples[:, skip:]
            skip = max(0, skip - samples.shape[1])
