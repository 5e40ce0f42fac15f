"""Jobs gone on with: only what is missing is done again, and another job is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import faults
import numpy as np
import pytest
import zarr
from talks import BLOCK, written

import holdstill
from holdstill import jobs
from holdstill.jobs import Job, JobChangedError, JobIncompleteError, align_block
from holdstill.jobs.blocks import Versions
from holdstill.outputs import OutputError
from holdstill.stores import LocalStore


@pytest.fixture
def run(aligned_talk, tmp_path) -> Path:
    """A copy of the talk's run, to be damaged."""
    shutil.copytree(aligned_talk, tmp_path / "run")
    return tmp_path / "run"


def test_a_complete_run_is_looked_through_and_left_alone(talk, run, aligned_talk):
    before = {p: p.stat().st_mtime_ns for p in (run / "transforms.parquet").iterdir()}
    summary = talk.align(run, resume=True)
    assert summary["blocks_done_before"] == 2
    assert summary["frames_per_second"] is None
    assert {p: p.stat().st_mtime_ns for p in (run / "transforms.parquet").iterdir()} == before
    assert written(run) == written(aligned_talk)


PART = "transforms.parquet/part-0000001.parquet"


@pytest.mark.parametrize(
    ("damage", "done_before"),
    [
        (lambda run: faults.flip(run / PART), 1),
        (lambda run: faults.cut(run / PART), 1),
        (lambda run: (run / PART).unlink(), 1),
        (lambda run: faults.flip(run / "blocks/0000001.json"), 1),
        (lambda run: (run / "blocks/0000001.json").write_text("{}"), 1),
        (lambda run: (run / "blocks/0000000.json").unlink(), 1),
        (lambda run: (run / "run.json").unlink(), 0),  # the video's own stretches are gone
        (lambda run: faults.flip(run / "aligned.mp4"), 0),
        (lambda run: shutil.rmtree(run / "aligned.zarr"), 0),
    ],
)
def test_what_is_damaged_is_done_again_and_nothing_else(
    talk, run, aligned_talk, damage, done_before
):
    damage(run)
    summary = talk.align(run, resume=True)
    assert summary["blocks_done_before"] == done_before
    assert written(run) == written(aligned_talk)
    assert summary["status"] == json.loads((aligned_talk / "run.json").read_text())["status"]


def test_a_changed_picture_in_the_array_is_found(talk, run, aligned_talk):
    array = zarr.open(str(run / "aligned.zarr"), mode="r+")
    array[260] = 255 - array[260]
    summary = talk.align(run, resume=True)
    assert summary["blocks_done_before"] == 1
    assert written(run) == written(aligned_talk)


def test_figures_of_an_earlier_state_do_not_outlive_it(talk, run):
    figures = [run / name for name in ("evaluation.json", "evaluation.parquet", "report.html")]
    for file in figures:
        file.write_text("of now")
    talk.align(run, resume=True)
    assert all(file.exists() for file in figures)  # nothing was left to do
    (run / PART).unlink()
    talk.align(run, resume=True)
    assert not any(file.exists() for file in figures)


def test_resume_begins_where_there_is_nothing(talk, aligned_talk, tmp_path):
    talk.align(tmp_path / "run", resume=True)
    assert written(tmp_path / "run") == written(aligned_talk)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu": 0.5}, r"mu: 0.001 -> 0.5"),
        ({"loss": "huber"}, r"loss: l2 -> huber"),
        ({"zarr": False}, r"zarr: True -> False"),
        ({"block_frames": 60}, r"block_frames: 100 -> 60"),
    ],
)
def test_changed_options_are_named_and_refused(talk, run, change, message):
    before = written(run)
    with pytest.raises(JobChangedError, match=message):
        talk.align(run, resume=True, **change)
    assert written(run) == before


def test_changed_inputs_are_named_and_refused(talk, run, tmp_path):
    moved = [str(tmp_path / Path(source).name) for source in talk.sources]
    for source, copy in zip(talk.sources, moved, strict=True):
        shutil.copy2(source, copy)
    with pytest.raises(JobChangedError, match=r"a.npy: no longer given"):
        replace(talk, sources=moved).align(run, resume=True)
    with pytest.raises(JobChangedError, match=r"the order of the sources|frames"):
        replace(talk, sources=talk.sources[::-1]).align(run, resume=True)
    with pytest.raises(JobChangedError, match="initial: "):
        replace(talk, initial=talk.initial + 1e-9).align(run, resume=True)


def test_another_dictionary_is_refused(talk, run):
    other = holdstill.fit(
        talk.sources[0], talk.initial[:250], n=8, shape=(32, 32), motion="similarity", seed=1
    )
    with pytest.raises(JobChangedError, match="dictionary: "):
        replace(talk, dictionary=other).align(run, resume=True)


