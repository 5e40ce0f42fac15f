"""Jobs given what is wrong or odd: sources, folders, workers, and a hundred thousand images."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from clips import N_FRAMES, SMALL, fresh_process, part_bytes, rows_of, run_json, texts

import holdstill
from holdstill.cli import main
from holdstill.jobs.manifest import manifest_of
from holdstill.sources import paths
from holdstill.sources.versions import versions_of

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("filelock")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def by_source(clip, tmp_path, monkeypatch):
    """Writes the clip's initial transforms for sources of the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(*sources):
        header, *lines = clip.initial.read_text().splitlines()
        quoted = ['"{}"'.format(str(source).replace('"', '""')) for source in sources]
        rows = [f"{source},{line}" for source in quoted for line in lines]
        Path("initial.csv").write_text("\n".join([f"source,{header}", *rows]), encoding="utf-8")
        return "initial.csv"

    return write


def align(command, dictionary, initial, *sources, out="run", more=("--stop", 5)):
    return command(
        "align", *sources, "--initial", initial, "--dictionary", dictionary, "--out", out, *more
    )


# --- sources --------------------------------------------------------------------------------------


def test_a_pattern_that_matches_nothing_among_others_is_one_row(
    clip, dictionary, by_source, command
):
    shutil.copy(clip.video, "a.mp4")
    code, *_ = align(command, dictionary, by_source("a.mp4"), "none*.mp4", "a*.mp4")
    assert code == 0
    rows = rows_of(Path("run"))
    assert (rows["source"][0], rows["status"][0]) == ("none*.mp4", "unreadable")
    assert rows["status"][1:] == ["converged"] * 5


@pytest.mark.parametrize("twice", [("a.mp4", "a.mp4"), ("a.mp4", "*.mp4"), ("*.mp4", "a.mp4")])
def test_a_video_given_twice_is_refused(clip, dictionary, by_source, command, twice):
    shutil.copy(clip.video, "a.mp4")
    code, _, err = align(command, dictionary, by_source("a.mp4"), *twice)
    assert (code, "source a.mp4: given twice" in err) == (2, True)
    assert not Path("run").exists()


def test_images_given_twice_have_a_row_each(clip, dictionary, by_source, command):
    Image.fromarray(clip.head[0]).save("a.png")
    code, *_ = align(command, dictionary, by_source("a.png"), "a.png", "a.png", "*.png")
    assert code == 0
    run = holdstill.read_run("run")
    assert (run.source.tolist(), run.rows["frame"].tolist()) == (["a.png"] * 3, [0, 1, 2])


NAMES = [
    "with space.mp4", "it's.mp4", 'a "quote".mp4', "Zoë 顔 😀.mp4", "[1]*?.mp4", "100%#&;$HOME.mp4",
    "-n.mp4", "a\nb.mp4", "../up.mp4", "./deep/../here.mp4",
]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="names that only POSIX allows")
@pytest.mark.parametrize("name", NAMES)
def test_sources_and_folders_of_any_name(clip, dictionary, tmp_path, by_source, command, name):
    initial = by_source(name).replace("initial", str(tmp_path / "initial"))
    here = tmp_path / "job"
    (here / "deep").mkdir(parents=True)
    os.chdir(here)
    shutil.copy(clip.video, name)
    out = f"run {name[:-4].replace('../', '')}"
    source = ("--", name) if name[0] == "-" else (name,)
    options = ("--initial", initial, "--dictionary", dictionary, f"--out={out}", "--zarr")
    for again in ((), ("--resume",)):
        code, _, err = command("align", *options, "--stop", 5, *again, *source)
        assert code == 0, err
    rows = rows_of(Path(out))
    assert (rows["source"], rows["status"]) == ([name] * 5, ["converged"] * 5)
    run = holdstill.read_run(out)
    with run.open_frames() as frames:
        assert [frame.frame for frame in frames] == list(range(5))
    assert command("status", out)[0] == 0


@pytest.mark.skipif(os.name == "nt", reason="names that only POSIX allows")
def test_a_name_that_is_no_text_is_refused_or_aligned(clip, dictionary, by_source, command):
    name = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(clip.video, name)
    initial = Path(by_source("x"))
    initial.write_text(clip.initial.read_text())
    code, _, err = align(command, dictionary, initial, name)
    assert code in (0, 2, 4), err
    assert "Traceback" not in err


