"""Mouth replacement: other lips in the frames' own pose, and nothing else changed."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import pytest
from runs import write_run

import holdstill
from holdstill import FrameSource, align, fit, replace_mouth, warp
from holdstill.applying import positions
from holdstill.reference.motion import map_points
from holdstill.run_frames import RunFrames
from holdstill.synthetic import TalkingHead
from holdstill.talking.blending import Membrane
from holdstill.talking.lips import find_lips
from holdstill.talking.region import depth, outline

pytest.importorskip("pyarrow")

SHAPE = (100, 100)
SIZE = (301, 377)
N = 24
HEAD = TalkingHead(N, size=SIZE, shape=SHAPE, occlusion=False, noise=0.5, beyond_affine=False)
TRUE = HEAD.frame_from_canonical


@pytest.fixture(scope="module")
def frames():
    return np.stack(list(HEAD))


@pytest.fixture(scope="module")
def dictionary(frames):
    return fit(frames, HEAD.initial(), n=12, shape=SHAPE, motion="similarity")


@pytest.fixture(scope="module")
def make_run(frames, dictionary, tmp_path_factory):
    """Runs of the head's frames with transforms that are true unless given."""

    def make(transforms=None, of=None, **rows):
        folder = tmp_path_factory.mktemp("mouth")
        np.save(folder / "frames.npy", frames if of is None else of)
        transforms = list(TRUE) if transforms is None else transforms
        return write_run(
            folder / "run", transforms, dictionary, source=folder / "frames.npy", **rows
        )

    return make


@pytest.fixture(scope="module")
def run(make_run):
    return make_run()


def pictures_of(replacement):
    return np.stack([picture for _, picture in replacement])


def region(row, margin=0.0):
    x, y = positions(np.linalg.inv(TRUE[row]), SIZE)
    return depth(x, y, SHAPE) > margin


def with_lips(rows):
    """The head's frames as they would be if it had the mouth of these rows."""
    head = copy.copy(HEAD)
    jaw, width = (getattr(HEAD._expression, name)[rows] for name in ("jaw", "width"))
    head._expression = replace(HEAD._expression, jaw=jaw, width=width)
    return np.stack(list(head))


@pytest.mark.parametrize("blend", ["poisson", "feather"])
def test_not_one_pixel_outside_of_the_region_changes(frames, run, blend):
    replaced = replace_mouth(frames, run, "3:9", blend=blend)
    for row, (frame, picture) in zip(range(N), replaced, strict=True):
        changed = (picture != frame.image).any(axis=2)
        assert not (changed & ~region(row)).any()
        if row not in range(3, 9):
            assert changed.sum() > 300


def test_the_head_has_the_other_lips_and_its_own_motion(frames, run):
    replacement = replace_mouth(frames, run, range(12, 24))
    rows = replacement.lips
    assert rows.tolist() == [12 + row % 12 for row in range(N)]
    truth = with_lips(rows)
    made = pictures_of(replacement)
    before = after = 0.0
    for row in range(12):
        lips = region(row, 0.3)
        before += np.abs(frames[row][lips].astype(float) - truth[row][lips]).mean()
        after += np.abs(made[row][lips].astype(float) - truth[row][lips]).mean()
    assert after < 0.3 * before


def test_a_frames_own_lips_change_nothing(frames, run):
    made = pictures_of(replace_mouth(frames, run, range(N)))
    assert np.abs(made.astype(int) - frames).max() <= 1


def test_lips_get_the_light_of_the_frame(frames, run, make_run):
    dark = frames.copy()
    dark[12:] = np.clip(frames[12:] * 0.9 - (10, 20, 30), 0, 255)
    plain = pictures_of(replace_mouth(frames, run, "12:24"))[:12].astype(float)

    def away(blend):
        made = pictures_of(replace_mouth(dark, run, "12:24", blend=blend))[:12]
        shares = [np.abs(made[row] - plain[row])[region(row, 0.3)].mean() for row in range(12)]
        return np.mean(shares)

    assert away("feather") > 25
    assert away("poisson") < 4