def test_a_source_that_was_touched_is_refused(talk, tmp_path):
    copy = shutil.copy2(talk.sources[1], tmp_path / "b.npy")
    alone = replace(talk, sources=[copy], initial=talk.initial[250:290])
    alone.align(tmp_path / "run", video=False)
    np.save(copy, np.load(copy))
    with pytest.raises(JobChangedError, match=r"source .*b.npy: .* bytes, \d+ -> .* bytes"):
        alone.align(tmp_path / "run", video=False, resume=True)


def test_going_on_with_other_kernels_is_warned_of(talk, run, caplog):
    manifest = json.loads((run / "job.json").read_text())
    (run / "job.json").write_text(json.dumps(manifest | {"instruction_set": "abacus"}))
    talk.align(run, resume=True)
    assert "the run's were for abacus" in caplog.text


def test_without_resume_a_run_is_not_touched(talk, run):
    before = written(run)
    with pytest.raises(FileExistsError, match="--resume"):
        talk.align(run)
    assert written(run) == before


def test_a_manifest_that_cannot_be_read_says_so(talk, run):
    (run / "job.json").write_text("{")
    with pytest.raises(JobChangedError, match=r"job.json: damaged"):
        talk.align(run, resume=True)
    (run / "job.json").write_text('{"format": 99, "holdstill": "7.0"}')
    with pytest.raises(JobChangedError, match=r"format 99, expected 1: .* holdstill 7.0"):
        talk.align(run, resume=True)


def test_a_job_that_lacks_a_block_is_not_finished(talk, tmp_path):
    with Job(
        talk.frames(), talk.dictionary, tmp_path / "run", talk.initial, block_frames=BLOCK
    ) as job:
        first, _ = job.pending()
        job.add(align_block(job.task, job.outputs, job.portable(first)))
        with pytest.raises(JobIncompleteError, match="1 blocks with 100 frames are not done"):
            job.finish()
    assert not (tmp_path / "run" / "run.json").exists()
    assert talk.align(tmp_path / "run", zarr=False, resume=True)["blocks_done_before"] == 1


def test_one_folder_is_for_one_process_at_a_time(talk, tmp_path):
    with (
        Job(talk.frames(), talk.dictionary, tmp_path / "run", talk.initial, block_frames=BLOCK),
        pytest.raises(OutputError, match="another process is writing"),
    ):
        talk.align(tmp_path / "run", zarr=False, resume=True)


def test_a_job_that_could_not_begin_leaves_nothing_behind(talk, tmp_path, monkeypatch):
    def full(*_):
        raise OutputError("cannot write: no space left")

    monkeypatch.setattr(jobs.job, "write_manifest", full)
    with pytest.raises(OutputError):
        talk.align(tmp_path / "run")
    monkeypatch.undo()
    assert LocalStore(tmp_path / "run").names() == []
    talk.align(tmp_path / "run")


# --- sources that come and go ---------------------------------------------------------------------


def test_a_source_that_changes_in_mid_job_is_a_status_until_it_is_back(talk, tmp_path):
    sources = [shutil.copy2(source, tmp_path) for source in talk.sources]
    copied = replace(talk, sources=sources)
    kept = tmp_path / "kept.npy"

    def swap(record):
        if record["block"] == 0:
            shutil.move(sources[1], kept)
            np.save(sources[1], np.zeros((40, 64, 80, 3), np.uint8))

    summary = copied.align(tmp_path / "run", on_block=swap)
    rows = holdstill.read_transforms(tmp_path / "run")
    assert (rows["status"] == "unreadable").nonzero()[0].tolist() == list(range(250, 290))
    assert len(summary["lost"]) == 1 and "b.npy: changed" in summary["lost"][0]
    shutil.move(kept, sources[1])
    summary = copied.align(tmp_path / "run", resume=True)
    assert (summary["blocks_done_before"], summary["lost"]) == (1, [])
    assert summary["status"] == {"converged": 350}


def test_a_video_that_vanishes_loses_its_own_rows_until_it_is_back(talk, tmp_path, aligned_talk):
    video = Path(shutil.copy2(talk.sources[2], tmp_path))
    away = video.with_suffix(".away")
    copied = replace(talk, sources=[*talk.sources[:2], str(video)])
    summary = copied.align(
        tmp_path / "run", on_block=lambda record: video.rename(away) if video.exists() else None
    )
    assert summary["status"] == {"converged": 290, "unreadable": 60}
    assert any("c.mp4: gone" in what for what in summary["lost"])
    away.rename(video)
    summary = copied.align(tmp_path / "run", resume=True)
    assert (summary["blocks_done_before"], summary["status"]) == (1, {"converged": 350})
    pictures = [
        {name: digest for name, digest in written(run).items() if "part" not in name}
        for run in (tmp_path / "run", aligned_talk)
    ]
    assert pictures[0] == pictures[1]


def test_versions_tell_changed_from_gone(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"abc")
    known = Versions({str(file): holdstill.sources.versions.version_of(str(file))})
    assert known.changed(str(file)) is None
    file.write_bytes(b"abcd")
    assert "changed (3 bytes" in known.changed(str(file))
    file.unlink()
    assert known.changed(str(file)).endswith("gone")
    assert known.changed(str(tmp_path / "unknown")).endswith("gone")
