"""Image files as an H.264 video of any length, to and fro; encoded once, repeated by packets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, islice
from pathlib import Path

import av

FRAMES_PER_SECOND = 25


@dataclass(frozen=True)
class Loop:
    """Which image each frame of the video shows."""

    n_images: int

    @property
    def period(self) -> int:
        """Frames from the first image to the last and back, without a jump."""
        return 2 * self.n_images - 2

    def position(self, frame: int) -> int:
        """The image that a frame shows."""
        return min(frame % self.period, -frame % self.period)


def write_loop(images: Sequence[Path], path: Path, n: int) -> Loop:
    """Write a video of n frames.

    Parameters
    ----------
    images : sequence of paths
        Of one size, at least two.
    path : path
        The video.
    n : int
        Frames of the video.

    Returns
    -------
    Loop
    """
    loop = Loop(len(images))
    once = path.with_name(f".once-{path.name}")
    _encode([images[loop.position(k)] for k in range(loop.period)], once)
    with av.open(str(once)) as cycle, av.open(str(path), "w") as container:
        template = cycle.streams.video[0]
        stream = container.add_stream_from_template(template)
        unit = template.time_base
        length = round(loop.period / FRAMES_PER_SECOND / unit)
        packets = [
            (bytes(packet), packet.pts, packet.dts, packet.is_keyframe)
            for packet in cycle.demux(template)
            if packet.size
        ]
        repeated = ((turn * length, *packet) for turn in count() for packet in packets)
        for offset, content, pts, dts, is_keyframe in islice(repeated, n):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, unit
            packet.pts, packet.dts = offset + pts, offset + dts
            packet.is_keyframe = is_keyframe
            container.mux(packet)
    once.unlink()
    return loop


def _encode(images: Sequence[Path], path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        for number, image in enumerate(images):
            with av.open(str(image)) as file:
                picture = next(file.decode(video=0))
            if number == 0:
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt = "yuv420p"
            picture = picture.reformat(format="yuv420p", dst_color_range="MPEG")
            picture.pts, picture.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            picture.pict_type = 0
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
