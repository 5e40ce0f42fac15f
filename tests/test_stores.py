"""Sources, runs and results on stores: local disks, S3 and memory."""

from __future__ import annotations

import gc
import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from clips import N_FRAMES, part_bytes, rows_of, texts

import holdstill
from holdstill.cli import main
from holdstill.outputs import OutputError
from holdstill.sources.versions import version_of
from holdstill.stores import LocalStore, RemoteStore, copy_of, open_store, scratch
from holdstill.transforms import read_transforms

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("av")
pytest.importorskip("pyarrow")

NAMES = ["plain.txt", "with space.txt", 'it\'s "quoted".txt', "Zoë-顔.txt", "a [1]*b.txt", "#1%20"]

# --- the protocol of a store ----------------------------------------------------------------------


@pytest.fixture(params=["local", "memory", "s3"])
def root(request, tmp_path):
    """Address of an empty place on every kind of store."""
    if request.param == "local":
        return str(tmp_path)
    if request.param == "memory":
        return f"memory://{uuid.uuid4()}"
    return request.getfixturevalue("s3")


@pytest.fixture
def store(root):
    return open_store(f"{root}/runs/first")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_whatever_its_name(store, name):
    for path in (name, f"in {name}/{name}"):
        assert not store.exists(path)
        store.write(path, b"one")
        store.write(path, b"another")
        assert (store.read(path), store.exists(path)) == (b"another", True)
    assert store.names() == sorted([name, f"in {name}"])
    assert store.names(f"in {name}") == [name]


def test_local_files_are_put_and_fetched(store, tmp_path):
    content = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "here").write_bytes(content)
    store.put("large/file.bin", tmp_path / "here")
    store.fetch("large/file.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_what_is_not_there_is_said_so(store, tmp_path):
    assert store.names() == store.names("parts") == []
    assert not store.exists("parts/a")
    with pytest.raises(FileNotFoundError):
        store.read("parts/a")
    with pytest.raises(FileNotFoundError):
        store.fetch("parts/a", tmp_path / "a")
    store.remove("parts/a")
    store.remove("parts")


def test_files_are_not_folders_and_hidden_ones_are_not_listed(store):
    for name in ("parts/b", "parts/a", "parts/.hidden", "parts/deep/c", "parts-2/d"):
        store.write(name, b".")
    assert store.names() == ["parts", "parts-2"]
    assert store.names("parts") == ["a", "b", "deep"]
    assert store.names("parts/a") == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_removed_is_gone_and_nothing_else(store, name):
    kept = ["kept", "a [1]*b.txt2", "a 1bb.txt"]
    for path in (name, f"folder {name}/x", f"folder {name}/deep/y", *kept):
        store.write(path, b".")
    store.remove(name)
    store.remove(f"folder {name}")
    assert store.names() == sorted(kept)


def test_a_write_that_fails_leaves_what_was_there(store, monkeypatch, tmp_path):
    store.write("parts/a", b"before")

    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("holdstill.sources.retrying.FIRST_WAIT", 0.0)
    if isinstance(store, RemoteStore):
        monkeypatch.setattr(store._files, "pipe_file", broken)
        monkeypatch.setattr(store._files, "put_file", broken)
    else:
        monkeypatch.setattr("os.fsync", broken)
    (tmp_path / "new").write_bytes(b"after")
    with pytest.raises(OutputError, match=r"parts/a: .*No space"):
        store.write("parts/a", b"after")
    with pytest.raises(OutputError, match=r"parts/a: .*No space"):
        store.put("parts/a", tmp_path / "new")
    assert (store.read("parts/a"), store.names("parts")) == (b"before", ["a"])


def test_copies_of_files_and_folders_have_their_names(root, tmp_path):
    store = open_store(f"{root}/a b")
    store.write("one.txt", b"1")
    store.write("two.txt", b"2")
    if isinstance(store, LocalStore):
        pytest.skip("behind URLs only")
    assert copy_of(f"{root}/a b/one.txt", tmp_path).read_bytes() == b"1"
    folder = copy_of(f"{root}/a b", tmp_path)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"one.txt": b"1", "two.txt": b"2"}
    with pytest.raises(FileNotFoundError, match="c: no such file"):
        copy_of(f"{root}/c", tmp_path)


