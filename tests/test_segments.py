"""Stretches of a video that are encoded apart and joined."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from disk import small_files

from holdstill.outputs import OutputError
from holdstill.segments import Segment, as_rate, concatenate

av = pytest.importorskip("av")


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
        return stream.codec_context.name, stream.codec_context.pix_fmt, frames


def picture(k, height=48, width=64):
    """A smooth colour picture whose mean grey level tells k."""
    y, x = np.mgrid[:height, :width]
    planes = [20 + 2 * k + 40 * x / width, 60 + 2 * k + 0 * x, 100 + 2 * k + 40 * y / height]
    return np.stack(planes, axis=2).astype(np.uint8)


def segment_of(path, pictures, fps=25.0):
    segment = Segment(path, fps)
    for rgb in pictures:
        segment.write(rgb)
    segment.close()
    return path


def test_joined_stretches_have_every_picture_at_its_time(tmp_path):
    stretches = [range(11), range(11, 18), range(18, 30)]
    files = [
        segment_of(tmp_path / f"{k}.mp4", map(picture, numbers), 29.97)
        for k, numbers in enumerate(stretches)
    ]
    concatenate(iter(files), as_rate(29.97), tmp_path / "joined.mp4")
    codec, pixels, frames = decode(tmp_path / "joined.mp4")
    assert (codec, pixels) == ("h264", "yuv420p")
    assert len(frames) == 30
    for k, (time, rgb) in enumerate(frames):
        assert time == pytest.approx(k / 29.97, abs=1e-4)
        assert np.abs(rgb.astype(int) - picture(k)).mean() < 2.0


def test_joining_does_not_encode_again_and_can_be_done_in_steps(tmp_path):
    files = [
        segment_of(tmp_path / f"{k}.mp4", map(picture, range(12 * k, 12 * k + 12)))
        for k in range(3)
    ]
    apart = [rgb for file in files for _, rgb in decode(file)[2]]
    rate = Fraction(25)
    concatenate(files, rate, tmp_path / "at once.mp4")
    concatenate(files[:2], rate, tmp_path / "two.mp4")
    concatenate([tmp_path / "two.mp4", files[2]], rate, tmp_path / "in steps.mp4")
    together = [rgb for _, rgb in decode(tmp_path / "at once.mp4")[2]]
    np.testing.assert_array_equal(together, apart)
    in_steps = decode(tmp_path / "in steps.mp4")[2]
    np.testing.assert_array_equal([rgb for _, rgb in in_steps], apart)
    assert [time for time, _ in in_steps] == [k / 25 for k in range(36)]


def test_equal_pictures_give_equal_bytes(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (6, 64, 48, 3), dtype=np.uint8)
    written = set()
    for k in range(20):
        junk = [rng.random(int(rng.integers(1, 60_000))) for _ in range(30)]
        written.add(segment_of(tmp_path / f"{k}.mp4", noise).read_bytes())
        del junk
    assert len(written) == 1


def test_odd_sides_are_made_even_by_repeating_the_border(tmp_path):
    ((_, rgb),) = decode(segment_of(tmp_path / "odd.mp4", [picture(5, 45, 33)]))[2]
    assert rgb.shape == (46, 34, 3)
    assert np.abs(rgb[:45, :33].astype(int) - picture(5, 45, 33)).mean() < 3.0


def test_pictures_of_another_kind_or_size_are_refused(tmp_path):
    segment = Segment(tmp_path / "a.mp4", 25.0)
    segment.write(picture(0))
    with pytest.raises(ValueError, match="rgb: expected the size of the first picture"):
        segment.write(picture(0, 50, 64))
    for bad in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3))):
        with pytest.raises(ValueError, match="rgb: expected uint8"):
            segment.write(bad)
    segment.abandon()


def test_a_full_disk_is_an_output_error(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (20, 128, 128, 3), dtype=np.uint8)
    with small_files(), pytest.raises(OutputError, match="cannot write"):
        segment_of(tmp_path / "a.mp4", noise)
