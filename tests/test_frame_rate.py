"""Frames per second of a source: those it was made with, whatever its timestamps are rounded to."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import holdstill
from holdstill.segments import as_rate
from holdstill.streaming import frame_rate

av = pytest.importorskip("av")

NTSC = Fraction(30000, 1001)


def write(path, times, unit, stated):
    """A video whose pictures are shown at these times, in seconds, to the container's rounding."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=stated)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv420p"
        stream.codec_context.time_base = unit
        for k, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(np.full((16, 16, 3), k, np.uint8), format="rgb24")
            picture.pts, picture.time_base = round(time / unit), unit
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["talk.mkv", "talk.mp4", "talk.avi"])
@pytest.mark.parametrize("rate", [NTSC, Fraction(24000, 1001), Fraction(25)])
def test_a_constant_rate_is_found_to_the_fraction(tmp_path, name, rate):
    video = write(tmp_path / name, [k / rate for k in range(40)], 1 / rate, rate)
    with holdstill.open(video) as frames:
        assert as_rate(frame_rate(frames)) == rate
    with holdstill.open(video, every=3) as frames:
        assert frame_rate(frames) == pytest.approx(float(rate) / 3)


def test_the_rate_of_a_varying_one_is_that_of_all_frames(tmp_path):
    steps = np.tile([Fraction(1, 30), Fraction(1, 15)], 20)
    video = write(tmp_path / "talk.mkv", [0, *np.cumsum(steps)], Fraction(1, 1000), 30)
    with holdstill.open(video) as frames:
        assert frame_rate(frames) == pytest.approx(20.0, rel=1e-3)


def test_the_first_stream_that_has_times_tells(tmp_path):
    for k in range(3):
        Image.new("L", (16, 16)).save(tmp_path / f"{k}.png")
    video = write(tmp_path / "talk.mkv", [k / NTSC for k in range(40)], 1 / NTSC, NTSC)
    with holdstill.open([*tmp_path.glob("*.png"), video]) as frames:
        assert [stream.rate is None for stream in frames.streams] == [True, False]
        assert as_rate(frame_rate(frames)) == NTSC
    with holdstill.open(np.zeros((3, 16, 16), np.uint8)) as frames:
        assert frame_rate(frames) == 25.0
