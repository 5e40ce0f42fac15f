"""What is said of a job: while it runs, when it has ended, and of its blocks."""

from __future__ import annotations

import json

import pytest
from clips import write_transforms

from holdstill.jobs.status import job_status


def test_status_follows_a_run(talk, tmp_path):
    states = []

    def look(record):
        states.append(job_status(tmp_path / "run"))

    talk.align(tmp_path / "run", on_block=look)
    assert [(s["state"], s["frames_done"], s["frames"]) for s in states] == [
        ("running", 250, 350), ("running", 350, 350)
    ]  # fmt: skip
    after = job_status(tmp_path / "run")
    assert (after["state"], after["blocks_done"], sum(after["status"].values())) == (
        "complete", 2, 350
    )  # fmt: skip
    (tmp_path / "run" / "run.json").unlink()
    assert job_status(tmp_path / "run")["state"] == "interrupted"


def test_status_of_something_else(tmp_path, registered_run):
    with pytest.raises(FileNotFoundError, match="no run"):
        job_status(tmp_path)
    assert job_status(registered_run)["state"] == "complete"


def test_the_block_log_has_a_line_of_json_for_every_block(talk, tmp_path, command):
    initial = write_transforms(tmp_path / "initial.csv", enumerate(talk.initial[:250]))
    talk.dictionary.save(tmp_path / "d.npz")
    code, *_ = command(
        "align", talk.sources[0], "--initial", initial, "--dictionary", tmp_path / "d.npz",
        "--out", tmp_path / "run", "--block-log", tmp_path / "log.jsonl", "--no-video",
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert (code, [line["rows"] for line in lines]) == (0, [[0, 250]])
    assert lines[0]["status"] == {"converged": 250}