def test_images_of_mixed_sizes_and_kinds_are_aligned(clip, dictionary, by_source, command):
    for i, mode in enumerate(["RGB", "L", "RGBA", "P"]):
        picture = Image.fromarray(clip.head[0]).convert(mode)
        grown = Image.new(mode, (80 + 40 * i, 64 + 20 * i))
        if mode == "P":
            grown.putpalette(picture.getpalette())
        grown.paste(picture, (0, 0))
        grown.save(f"{i}.png")
    initial = by_source(*[f"{i}.png" for i in range(4)])
    start = holdstill.transforms.read_transforms(clip.initial)["frame_from_canonical"][0]
    header = "source,frame," + ",".join(f"h{r}{c}" for r in range(3) for c in range(3))
    cells = ",".join(map(repr, start.ravel().tolist()))
    lines = [f"{i}.png,{i},{cells}" for i in range(4)]
    Path(initial).write_text("\n".join([header, *lines]))
    code, *_ = align(command, dictionary, initial, "*.png", more=("--zarr",))
    assert code == 0
    assert rows_of(Path("run"))["status"] == ["converged"] * 4


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_a_video_without_permission_is_one_row(clip, dictionary, by_source, command):
    shutil.copy(clip.video, "a.mp4")
    shutil.copy(clip.video, "b.mp4")
    os.chmod("b.mp4", 0)
    assert align(command, dictionary, by_source("a.mp4"), "a.mp4", "b.mp4")[0] == 0
    rows = rows_of(Path("run"))
    assert rows["status"] == ["converged"] * 5 + ["unreadable"]


# --- many sources ---------------------------------------------------------------------------------


@pytest.fixture
def many_images(tmp_path):
    """A folder of 3,000 images."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("L", (80, 64), 90).save(folder / "0.png")
    for i in range(1, 3000):
        os.link(folder / "0.png", folder / f"{i}.png")
    return folder


def test_starting_looks_at_each_image_once_and_opens_the_first_ones_only(
    many_images, clip, dictionary, tmp_path, monkeypatch
):
    keys, opened, watching = [], [], True
    natural_key = paths.natural_key

    def counted_key(path):
        keys.append(path)
        return natural_key(path)

    def watch(event, arguments):
        if watching and event == "open" and str(arguments[0]).endswith(".png"):
            opened.append(arguments[0])

    monkeypatch.setattr(paths, "natural_key", counted_key)
    sys.addaudithook(watch)
    given = np.tile(np.eye(3), (3000, 1, 1))
    with holdstill.open(many_images) as frames:
        dictionary = holdstill.Dictionary.load(dictionary)
        job = holdstill.jobs.Job(frames, dictionary, tmp_path / "run", given, zarr=True)
        with job:
            assert len(next(job.pending()).rows) == 2000
            watching = False
    assert len(frames) == 3000
    assert len(keys) == 3000
    assert {Path(file).name for file in opened} <= {"0.png", "1.png"}


def test_images_behind_a_url_are_listed_and_not_asked_for_one_by_one(dictionary, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    root = f"/{uuid.uuid4()}"
    for i in range(200):
        files.pipe_file(f"{root}/{i}.png", b"%d" % i)
    asked = []
    info = type(files).info
    monkeypatch.setattr(
        type(files), "info", lambda self, path, **k: asked.append(path) or info(self, path, **k)
    )
    with holdstill.open(f"memory:/{root}") as frames:
        before = manifest_of(frames, None, "", {}, {})["inputs"]
        assert len(before) == 200 and len(asked) < 10
        files.pipe_file(f"{root}/7.png", b"other")
        now = manifest_of(frames, None, "", {}, {})["inputs"]
        assert [k for k in range(200) if before[k] != now[k]] == [7]
    assert versions_of([f"memory:/{root}/{i}.png" for i in (*range(20), 999)])[-1] is None


# --- dictionaries and folders ---------------------------------------------------------------------


def test_going_on_with_a_dictionary_of_another_shape_is_refused(
    clip, dictionary, by_source, tmp_path, command
):
    shutil.copy(clip.video, "a.mp4")
    initial = by_source("a.mp4")
    assert align(command, dictionary, initial, "a.mp4")[0] == 0
    before = part_bytes(Path("run"))
    larger = [*SMALL[:2], "--shape", "40x40", "--out", "larger.npz"]
    assert main(texts("fit", clip.video, "--initial", clip.initial, *larger)) == 0
    code, _, err = align(command, "larger.npz", initial, "a.mp4", more=("--stop", 5, "--resume"))
    assert (code, "dictionary: " in err, "something has changed" in err) == (2, True, True)
    assert part_bytes(Path("run")) == before


def test_boxes_fit_to_a_dictionary_of_any_shape(clip, by_source, command):
    """Eye corners and boxes are of the frame: the dictionary's shape does not matter."""
    shutil.copy(clip.video, "a.mp4")
    fit = ("--n", 20, "--shape", "40x48", "--out", "d.npz", "--initial", clip.initial)
    assert command("fit", clip.video, *fit)[0] == 0
    eyes = holdstill.transforms.read_transforms(clip.initial)["frame_from_canonical"][:5]
    corners = holdstill.canonical.eye_corners((32, 32))
    points = np.concatenate([corners, np.ones((2, 1))], axis=1) @ eyes.transpose(0, 2, 1)
    lines = [f"{i},{','.join(map(str, p[:, :2].ravel()))}" for i, p in enumerate(points)]
    Path("eyes.csv").write_text("\n".join(["frame,left_x,left_y,right_x,right_y", *lines]))
    assert align(command, "d.npz", "eyes.csv", "a.mp4")[0] == 0
    assert rows_of(Path("run"))["status"] == ["converged"] * 5


