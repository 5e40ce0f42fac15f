"""Frames as they come: the same results as those of a whole source."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill import LiveAligner, align, align_frame, fit
from holdstill.synthetic import TalkingHead

pytest.importorskip("cv2")

SHAPE = (48, 48)
HEAD = TalkingHead(18, size=(360, 450), shape=SHAPE, occlusion=False)


@pytest.fixture(scope="module")
def frames():
    """A head that is gone for three frames, and comes back elsewhere."""
    frames = np.stack(list(HEAD))
    frames[6:9] = 0
    frames[9:] = np.roll(frames[9:], (20, -50), axis=(1, 2))
    return frames


@pytest.fixture(scope="module")
def dictionary():
    return fit(np.stack(list(HEAD)), HEAD.initial(), n=9, shape=SHAPE, motion="similarity")


def same(one, other):
    assert one.status == other.status
    assert (one.iterations, one.evaluations) == (other.iterations, other.evaluations)
    if other.frame_from_canonical is None:
        assert one.frame_from_canonical is None
    else:
        np.testing.assert_array_equal(one.frame_from_canonical, other.frame_from_canonical)
        np.testing.assert_array_equal(one.coefficients, other.coefficients)
        assert one.quality == other.quality


@pytest.mark.parametrize("options", [{}, {"loss": "huber", "face": "center"}])
def test_frames_one_by_one_end_where_the_whole_source_does(frames, dictionary, options):
    live = LiveAligner(dictionary, **options)
    statuses = []
    for number, (frame, expected) in enumerate(
        zip(frames, align(frames, dictionary, **options), strict=True)
    ):
        found = live.align(frame, time=number / 25)
        same(found, expected)
        assert (found.source, found.frame, found.time) == ("live", number, number / 25)
        statuses.append(found.good)
    assert statuses == [True] * 6 + [False] * 3 + [True] * 9


def test_a_reset_is_the_beginning_of_a_track(frames, dictionary, monkeypatch):
    monkeypatch.setattr("holdstill.tracks.TRACK_LENGTH", 5)
    live = LiveAligner(dictionary)
    expected = align(frames, dictionary, threads=1)
    for number, (frame, found) in enumerate(zip(frames, expected, strict=True)):
        if number % 5 == 0:
            live.reset()
        same(live.align(frame), found)


def test_the_detector_is_asked_only_where_the_track_is_lost(frames, dictionary):
    live = LiveAligner(dictionary)
    for frame in frames[:6]:
        live.align(frame)
    assert live.detections == 1
    live.reset()
    live.align(frames[0])
    assert live.detections == 2


def test_a_lost_frame_does_not_end_the_track(frames, dictionary):
    live = LiveAligner(dictionary)
    assert live.align(frames[0]).good
    assert live.align(None).status == "unreadable"
    assert live.align(frames[1]).good
    assert live.detections == 1


def test_grey_and_other_kinds_of_frames_will_do(frames, dictionary):
    live, grey = LiveAligner(dictionary), frames[0].mean(axis=2)
    whole = live.align(grey).frame_from_canonical
    assert whole is not None
    again = live.align((grey * 200).astype(np.uint16)).frame_from_canonical
    assert np.abs(whole - again).max() < 0.02


@pytest.mark.parametrize(
    "frame", [np.zeros(9), np.zeros((2, 9, 9, 3)), np.zeros((9, 9), complex), np.zeros((9, 9, 2))]
)
def test_what_is_not_a_frame_is_refused(dictionary, frame):
    with pytest.raises(ValueError, match="frame: expected"):
        LiveAligner(dictionary).align(frame)


def test_an_unknown_face_is_refused(dictionary):
    with pytest.raises(ValueError, match="face: expected"):
        LiveAligner(dictionary, face="smallest")


def test_of_several_faces_the_dictionarys_own_is_followed(dictionary):
    own = np.stack(list(HEAD))
    # Somebody else sits in front: larger, and cropped to the same height.
    other = np.stack(list(TalkingHead(len(own), size=(450, 562), seed=3, occlusion=False)))
    both = np.concatenate([other[:, 45:405], own], axis=2)

    def across(frames, **options):
        found = [a.frame_from_canonical for a in align(frames, dictionary, **options)]
        return np.array([np.nan if at is None else at[0, 2] for at in found])

    alone = other.shape[2] + across(own)
    np.testing.assert_allclose(across(both), alone, atol=0.5)
    np.testing.assert_array_equal(across(both, face="right"), across(both))
    assert np.nanmedian(across(both, face="largest")) < other.shape[2] / 2


def test_a_frame_near_its_rest_goes_on_when_its_iterations_are_over(dictionary):
    frames, starts = np.stack(list(HEAD))[:4], HEAD.initial()[:4]
    options = {"max_iterations": 4, "levels": 1, "search": False}
    alone = [align_frame(f, dictionary, s, **options) for f, s in zip(frames, starts, strict=True)]
    onward = list(align(frames, dictionary, starts, **options))
    assert not any(a.good for a in alone)
    assert all(a.good for a in onward)
    rest = [align_frame(f, dictionary, s) for f, s in zip(frames, starts, strict=True)]
    for found, expected in zip(onward, rest, strict=True):
        np.testing.assert_allclose(
            found.frame_from_canonical, expected.frame_from_canonical, atol=0.05
        )
