"""Processes, workers and schedulers that are killed in the middle of a job."""

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
from pathlib import Path

import pytest
from clips import wait_for
from faulty_jobs import RUN, some

from holdstill.outputs import OutputError

# --- the process ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changes(undisturbed_job, tmp_path_factory):
    """How often a run changes its folder."""
    folder = tmp_path_factory.mktemp("counted") / "job"
    shutil.copytree(undisturbed_job.folder, folder)
    counted = undisturbed_job.start(change=0, folder=folder)
    printed, _ = counted.communicate(timeout=120)
    assert counted.returncode == 0
    return int(printed.split()[-1])


@pytest.mark.parametrize("share", some([0.1, 0.5, 0.93], [k / 40 for k in range(40)]))
def test_killed_at_any_change_of_the_folder(job, table, share, changes):
    killed = job.start(change=1 + int(share * changes))
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
            job.with_meddling()
        refused = job.start()
        assert "another process" in refused.communicate(timeout=60)[0]
        assert refused.returncode == 4

    job.with_meddling(second, at=300)
    table("second job in the folder (refused, exit code 4)", whole=job.is_whole())


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


def on_workers(job, client, meddle):
    """The job on a cluster; something happens after its first block."""
    done = []

    def on_block(record):
        done.append(record)
        if len(done) == 1:
            meddle()

    return job.with_meddling(out=RUN.resolve(), client=client, on_block=on_block)


@pytest.mark.fault
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("who", [0, 1, 2])
def test_workers_that_are_killed(job, table, cluster, who):
    def kill():
        pids = [*cluster.run(os.getpid).values()]
        for pid in pids if who == 2 else [pids[who]]:
            os.kill(pid, signal.SIGKILL)

    summary = on_workers(job, cluster, kill)
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
    summary = on_workers(job, cluster, lambda: cluster.run(_fill_memory, workers=[worker]))
    assert summary["lost"] == []
    wait_for(lambda: before not in cluster.run(os.getpid, on_error="ignore").values())
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
        wait_for(where.exists)
        workers += [
            subprocess.Popen([*dask, "worker", *common, "--nthreads", "1", "--no-nanny"], **quiet)
            for _ in range(2)
        ]
        running = job.start("--dask", json.loads(where.read_text())["address"])
        wait_for(lambda: list(RUN.glob("blocks/*.json")) or running.poll() is not None)
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
