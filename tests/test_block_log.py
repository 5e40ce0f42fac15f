"""``--block-log``: what goes wrong beside the log is not blamed on it."""

from __future__ import annotations

import os

import pytest
from clips import align_arguments

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("filelock")


def test_a_missing_dictionary_is_wrong_usage_with_a_log_as_without(clip, tmp_path, command):
    arguments = align_arguments(clip, tmp_path / "none.npz", tmp_path / "run", "--stop", 5)
    without = command(*arguments)
    assert without[0] == 2
    assert command(*arguments, "--block-log", tmp_path / "log.jsonl") == without


def test_a_folder_that_is_taken_is_wrong_usage_with_a_log_as_without(
    clip, dictionary, tmp_path, command
):
    arguments = align_arguments(clip, dictionary, tmp_path / "run", "--stop", 5, "--no-video")
    assert command(*arguments)[0] == 0
    (tmp_path / "run" / "job.json").unlink()  # no job to go on with
    code, _, err = command(*arguments, "--resume", "--block-log", tmp_path / "log.jsonl")
    assert (code, "holds a run" in err, "log.jsonl" in err) == (2, True, False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_log_on_a_full_disk_is_an_output_error_that_names_it(clip, dictionary, tmp_path, command):
    arguments = align_arguments(clip, dictionary, tmp_path / "run", "--stop", 5, "--no-video")
    code, _, err = command(*arguments, "--block-log", "/dev/full")
    assert (code, "cannot write /dev/full" in err) == (4, True), err
