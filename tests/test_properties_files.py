"""Any file, above all a damaged one: read as far as it goes, or refused with a word."""

from __future__ import annotations

import io
import json
import warnings
import zipfile

import numpy as np
import pytest
from clips import write_video

import holdstill
from holdstill.jobs.manifest import JobChangedError, read_manifest
from holdstill.stores import LocalStore
from holdstill.transforms import read_transforms

pytest.importorskip("hypothesis")
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import REFUSED, SHAPE, any_input, few, many, small_dictionary


@st.composite
def damages(draw):
    """What becomes of a file: bytes changed, cut, repeated, or made extreme."""
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["flip", "cut", "drop", "repeat", "ones", "zeros"]))
        steps.append((kind, draw(st.floats(0, 1)), draw(st.integers(1, 64))))
    return steps


def damaged(content: bytes, steps) -> bytes:
    data = bytearray(content)
    for kind, where, length in steps:
        at = int(where * max(0, len(data) - 1))
        if kind == "flip" and data:
            data[at] ^= 1 << (length % 8)
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length]
        else:
            data[at : at + min(8, length)] = (b"\xff" if kind == "ones" else b"\0") * min(8, length)
    return bytes(data)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Small good files of each kind that is read."""
    folder = tmp_path_factory.mktemp("good")
    small_dictionary().save(folder / "d.npz")
    rows = ["frame,h00,h01,h02,h10,h11,h12,h20,h21,h22"]
    rows += [f"{k},1,0,{k}.5,0,1,2,0,0,1" for k in range(5)]
    (folder / "initial.csv").write_text("\n".join(rows) + "\n")
    points = [f"{k + 1.0} {2 * k + 1.0}" for k in range(68)]
    (folder / "a.pts").write_text("\n".join(["version: 1", "n_points: 68", "{", *points, "}"]))
    (folder / "job.json").write_text(
        '{"format": 1, "rows": 3, "inputs": [["a", "1 bytes"]], "options": {"mu": 0.1}}'
    )
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = {f"h{i}{j}": [float(i == j)] * 5 for i in range(3) for j in range(3)}
    pq.write_table(pa.table({"frame": list(range(5)), **columns}), folder / "initial.parquet")
    noise = np.random.default_rng(0).integers(0, 255, (4, 24, 32, 3), dtype=np.uint8)
    np.save(folder / "stack.npy", noise)
    image = pytest.importorskip("PIL.Image")
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp"):
        image.fromarray(noise[0]).save(folder / name)
    pytest.importorskip("av")
    write_video(folder / "a.mp4", np.repeat(noise, 3, axis=0))
    write_video(folder / "a.mkv", np.repeat(noise, 3, axis=0))
    write_video(folder / "a.avi", np.repeat(noise, 3, axis=0), "mpeg4")
    return Files({path.name: path.read_bytes() for path in folder.iterdir()})


class Files(dict):
    """Contents by name, which a message about a failure does not repeat."""

    def __repr__(self) -> str:
        return "the good files"


@many
@given(steps=damages())
@example(steps=[])
def test_a_damaged_dictionary_is_read_or_refused(files, tmp_path, steps):
    path = tmp_path / "d.npz"
    path.write_bytes(damaged(files["d.npz"], steps))
    try:
        found = holdstill.Dictionary.load(path)
    except REFUSED as error:
        assert steps and str(path) in str(error)
        return
    assert found.shape == SHAPE and np.isfinite(found.atoms).all()


@pytest.mark.parametrize("name", ["initial.csv", "initial.parquet", "a.pts"])
@many
@given(steps=damages())
@example(steps=[])
def test_damaged_transforms_are_read_or_refused(files, tmp_path, name, steps):
    path = tmp_path / name
    path.write_bytes(damaged(files[name], steps))
    try:
        found = read_transforms(path)
    except REFUSED as error:
        assert steps and str(error)
        return
    matrices = found["frame_from_canonical"]
    assert matrices.shape == (len(found["frame"]), 3, 3)
    assert np.isfinite(matrices[~np.isnan(matrices).all(axis=(1, 2))]).all()


@many
@given(text=st.text(max_size=200), good=any_input)
@example(text="h00,h01,h02,h10,h11,h12,h20,h21,h22\n0,1,0,5,0,1,7,0,0,1\n", good=True)
def test_any_text_as_transforms_is_read_or_refused(tmp_path, text, good):
    path = tmp_path / "any.csv"
    path.write_text("frame," + text, encoding="utf-8")
    try:
        found = read_transforms(path)
    except REFUSED as error:
        assert not good and str(error)
        return
    assert found["frame_from_canonical"].shape == (len(found["frame"]), 3, 3)


@many
@given(steps=damages())
@example(steps=[])
def test_a_damaged_manifest_is_refused(files, tmp_path, steps):
    (tmp_path / "job.json").write_bytes(damaged(files["job.json"], steps))
    try:
        found = read_manifest(LocalStore(tmp_path))
    except JobChangedError as error:
        assert steps and "job.json" in str(error)
        return
    assert found is None or found["format"] == 1
    assert steps or found == json.loads(files["job.json"])


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp", "stack.npy", "a.mp4", "a.mkv",
             "a.avi"]
)  # fmt: skip
@few
@given(steps=damages())
@example(steps=[])
def test_damaged_pictures_are_read_as_far_as_they_go(files, tmp_path, name, steps):
    path = tmp_path / name
    path.write_bytes(damaged(files[name], steps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames = holdstill.open(path)
        except (OSError, ValueError) as error:
            assert steps and str(error)
            return
        with frames:
            assert len(frames) < 1000
            assert steps or len(frames) > 0
            for frame in frames:
                assert frame.readable or (steps and frame.error)
                if frame.readable:
                    assert frame.grey().ndim == 2


def test_what_claims_to_be_huge_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("meta.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"claims 4000000000000 bytes"):
        holdstill.Dictionary.load(tmp_path / "d.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.npy", b"\0" * 10**7)
    monkeypatch.setenv("HOLDSTILL_MAX_ARCHIVE_BYTES", "1000000")
    with pytest.raises(ValueError, match="HOLDSTILL_MAX_ARCHIVE_BYTES"):
        holdstill.Dictionary.load(tmp_path / "d.npz")


@pytest.mark.parametrize(("name", "count"), [("a.png", 1), ("a.mp4", 12), ("stack.npy", 4)])
def test_a_picture_above_the_limit_is_unreadable(files, tmp_path, monkeypatch, name, count):
    (tmp_path / name).write_bytes(files[name])
    monkeypatch.setenv("HOLDSTILL_MAX_PIXELS", "700")
    try:
        with holdstill.open(tmp_path / name) as frames:
            assert [frame.readable for frame in frames] == [False] * count
    except ValueError as error:
        assert "HOLDSTILL_MAX_PIXELS" in str(error)
    monkeypatch.setenv("HOLDSTILL_MAX_PIXELS", "4096")  # a decoder makes its rows longer
    with holdstill.open(tmp_path / name) as frames:
        assert [frame.readable for frame in frames] == [True] * count
    monkeypatch.setenv("HOLDSTILL_MAX_PIXELS", "many")
    with pytest.raises((ValueError, OSError), match="HOLDSTILL_MAX_PIXELS"):
        next(iter(holdstill.open(tmp_path / name))).grey()
