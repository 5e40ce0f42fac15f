"""A head that moves in a picture whose surroundings stay."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.signal import lfilter

import holdstill
from holdstill.animation import HeadWarp, animate, displacement
from holdstill.animation.film import _Canvas
from holdstill.animation.head_warp import HEAD_AXES, HEAD_CENTRE
from holdstill.animation.subjects import open_subject
from holdstill.canonical import eye_corners
from holdstill.cli import main
from holdstill.motion import MotionModel, compose, decompose
from holdstill.reference.motion import map_points

cv2 = pytest.importorskip("cv2")
pytest.importorskip("av")
needs_statsmodels = pytest.mark.skipif(
    find_spec("statsmodels") is None, reason="statsmodels is not installed"
)
SIZE, SHAPE = (300, 400), (100, 100)
ONE_PIXEL = np.array([[0, 0, 1.0], [0, 0, 1.0], [0, 0, 0]])
SOURCE = compose([190.0, 140.0, 0.05, -0.3, 0.01, 0.02], shape=SHAPE)


def picture():
    """Smooth, so that interpolation costs little, and nowhere flat."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = [np.sin(x / a) * np.cos(y / b) for a, b in ((9, 13), (11, 8), (17, 10))]
    return np.clip(127 + 100 * np.stack(waves, axis=-1), 0, 255).astype(np.uint8)


def moved(rng, largest=1.0):
    spread = np.array([12.0, 10.0, 0.1, 0.05, 0.03, 0.03])
    values = decompose(SOURCE, shape=SHAPE) + largest * spread * rng.uniform(-1, 1, 6)
    return compose(values, shape=SHAPE)


def head_outline():
    angle = np.linspace(0, 2 * np.pi, 100)
    centre, axes = np.array(HEAD_CENTRE), np.array(HEAD_AXES)
    around = centre + axes * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return around * [SHAPE[1], SHAPE[0]]


@pytest.mark.parametrize("seed", range(5))
def test_the_head_moves_as_a_whole(seed):
    target = moved(np.random.default_rng(seed))
    shown = HeadWarp(SIZE, SHAPE)(picture(), SOURCE, target)
    before = holdstill.warp(picture(), SOURCE, SHAPE).astype(float)
    after = holdstill.warp(shown, target, SHAPE).astype(float)
    still = holdstill.warp(picture(), target, SHAPE).astype(float)
    assert np.abs(after - before).mean() < 1.5
    assert np.abs(still - before).mean() > 10.0


@pytest.mark.parametrize("seed", range(5))
def test_what_is_far_from_the_head_and_the_borders_stay(seed):
    target = moved(np.random.default_rng(seed))
    x, y = HeadWarp(SIZE, SHAPE).maps(SOURCE, target)
    own_y, own_x = np.mgrid[: SIZE[0], : SIZE[1]]
    away = np.hypot(x - own_x, y - own_y)
    assert away.max() <= 1.2 * displacement(SOURCE, target, SHAPE)  # a turn reaches on outside
    border = np.r_[away[0], away[-1], away[:, 0], away[:, -1]]
    assert border.max() < 1e-4
    assert away[:, :20].max() < 1e-3  # farther than 1.7 semi-axes
    assert ((x >= 0) & (x <= SIZE[1] - 1) & (y >= 0) & (y <= SIZE[0] - 1)).all()


@pytest.mark.parametrize("seed", range(10))
def test_the_warp_folds_nowhere_even_when_the_movement_is_large(seed):
    target = moved(np.random.default_rng(seed), largest=2.5)
    x, y = (m.astype(float) for m in HeadWarp(SIZE, SHAPE).maps(SOURCE, target))
    determinant = np.diff(x, axis=1)[:-1] * np.diff(y, axis=0)[:, :-1]
    determinant -= np.diff(x, axis=0)[:, :-1] * np.diff(y, axis=1)[:-1]
    assert determinant.min() > 0.0


def test_without_movement_the_picture_is_itself():
    np.testing.assert_array_equal(HeadWarp(SIZE, SHAPE)(picture(), SOURCE, SOURCE), picture())


def test_displacement_is_that_of_the_heads_outline():
    shifted = SOURCE + np.array([[0, 0, 3.0], [0, 0, -4.0], [0, 0, 0]])
    assert displacement(SOURCE, shifted, SHAPE) == pytest.approx(5.0)
    target = moved(np.random.default_rng(1))
    points = np.c_[head_outline(), np.ones(100)]
    expected = np.linalg.norm(points @ (target - SOURCE).T, axis=1).max()
    assert displacement(SOURCE, target, SHAPE) == pytest.approx(expected, rel=0.01)


@pytest.fixture(scope="module")
def swaying():
    """A model of a head that shifts, turns and comes nearer."""
    steps = np.random.default_rng(0).normal(size=(500, 4)) * [1.0, 0.6, 0.008, 0.003]
    sway = lfilter([1.0], [1.0, -1.6, 0.65], steps, axis=0)
    sway += np.array([200.0, 150.0, 0.0, -0.3])
    return MotionModel.fit(compose(sway, shape=SHAPE), 25.0, shape=SHAPE)