def test_going_on_with_a_run_of_another_command_is_refused(
    clip, dictionary, registered_run, command
):
    before = {p: p.stat().st_mtime_ns for p in registered_run.rglob("*") if p.is_file()}
    code, _, err = align(
        command, dictionary, clip.initial, clip.video, out=registered_run, more=("--resume",)
    )
    assert (code, "a run of another command" in err) == (2, True)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_going_on_where_other_files_are_is_refused(clip, dictionary, tmp_path, command):
    (tmp_path / "dear.txt").write_text("mine")
    code, _, err = align(
        command, dictionary, clip.initial, clip.video, out=tmp_path, more=("--resume",)
    )
    assert (code, "holds no run" in err) == (2, True)
    assert os.listdir(tmp_path) == ["dear.txt"]


@pytest.mark.parametrize("resume", [(), ("--resume",)])
@pytest.mark.parametrize("inside", ["", "run", "deep/run"])
def test_a_folder_inside_a_file_exits_with_4(clip, dictionary, tmp_path, command, resume, inside):
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / inside
    code, stdout, err = align(
        command, dictionary, clip.initial, clip.video, out=out, more=("--stop", 5, *resume)
    )
    assert (code, stdout, f"cannot write {out}" in err) == (4, "", True)
    assert (tmp_path / "file").read_text() == "mine"
    assert command("status", out)[0] == 2


def test_a_damaged_job_is_not_gone_on_with(clip, dictionary, by_source, command):
    shutil.copy(clip.video, "a.mp4")
    initial = by_source("a.mp4")
    assert align(command, dictionary, initial, "a.mp4")[0] == 0
    for text in ("", "{", "[]", '{"format": 99}', '{"format": 1}', '{"format": 1, "inputs": 3}'):
        Path("run/job.json").write_text(text)
        code, _, err = align(command, dictionary, initial, "a.mp4", more=("--stop", 5, "--resume"))
        assert (code, "job.json" in err) == (2, True), text
        code, _, err = command("status", "run")
        assert (code, "job.json" in err) == (2, True), text


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", ["0", "-1", "1.5", "many", ""])
def test_blocks_of_no_frames_are_refused(command, frames):
    code, _, err = command("align", "a.mp4", "--out", "run", f"--block-frames={frames}")
    assert (code, "argument --block-frames" in err) == (2, True)


def test_a_log_that_has_no_folder_exits_with_4(clip, dictionary, tmp_path, command):
    code, _, err = align(
        command, dictionary, clip.initial, clip.video, out=tmp_path / "run",
        more=("--block-log", tmp_path / "no" / "log.jsonl"),
    )  # fmt: skip
    assert (code, "its folder does not exist" in err) == (4, True)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "expected tcp://host:port or local:N"), ("local:0", "expected local:N"),
        ("local:", "expected local:N"), ("local:two", "expected local:N"),
        ("", "expected tcp://host:port or local:N"), ("foo://localhost:1", "foo"),
        ("tcp://", "tcp://"), ("tcp://localhost", "tcp://localhost"),
        ("tcp://localhost:port", "port"),
    ],
)  # fmt: skip
def test_addresses_of_no_cluster_are_refused(clip, dictionary, tmp_path, command, address, message):
    pytest.importorskip("distributed")
    code, _, err = align(
        command, dictionary, clip.initial, clip.video, out=tmp_path / "run",
        more=("--dask", address),
    )  # fmt: skip
    assert (code, message in err) == (2, True), err
    assert not (tmp_path / "run").exists()


def test_a_scheduler_that_is_not_there_ends_the_command(clip, dictionary, tmp_path):
    pytest.importorskip("distributed")
    ended = fresh_process(
        "align", clip.video, "--initial", clip.initial, "--dictionary", dictionary, "--out",
        tmp_path / "run", "--dask", "tcp://127.0.0.1:9", timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "tcp://127.0.0.1:9" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_job_is_told_apart_by_what_it_is_about(clip, dictionary, by_source, command):
    """--resume with other frames, options or initial transforms names what is different."""
    shutil.copy(clip.video, "a.mp4")
    initial = by_source("a.mp4")
    assert align(command, dictionary, initial, "a.mp4")[0] == 0
    changed = {
        ("--stop", 6): "frames: ", ("--every", 2, "--stop", 5): "frames: ",
        ("--stop", 5, "--mu", 0.5): "mu: ", ("--stop", 5, "--zarr"): "zarr: ",
        ("--stop", 5, "--no-video"): "video: ", ("--stop", 5, "--block-frames", 7): "block_frames",
    }  # fmt: skip
    for more, message in changed.items():
        code, _, err = align(command, dictionary, initial, "a.mp4", more=(*more, "--resume"))
        assert (code, message in err) == (2, True), (more, err)
    assert run_json(Path("run"))["frames"] == 5 < N_FRAMES
