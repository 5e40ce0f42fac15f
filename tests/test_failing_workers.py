"""Blocks that no worker can do: how often they are tried, and how the run ends."""

from __future__ import annotations

import logging
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


def test_what_goes_wrong_in_the_callers_own_progress_is_not_blamed_on_the_scheduler(
    small_head, tmp_path
):
    def progress(done, total):
        if done:
            raise BrokenPipeError("nobody looks")

    np.save(tmp_path / "head.npy", small_head.frames[:4])
    before = logging.getLogger("distributed").level
    with (
        pytest.raises(BrokenPipeError, match="nobody looks"),
        distributed.connected("local:1") as client,
    ):
        align_to_folder(
            holdstill.open(tmp_path / "head.npy"), small_head.dictionary, tmp_path / "run",
            small_head.initial[:4], client=client, video=False, progress=progress,
        )  # fmt: skip
    assert logging.getLogger("distributed").level == before


def test_a_scheduler_that_goes_is_told_of_and_leaves_dasks_messages_as_they_were(
    small_head, tmp_path
):
    from distributed import LocalCluster

    sources = [tmp_path / f"{k}.npy" for k in range(6)]
    for source, pictures in zip(sources, np.split(small_head.frames, 6), strict=True):
        np.save(source, pictures)
    dasks = logging.getLogger("distributed")
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        before = dasks.level

        def lose(record):
            cluster.close()

        with (
            pytest.raises(JobIncompleteError, match="go on with --resume"),
            distributed.connected(cluster.scheduler_address) as client,
        ):
            align_to_folder(
                holdstill.open(sources), small_head.dictionary, tmp_path / "run",
                small_head.initial, client=client, video=False, block_frames=4, on_block=lose,
            )  # fmt: skip
    assert dasks.level == before


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
