"""Learning a dictionary: which frames make the sample, and what becomes of bad ones."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SmallHead

from holdstill import NothingToAlignError, fit

OPTIONS = {"shape": (64, 64), "motion": "similarity"}


def sample_of(small: SmallHead, **keywords: object) -> list[int]:
    dictionary = fit(small.frames, small.initial, **{**OPTIONS, **keywords})  # type: ignore[arg-type]
    return [frame for _, frame in dictionary.provenance["sample"]]


def test_random_sample_is_the_seeds_alone(small_head: SmallHead) -> None:
    first = sample_of(small_head, n=8, seed=1)
    assert sample_of(small_head, n=8, seed=1) == first
    assert sample_of(small_head, n=8, seed=2) != first
    assert len(set(first)) == 8


def test_stratified_sample_has_one_frame_of_each_stretch(small_head: SmallHead) -> None:
    assert [frame // 4 for frame in sample_of(small_head, n=6, selection="stratified")] == [
        0, 1, 2, 3, 4, 5,
    ]  # fmt: skip


def test_consecutive_sample_is_the_beginning(small_head: SmallHead) -> None:
    assert sample_of(small_head, n=7, selection="consecutive") == list(range(7))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n": 25}, "n: 25 frames asked for, the source has 24; give n=24"),
        ({"n": 1}, "n: expected an integer of at least 2"),
        ({"selection": "best"}, "selection: expected one of random"),
        ({"shape": (1, 64)}, "shape: expected"),
        ({"roi": "ears"}, "roi: 'ears' is neither"),
        ({"motion": "spline"}, "spline"),
        ({"features": "corners"}, "features: expected"),
        ({"lambda_c": 0.0}, "lambda_c: expected a positive"),
    ],
)
def test_wrong_arguments_are_named(
    small_head: SmallHead, keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(small_head.frames, small_head.initial, **{"n": 8, **OPTIONS, **keywords})  # type: ignore[arg-type]


def test_unknown_options_are_refused(small_head: SmallHead) -> None:
    with pytest.raises(TypeError, match="sigmma"):
        fit(small_head.frames, small_head.initial, sigmma=1.0)  # type: ignore[call-arg]


def test_identical_frames_give_one_atom(small_head: SmallHead) -> None:
    frames = np.repeat(small_head.frames[:1], 6, axis=0)
    initial = np.repeat(small_head.initial[:1], 6, axis=0)
    assert fit(frames, initial, n=6, **OPTIONS).n_atoms == 1  # type: ignore[arg-type]


def test_black_frames_say_that_nothing_can_be_learnt(small_head: SmallHead) -> None:
    with pytest.raises(NothingToAlignError, match="all zero"):
        fit(np.zeros_like(small_head.frames), small_head.initial, n=6, **OPTIONS)  # type: ignore[arg-type]


def test_bad_frames_leave_the_sample_and_the_others_stay(small_head: SmallHead) -> None:
    frames = small_head.frames.astype(np.float32)
    initial = small_head.initial.copy()
    frames[2] = 0.0  # black
    frames[3, 5, 5] = np.nan
    initial[4, :2, 2] += 5000.0  # outside of the frame
    initial[5, :2, :2] = 0.0  # singular
    initial[6] = np.nan  # none
    sample = sample_of(SmallHead(small_head.head, frames, initial, small_head.dictionary), n=18)
    assert not set(sample) & {2, 3, 4, 5, 6}
    assert len(sample) == 15  # black, outside and singular ones drop out of the batch of 18


def test_no_initial_transform_for_any_frame_is_said(small_head: SmallHead) -> None:
    with pytest.raises(NothingToAlignError, match="give initial transforms"):
        fit(small_head.frames, np.full((24, 3, 3), np.nan), n=6, **OPTIONS)  # type: ignore[arg-type]


def test_a_transform_outside_the_family_is_refused(small_head: SmallHead) -> None:
    initial = small_head.initial.copy()
    initial[:, 0, 1] += 0.3
    with pytest.raises(ValueError, match="initial"):
        fit(small_head.frames, initial, n=6, **OPTIONS)  # type: ignore[arg-type]