def test_grey_frames_and_other_kinds_keep_their_kind(frames, make_run):
    for stack in (frames[..., 1], frames.astype(np.uint16) * 256, frames.astype(np.float32)):
        made = pictures_of(replace_mouth(stack, make_run(of=stack), "3:9"))
        assert (made.dtype, made.shape) == (stack.dtype, stack.shape)
        assert (made[12] != stack[12]).any()


def test_a_stream_of_another_resolution_gets_the_same_lips(frames, run):
    large = np.repeat(np.repeat(frames, 2, axis=1), 2, axis=2)
    one = pictures_of(replace_mouth(frames, run, "12:24"))[:6]
    two = pictures_of(replace_mouth(large, run, "12:24"))[:6]
    halved = two.reshape(6, SIZE[0], 2, SIZE[1], 2, 3).mean(axis=(2, 4))
    changed = np.abs(one.astype(float) - frames[:6]).sum()
    assert np.abs(halved - one).sum() < 0.2 * changed


def test_frames_that_are_not_good_stay_as_they_are(frames, make_run):
    quality = [0.9] * N
    quality[2] = 0.3
    status = ["converged"] * N
    status[5] = "max_iterations"
    transforms = list(TRUE)
    transforms[7], status[7] = None, "not_found"
    run = make_run(transforms, status=status, quality=quality)
    replacement = replace_mouth(frames, run, "12:24")
    made = pictures_of(replacement)
    same = [row for row in range(12) if (made[row] == frames[row]).all()]
    assert same == [2, 5, 7] == np.flatnonzero(~replacement.replaced).tolist()


def test_in_the_place_of_bad_lips_stand_the_nearest_good_ones(frames, make_run):
    quality = [0.9] * N
    quality[13] = quality[14] = 0.2
    replacement = replace_mouth(frames, make_run(quality=quality), "12:18")
    assert replacement.lips[:6].tolist() == [12, 12, 15, 15, 16, 17]


def test_rows_chosen_elsewhere_are_taken_as_they_are(frames, run):
    rows = np.random.default_rng(0).permutation(N)
    replacement = replace_mouth(frames, run, rows)
    np.testing.assert_array_equal(replacement.lips, rows)


def test_a_mouth_out_of_the_picture_is_left_and_its_lips_are_not_taken(frames, make_run):
    outside = list(TRUE)
    down = np.eye(3)
    # The middle of the region on the lower edge, and a little above.
    for row, below in ((4, 0.0), (15, -6.0), (6, 40.0)):
        middle = (TRUE[row] @ [50.0, 88.0, 1.0])[1]
        down[1, 2] = SIZE[0] - 1 + below - middle
        outside[row] = down @ TRUE[row]
    replacement = replace_mouth(frames, make_run(outside), "12:24")
    assert np.flatnonzero(~replacement.replaced).tolist() == [6]
    assert 15 not in replacement.lips
    made = pictures_of(replacement)
    assert (made[6] == frames[6]).all()
    assert (made[4] != frames[4]).any()


def test_an_unreadable_frame_shows_the_picture_before(frames, make_run, tmp_path):
    from PIL import Image

    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:02d}.png")
    (folder / "05.png").write_bytes(b"no picture")
    made = pictures_of(replace_mouth(folder, make_run(), "12:24"))
    np.testing.assert_array_equal(made[5], made[4])


def test_a_frame_asked_for_is_the_one_that_comes_in_turn(frames, make_run, tmp_path):
    from PIL import Image

    for row, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{row:02}.png")
    for row in (0, 7, 8):
        (tmp_path / f"{row:02}.png").write_bytes(b"no picture")
    status = ["unreadable" if row in (0, 7, 8) else "converged" for row in range(N)]
    replacement = replace_mouth(tmp_path, make_run(status=status), "12:24")
    for row, (frame, picture) in zip(range(N), replacement, strict=True):
        asked, shown = replacement[row]
        assert (asked.frame, asked.readable) == (frame.frame, frame.readable)
        np.testing.assert_array_equal(shown, picture)
    assert replacement[-1][0].frame == N - 1
    with pytest.raises(IndexError):
        replacement[N]


