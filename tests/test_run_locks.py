"""A run's folder is held while it is written, and not a moment longer."""

from __future__ import annotations

import threading

import pytest

import holdstill
from holdstill import face_recording
from holdstill.face_recording import FaceRecording
from holdstill.jobs import Job
from holdstill.outputs import OutputError
from holdstill.recording import write_summary
from holdstill.stores import LocalStore, is_locked, lock

filelock = pytest.importorskip("filelock")
pytest.importorskip("pyarrow")


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "run")


def test_one_at_a_time_holds_a_folder(store):
    with lock(store):
        assert is_locked(store)
        with pytest.raises(OutputError, match="another process is writing this run"), lock(store):
            pass
    assert not is_locked(store)


def test_a_recording_lets_go_when_it_is_left_and_not_when_it_is_collected(store):
    with FaceRecording(store.local) as left:
        assert is_locked(store)
    assert not is_locked(store)
    assert left.folder == store.local


def test_a_job_lets_go_when_it_is_left_and_not_when_it_is_collected(store, small_head):
    frames = holdstill.open(small_head.frames)
    with Job(frames, small_head.dictionary, store.local, small_head.initial, video=False) as left:
        assert is_locked(store)
    assert not is_locked(store)
    assert left.folder == store.local


def test_a_run_may_be_left_in_another_thread_than_it_was_begun_in(store):
    begun = FaceRecording(store.local)
    leaving = threading.Thread(target=begun.__exit__, args=(None, None, None))
    leaving.start()
    leaving.join()
    assert not is_locked(store)


def test_a_recording_that_cannot_begin_lets_go(store, monkeypatch):
    def full(path):
        raise OutputError("the disk is full")

    monkeypatch.setattr(face_recording, "output_errors", full)
    with pytest.raises(OutputError, match="full") as caught:
        FaceRecording(store.local)
    assert not is_locked(store)
    assert caught.tb is not None  # and with it all that the failed call held


def test_a_run_begins_while_another_looks_whether_there_is_one(store):
    store.local.mkdir()
    held = filelock.FileLock(store.local / ".lock", thread_local=False)
    held.acquire()
    looked = threading.Timer(0.3, held.release)
    looked.start()
    with lock(store):
        assert not held.is_locked
    looked.join()


@pytest.mark.parametrize("begin", ["job", "recording"])
def test_a_run_that_another_process_finishes_meanwhile_is_left_alone(store, small_head, begin):
    store.local.mkdir()
    held = filelock.FileLock(store.local / ".lock", thread_local=False)
    held.acquire()

    def finish():
        write_summary(store, {"frames": 3})
        held.release()

    another = threading.Timer(0.3, finish)
    another.start()
    with pytest.raises(FileExistsError, match="already holds a run"):
        if begin == "recording":
            FaceRecording(store.local)
        else:
            frames = holdstill.open(small_head.frames)
            Job(frames, small_head.dictionary, store.local, small_head.initial, video=False)
    another.join()
    assert store.names() == ["run.json"]
    assert not is_locked(store)
