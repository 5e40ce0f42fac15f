"""What `open` accepts, and how several sources become one."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import write_video
from stacks import write_zarr

from holdstill.sources import Frame, FrameSource, SourceError
from holdstill.sources import open as open_source

STACK = np.random.default_rng(0).integers(0, 256, (8, 6, 10), np.uint8)


def write_images(folder: Path, names: list[str]) -> None:
    image = pytest.importorskip("PIL.Image")
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        image.fromarray(np.full((4, 5), value, np.uint8)).save(folder / name)


def write_greys(path: Path, frames: int = 5) -> None:
    pictures = [np.full((16, 32, 3), 8 * number, np.uint8) for number in range(frames)]
    write_video(path, pictures, "ffv1" if path.suffix == ".mkv" else "mpeg4")


def rows(source: FrameSource) -> list[tuple[str, int, bool]]:
    return [(Path(f.source).name, f.frame, f.readable) for f in source]


def test_a_source_is_returned_as_it_is() -> None:
    source = open_source(STACK)
    assert open_source(source) is source
    with pytest.raises(ValueError, match="select frames where the source is opened"):
        open_source(source, every=2)


def test_videos_are_streams_of_their_own_and_all_images_one(tmp_path: Path) -> None:
    write_images(tmp_path, ["b10.png", "b2.png", "d.png"])
    for name in ("a.mkv", "c.mkv"):
        write_greys(tmp_path / name, 2)
    images = [("b2.png", 0, True), ("b10.png", 1, True), ("d.png", 2, True)]
    expected = [
        ("a.mkv", 0, True),
        ("a.mkv", 1, True),
        *images,
        ("c.mkv", 0, True),
        ("c.mkv", 1, True),
    ]
    for given in (tmp_path, tmp_path / "*", sorted(tmp_path.iterdir())):
        source = open_source(given)
        assert rows(source) == expected
        assert [s.frames for s in source.streams] == [2, 3, 2]
        assert len(source) == 7
        assert rows(source) == [
            (Path(f.source).name, f.frame, f.readable) for f in map(source.__getitem__, range(7))
        ]


def test_what_cannot_be_opened_among_good_ones_is_one_unreadable_row(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", STACK)
    np.save(tmp_path / "points.npy", np.zeros((3, 2)))
    write_greys(tmp_path / "good.mkv", 4)
    (tmp_path / "garbage.mp4").write_bytes(bytes(range(256)) * 20)
    names = ["missing.mp4", "good.mkv", "garbage.mp4", "points.npy", "good.npy", "missing.png"]
    source = open_source([tmp_path / name for name in names], start=2, every=2)
    assert rows(source) == [
        ("missing.mp4", -1, False),
        ("good.mkv", 2, True),
        ("garbage.mp4", -1, False),
        ("points.npy", -1, False),
        *[("good.npy", number, True) for number in (2, 4, 6)],
        ("missing.png", -1, False),
    ]
    errors = [stream.error for stream in source.streams]
    assert [error is None for error in errors] == [False, True, False, False, True, False]
    assert source.n_readable == 2
    assert "no such file" in (errors[0] or "") and "single image" in (errors[3] or "")
    assert source[0].error == errors[0] and str(tmp_path) not in (errors[0] or "")
    assert [f.frame for f in source.read(0, -1, 0)] == [-1]


def test_the_streams_are_gathered_once_however_often_they_are_asked_for() -> None:
    source = open_source(STACK)
    assert source.streams is source.streams


def test_when_nothing_can_be_read_every_path_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "garbage.mp4").write_bytes(b"garbage" * 99)
    with pytest.raises(SourceError) as raised:
        open_source([tmp_path / "missing.mp4", tmp_path / "garbage.mp4"])
    lines = str(raised.value).splitlines()
    assert "missing.mp4: no such file" in lines[1]
    assert "garbage.mp4: cannot be opened as a video" in lines[2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"start": -1}, ValueError, "start: expected at least 0, got -1"),
        ({"stop": 0}, ValueError, "stop: expected at least 1, got 0"),
        ({"every": 0}, ValueError, "every: expected at least 1, got 0"),
        ({"every": 1.5}, TypeError, "every: expected an integer, got 1.5"),
        ({"start": 8}, ValueError, "select none of 8 frames"),
        ({"step": 2}, TypeError, "step"),
    ],
)
def test_a_wrong_selection_is_refused(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_source(STACK, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, 3, {"a": 1}, [1, 2], b"v.mp4", [[[0]]]])
def test_something_else_is_refused(given: object) -> None:
    with pytest.raises(TypeError, match="source: expected a path, a sequence of paths, an array"):
        open_source(given)  # type: ignore[arg-type]


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one path"):
        open_source([])


def test_read_refuses_what_is_not_there() -> None:
    source = open_source(STACK)
    with pytest.raises(IndexError, match="stream 1 of a source of 1"):
        source.read(1, 0, 3)
    with pytest.raises(ValueError, match="every: expected at least 1"):
        source.read(0, 0, 3, 0)
    assert [f.frame for f in source.read(0, -5, 99, 3)] == [1, 4, 7]
    assert list(source.read(0, 5, 5)) == []


def test_a_closed_source_cannot_be_read() -> None:
    with open_source(STACK) as source:
        assert len(list(source)) == 8
    with pytest.raises(ValueError, match="closed"):
        source[0]
    with pytest.raises(ValueError, match="closed"):
        next(iter(source))


def test_a_frame_survives_pickling(tmp_path: Path) -> None:
    write_greys(tmp_path / "v.mkv")
    for frame in (open_source(tmp_path / "v.mkv")[3], Frame("a", -1, error="gone")):
        copy = pickle.loads(pickle.dumps(frame))
        assert (copy.source, copy.frame, copy.time, copy.error) == (
            frame.source,
            frame.frame,
            frame.time,
            frame.error,
        )
        assert np.array_equal(copy.image, frame.image)


def test_urls_give_what_the_files_give(tmp_path: Path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    write_greys(tmp_path / "v.mp4", 30)
    write_images(tmp_path / "pictures", ["b10.png", "b2.png"])
    np.save(tmp_path / "s.npy", STACK)
    write_zarr(tmp_path / "s.zarr", STACK, (3, 6, 10))
    memory.put(str(tmp_path), "/urls", recursive=True)
    try:
        for name in ("v.mp4", "pictures", "pictures/*.png", "s.npy", "s.zarr"):
            local, remote = open_source(tmp_path / name), open_source(f"memory://urls/{name}")
            assert rows(remote) == rows(local), name
            assert all(f.source.startswith("memory://") for f in remote)
            pairs = list(zip(local, remote, strict=True))
            assert all(np.array_equal(a.image, b.image) and a.time == b.time for a, b in pairs)
            assert np.array_equal(local[-1].grey(), remote[-1].grey())
        with pytest.raises(FileNotFoundError, match="no such file"):
            open_source("memory://urls/missing.mp4")
        memory.pipe("/urls/o.npy", b"\x93NUMPY no array")
        with pytest.raises(ValueError, match=r"not a \.npy file"):
            open_source("memory://urls/o.npy")
    finally:
        memory.rm("/urls", recursive=True)


def test_an_unknown_protocol_says_so() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(SourceError, match="nowhere"):
        open_source("nowhere://bucket/v.mp4")


@pytest.mark.parametrize(
    ("module", "name", "command"),
    [
        ("av", "v.mp4", "holdstill[cli]"),
        ("PIL", "i.png", "holdstill[cli]"),
        ("zarr", "s.zarr", "holdstill[zarr]"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, command: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    for loaded in [m for m in sys.modules if m == module or m.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as raised:
        open_source(tmp_path / name)
    assert f'{module}: pip install "{command}"' in str(raised.value)


def test_importing_loads_no_optional_package() -> None:
    code = (
        "import sys, holdstill.sources; "
        "print([m for m in ('av', 'PIL', 'zarr', 'fsspec') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
