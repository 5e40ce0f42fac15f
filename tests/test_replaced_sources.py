"""Alignment on workers of files that are replaced between two calls."""

from __future__ import annotations

import os
from concurrent.futures import Future

import numpy as np
import pytest

import holdstill
from holdstill import distributed


class Here:
    """A client whose only worker is this process, which remembers what it has opened."""

    def scatter(self, task, **options):
        return task

    def submit(self, work, *arguments, **options):
        done = Future()
        done.set_result(work(*arguments))
        return done

    def nthreads(self):
        return {"here": 1}

    def cancel(self, futures):
        pass


def rows(found):
    return [(row.source, row.frame, row.status, row.residual) for row in found]


def test_workers_see_a_file_that_has_been_replaced(small_head, tmp_path):
    path, pictures = tmp_path / "head.npy", small_head.frames[:6]
    for shown in (pictures, pictures[::-1].copy(), pictures[:4]):
        np.save(tmp_path / "new.npy", shown)
        os.replace(tmp_path / "new.npy", path)
        initial = small_head.initial[: len(shown)]
        there = distributed.align(path, small_head.dictionary, Here(), initial)
        here = holdstill.align(path, small_head.dictionary, initial, threads=1)
        assert rows(there) == rows(here)


@pytest.mark.parametrize("frames", [0, -3, 2.5])
def test_blocks_of_no_frames_are_refused(small_head, frames):
    with pytest.raises(ValueError, match="block_frames: expected"):
        distributed.align("head.npy", small_head.dictionary, Here(), block_frames=frames)
