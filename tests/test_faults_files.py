"""Disks that are full, and files of a run that are damaged behind its back."""

from __future__ import annotations

import json
import random
import subprocess
from contextlib import contextmanager

import faults
import pytest
from clips import run_json, texts
from disk import small_files
from faulty_jobs import RUN, some
from stacks import chunk_of

# --- the disk -------------------------------------------------------------------------------------


@contextmanager
def disk_of(size):
    """A disk of so many bytes at `run`."""
    RUN.mkdir()
    mounted = subprocess.run(
        texts("mount", "-t", "tmpfs", "-o", f"size={size}", "none", RUN.resolve()),
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield lambda more: subprocess.run(
            texts("mount", "-o", f"remount,size={more}", RUN.resolve()), check=True
        )
    finally:
        subprocess.run(texts("umount", RUN.resolve()), check=True)


@pytest.mark.fault
@pytest.mark.parametrize("kilobytes", [4, 16, 40, 64, 100, 200, 400, 700, 1000, 1500, 2000, 2400])
def test_full_disk(job, table, kilobytes, capsys):
    with disk_of(f"{kilobytes}k") as enlarge:
        code = job.align()
        assert code in (0, 4)
        assert code == 0 or "cannot write" in capsys.readouterr().err
        enlarge("100m")
        table("full disk", whole=job.is_whole(), times=int(code == 4))


def test_files_that_cannot_grow(job, table, capsys):
    with small_files():
        assert job.align() == 4
    assert "cannot write" in capsys.readouterr().err
    table("files that cannot grow", whole=job.is_whole())


# --- what has been written ------------------------------------------------------------------------

FRAGMENT = "fragments/000000000260.npy"
PART, RECORD = "transforms.parquet/part-0000001.parquet", "blocks/0000001.json"
PICTURES = "aligned.zarr"
WRITTEN = (PART, RECORD, "aligned.mp4", PICTURES, "run.json")


def damage(how, name, seed=0):
    """Of the array of pictures, its first chunk."""
    file = chunk_of(RUN / PICTURES, 0, 0, 0, 0) if name == PICTURES else RUN / name
    at = random.Random(seed).random()
    if how == "gone":
        file.unlink()
    elif how == "cut short":
        faults.cut(file, at)
    elif how == "empty":
        faults.cut(file, 0.0)
    else:
        faults.flip(file, at)


@pytest.mark.parametrize("how", ["gone", "cut short", "empty", "a bit flipped"])
@pytest.mark.parametrize("name", WRITTEN)
def test_damaged_after_its_end(job, table, name, how):
    assert job.align() == 0
    damage(how, name)
    table(f"{name.partition('/')[0]} of a finished run {how}", whole=job.is_whole())


@pytest.mark.parametrize("name", [PART, RECORD, "segments/0000001.mp4", PICTURES, FRAGMENT])
@pytest.mark.parametrize("seed", some([0], range(5)))
def test_damaged_meanwhile(job, table, name, seed):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.with_meddling(stop, at=600)
    damage(["a bit flipped", "cut short"][seed % 2], name, seed)
    kind = name.partition("/")[0]
    table(f"{kind} of an interrupted run damaged", whole=job.is_whole())


def test_a_record_that_says_something_else_is_not_believed(job, table):
    assert job.align() == 0
    before = run_json(RUN)
    record = json.loads((RUN / RECORD).read_text())
    (RUN / RECORD).write_text(json.dumps({**record, "good": 1}))
    whole = job.is_whole()
    assert run_json(RUN)["good"] == before["good"]
    table("record of a finished run that says something else", whole=whole)


@pytest.mark.fault
@pytest.mark.parametrize("seed", range(30))
def test_any_bit_of_a_record(job, table, seed):
    assert job.align() == 0
    damage("a bit flipped", RECORD, seed)
    before = run_json(RUN)
    whole = job.is_whole()
    now = run_json(RUN)
    assert {k: now[k] for k in ("status", "good", "frames")} == {
        k: before[k] for k in ("status", "good", "frames")
    }
    table("any bit of a record flipped", whole=whole)
