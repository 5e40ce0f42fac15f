"""Tracks of a job: what is let go of where they end early, and what they count."""

from __future__ import annotations

import time

import pytest

import holdstill
from holdstill.jobs import Job, following
from holdstill.segments import Segment
from holdstill.sources import Frame

pytest.importorskip("av")
pytest.importorskip("pyarrow")


def test_a_stretch_of_the_video_is_let_go_of_where_a_run_is_interrupted(
    small_head, tmp_path, monkeypatch
):
    opened, closed = [], []

    class Watched(Segment):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            opened.append(self.path.name)

        def abandon(self):
            super().abandon()
            closed.append(self.path.name)

    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "Segment", Watched)
    frames = holdstill.open(small_head.frames)
    with Job(frames, small_head.dictionary, tmp_path / "run", small_head.initial) as job:
        [block] = job.pending()
        with pytest.raises(KeyboardInterrupt):
            list(
                following.follow_tracks(
                    job.task, job.outputs, frames, block.tracks, tmp_path, count=stop
                )
            )
    assert opened == closed == ["0.mp4"]


class Searching:
    """Initial transforms that a detector is asked for at every frame."""

    has_angles = False

    def __init__(self, transforms):
        self.transforms, self.detections = transforms, 0

    def for_track(self):
        return Searching(self.transforms)

    def propose(self, frame: Frame, row: int):
        self.detections += 1
        return self.transforms[row]

    def retry(self, frame: Frame, row: int):
        return None

    def rivals(self):
        return ()

    def accept(self, frame_from_canonical):
        pass


@pytest.mark.parametrize("staged", [False, True])
def test_every_search_is_counted_once_however_far_ahead_the_frames_are(
    small_head, tmp_path, staged, monkeypatch
):
    monkeypatch.setattr("holdstill.tracks.TRACK_LENGTH", 4)
    frames = holdstill.open(small_head.frames)
    with Job(
        frames, small_head.dictionary, tmp_path / "run", small_head.initial, video=False
    ) as job:
        [block] = job.pending()
        job.task.__dict__["starts"] = Searching(small_head.initial)
        followed = following.follow_tracks(
            job.task, job.outputs, frames, block.tracks, tmp_path, staged=staged
        )
        detections = []
        for one in followed:
            detections.append(one.detections)
            time.sleep(0.05)  # the stages go on meanwhile
    assert len(detections) == 6 and sum(detections) == len(frames)