@pytest.fixture
def portrait(tmp_path):
    """A still, and a file that says where its head is."""
    cv2.imwrite(str(tmp_path / "still.png"), picture()[:, :, ::-1])
    cells = ",".join(map(repr, SOURCE.ravel().tolist()))
    names = ",".join(f"h{i}{j}" for i in range(3) for j in range(3))
    (tmp_path / "head.csv").write_text(f"frame,{names}\n0,{cells}\n")
    return tmp_path


@needs_statsmodels
@pytest.mark.parametrize("subject", ["none.jpg", "text.png", "text.mp4", "folder"])
def test_a_subject_that_is_none_is_said(tmp_path, swaying, command, monkeypatch, subject):
    monkeypatch.chdir(tmp_path)
    swaying.save("model.npz")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "folder").mkdir()
    code, _, message = command("animate", subject, "--motion", "model.npz", "--out", "out.mp4")
    assert code in (2, 3), message
    assert subject in message
    assert not (tmp_path / "out.mp4").exists()


@needs_statsmodels
def test_pictures_of_several_sizes_are_no_sequence(tmp_path, swaying):
    for number, height in enumerate((60, 80)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((height, 60, 3), np.uint8))
    with pytest.raises(ValueError, match="pictures of one size"):
        animate(tmp_path, swaying, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@needs_statsmodels
def test_a_still_moves_from_its_own_place_by_the_model(portrait, swaying):
    facts = animate(
        portrait / "still.png",
        swaying,
        portrait / "out.mp4",
        seconds=2.0,
        seed=3,
        fps=50.0,
        initial=portrait / "head.csv",
    )
    shown = [frame.image.astype(float) for frame in holdstill.open(portrait / "out.mp4")]
    assert (len(shown), facts["frames"], facts["size"]) == (100, 100, list(SIZE))
    assert np.abs(shown[0] - picture()).mean() < 4.0  # what encoding costs
    # The head is where the model says: seen from there it is the same in every frame.
    rest = compose(swaying.mean, shape=SHAPE)
    drawn = swaying.sample(51, seed=3, start=rest)
    before = holdstill.warp(picture().astype(np.float32), SOURCE, SHAPE)
    for k in (20, 60, 98):
        target = SOURCE @ np.linalg.inv(rest) @ drawn[k // 2]
        after = holdstill.warp(shown[k].astype(np.float32), target, SHAPE)
        beside = holdstill.warp(shown[k].astype(np.float32), target + ONE_PIXEL, SHAPE)
        off, one_pixel_off = (np.abs(w - before)[20:70, 10:90].mean() for w in (after, beside))
        assert off < 0.5 * one_pixel_off
    stayed = [np.abs(frame - shown[0]).mean() for frame in shown]
    assert max(stayed) > 5.0


@needs_statsmodels
def test_the_frames_of_a_run_keep_their_order_and_get_the_new_movement(run_folder, tmp_path):
    run = holdstill.read_run(run_folder)
    facts = animate(run_folder, run, tmp_path / "out.mp4", seconds=2.0, seed=1)
    assert facts["frames"] == 50
    shown = [frame.image for frame in holdstill.open(tmp_path / "out.mp4")]
    assert shown[0].shape == run.open_frames()[0].image.shape
    model = MotionModel.fit(run)
    rest = compose(model.mean, shape=run.shape)
    targets = rest @ np.linalg.inv(rest) @ model.sample(50, seed=1, start=rest)
    middle = decompose(run.frame_from_canonical, shape=run.shape).mean(axis=0)
    targets = compose(middle, shape=run.shape) @ np.linalg.inv(rest) @ targets
    for k in (10, 30, 45):
        expected = holdstill.warp(run.open_frames()[k].image, run.frame_from_canonical[k], (32, 32))
        found = holdstill.warp(shown[k], targets[k], (32, 32))
        inner = np.s_[6:26, 4:28]
        assert np.abs(found[inner].astype(float) - expected[inner]).mean() < 8.0


@needs_statsmodels
def test_another_stream_of_a_runs_frames_moves_as_the_frames_themselves(
    run_folder, tmp_path, swaying
):
    run = holdstill.read_run(run_folder)
    frames = [frame.image for frame in run.open_frames()]
    (tmp_path / "large").mkdir()
    for row, frame in enumerate(frames):  # twice as large, and the negative
        large = np.repeat(np.repeat(255 - frame, 2, axis=0), 2, axis=1)
        cv2.imwrite(str(tmp_path / "large" / f"{row:03}.png"), large[:, :, ::-1])
    animate(run_folder, swaying, tmp_path / "own", seconds=0.8)
    animate(tmp_path / "large", swaying, tmp_path / "stream", seconds=0.8, initial=run_folder)
    own, stream = (holdstill.open(tmp_path / name) for name in ("own", "stream"))
    assert len(own) == len(stream) == 20
    for row in (5, 19):
        height, width = own[row].image.shape[:2]
        halved = stream[row].image.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
        moved = np.abs(own[row].image.astype(float) - frames[row]).mean()
        assert np.abs(255 - halved - own[row].image).mean() < 0.2 * moved
    with pytest.raises(ValueError, match=f"one frame for each of the {len(run)} rows"):
        animate(tmp_path / "own", swaying, tmp_path / "x.mp4", initial=run)


def test_a_run_of_several_faces_a_frame_is_refused(run_copy):
    pq = pytest.importorskip("pyarrow.parquet")
    for part in (run_copy / "transforms.parquet").iterdir():
        table = pq.read_table(part)
        twice = table.take(np.repeat(np.arange(len(table)), 2))
        pq.write_table(twice.append_column("face", [[0, 1] * len(table)]), part)
    assert len(holdstill.read_run(run_copy).open_frames()) == len(twice) // 2
    with pytest.raises(ValueError, match="expected one face for each frame"):
        open_subject(run_copy, None, (32, 32))


def test_the_eyes_stay_the_eyes_in_a_canonical_frame_of_another_shape(run_folder):
    run = holdstill.read_run(run_folder)
    for given, eyes in (
        (run_folder, map_points(run.frame_from_canonical[7], eye_corners(run.shape))),
        (run_folder / "aligned.mp4", eye_corners(run.shape)),
    ):
        subject = open_subject(given, None, (80, 60))
        subject.frames.close()
        found = map_points(subject.frame_from_canonical[7], eye_corners((80, 60)))
        np.testing.assert_allclose(found, eyes, atol=1e-9)


def test_a_recording_that_is_not_aligned_is_suspected(clip, run_folder, caplog):
    open_subject(run_folder / "aligned.mp4", None, (64, 64)).frames.close()
    assert "are taken for aligned" not in caplog.text
    open_subject(clip.video, None, (64, 64)).frames.close()
    assert "are taken for aligned" in caplog.text


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((600, 800), []),
        ((301, 400), []),  # a pixel is rounding
        ((250, 250), ["cuts off 25 % of their width"]),
        ((150, 400), ["cuts off 50 % of their height"]),
    ],
)
def test_what_a_size_cuts_off_is_said(size, told, caplog):
    caplog.set_level("INFO", "holdstill")
    _Canvas.of((300, 400), size).tell_what_is_cut_off()
    assert [text[text.index("cuts") :] for text in caplog.messages] == told