def test_versions_change_with_the_content_even_after_a_listing(root):
    store = open_store(root)
    store.write("in/a.bin", b"one")
    store.names("in")
    before = version_of(f"{root}/in/a.bin")
    assert before is not None and version_of(f"{root}/in/a.bin") == before
    if not isinstance(store, LocalStore):
        store._files.ls(store._path("in"))  # which file systems keep
    elsewhere = open_store(root)
    if root.startswith("s3"):  # as from another process
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        files.pipe_file(f"{root}/in/a.bin", b"two")
    else:
        elsewhere.write("in/a.bin", b"other")
    assert version_of(f"{root}/in/a.bin") not in (before, None)
    elsewhere.remove("in/a.bin")
    assert version_of(f"{root}/in/a.bin") is None


def test_scratch_is_local_everywhere(store):
    with scratch(store) as folder:
        (folder / "a").write_text("unfinished")
        assert store.names() == []
    assert not folder.exists()


@pytest.mark.parametrize("url", ["nowhere://bucket/run", "s4://bucket/run"])
def test_kinds_of_urls_that_nobody_knows_are_refused(command, clip, dictionary, url):
    code, _, err = command("align", clip.video, "--dictionary", dictionary, "--out", url)
    assert (code, f"cannot write {url}" in err) == (4, True)


@pytest.mark.parametrize("what", ["source", "run"])
def test_a_store_that_does_not_answer_ends_the_command(
    command, clip, dictionary, tmp_path, s3, what, monkeypatch
):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": "http://127.0.0.1:9"})
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setattr("holdstill.sources.retrying.ATTEMPTS", 1)
    source, out = (f"{s3}/a.mp4", tmp_path / "run") if what == "source" else (clip.video, f"{s3}/r")
    code, _, err = command("align", source, "--dictionary", dictionary, "--out", out)
    assert code in (2, 4)
    assert "127.0.0.1:9" in err


# --- runs on S3 -----------------------------------------------------------------------------------

BLOCKS = ("--zarr", "--threads", "1", "--block-frames", "100", "--quiet")


def align(clip, dictionary, sources, out, *more):
    initial = clip.initial
    arguments = ("--dictionary", dictionary, "--out", out, *BLOCKS, *more)
    return main(texts("align", *sources, "--initial", initial, *arguments))


@pytest.fixture
def files(s3):
    return fsspec.filesystem("s3")


@pytest.fixture
def on_s3(s3, clip, dictionary, files):
    """A run there, of a source there."""
    files.put_file(str(clip.video), f"{s3}/in/head.mp4")
    assert align(clip, dictionary, [f"{s3}/in/*.mp4"], f"{s3}/run") == 0
    return f"{s3}/run"


def contents(store):
    """Parts, video and pictures of a run."""
    found = {}
    for folder in ("transforms.parquet", "aligned.zarr"):
        fold = f"{store.address}/{folder}"
        files, path = fsspec.core.url_to_fs(fold)
        for file in files.find(path):
            found[f"{folder}/{file[len(path) :]}"] = files.cat_file(file)
    return {**found, "aligned.mp4": store.read("aligned.mp4")}


def test_a_run_on_s3_has_the_bytes_of_one_on_a_disk(on_s3, clip, dictionary, s3, tmp_path):
    assert align(clip, dictionary, [f"{s3}/in/*.mp4"], tmp_path / "run") == 0
    here, there = contents(open_store(tmp_path / "run")), contents(open_store(on_s3))
    assert here == there
    assert len(here) > 4
    # The same clip on a disk differs by its name only.
    assert align(clip, dictionary, [clip.video], tmp_path / "local") == 0
    local, remote = rows_of(tmp_path / "local"), rows_of(tmp_path / "run")
    assert {*remote.pop("source")} == {f"{s3}/in/head.mp4"}
    assert {*local.pop("source")} == {str(clip.video)}
    assert local == remote