def test_the_lips_of_a_frame_left_alone_are_not_read(frames, make_run, monkeypatch):
    quality = [0.9] * N
    quality[2] = 0.3
    replacement = replace_mouth(frames, make_run(quality=quality), "12:24")
    read = []
    frame_at = FrameSource.__getitem__
    monkeypatch.setattr(
        FrameSource, "__getitem__", lambda self, row: (read.append(row), frame_at(self, row))[1]
    )
    for row, lips in ((1, {13}), (2, set())):
        read.clear()
        replacement[row]
        assert set(read) == {row} | lips


def test_what_was_opened_is_closed_and_what_came_open_is_not(frames, run, tmp_path):
    np.save(tmp_path / "frames.npy", frames)
    lips = f"{run.folder}@12:24"
    with replace_mouth(tmp_path / "frames.npy", run, lips) as replacement:
        assert (replacement[3][1] != frames[3]).any()
    assert replacement.replaced.all()
    with pytest.raises(ValueError, match="this source is closed"):
        replacement[3]
    with holdstill.open(frames) as source:
        with replace_mouth(source, run, lips) as replacement:
            pass
        np.testing.assert_array_equal(source[3].image, frames[3])
        with pytest.raises(ValueError, match="this source is closed"):
            replacement[3]  # the lips' frames


def test_the_face_with_other_lips_is_that_of_the_canonical_frame(frames, run):
    replacement = replace_mouth(frames, run, "12:24")
    expected = warp(replacement[3][1], TRUE[3], SHAPE)
    np.testing.assert_array_equal(replacement.face(3), expected)
    # Frames twice as large show the same face.
    large = np.repeat(np.repeat(frames, 2, axis=1), 2, axis=2)
    twice = replace_mouth(large, run, "12:24").face(3)
    assert np.abs(twice.astype(float) - expected).mean() < 1.5


def test_lips_of_another_run_with_another_canonical_frame(frames, dictionary, make_run, tmp_path):
    aligned = [a.frame_from_canonical for a in align(frames, dictionary, HEAD.initial())]
    run = make_run(aligned)
    # The same person, by a dictionary of another shape that puts the face elsewhere.
    other = fit(frames, HEAD.initial(), n=10, shape=(80, 80), motion="affine", seed=1)
    moved = np.array([[1.28, 0.02, 2.0], [-0.02, 1.25, -3.0], [0.0, 0.0, 1.0]])
    np.save(tmp_path / "frames.npy", frames)
    write_run(tmp_path / "run", list(aligned @ moved), other, source=tmp_path / "frames.npy")
    lips = f"{tmp_path / 'run'}@12:24"
    found = find_lips(lips, RunFrames(frames, run))
    face = np.array([[25.0, 45.0], [75.0, 45.0], [50.0, 88.0]])
    there = map_points(np.linalg.inv(moved), face)
    assert np.abs(map_points(found.lips_from_canonical, face) - there).max() < 0.05
    expected = pictures_of(replace_mouth(frames, run, "12:24"))[:8].astype(float)
    made = pictures_of(replace_mouth(frames, run, lips))[:8]
    changed = np.abs(expected - frames[:8]).mean()
    assert np.abs(made - expected).mean() < 0.02 * changed


def test_another_person_is_warned_of(frames, run, tmp_path, caplog):
    upside_down = np.ascontiguousarray(frames[:, ::-1])
    np.save(tmp_path / "frames.npy", upside_down)
    other = fit(upside_down, HEAD.initial(), n=8, shape=SHAPE, motion="similarity")
    write_run(tmp_path / "run", list(TRUE), other, source=tmp_path / "frames.npy")
    with caplog.at_level(logging.WARNING, logger="holdstill"):
        replace_mouth(frames, run, f"{tmp_path / 'run'}@0:9")
    assert "may show another person" in caplog.text


