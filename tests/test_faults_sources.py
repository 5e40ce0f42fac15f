"""Sources that change or go away in the middle of a job, and networks that fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from clips import rows_of, texts
from faulty_jobs import BLOCK, RUN, SOURCES, some
from flaky import FlakyFiles

from holdstill.cli import main

# --- the sources ----------------------------------------------------------------------------------


def vanish(file):
    file.rename(file.with_suffix(".away"))


def change(file):
    vanish(file)
    shutil.copy(file.with_suffix(".away"), file)  # the same picture, but who knows


def corrupt(file):
    vanish(file)
    content = bytearray(file.with_suffix(".away").read_bytes())
    for at in range(len(content) // 3, len(content) - 64, 101):
        content[at] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize("event", [vanish, change, corrupt])
@pytest.mark.parametrize("at", some([300], [1, 260, 262, 500, 511, 640]))
def test_a_source_that_is_not_what_it_was(job, table, event, at):
    source = Path("b.mp4")
    summary = job.with_meddling(lambda: event(source), at)
    lost = job.unreadable()
    # Blocks that were written before keep their rows.
    assert {*lost} <= {"b.mp4"} and (lost or at > 520)
    assert summary["status"].get("unreadable", 0) == sum(lost.values())
    assert bool(lost) == any("b.mp4" in what for what in summary["lost"])
    source.unlink(missing_ok=True)
    source.with_suffix(".away").rename(source)
    name = {vanish: "vanishes", change: "changes", corrupt: "is corrupted"}[event]
    table(f"source that {name}, and comes back", lost=sum(lost.values()), whole=job.is_whole())


# --- the network ----------------------------------------------------------------------------------


def write_initial(urls):
    """The initial transforms for the sources behind URLs."""
    text = Path("initial.csv").read_text()
    for source, url in zip(SOURCES, urls, strict=True):
        text = text.replace(f"\n{source},", f"\n{url},")
    Path("urls.csv").write_text(text)


def flaky_sources():
    return [f"flaky://{Path(source).resolve()}" for source in SOURCES]


def over_a_network(*more):
    sources = flaky_sources()
    write_initial(sources)
    files = ("--initial", "urls.csv", "--dictionary", "dictionary.npz")
    options = ("--block-frames", BLOCK, "--quiet", "--threads", 1, *more)
    return main(texts("align", *sources, *files, *options))


def same_rows(job):
    found = rows_of(RUN)
    found["source"] = [Path(source).name for source in found["source"]]
    return found == job.rows and (RUN / "aligned.mp4").read_bytes() == job.expected["aligned.mp4"]


@pytest.mark.parametrize("failures", some([2], [1, 3]))
def test_reading_that_fails_before_it_works(job, table, failures):
    methods = ("open", "read", "cat_file", "info")
    FlakyFiles.fails(**dict.fromkeys(methods, failures))
    assert over_a_network("--out", "run") == 0
    assert FlakyFiles.injected > 20
    table("reading that fails up to 3 times", whole=same_rows(job), times=FlakyFiles.injected)


@pytest.mark.parametrize("failures", some([2], [1, 3]))
def test_writing_that_fails_before_it_works(job, table, failures):
    FlakyFiles.fails(pipe_file=failures, put_file=failures, cat_file=failures, info=failures)
    assert over_a_network("--out", f"flaky://{RUN.resolve()}") == 0
    assert FlakyFiles.injected > 10
    table("writing that fails up to 3 times", whole=same_rows(job), times=FlakyFiles.injected)


def test_writing_that_goes_on_failing_ends_the_run(job, table, capsys):
    FlakyFiles.fails(pipe_file=99)
    out = f"flaky://{RUN.resolve()}"
    assert over_a_network("--out", out) == 4
    assert f"cannot write {out}/" in capsys.readouterr().err
    FlakyFiles.fails()
    assert over_a_network("--out", out, "--resume") == 0
    table("writing that goes on failing (exit code 4)", whole=same_rows(job))


def test_reading_that_goes_on_failing_loses_those_frames_only(job, table):
    FlakyFiles.fails()
    sources = flaky_sources()
    write_initial(sources)
    given = {"sources": sources, "initial": "urls.csv", "zarr": False}
    summary = job.with_meddling(lambda: FlakyFiles.fails(open=99, read=99), 300, **given)
    lost = summary["status"]["unreadable"]
    assert summary["lost"] and 0 < lost <= 780 - 300
    rows = rows_of(RUN)
    for k, status in enumerate(rows["status"]):
        assert status == "unreadable" or rows["h02"][k] == job.rows["h02"][k]
    FlakyFiles.fails()
    assert job.with_meddling(**given)["lost"] == []
    table("network that goes away, and comes back", lost=lost, whole=same_rows(job))


@pytest.mark.fault
@pytest.mark.parametrize("at", [1, 300, 500])
def test_an_object_that_changes_meanwhile(job, table, s3, at):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("s3")
    sources = [f"{s3}/{source}" for source in SOURCES]
    for source, url in zip(SOURCES, sources, strict=True):
        files.put_file(source, url)
    write_initial(sources)
    before = Path("b.mp4").read_bytes()
    given = {"sources": sources, "initial": "urls.csv", "out": f"{s3}/run", "zarr": False}
    summary = job.with_meddling(lambda: files.pipe_file(sources[1], before + b"\0"), at, **given)
    assert summary["lost"] and summary["status"]["unreadable"] == 260
    files.pipe_file(sources[1], before)
    assert job.with_meddling(**given)["lost"] == []
    files.get(f"{s3}/run/", "run/", recursive=True)
    table("object on S3 that changes, and comes back", lost=260, whole=same_rows(job))
