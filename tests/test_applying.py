"""A run's transforms on other streams of its frames: other sizes, other kinds, and back."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from clips import rows_of, texts
from runs import write_run

import holdstill
from holdstill import apply, read_run, warp
from holdstill.applying import resample
from holdstill.cli import main
from holdstill.reference.motion import map_points

pytest.importorskip("av")
pytest.importorskip("pyarrow")

SIZE = (100, 130)
N = 4


def ramps(scale=1, n=N, size=SIZE):
    """Frames (n, H, W, 3) whose values are x, y and the frame's number, in pixels of `SIZE`.

    Bilinear samples of a ramp are exact, and a resized frame spans the same area.
    """
    y, x = (np.mgrid[: size[0] * scale, : size[1] * scale] + 0.5) / scale - 0.5
    frames = [np.stack([x, y, np.full_like(x, k)], axis=-1) for k in range(n)]
    return np.stack(frames).astype(np.float32)


def turned(k):
    c, s = 1.05 * np.cos(0.05 * k), 1.05 * np.sin(0.05 * k)
    return np.array([[c, -s, 40.0 + k], [s, c, 15.5], [0.0, 0.0, 1.0]])


TRANSFORMS = [turned(k) for k in range(N)]


@pytest.fixture(scope="module")
def run(small_head, tmp_path_factory):
    """Frames of `SIZE`, canonical frame of 64x64."""
    folder = tmp_path_factory.mktemp("applying")
    np.save(folder / "frames.npy", ramps())
    return write_run(
        folder / "run", TRANSFORMS, small_head.dictionary, source=folder / "frames.npy"
    )


def grid(h, w):
    y, x = np.mgrid[:h, :w]
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(float)


def where(picture):
    return picture[..., :2].reshape(-1, 2)


def test_the_same_frames_give_the_aligned_pictures(run_folder, clip):
    run = read_run(run_folder)
    for row, (frame, picture) in zip(
        range(5), islice(apply(clip.video, run_folder), 5), strict=True
    ):
        expected = warp(frame.image, run.frame_from_canonical[row], run.shape)
        np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_frames_of_another_size_show_the_same_points_of_the_face(run, scale):
    for row, (_, picture) in zip(range(N), apply(ramps(scale), run), strict=True):
        expected = map_points(TRANSFORMS[row], grid(64, 64))
        assert np.abs(where(picture) - expected).max() < 1e-3
        assert (picture[..., 2] == row).all()


def test_in_a_canonical_frame_of_another_size_the_eyes_are_where_they_belong(run):
    h, w = 100, 160
    (_, picture), *_ = apply(ramps(4), run, shape=(h, w))
    # Positions in the larger picture, scaled about the eyes' level.
    points = (grid(h, w) - [0, 0.45 * h]) * (64 / w) + [0, 0.45 * 64]
    assert np.abs(where(picture) - map_points(TRANSFORMS[0], points)).max() < 1e-3


def test_a_reduced_frame_is_averaged_not_thinned_out():
    checks = np.indices((80, 80)).sum(axis=0) % 2
    checks = (checks * 200).astype(np.uint8)
    quarter = np.diag([4.0, 4.0, 1.0])
    quarter[:2, 2] = 1.5
    assert (resample(checks, quarter, (18, 18)) == 100).all()


def test_nearest_keeps_labels(run):
    labels = np.random.default_rng(3).integers(0, 7, (N, *SIZE)).astype(np.uint8) * 30
    found = apply(labels, run, interpolation="nearest")
    for row, (_, picture) in zip(range(N), found, strict=True):
        x, y = np.floor(map_points(TRANSFORMS[row], grid(64, 64)) + 0.5).astype(int).T
        expected = labels[row][np.clip(y, 0, SIZE[0] - 1), np.clip(x, 0, SIZE[1] - 1)]
        np.testing.assert_array_equal(picture, expected.reshape(64, 64))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_the_kind_of_the_frames_is_kept(run, kind):
    depth = (np.random.default_rng(1).random((N, *SIZE)) * 250).astype(kind)
    assert {picture.dtype for _, picture in apply(depth, run)} == {np.dtype(kind)}


@pytest.mark.parametrize("side", [64, 128])
def test_the_way_back_puts_canonical_pictures_where_they_were(run, side):
    # Of a canonical picture that holds its own coordinates.
    picture = grid(side, side).reshape(side, side, 2) * (64 / side)
    stack = np.repeat(np.dstack([picture, np.full((side, side), 9.0)])[None], N, axis=0)
    found = apply(stack.astype(np.float32), run, inverse=True)
    for row, (_, frame) in zip(range(N), found, strict=True):
        assert frame.shape == (*SIZE, 3)
        canonical = map_points(np.linalg.inv(TRANSFORMS[row]), grid(*SIZE))
        pixels = canonical * (side / 64)
        inside = ((pixels >= -0.5) & (pixels < side - 0.5)).all(axis=1)
        covered = (frame[..., 2] > 0).ravel()
        np.testing.assert_array_equal(covered, inside)
        deep = ((pixels > 0) & (pixels < side - 1)).all(axis=1)
        assert deep.sum() > 3000
        assert np.abs(where(frame) - canonical)[deep].max() < 1e-3


def test_the_way_back_into_frames_of_another_size(run):
    stack = np.full((N, 64, 64), 200, np.uint8)
    once = [frame for _, frame in apply(stack, run, inverse=True)]
    twice = [frame for _, frame in apply(stack, run, inverse=True, shape=(200, 260))]
    assert len(once) == N
    for small, large in zip(once, twice, strict=True):
        assert large.shape == (200, 260)
        blocks = large.reshape(100, 2, 130, 2).mean(axis=(1, 3))
        assert np.abs(blocks - small).mean() < 0.01 * 200


def test_a_row_without_transform_is_black_and_so_is_an_unreadable_frame(small_head, tmp_path):
    from PIL import Image

    frames = tmp_path / "frames"
    frames.mkdir()
    for k in range(3):
        Image.fromarray(np.full((*SIZE, 3), 99, np.uint8)).save(frames / f"{k}.png")
    (frames / "2.png").write_bytes(b"no picture")
    run = write_run(
        tmp_path / "run", [TRANSFORMS[0], None, TRANSFORMS[0]], small_head.dictionary, source=frames
    )
    pictures = [picture for _, picture in apply(frames, run, frame_size=SIZE)]
    assert [int(picture.max()) for picture in pictures] == [99, 0, 0]
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}


def test_there_is_no_way_back_through_a_singular_transform(small_head, tmp_path):
    collapsed = np.array([[0.0, 0.0, 40.0], [0.0, 0.0, 15.5], [0.0, 0.0, 1.0]])
    run = write_run(tmp_path / "run", [TRANSFORMS[0], collapsed], small_head.dictionary)
    stack = np.full((2, 64, 64), 200, np.uint8)
    first, second = (p for _, p in apply(stack, run, inverse=True, frame_size=SIZE))
    assert first.max() == 200
    assert second.shape == SIZE and not second.any()


def test_a_run_of_some_frames_takes_a_stream_of_all_and_one_of_those(small_head, tmp_path):
    np.save(tmp_path / "all.npy", ramps(n=6))
    run = write_run(
        tmp_path / "run",
        TRANSFORMS[:2],
        small_head.dictionary,
        source=tmp_path / "all.npy",
        frames=[1, 4],
        selection={"start": 1, "every": 3},
    )
    for source in (tmp_path / "all.npy", ramps(n=6)[1::3]):
        assert [picture[0, 0, 2] for _, picture in apply(source, run)] in ([1.0, 4.0], [1, 4])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"interpolation": "cubic"}, "interpolation: expected linear or nearest"),
        ({"shape": (0, 9), "inverse": True}, "shape: expected an integer of at least 1, got 0"),
        ({"shape": (1, 9)}, "shape: expected .*from 2 to 4096"),
        ({"frame_size": 90}, "frame_size: expected"),
    ],
)
def test_arguments_are_checked(run, keywords, message):
    with pytest.raises(ValueError, match=message):
        apply(ramps(), run, **keywords)


def test_another_number_of_frames_is_refused(run):
    with pytest.raises(ValueError, match=r"source: expected one frame for each of the 4 .*got 3"):
        apply(ramps(n=3), run)


def test_where_the_frames_are_gone_their_size_is_asked_for(small_head, tmp_path):
    run = write_run(tmp_path / "run", TRANSFORMS, small_head.dictionary, source="gone.mp4")
    with pytest.raises(ValueError, match="frame_size: expected the size of the run's frames"):
        list(apply(ramps(2), run))
    _, picture = next(iter(apply(ramps(2), run, frame_size=SIZE)))
    assert np.abs(where(picture) - map_points(TRANSFORMS[0], grid(64, 64))).max() < 1e-3


def test_a_run_with_several_faces_of_a_frame_is_refused(small_head, tmp_path):
    run = write_run(tmp_path / "run", TRANSFORMS, small_head.dictionary)
    run.rows["frame"][:] = 0
    run.rows["face"] = np.arange(N)
    with pytest.raises(ValueError, match="expected one face for each frame"):
        apply(ramps(), run)


def test_the_command_writes_a_video_of_all_rows(run_folder, clip, tmp_path, command):
    out = tmp_path / "faces.mp4"
    code, shown, _ = command("apply", clip.video, "--run", run_folder, "--out", out, "--quiet")
    assert code == 0 and "260 pictures at 25 frames/s" in shown
    with holdstill.open(out) as written, holdstill.open(run_folder / "aligned.mp4") as aligned:
        assert len(written) == len(aligned) == len(rows_of(run_folder)["frame"])
        assert np.abs(written[200].image.astype(int) - aligned[200].image).mean() < 2


@pytest.mark.parametrize(
    ("kind", "suffix"), [(np.uint8, "png"), (np.uint16, "png"), (np.float32, "npy")]
)
def test_the_command_keeps_depth_maps_in_a_folder(run, tmp_path, kind, suffix):
    from PIL import Image

    depth = (np.random.default_rng(1).random((N, *SIZE)) * 250).astype(kind)
    depth = depth * 200 if kind == np.uint16 else depth
    np.save(tmp_path / "depth.npy", depth)
    out = tmp_path / "out"
    arguments = texts("apply", tmp_path / "depth.npy", "--run", run.folder, "--out", out, "--quiet")
    assert main(arguments) == 0
    assert sorted(p.name for p in out.iterdir()) == [f"{k:06d}.{suffix}" for k in range(N)]
    for row, (_, expected) in enumerate(apply(depth, run)):
        file = out / f"{row:06d}.{suffix}"
        written = np.load(file) if suffix == "npy" else np.asarray(Image.open(file))
        np.testing.assert_array_equal(written, expected)


def test_the_command_writes_an_array_that_can_be_read_again(run, tmp_path):
    pytest.importorskip("zarr")
    out = tmp_path / "faces.zarr"
    arguments = texts("apply", run.facts["sources"], "--run", run.folder, "--out", out, "--quiet")
    assert main([*arguments, "--shape", "32x32"]) == 0
    with holdstill.open(out) as written:
        for frame, (_, expected) in zip(written, apply(ramps(), run, shape=(32, 32)), strict=True):
            np.testing.assert_array_equal(frame.image, expected)


@pytest.mark.parametrize("name", ["faces.mp4", "faces", "faces.zarr"])
def test_what_cannot_be_completed_leaves_nothing(run, tmp_path, name, monkeypatch):
    def stops(*_, **__):
        yield None, np.zeros((32, 32, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr("holdstill.cli.apply_command.apply", stops)
    source = run.facts["sources"]
    assert main(texts("apply", source, "--run", run.folder, "--out", tmp_path / name)) == 130
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_written_are_refused_at_once(run, tmp_path, command):
    def tried(out):
        return command("apply", run.facts["sources"], "--run", run.folder, "--out", out)

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, code, message in (
        (tmp_path / "faces.avi", 2, "expected FILE.mp4, FILE.zarr or a folder"),
        (tmp_path / "full", 2, "is not empty"),
        (tmp_path / "file", 4, "it is a file"),
        (tmp_path / "absent" / "faces.mp4", 4, "its folder does not exist"),
    ):
        found, _, said = tried(out)
        assert (found, message in said) == (code, True), said
