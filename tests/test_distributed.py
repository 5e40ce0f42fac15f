"""Alignment on Dask workers: the same rows and bytes, whatever becomes of a worker."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from clips import wait_for
from talks import BLOCK, make_talk, written

import holdstill
from holdstill import distributed

dask = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own threads and sockets


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Three blocks, aligned here as well."""
    talk = make_talk(tmp_path_factory.mktemp("talk"), 520, 80)
    talk.align(talk.folder / "alone")
    return talk


@pytest.fixture(scope="module")
def client():
    with distributed.connected("local:2") as client:
        yield client


def test_workers_write_the_same_bytes_as_threads(talk, client, tmp_path):
    seen = []
    summary = talk.align(
        tmp_path / "run", client=client, progress=lambda done, total: seen.append((done, total))
    )
    assert written(tmp_path / "run") == written(talk.folder / "alone")
    assert (summary["frames"], summary["options"]["workers"]) == (600, 2)
    assert seen[0] == (0, 600) and seen[-1] == (600, 600) and len(seen) == 1 + summary["blocks"]


def test_the_rows_come_back_in_order_and_equal(talk, client):
    here = list(holdstill.align(talk.sources, talk.dictionary, talk.initial, threads=1))
    there = list(
        distributed.align(talk.sources, talk.dictionary, client, talk.initial, block_frames=BLOCK)
    )
    assert [(a.source, a.frame, a.status) for a in there] == [
        (a.source, a.frame, a.status) for a in here
    ]
    np.testing.assert_array_equal(
        [a.frame_from_canonical for a in there], [a.frame_from_canonical for a in here]
    )
    np.testing.assert_array_equal(there[7].coefficients, here[7].coefficients)


def test_few_blocks_are_under_way_at_a_time_and_closing_cancels_them(talk, client):
    before = {*client.futures}

    def under_way():
        return [k for k in {*client.futures} - before if k.startswith("align_rows")]

    rows = distributed.align(
        talk.sources * 4, talk.dictionary, client, np.tile(talk.initial, (4, 1, 1)),
        block_frames=BLOCK,
    )  # fmt: skip
    next(rows)
    # Of twelve: as many as the workers are given at a time, and the one whose rows have come.
    assert 1 < len(under_way()) <= 2 * distributed.TASKS_PER_THREAD + 1
    rows.close()
    wait_for(lambda: not under_way() and not any(client.processing().values()))


def test_a_killed_worker_costs_nothing_but_time(talk, tmp_path):
    with distributed.connected("local:2") as client:
        workers = list(client.run(os.getpid).values())
        killed = []

        def kill(record):
            if not killed:
                killed.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)

        talk.align(tmp_path / "run", client=client, on_block=kill)
    assert killed
    assert written(tmp_path / "run") == written(talk.folder / "alone")


def test_when_all_workers_die_the_dictionary_is_sent_again(talk, tmp_path):
    with distributed.connected("local:1") as client:
        killed = []

        def kill(record):
            if not killed:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        talk.align(tmp_path / "run", client=client, on_block=kill)
    assert killed
    assert written(tmp_path / "run") == written(talk.folder / "alone")


def test_a_run_begun_here_goes_on_there(talk, client, tmp_path):

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        talk.align(tmp_path / "run", on_block=stop)
    summary = talk.align(tmp_path / "run", client=client, resume=True)
    assert summary["blocks_done_before"] == 1
    assert written(tmp_path / "run") == written(talk.folder / "alone")


def test_arrays_and_wrong_options_are_refused_before_anything_travels(talk, client):
    sources, initial, dictionary = talk.sources, talk.initial, talk.dictionary
    with pytest.raises(TypeError, match="expected paths"):
        distributed.align(np.zeros((4, 64, 80), np.uint8), dictionary, client)
    with pytest.raises(ValueError, match="mu"):
        distributed.align(sources, dictionary, client, initial, mu=-1.0)
    with pytest.raises(ValueError, match="initial"):
        distributed.align(sources, dictionary, client, initial[:3])


@pytest.mark.parametrize("address", ["local:0", "local:", "somewhere", "local:two"])
def test_an_address_that_is_none_is_named(address):
    with pytest.raises(ValueError, match="dask: expected"), distributed.connected(address):
        pass


def test_a_scheduler_that_is_not_there_is_an_error(unused_port):
    with (
        pytest.raises(OSError),
        distributed.connected(f"tcp://127.0.0.1:{unused_port}"),
    ):
        pass


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
