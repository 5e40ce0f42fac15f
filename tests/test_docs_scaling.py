"""The Python of the page on long runs does its work, on a scheduler of this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import holdstill
from holdstill import distributed
from holdstill.cli import main

pytest.importorskip("av")
pytest.importorskip("cv2")
pytest.importorskip("pyarrow")

DOCS = Path(__file__).resolve().parents[1] / "docs"
sys.path.insert(0, str(DOCS))

from run_page import blocks  # noqa: E402

PAGE = DOCS / "scaling.md"
SCHEDULER = "tcp://scheduler:8786"


def block_with(text):
    """The one block of the page in which this stands."""
    (block,) = (block for block in blocks(PAGE, "python") if text in block)
    return block


@pytest.fixture(scope="module")
def talks(large_clip, tmp_path_factory):
    """Two talks, the dictionary of one of them, and a run with pictures for training."""
    folder = tmp_path_factory.mktemp("scaling")
    (folder / "talks").mkdir()
    for name in "ab":
        shutil.copy(large_clip.video, folder / "talks" / f"{name}.mp4")
    video, learnt = str(large_clip.video), folder / "interview.npz"
    fitted = ["fit", video, "--out", str(learnt), "--n", "12", "--shape", "48x48", "--quiet"]
    assert main(fitted) == 0
    return folder


@pytest.fixture
def here(talks, tmp_path, monkeypatch):
    """A copy of them, which the blocks write to."""
    monkeypatch.chdir(shutil.copytree(talks, tmp_path / "here"))
    return Path.cwd()


def aligned(here, *more):
    sources = sorted(str(path) for path in (here / "talks").iterdir())
    options = ["--dictionary", "interview.npz", "--out", "aligned", "--quiet", *more]
    assert main(["align", *sources, *options]) == 0
    return holdstill.read_transforms("aligned")


def run(text, **names):
    exec(compile(block_with(text), f"{PAGE.name}, {text!r}", "exec"), names)
    return names


def test_pictures_for_training_are_read(here):
    pytest.importorskip("zarr")
    rows = aligned(here, "--zarr", "--no-video")
    names = run("zarr.open(")
    assert len(rows["status"]) == 32 and names["good"].sum() == 32
    assert names["batch"].shape == (32, 48, 48, 3)
    assert names["batch"].std() > 10


def test_every_reader_of_parquet_finds_all_rows(here):
    for module in ("dask.dataframe", "duckdb", "pandas", "polars"):
        pytest.importorskip(module)
    aligned(here)
    names = run("import duckdb")
    assert len(names["rows"]) == len(names["lazy"].collect()) == len(names["many"]) == 32
    assert names["counts"] == [("converged", 32)]


@pytest.mark.filterwarnings("ignore")  # of Dask's own threads and sockets
def test_a_client_in_python(here, capsys, monkeypatch):
    dask = pytest.importorskip("dask.distributed")
    expected = aligned(here)
    shutil.rmtree("aligned")
    with distributed.connected("local:2") as client:
        address = client.scheduler.address

        def connect(given):
            assert given == SCHEDULER
            return client_of(address, set_as_default=False)

        client_of = dask.Client
        monkeypatch.setattr(dask, "Client", connect)
        capsys.readouterr()
        run(SCHEDULER)
    rows = holdstill.read_transforms("aligned")
    np.testing.assert_array_equal(rows["frame_from_canonical"], expected["frame_from_canonical"])
    assert len(capsys.readouterr().out.splitlines()) == 32


def test_any_other_engine_calls_one_function(here):
    expected = aligned(here)
    shutil.rmtree("aligned")
    run("align_block(job.task")
    rows = holdstill.read_transforms("aligned")
    np.testing.assert_array_equal(rows["frame_from_canonical"], expected["frame_from_canonical"])


@pytest.mark.filterwarnings("ignore")  # a taken port
def test_a_cluster_of_slurm_asks_for_what_the_page_says(here):
    queue = pytest.importorskip("dask_jobqueue")  # no SLURM is needed to write its script
    line = next(line for line in block_with("SLURM").splitlines() if line.startswith("cluster ="))
    with eval(line.removeprefix("cluster = "), {"SLURMCluster": queue.SLURMCluster}) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=8" in script and "#SBATCH -t 04:00:00" in script
    assert "--nworkers 8" in script and "--nthreads 1" in script
