"""Runs that things happen to: gone on with, they are the undisturbed ones, byte for byte.

The quick ones belong to every test run; ``make fault`` adds those marked `fault`, with many more
moments, and prints what every fault came to.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import faults
import pytest
from clips import rows_of, run_json, texts
from disk import small_files

import holdstill
from holdstill.cli import main
from holdstill.outputs import OutputError
from holdstill.run import align_to_folder

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("zarr")
pytest.importorskip("filelock")

BLOCK = 100  # tracks are longer: four blocks
SOURCES = ("a.mp4", "b.mp4", "c.mp4")
FILES = ("--initial", "initial.csv", "--dictionary", "dictionary.npz")
ALIGN = ("align", *SOURCES, *FILES, "--out", "run", "--zarr", "--block-frames", BLOCK, "--quiet")
RUN = Path("run")


class Job:
    """Three clips to align in the working directory, and what they come to undisturbed."""

    def __init__(self, expected, rows):
        self.expected, self.rows = expected, rows

    def align(self, *more):
        return main(texts(*ALIGN, "--threads", 1, "--resume", *more))

    def start(self, *more, change=None):
        """The same in a process of its own, killed at a change of the folder if need be."""
        program = ["-m", "holdstill"] if change is None else [faults.__file__, change, "run"]
        return subprocess.Popen(
            texts(sys.executable, *program, *ALIGN, "--threads", 1, "--resume", *more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def with_meddling(self, meddle, at, **options):
        """In this process; something happens when so many frames are done."""
        dictionary = holdstill.Dictionary.load("dictionary.npz")

        def progress(done, total):
            if done == at:
                meddle()

        with holdstill.open(list(SOURCES)) as frames:
            return align_to_folder(
                frames, dictionary, RUN, "initial.csv", threads=1, zarr=True,
                block_frames=BLOCK, resume=True, progress=progress, **options,
            )  # fmt: skip

    def unreadable(self):
        """Rows that have been lost, by source; all others are as they should be."""
        found = rows_of(RUN)
        assert len(found["frame"]) == len(self.rows["frame"])
        lost = [status == "unreadable" for status in found["status"]]
        for name, column in self.rows.items():
            for k, value in enumerate(column):
                assert lost[k] or found[name][k] == value, (name, k)
        return Counter(s for s, gone in zip(found["source"], lost, strict=True) if gone)

    def is_whole(self):
        """Gone on with, whether the run is the undisturbed one."""
        assert self.align() == 0
        assert run_json(RUN)["lost"] == []
        left = [str(p) for p in RUN.rglob("*") if p.name[0] == "." and p.name != ".lock"]
        assert [*left, *RUN.glob("fragments"), *RUN.glob("segments")] == []
        return faults.snapshot(RUN) == self.expected


@pytest.fixture(scope="module")
def undisturbed(clip, dictionary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    header, *lines = clip.initial.read_text().splitlines()
    rows = [f"{source},{line}" for source in SOURCES for line in lines]
    (folder / "initial.csv").write_text("\n".join([f"source,{header}", *rows]))
    for source in SOURCES:
        shutil.copy(clip.video, folder / source)
    shutil.copy(dictionary, folder / "dictionary.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(texts(*ALIGN, "--threads", 1)) == 0
        assert len(list((RUN / "blocks").iterdir())) == 4
        job = Job(faults.snapshot(RUN), rows_of(RUN))
        shutil.rmtree(RUN)
    return folder, job


@pytest.fixture
def job(undisturbed, tmp_path, monkeypatch):
    folder, job = undisturbed
    shutil.copytree(folder, tmp_path / "job")  # with times of change
    monkeypatch.chdir(tmp_path / "job")
    monkeypatch.setattr("holdstill.sources.retrying.FIRST_WAIT", 0.0)
    return job


@pytest.fixture(scope="module")
def table():
    """What every fault came to: times injected, frames lost meanwhile, and whether all came back.

    Printed at the end.
    """
    told: dict[str, list] = {}

    def tell(fault, *, lost=0, whole=True, times=1):
        before = told.setdefault(fault, [0, 0, True])
        told[fault] = [before[0] + times, before[1] + lost, before[2] and whole]
        assert whole

    yield tell
    width = max(map(len, told), default=0)
    print(f"\n| {'fault'.ljust(width)} | times | frames lost meanwhile | identical in the end |")
    print(f"| {'-' * width} | ----: | --------------------: | -------------------- |")
    for fault, (times, lost, whole) in told.items():
        print(f"| {fault.ljust(width)} | {times:5} | {lost:21} | {'yes' if whole else 'NO':20} |")


def some(quick, thorough):
    """Parameters for every test run, and further ones for ``make fault``."""
    quick = list(quick)
    more = [pytest.param(p, marks=pytest.mark.fault) for p in thorough if p not in quick]
    return [*quick, *more]


# --- the process ----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", some([0.1, 0.5, 0.93], [k / 40 for k in range(40)]))
def test_killed_at_any_change_of_the_folder(job, table, share, undisturbed):
    whole = undisturbed[0] / "changes"
    if not whole.exists():
        counted = job.start(change=0)
        whole.write_text(counted.communicate(timeout=120)[0].split()[-1])
        assert counted.returncode == 0
        shutil.rmtree(RUN)
    change = 1 + int(share * int(whole.read_text()))
    killed = job.start(change=change)
    assert killed.wait(timeout=120) == -signal.SIGKILL
    killed.communicate()
    table("process killed at a change of the folder", whole=job.is_whole())


@pytest.mark.fault
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_time_again_and_again(job, table, seed):
    moment = random.Random(seed)
    times = 0
    for _ in range(3):
        running = job.start("--threads", 2)
        try:
            running.wait(timeout=moment.uniform(0.3, 4.0))
        except subprocess.TimeoutExpired:
            running.kill()
            times += 1
        running.communicate()
    table("process killed at a random time", whole=job.is_whole(), times=times)


def test_a_second_job_in_the_same_folder_is_refused(job, table):
    def second():
        with pytest.raises(OutputError, match="another process is writing this run"):
            job.with_meddling(lambda: None, at=-1)
        refused = job.start()
        assert "another process" in refused.communicate(timeout=60)[0]
        assert refused.returncode == 4

    job.with_meddling(second, at=300)
    table("second job in the folder (refused, exit code 4)", whole=job.is_whole())


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
WRITTEN = (PART, RECORD, "aligned.mp4", "aligned.zarr/c/0/0/0/0", "run.json")


def damage(how, file, seed=0):
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
    damage(how, RUN / name)
    table(f"{name.partition('/')[0]} of a finished run {how}", whole=job.is_whole())


@pytest.mark.parametrize(
    "name", [PART, RECORD, "segments/0000001.mp4", "aligned.zarr/c/0/0/0/0", FRAGMENT]
)
@pytest.mark.parametrize("seed", some([0], range(5)))
def test_damaged_meanwhile(job, table, name, seed):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.with_meddling(stop, at=600)
    damage(["a bit flipped", "cut short"][seed % 2], RUN / name, seed)
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
    damage("a bit flipped", RUN / RECORD, seed)
    before = run_json(RUN)
    whole = job.is_whole()
    now = run_json(RUN)
    assert {k: now[k] for k in ("status", "good", "frames")} == {
        k: before[k] for k in ("status", "good", "frames")
    }
    table("any bit of a record flipped", whole=whole)


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
    assert {*lost} == {"b.mp4"} or at > 520
    assert summary["status"].get("unreadable", 0) == sum(lost.values())
    assert bool(lost) == any("b.mp4" in what for what in summary["lost"])
    source.unlink(missing_ok=True)
    source.with_suffix(".away").rename(source)
    name = {vanish: "vanishes", change: "changes", corrupt: "is corrupted"}[event]
    table(f"source that {name}, and comes back", lost=sum(lost.values()), whole=job.is_whole())


# --- the network ----------------------------------------------------------------------------------


def over_a_network(job, *more):
    sources = [f"flaky://{Path(source).resolve()}" for source in SOURCES]
    initial = Path("initial.csv").read_text()
    for source, url in zip(SOURCES, sources, strict=True):
        initial = initial.replace(f"\n{source},", f"\n{url},")
    Path("urls.csv").write_text(initial)
    files = ("--initial", "urls.csv", "--dictionary", "dictionary.npz")
    options = ("--block-frames", BLOCK, "--quiet", "--threads", 1, *more)
    return main(texts("align", *sources, *files, *options))


def same_rows(job, folder="run"):
    found = rows_of(Path(folder))
    found["source"] = [Path(source).name for source in found["source"]]
    return (
        found == job.rows
        and Path(folder, "aligned.mp4").read_bytes() == job.expected["aligned.mp4"]
    )


@pytest.mark.parametrize("failures", some([2], [1, 3]))
def test_reading_that_fails_before_it_works(job, table, failures):
    methods = ("open", "read", "cat_file", "info")
    faults.FlakyFiles.fails(**dict.fromkeys(methods, failures))
    assert over_a_network(job, "--out", "run") == 0
    assert faults.FlakyFiles.injected > 20
    table(
        "reading that fails up to 3 times", whole=same_rows(job), times=faults.FlakyFiles.injected
    )


@pytest.mark.parametrize("failures", some([2], [1, 3]))
def test_writing_that_fails_before_it_works(job, table, failures):
    faults.FlakyFiles.fails(pipe_file=failures, put_file=failures, cat_file=failures, info=failures)
    assert over_a_network(job, "--out", f"flaky://{RUN.resolve()}") == 0
    assert faults.FlakyFiles.injected > 10
    table(
        "writing that fails up to 3 times", whole=same_rows(job), times=faults.FlakyFiles.injected
    )


def test_writing_that_goes_on_failing_ends_the_run(job, table, capsys):
    faults.FlakyFiles.fails(pipe_file=99)
    out = f"flaky://{RUN.resolve()}"
    assert over_a_network(job, "--out", out) == 4
    assert f"cannot write {out}/" in capsys.readouterr().err
    faults.FlakyFiles.fails()
    assert over_a_network(job, "--out", out, "--resume") == 0
    table("writing that goes on failing (exit code 4)", whole=same_rows(job))


def test_reading_that_goes_on_failing_loses_those_frames_only(job, table):
    faults.FlakyFiles.fails()
    dictionary = holdstill.Dictionary.load("dictionary.npz")
    assert over_a_network(job, "--out", "first") == 0
    sources = [f"flaky://{Path(source).resolve()}" for source in SOURCES]

    def cut_off(done, total):
        if done == 300:
            faults.FlakyFiles.fails(open=99, read=99)

    options = {"threads": 1, "block_frames": BLOCK, "resume": True}
    with holdstill.open(sources) as frames:
        summary = align_to_folder(frames, dictionary, RUN, "urls.csv", progress=cut_off, **options)
    lost = summary["status"]["unreadable"]
    assert summary["lost"] and 0 < lost <= 780 - 300
    rows = rows_of(RUN)
    for k, status in enumerate(rows["status"]):
        assert status == "unreadable" or rows["h02"][k] == job.rows["h02"][k]
    faults.FlakyFiles.fails()
    with holdstill.open(sources) as frames:
        summary = align_to_folder(frames, dictionary, RUN, "urls.csv", **options)
    assert summary["lost"] == []
    table("network that goes away, and comes back", lost=lost, whole=same_rows(job))


@pytest.mark.fault
@pytest.mark.parametrize("at", [1, 300, 500])
def test_an_object_that_changes_meanwhile(job, table, s3, at):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("s3")
    sources = [f"{s3}/{source}" for source in SOURCES]
    text = Path("initial.csv").read_text()
    for source, url in zip(SOURCES, sources, strict=True):
        files.put_file(source, url)
        text = text.replace(f"\n{source},", f"\n{url},")
    Path("urls.csv").write_text(text)
    dictionary = holdstill.Dictionary.load("dictionary.npz")
    before = Path("b.mp4").read_bytes()

    def run(happens):
        def progress(done, total):
            if done == at:
                happens()

        with holdstill.open(sources) as frames:
            return align_to_folder(
                frames, dictionary, f"{s3}/run", "urls.csv", threads=1, block_frames=BLOCK,
                resume=True, progress=progress,
            )  # fmt: skip

    summary = run(lambda: files.pipe_file(sources[1], before + b"\0"))
    assert summary["lost"] and summary["status"]["unreadable"] == 260
    files.pipe_file(sources[1], before)
    assert run(lambda: None)["lost"] == []
    files.get(f"{s3}/run/", "run/", recursive=True)
    table("object on S3 that changes, and comes back", lost=260, whole=same_rows(job))


# --- the workers ----------------------------------------------------------------------------------


@pytest.fixture
def cluster():
    """Two workers on this machine, each looked after by a nanny; by default of 600 MB each."""
    dask = pytest.importorskip("dask.distributed")
    with (
        dask.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit="600MB"
        ) as cluster,
        dask.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def on_workers(client, meddle):
    """The job on a cluster; something happens after its first block."""
    dictionary = holdstill.Dictionary.load("dictionary.npz")
    done = []

    def on_block(record):
        done.append(record)
        if len(done) == 1:
            meddle()

    with holdstill.open(list(SOURCES)) as frames:
        return align_to_folder(
            frames, dictionary, RUN.resolve(), "initial.csv", client=client, zarr=True,
            block_frames=BLOCK, resume=True, on_block=on_block,
        )  # fmt: skip


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("who", [0, 1, 2])
def test_workers_that_are_killed(job, table, cluster, who):
    def kill():
        pids = [*cluster.run(os.getpid).values()]
        for pid in pids if who == 2 else [pids[who]]:
            os.kill(pid, signal.SIGKILL)

    summary = on_workers(cluster, kill)
    assert summary["lost"] == []
    table("Dask worker killed", whole=job.is_whole(), times=2 if who == 2 else 1)


def _fill_memory():
    def fill():
        held = []
        while True:
            held.append(b"\1" * 20_000_000)
            time.sleep(0.02)

    threading.Thread(target=fill, daemon=True).start()


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_runs_out_of_memory(job, table, cluster):
    worker, before = next(iter(cluster.run(os.getpid).items()))
    summary = on_workers(cluster, lambda: cluster.run(_fill_memory, workers=[worker]))
    assert summary["lost"] == []
    deadline = time.monotonic() + 30
    while before in cluster.run(os.getpid, on_error="ignore").values():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    table("Dask worker out of memory", whole=job.is_whole())


@pytest.mark.fault
@pytest.mark.parametrize("victim", ["scheduler", "all workers"])
def test_a_cluster_that_is_killed(job, table, victim):
    pytest.importorskip("distributed")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    where = Path("scheduler.json").resolve()
    common = ["--scheduler-file", str(where)]
    scheduler = subprocess.Popen(
        [*dask, "scheduler", *common, "--port", "0", "--no-dashboard"], **quiet
    )
    workers = []
    try:
        _wait_for(where.exists)
        workers += [
            subprocess.Popen([*dask, "worker", *common, "--nthreads", "1", "--no-nanny"], **quiet)
            for _ in range(2)
        ]
        running = job.start("--dask", json.loads(where.read_text())["address"])
        _wait_for(lambda: list(RUN.glob("blocks/*.json")) or running.poll() is not None)
        for process in [scheduler] if victim == "scheduler" else workers:
            process.kill()
        if victim != "scheduler":  # others take over
            workers.append(subprocess.Popen([*dask, "worker", *common, "--nthreads", "1"], **quiet))
        output, _ = running.communicate(timeout=120)
    finally:
        for process in [scheduler, *workers]:
            process.kill()
            process.wait()
    assert running.returncode == (0 if victim != "scheduler" else 1), output
    assert "Traceback" not in output
    table(f"Dask {victim} killed", whole=job.is_whole())


def _wait_for(event, seconds=60):
    deadline = time.monotonic() + seconds
    while not event():
        assert time.monotonic() < deadline
        time.sleep(0.05)
