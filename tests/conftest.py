"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from albums import make_album
from clips import N_FRAMES, SMALL, align_arguments, make_clip, texts

from holdstill import Dictionary, fit
from holdstill.cli import main
from holdstill.synthetic import TalkingHead


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real images that the project does not ship; tests that need it skip without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HOLDSTILL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (set HOLDSTILL_DATA)")
    return folder


@dataclass(frozen=True)
class SmallHead:
    """A small recording of the synthetic head, and a dictionary learnt from it."""

    head: TalkingHead
    frames: npt.NDArray[np.uint8]  # (n, H, W) grey
    initial: npt.NDArray[np.float64]
    dictionary: Dictionary


@pytest.fixture(scope="session")
def small_head() -> SmallHead:
    """24 frames of 160x200, canonical 64x64, similarity, grey; dictionary from 12 of them."""
    head = TalkingHead(24, size=(160, 200), shape=(64, 64), occlusion=False, color=False)
    frames = np.stack([head[i] for i in range(len(head))])
    initial = head.initial()
    dictionary = fit(
        frames, initial, n=12, shape=(64, 64), motion="similarity", features="grey", roi="full"
    )
    return SmallHead(head, frames, initial, dictionary)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("small"), N_FRAMES, (64, 80), (32, 32))


@pytest.fixture(scope="session")
def large_clip(tmp_path_factory):
    """Large enough for the face detector."""
    return make_clip(tmp_path_factory.mktemp("large"), 16, (360, 450), (48, 48))


@pytest.fixture(scope="session")
def dictionary(clip):
    path = clip.video.with_name("dictionary.npz")
    assert main(["fit", *texts(clip.video, "--initial", clip.initial, "--out", path), *SMALL]) == 0
    return path


@pytest.fixture(scope="session")
def run_folder(clip, dictionary):
    folder = clip.video.with_name("run")
    assert main(align_arguments(clip, dictionary, folder, "--threads", "1")) == 0
    return folder


@pytest.fixture
def run_copy(run_folder, tmp_path):
    """The same run, to be changed."""
    return shutil.copytree(run_folder, tmp_path / "run")


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    return make_album(tmp_path_factory.mktemp("album"))


@pytest.fixture(scope="session")
def registered_run(album):
    """Of the album's photographs."""
    out = album.folder / "run"
    source = album.folder / "photographs"
    assert main(texts("register", source, "--model", album.model, "--out", out)) == 0
    return out


@pytest.fixture(scope="session")
def talk(tmp_path_factory):
    """Two stacks and a video of the head: blocks of 250 and 100 rows."""
    from talks import make_talk

    return make_talk(tmp_path_factory.mktemp("talk"), 250, 40, 60)


@pytest.fixture(scope="session")
def aligned_talk(talk):
    talk.align(talk.folder / "run")
    return talk.folder / "run"


@pytest.fixture(scope="session")
def undisturbed_job(clip, dictionary, tmp_path_factory):
    from faulty_jobs import make_job

    return make_job(tmp_path_factory.mktemp("job"), clip, dictionary)


@pytest.fixture
def job(undisturbed_job, tmp_path, monkeypatch):
    """To be done in the working directory, and disturbed."""
    shutil.copytree(undisturbed_job.folder, tmp_path / "job")  # with times of change
    monkeypatch.chdir(tmp_path / "job")
    monkeypatch.setattr("holdstill.sources.retrying.FIRST_WAIT", 0.0)
    return undisturbed_job


@pytest.fixture(scope="session")
def table():
    """Of the faults of all files, printed at the end."""
    from faulty_jobs import Table

    table = Table()
    yield table
    print(f"\n{table}")


@pytest.fixture
def command(capsys):
    """Runs one command in this process: exit code, stdout, stderr."""

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main(texts(*arguments))
        except SystemExit as stop:  # of the option parser
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def s3_server():
    """A server that speaks S3, on this machine; processes started by tests find it as well."""
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        patch.setenv("AWS_ACCESS_KEY_ID", "name")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files = s3fs.S3FileSystem()
        yield files
        files.close_session(files.loop, files.s3)
    server.stop()


@pytest.fixture
def s3(s3_server):
    """URL of a new bucket."""
    bucket = f"bucket-{uuid.uuid4()}"
    s3_server.mkdir(bucket)
    return f"s3://{bucket}"