def test_a_run_on_s3_is_gone_on_with(on_s3, clip, dictionary, s3, capsys):
    store = open_store(on_s3)
    before = contents(store)
    for name in ("run.json", "aligned.mp4", "transforms.parquet/part-0000000.parquet"):
        store.remove(name)
    capsys.readouterr()
    assert main(["status", on_s3, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "unfinished"
    assert align(clip, dictionary, [f"{s3}/in/*.mp4"], on_s3) == 2  # a run is there
    assert align(clip, dictionary, [f"{s3}/in/*.mp4"], on_s3, "--resume") == 0
    assert contents(store) == before
    facts = json.loads(store.read("run.json"))
    capsys.readouterr()
    assert main(["status", on_s3, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["state"], status["frames_done"]) == ("complete", N_FRAMES)
    assert status["status"] == facts["status"]
    # Its one part was gone, and the video's stretches with the joined video.
    assert facts["blocks_done_before"] == 0
    assert align(clip, dictionary, [f"{s3}/in/*.mp4"], on_s3, "--resume") == 0
    assert json.loads(store.read("run.json"))["blocks_done_before"] == facts["blocks"]


def test_a_source_on_s3_that_has_changed_is_not_gone_on_with(
    on_s3, clip, dictionary, s3, files, capsys
):
    files.pipe_file(f"{s3}/in/head.mp4", clip.video.read_bytes() + b"\0" * 8)
    assert align(clip, dictionary, [f"{s3}/in/*.mp4"], on_s3, "--resume") == 2
    assert f"source {s3}/in/head.mp4: " in capsys.readouterr().err


def test_initial_transforms_and_dictionary_may_be_on_s3(
    s3, clip, dictionary, files, tmp_path, on_s3
):
    files.put_file(str(clip.initial), f"{s3}/initial.csv")
    files.put_file(str(dictionary), f"{s3}/d.npz")
    arguments = ["align", f"{s3}/in/head.mp4", "--initial", f"{s3}/initial.csv", "--dictionary"]
    arguments += [f"{s3}/d.npz", "--out", str(tmp_path / "run"), *BLOCKS]
    assert main(arguments) == 0
    assert contents(open_store(tmp_path / "run")) == contents(open_store(on_s3))
    assert main([*arguments, "--resume"]) == 0
    files.pipe_file(f"{s3}/initial.csv", clip.initial.read_bytes().replace(b"\n1,", b"\n1,1"))
    assert main([*arguments, "--resume"]) == 2


def test_rows_are_read_from_s3(on_s3, s3, files, clip, tmp_path):
    files.get(f"{on_s3}/", f"{tmp_path}/copy/", recursive=True)
    expected = read_transforms(tmp_path / "copy")
    for url in (on_s3, f"{on_s3}/", f"{on_s3}/transforms.parquet"):
        found = read_transforms(url)
        assert {*found} == {*expected}
        for name, column in expected.items():
            np.testing.assert_array_equal(found[name], column)
    part = read_transforms(f"{on_s3}/transforms.parquet/part-0000000.parquet")
    assert 0 < len(part["frame"]) <= N_FRAMES
    files.put_file(str(clip.initial), f"{s3}/the initial.csv")
    np.testing.assert_array_equal(
        read_transforms(f"{s3}/the initial.csv")["frame_from_canonical"],
        read_transforms(clip.initial)["frame_from_canonical"],
    )


def test_what_cannot_be_read_is_named_by_its_url(s3, files):
    with pytest.raises(FileNotFoundError, match=f"{s3}/no: no such file or folder"):
        read_transforms(f"{s3}/no")
    files.pipe_file(f"{s3}/text.csv", b"frame,x\n1\n")
    with pytest.raises(ValueError, match=f"^{s3}/text.csv: row 1 has 1 cells"):
        read_transforms(f"{s3}/text.csv")
    files.pipe_file(f"{s3}/d.npz", b"nothing of the kind")
    with pytest.raises(ValueError, match=f"^{s3}/d.npz: not a dictionary"):
        holdstill.Dictionary.load(f"{s3}/d.npz")


def test_a_run_on_s3_is_read_with_its_dictionary_and_frames(on_s3, dictionary):
    run = holdstill.read_run(on_s3)
    assert len(run) == N_FRAMES and run.complete and run.video is None
    assert on_s3 in repr(run)
    assert run.dictionary().digest == holdstill.Dictionary.load(dictionary).digest
    with run.open_frames() as frames:
        assert frames[3].grey().shape == (64, 80)
    place = run.folder
    del run
    gc.collect()
    assert not place.exists()


def test_no_run_on_s3_is_said_so(s3):
    with pytest.raises(FileNotFoundError, match=f"{s3}/none: not the folder of a run"):
        holdstill.read_run(f"{s3}/none")


@pytest.mark.parametrize("name", ["report", "evaluate"])
def test_what_is_written_to_disks_only_says_so(command, on_s3, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(name, on_s3)
    assert code == 4
    assert f"{on_s3}: a" in err and "copy the run" in err
    assert list(tmp_path.iterdir()) == []


def test_registered_faces_go_to_disks_only(command, album, s3, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = album.folder / "photographs"
    code, _, err = command("register", source, "--model", album.model, "--out", f"{s3}/run")
    assert (code, "copy the run" in err) == (4, True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_memory_is_that_on_a_disk(clip, dictionary, tmp_path):
    out = f"memory://{uuid.uuid4()}/run"
    assert align(clip, dictionary, [clip.video], out) == 0
    assert align(clip, dictionary, [clip.video], tmp_path / "run") == 0
    assert contents(open_store(out)) == contents(open_store(tmp_path / "run"))


# --- results in other libraries -------------------------------------------------------------------


@pytest.fixture(scope="module")
def three_parts(clip, dictionary, tmp_path_factory):
    """A run of two clips: three parts."""
    folder = tmp_path_factory.mktemp("parts")
    initial = folder / "initial.csv"
    with clip.initial.open() as file:
        header, *lines = file.read().splitlines()
    sources = [folder / "a.mp4", folder / "b.mp4", folder / "c.mp4"]
    rows = [f"source,{header}"]
    for source in sources:
        source.write_bytes(clip.video.read_bytes())
        rows += [f"{source},{line}" for line in lines]
    initial.write_text("\n".join(rows))
    other = type(clip)(clip.video, initial, clip.head)
    assert align(other, dictionary, sources, folder / "run") == 0
    assert len(part_bytes(folder / "run")) > 2
    return folder / "run"


def assert_same_rows(found, run):
    """Columns (lists) against those that were written, in order."""
    expected = rows_of(run)
    for name in ("source", "frame", "status", "h02", "iterations"):
        assert list(found[name]) == expected[name], name


def test_pandas_opens_the_parts_as_one_table(three_parts):
    pandas = pytest.importorskip("pandas")
    assert_same_rows(pandas.read_parquet(three_parts / "transforms.parquet"), three_parts)


def test_polars_opens_the_parts_as_one_table(three_parts):
    polars = pytest.importorskip("polars")
    found = polars.scan_parquet(three_parts / "transforms.parquet" / "*.parquet").collect()
    assert_same_rows(found.to_dict(as_series=False), three_parts)


def test_duckdb_opens_the_parts_as_one_table(three_parts):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT * FROM read_parquet(?)", [f"{three_parts}/transforms.parquet/*.parquet"]
        )
        names = [column[0] for column in found.description]
        columns = zip(*found.fetchall(), strict=True)
    assert_same_rows(dict(zip(names, columns, strict=True)), three_parts)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of dask about its use of pandas
def test_dask_opens_the_parts_as_one_table(three_parts):
    frame = pytest.importorskip("dask.dataframe")
    table = frame.read_parquet(three_parts / "transforms.parquet")
    assert_same_rows(table.compute(scheduler="synchronous"), three_parts)


def test_pandas_reads_a_run_where_it_is_on_s3(on_s3):
    pandas = pytest.importorskip("pandas")
    found = pandas.read_parquet(f"{on_s3}/transforms.parquet")
    assert found["frame"].tolist() == list(range(N_FRAMES))


def test_zarr_and_dask_open_the_pictures(three_parts, on_s3):
    zarr, array = pytest.importorskip("zarr"), pytest.importorskip("dask.array")
    pictures = zarr.open(three_parts / "aligned.zarr", mode="r")
    rows = len(rows_of(three_parts)["frame"])
    assert (pictures.shape, pictures.dtype) == ((rows, 32, 32, 3), np.uint8)
    lazily = array.from_zarr(str(three_parts / "aligned.zarr"))
    np.testing.assert_array_equal(lazily[-5:].compute(scheduler="synchronous"), pictures[-5:])
    assert zarr.open(f"{on_s3}/aligned.zarr", mode="r").shape == (N_FRAMES, 32, 32, 3)


def test_the_local_store_is_a_folder(tmp_path):
    store = LocalStore(tmp_path / "run")
    assert (store.local, store.address) == (Path(tmp_path / "run"), str(tmp_path / "run"))
