"""Jobs write the same bytes on any road, and what `align` and `warp` give."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import zarr
from talks import BLOCK, written

import holdstill
from holdstill.jobs import Job, align_block


@pytest.mark.parametrize("threads", [2, 5])
def test_any_number_of_threads_writes_the_same_bytes(talk, aligned_talk, tmp_path, threads):
    summary = talk.align(tmp_path / "run", threads=threads)
    assert written(tmp_path / "run") == written(aligned_talk)
    assert (summary["frames"], summary["blocks"], summary["lost"]) == (350, 2, [])


def test_blocks_done_apart_and_out_of_order_write_the_same_bytes(talk, aligned_talk, tmp_path):
    with Job(
        talk.frames(), talk.dictionary, tmp_path / "run", talk.initial, zarr=True,
        block_frames=BLOCK,
    ) as job:  # fmt: skip
        blocks = [job.portable(block) for block in job.pending()]
        travelled = pickle.loads(pickle.dumps((job.task, job.outputs, blocks)))
        task, outputs, blocks = travelled
        align_block(task, outputs, blocks[1])
        for block in reversed(blocks):  # one of them twice
            job.add(align_block(task, outputs, block))
        job.finish()
    assert written(tmp_path / "run") == written(aligned_talk)


def test_the_rows_are_those_of_align(talk, aligned_talk):
    rows = holdstill.read_transforms(aligned_talk)
    found = list(holdstill.align(talk.sources, talk.dictionary, talk.initial))
    np.testing.assert_array_equal(
        rows["frame_from_canonical"], [a.frame_from_canonical for a in found]
    )
    assert rows["source"].tolist() == [a.source for a in found]
    np.testing.assert_array_equal(rows["residual"], [a.residual for a in found])


def test_the_pictures_are_the_frames_seen_through_the_transforms(talk, aligned_talk):
    array = zarr.open(str(aligned_talk / "aligned.zarr"), mode="r")
    rows = holdstill.read_transforms(aligned_talk)["frame_from_canonical"]
    assert (array.shape, array.dtype) == ((350, 32, 32, 3), np.uint8)
    for row in (0, 249, 250, 289, 290, 349):  # where tracks meet
        seen = holdstill.warp(talk.frames()[row].image, rows[row], (32, 32))
        np.testing.assert_array_equal(array[row], seen)
    assert not (aligned_talk / "fragments").exists()