@pytest.mark.parametrize("size", [(600, 800), (150, 200), (250, 250), (301, 400)])
def test_a_picture_is_scaled_to_fill_the_size_and_its_pixels_are_known(size):
    canvas = _Canvas.of(SIZE, size)
    shown = canvas.scale(picture())
    assert canvas.cut(shown).shape[:2] == size
    back = holdstill.warp(shown.astype(np.float32), canvas.from_picture, SIZE)
    off = canvas.from_picture + np.array([[0, 0, 0.25], [0, 0, 0.25], [0, 0, 0]])
    beside = holdstill.warp(shown.astype(np.float32), off, SIZE)
    inner = np.s_[20:-20, 20:-20]
    errors = [np.abs(w - picture())[inner].mean() for w in (back, beside)]
    assert errors[0] < 0.8 * errors[1]


@needs_statsmodels
def test_the_command_animates_an_aligned_video(run_folder, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    arguments = ["animate", str(run_folder / "aligned.mp4"), "--motion", str(run_folder)]
    arguments += ["--out", str(out), "--seconds", "1", "--size", "64x48", "--quiet", "--json"]
    assert main(arguments) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["size"] == [64, 48]
    frames = list(holdstill.open(out))
    assert len(frames) == 25
    assert frames[0].image.shape == (64, 48, 3)
    first = out.read_bytes()
    assert main([*arguments, "--seed", "0"]) == 0
    assert out.read_bytes() == first


@needs_statsmodels
@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (["--motion", "none.npz"], 2, "none.npz: no such model of head movement"),
        (["--out", "no/such/folder/x.mp4"], 4, "does not exist"),
        (["--seconds", "0"], 2, "seconds"),
        (["--fps", "nan"], 2, "fps"),
        (["--fps", "0.01"], 2, "fps: expected at least 1"),
        (["--seconds", "1e9"], 2, "seconds: expected at most 86400"),
        (["--size", "4x4"], 2, "size: expected 16 to 8192"),
        (["--size", "64x99999"], 2, "size: expected 16 to 8192"),
        (["--initial", "none.csv"], 2, "none.csv"),
        ([], 3, "--initial"),
    ],
)
def test_what_cannot_be_animated_is_said(
    portrait, swaying, command, monkeypatch, change, code, says
):
    monkeypatch.chdir(portrait)
    swaying.save(portrait / "model.npz")
    given = ["animate", "still.png", "--motion", "model.npz", "--out", "out.mp4", "--quiet"]
    found, _, message = command(*given, *change)
    assert (found, says in message) == (code, True), message
    assert not (portrait / "out.mp4").exists()