def test_the_same_person_is_not_warned_of(frames, run, tmp_path, caplog):
    np.save(tmp_path / "frames.npy", frames)
    again = fit(frames, HEAD.initial(), n=10, shape=SHAPE, motion="similarity", seed=2)
    write_run(tmp_path / "run", list(TRUE), again, source=tmp_path / "frames.npy")
    with caplog.at_level(logging.WARNING, logger="holdstill"):
        replace_mouth(frames, run, f"{tmp_path / 'run'}@0:9")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("lips", "error", "message"),
    [
        ("20:30", ValueError, "lips: expected frames from 0 to before 24, got 20:30"),
        ("9:9", ValueError, "lips: expected frames from 0 to before 24, got 9:9"),
        ("9:3", ValueError, "got 9:3"),
        ("absent.npy", ValueError, "lips: expected frames A:B.*got 'absent.npy'"),
        ("absent@1:2", FileNotFoundError, "absent: not the folder of a run"),
        (7, TypeError, "lips: expected A:B"),
        (np.arange(1, 25), ValueError, "lips: expected a row from 0 to 23 for each of 24 frames"),
        (np.zeros(24), ValueError, "lips: expected a row from 0 to 23"),
        (np.zeros((3, 2)), ValueError, r"lips: expected targets of shape \(24, k\)"),
        (np.full((24, 2), np.nan), ValueError, "targets: expected finite numbers"),
        (np.zeros((24, 24)), ValueError, "components: expected fewer than the 24 frames"),
    ],
)
def test_lips_that_are_not_there_are_refused(frames, run, lips, error, message):
    with pytest.raises(error, match=message):
        replace_mouth(frames, run, lips)


def test_lips_of_bad_frames_alone_are_refused(frames, make_run):
    quality = [0.9] * 20 + [0.1] * 4
    with pytest.raises(ValueError, match="none of the frames 20:24 is good and shows the mouth"):
        replace_mouth(frames, make_run(quality=quality), "20:24")


def test_an_unknown_blend_and_another_number_of_frames_are_refused(frames, run):
    with pytest.raises(ValueError, match="blend: expected one of poisson, feather"):
        replace_mouth(frames, run, "0:9", blend="hard")
    with pytest.raises(ValueError, match="source: expected one frame for each of the 24 rows"):
        replace_mouth(frames[:9], run, "0:9")


@pytest.fixture
def no_limit(monkeypatch):
    monkeypatch.setattr("holdstill.talking.blending.OUTLIERS", 1e9)


def test_the_membrane_takes_a_harmonic_function_from_its_border_to_the_inside(no_limit):
    membrane = Membrane((200, 200))
    x, y = np.moveaxis(membrane.points() / 100.0 - (1.0, 1.7), -1, 0)
    harmonic = np.stack([np.ones_like(x), x - 2 * y, x * y, x**2 - y**2], axis=-1)
    disturbed = harmonic.copy()
    disturbed[membrane._inner] = 99.0
    over = membrane.over(disturbed, np.ones(x.shape, bool))
    inside = membrane._inner
    np.testing.assert_allclose(over[inside], harmonic[inside], atol=1e-12)
    middle = np.array([[100.0, 170.0], [120.3, 180.1], [80.0, 160.0]])
    u, v = (middle / 100.0 - (1.0, 1.7)).T
    found = membrane.at(over, *middle.T)
    np.testing.assert_allclose(found[:, :2], np.stack([u * 0 + 1, u - 2 * v], axis=1), atol=1e-12)
    np.testing.assert_allclose(found[:, 2], u * v, atol=1e-3)


def test_what_is_beside_the_face_does_not_run_into_it():
    membrane = Membrane((200, 200))
    differences = np.random.default_rng(0).normal(5.0, 1.0, (*membrane.shape, 1))
    x = membrane.points()[..., 0]
    differences[(x < 70) & membrane._border] = 150.0
    over = membrane.over(differences, np.ones(x.shape, bool))
    assert np.abs(over[membrane._inner] - 5.0).max() < 4.0


def test_the_region_holds_the_lips_and_its_outline_is_where_its_depth_is_zero():
    points = outline((200, 300), 90)
    assert np.abs(depth(*points.T, (200, 300))).max() < 1e-12
    lips = np.array([[68.0, 165.0], [132.0, 165.0], [100.0, 150.0], [100.0, 195.0]])
    assert (depth(*lips.T, (200, 200)) > 0.2).all()
