"""Sources that vanish while they are read: it is they that are named, not what is written."""

from __future__ import annotations

import os
import shutil

import pytest

import holdstill
from holdstill.picture_files import write_pictures
from holdstill.sources import SourceError

pytest.importorskip("av")


@pytest.fixture(params=["whole", "cut off"])
def video(request, clip, tmp_path):
    path = tmp_path / "talk.mp4"
    shutil.copy(clip.video, path)
    if request.param == "cut off":
        os.truncate(path, path.stat().st_size // 2)
    return path


def test_a_video_that_vanishes_is_a_source_error_that_names_it(video):
    with holdstill.open(video) as frames:
        video.unlink()
        with pytest.raises(SourceError, match=r"talk\.mp4"):
            next(frames.read(0, 0, 3))
        with pytest.raises(SourceError, match=r"talk\.mp4"):
            frames[0]


@pytest.mark.parametrize("out", ["out.mp4", "out.zarr", "out"])
def test_the_video_is_named_and_not_what_is_made_of_it(video, tmp_path, out):
    if out.endswith("zarr"):
        pytest.importorskip("zarr")
    with holdstill.open(video) as frames:
        pictures = (frame.image for frame in frames)
        video.unlink()
        with pytest.raises(SourceError, match=r"talk\.mp4"):
            write_pictures(pictures, tmp_path / out, len(frames), 25.0)
    assert not list(tmp_path.iterdir())
