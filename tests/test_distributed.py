"""Alignment on Dask workers: the same rows and bytes, whatever becomes of a worker."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from clips import write_video

import holdstill
from holdstill import distributed
from holdstill.run import align_to_folder
from holdstill.synthetic import TalkingHead

dask = pytest.importorskip("distributed")
pytest.importorskip("pyarrow")
pytest.importorskip("av")

pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own threads and sockets


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talk")
    head = TalkingHead(600, size=(64, 80), shape=(32, 32), occlusion=False)
    pictures, initial = list(head), head.initial(1.0)
    np.save(folder / "a.npy", np.stack(pictures[:520]))
    write_video(folder / "b.mp4", pictures[520:], (64, 80))
    dictionary = holdstill.fit(
        np.stack(pictures[:100]), initial[:100], n=12, shape=(32, 32), motion="similarity"
    )
    sources = [str(folder / "a.npy"), str(folder / "b.mp4")]
    align_to_folder(
        holdstill.open(sources), dictionary, folder / "alone", initial, threads=1, block_frames=100
    )
    return folder, sources, initial, dictionary


@pytest.fixture(scope="module")
def client():
    with distributed.connected("local:2") as client:
        yield client


def parts(folder):
    files = [*sorted((folder / "transforms.parquet").iterdir()), folder / "aligned.mp4"]
    return {file.name: file.read_bytes() for file in files}


def test_workers_write_the_same_bytes_as_threads(talk, client, tmp_path):
    folder, sources, initial, dictionary = talk
    seen = []
    summary = align_to_folder(
        holdstill.open(sources), dictionary, tmp_path / "run", initial, client=client,
        block_frames=100, progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert parts(tmp_path / "run") == parts(folder / "alone")
    assert (summary["frames"], summary["options"]["workers"]) == (600, 2)
    assert seen[0] == (0, 600) and seen[-1] == (600, 600) and len(seen) == 1 + summary["blocks"]


def test_the_rows_come_back_in_order_and_equal(talk, client):
    _, sources, initial, dictionary = talk
    here = list(holdstill.align(sources, dictionary, initial, threads=1))
    there = list(distributed.align(sources, dictionary, client, initial, block_frames=100))
    assert [(a.source, a.frame, a.status) for a in there] == [
        (a.source, a.frame, a.status) for a in here
    ]
    np.testing.assert_array_equal(
        [a.frame_from_canonical for a in there], [a.frame_from_canonical for a in here]
    )
    np.testing.assert_array_equal(there[7].coefficients, here[7].coefficients)


def test_few_blocks_are_under_way_at_a_time_and_closing_cancels_them(talk, client):
    _, sources, initial, dictionary = talk
    rows = distributed.align(sources, dictionary, client, initial, block_frames=100)
    next(rows)
    rows.close()
    deadline = time.monotonic() + 10.0
    while client.processing() and any(client.processing().values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_worker_costs_nothing_but_time(talk, tmp_path):
    folder, sources, initial, dictionary = talk
    with distributed.connected("local:2") as client:
        workers = list(client.run(os.getpid).values())
        killed = []

        def kill(record):
            if not killed:
                killed.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)

        align_to_folder(
            holdstill.open(sources), dictionary, tmp_path / "run", initial, client=client,
            block_frames=100, on_block=kill,
        )  # fmt: skip
    assert killed
    assert parts(tmp_path / "run") == parts(folder / "alone")


def test_when_all_workers_die_the_dictionary_is_sent_again(talk, tmp_path):
    folder, sources, initial, dictionary = talk
    with distributed.connected("local:1") as client:
        killed = []

        def kill(record):
            if not killed:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        align_to_folder(
            holdstill.open(sources), dictionary, tmp_path / "run", initial, client=client,
            block_frames=100, on_block=kill,
        )  # fmt: skip
    assert killed
    assert parts(tmp_path / "run") == parts(folder / "alone")


def test_a_run_begun_here_goes_on_there(talk, client, tmp_path):
    folder, sources, initial, dictionary = talk

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align_to_folder(
            holdstill.open(sources), dictionary, tmp_path / "run", initial, threads=1,
            block_frames=100, on_block=stop,
        )  # fmt: skip
    summary = align_to_folder(
        holdstill.open(sources), dictionary, tmp_path / "run", initial, client=client,
        block_frames=100, resume=True,
    )  # fmt: skip
    assert summary["blocks_done_before"] == 1
    assert parts(tmp_path / "run") == parts(folder / "alone")


def test_arrays_and_wrong_options_are_refused_before_anything_travels(talk, client):
    _, sources, initial, dictionary = talk
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
