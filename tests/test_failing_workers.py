"""Blocks that no worker can do: how often they are tried, and how the run ends."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import holdstill
from holdstill import distributed
from holdstill.jobs import JobIncompleteError
from holdstill.run import align_to_folder

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own threads and sockets


@pytest.fixture
def attempts(small_head, tmp_path):
    """How often a job's only block is tried whose initial transforms do something bad."""

    def count(bad, client):
        tried = tmp_path / "tried"

        def initial(frame):
            with open(tried, "a") as file:
                file.write("x")
            bad()

        np.save(tmp_path / "head.npy", small_head.frames[:4])
        with pytest.raises(JobIncompleteError, match="1 blocks with 4 frames are not done"):
            align_to_folder(
                holdstill.open(tmp_path / "head.npy"), small_head.dictionary, tmp_path / "run",
                initial, client=client, video=False,
            )  # fmt: skip
        return len(tried.read_text())

    return count


def test_a_block_that_fails_is_tried_three_times_in_all(attempts):
    def fail():
        raise RuntimeError("of this block")

    with distributed.connected("local:1") as client:
        assert attempts(fail, client) == distributed.ATTEMPTS == 3


def test_a_block_that_kills_as_many_workers_as_dask_allows_is_given_to_no_other(attempts):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.connected("local:1") as client,
    ):
        assert attempts(die, client) == 1
