"""How far a run is: its records read together, and nobody else's files."""

from __future__ import annotations

import threading

import pytest

from holdstill.jobs import status
from holdstill.jobs.crops import Crops
from holdstill.jobs.status import job_status
from holdstill.stores import LocalStore

pytest.importorskip("pyarrow")

FOREIGN = ("notes.txt", "0000000 (1).json", "Thumbs.db", "x.json")


def test_files_of_others_beside_the_records_are_not_read(run_copy):
    expected = job_status(run_copy)
    assert expected["frames_done"] == expected["frames"]
    for name in FOREIGN:
        (run_copy / "blocks" / name).write_text("mine")
    assert job_status(run_copy) == expected


def test_files_of_others_beside_the_fragments_are_not_joined(tmp_path):
    crops = Crops(LocalStore(tmp_path), 7, (8, 8), colour=False)
    (tmp_path / "fragments").mkdir()
    for name in (*FOREIGN, "000000000004.npy"):
        (tmp_path / "fragments" / name).write_text("mine")
    assert crops.fragments() == [4]


def test_records_behind_a_url_are_asked_for_several_at_a_time(run_copy, monkeypatch):
    record = (run_copy / "blocks" / "0000000.json").read_bytes()
    (run_copy / "blocks" / "0000001.json").write_bytes(record)
    together, read_record = threading.Barrier(2, timeout=10), status.read_record

    def wait(*arguments):
        together.wait()
        return read_record(*arguments)

    monkeypatch.setattr(status, "read_record", wait)
    assert job_status(run_copy)["blocks_done"] == 1  # the copy does not say that it is of block 1
