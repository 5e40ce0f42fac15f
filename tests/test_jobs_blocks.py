"""Blocks of a job: whole tracks, planned one at a time, and what of them travels."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from talks import BLOCK

import holdstill
from holdstill.jobs import Job
from holdstill.jobs.blocks import plan_blocks


def test_blocks_are_whole_tracks_and_all_rows_in_order(talk):
    blocks = list(plan_blocks(talk.frames(), BLOCK))
    assert [block.rows for block in blocks] == [range(250), range(250, 350)]
    assert [block.index for block in blocks] == [0, 1]
    assert [(t.stream, t.first_row, len(t.numbers)) for t in blocks[1].tracks] == [
        (1, 250, 40), (2, 290, 60)
    ]  # fmt: skip


def test_a_block_is_as_long_as_asked_for_and_no_longer_than_its_last_track(tmp_path):
    np.save(tmp_path / "long.npy", np.zeros((2600, 8, 8), np.uint8))
    frames = holdstill.open(tmp_path / "long.npy")
    assert [len(block.rows) for block in plan_blocks(frames, 700)] == [750, 750, 750, 350]
    assert [len(block.rows) for block in plan_blocks(frames, 10_000)] == [2600]


def test_a_million_frames_are_planned_one_block_at_a_time():
    class Endless:
        """A billion frames of one stream; nothing of it is held."""

        numbers = (range(10**9),)
        streams = (holdstill.sources.Stream("talk.npy", 10**9),)

        def run_up(self, stream, number):
            return 0

    blocks = plan_blocks(Endless(), 2000)  # a list of tracks would fill the memory
    assert [next(blocks).rows for _ in range(3)] == [range(k, k + 2000) for k in (0, 2000, 4000)]


def test_every_frame_has_its_row_in_a_portable_block(talk):
    frames = talk.frames()
    with Job(frames, talk.dictionary, talk.folder / "portable", talk.initial) as job:
        for block in plan_blocks(frames, BLOCK):
            portable = pickle.loads(pickle.dumps(job.portable(block)))
            seen = [
                (frame.source, frame.frame, frame.image.tobytes())
                for track in portable.block.tracks
                for frame in portable.open().read(
                    track.stream, track.numbers.start, track.numbers.stop
                )
            ]
            here = [frames[row] for row in block.rows]
            assert seen == [(f.source, f.frame, f.image.tobytes()) for f in here]


def test_images_travel_by_the_paths_of_their_own_block(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for k in range(7):
        image.fromarray(np.full((8, 8), k, np.uint8)).save(tmp_path / f"{k}.png")
    frames = holdstill.open(tmp_path, every=2)
    portion = holdstill.sources.portion.portion_of(frames, 0, range(2, 7, 2))
    assert [Path(file).name for file in portion.files] == ["2.png", "4.png", "6.png"]
    opened = holdstill.sources.portion.open_portions([portion], [""])
    assert [(f.frame, int(f.image[0, 0])) for f in opened.read(0, 2, 7, 2)] == [
        (2, 2), (4, 4), (6, 6)
    ]  # fmt: skip


def test_an_array_in_memory_does_not_travel(talk):
    stack = np.zeros((3, 64, 80), np.uint8)
    with (
        Job(holdstill.open(stack), talk.dictionary, talk.folder / "no", video=False) as job,
        pytest.raises(TypeError, match="expected paths"),
    ):
        job.portable(next(job.pending()))
