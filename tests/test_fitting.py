"""Learning a dictionary: which frames make the sample, and what becomes of bad ones."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from conftest import SmallHead
from scipy.ndimage import gaussian_filter

from holdstill import Dictionary, NothingToAlignError, align, align_batch, fit
from holdstill import open as open_source
from holdstill.learning.selection import POOL, ROUNDS, worst_first
from holdstill.sources import FrameSource

OPTIONS = {"shape": (64, 64), "motion": "similarity", "features": "grey", "roi": "full"}


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
        ({"n": None}, "n: expected an integer of at least 2"),
        ({"n": 8.5}, "n: expected an integer of at least 2"),
        ({"seed": -1}, "seed: expected an integer of at least 0"),
        ({"seed": None}, "seed: expected an integer of at least 0"),
        ({"levels": 0}, "levels: expected 1 to 3"),
        ({"levels": 99}, "levels: expected 1 to 3"),
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


def test_numbers_of_any_type_are_kept_as_json_knows_them(
    small_head: SmallHead, tmp_path: Path
) -> None:
    numbers = {"n": np.int64(6), "seed": np.int64(3), "lambda_c": np.float32(0.5)}
    learnt = fit(small_head.frames, small_head.initial, **OPTIONS, **numbers)  # type: ignore[arg-type]
    learnt.save(tmp_path / "d.npz")
    kept = Dictionary.load(tmp_path / "d.npz").provenance
    assert (kept["n"], kept["seed"], kept["lambda_c"]) == (6, 3, 0.5)
    assert sample_of(small_head, n=6.0, seed=3.0, lambda_c=0.5) == [f for _, f in kept["sample"]]


def test_unknown_options_are_refused(small_head: SmallHead) -> None:
    with pytest.raises(TypeError, match="sigmma"):
        fit(small_head.frames, small_head.initial, sigmma=1.0)  # type: ignore[call-arg]


def test_what_was_opened_by_its_path_is_closed_and_what_was_open_stays_so(
    small_head: SmallHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[FrameSource] = []
    monkeypatch.setattr(FrameSource, "close", lambda source: closed.append(source))
    np.save(tmp_path / "head.npy", small_head.frames)
    for use in (
        lambda source: fit(source, small_head.initial, n=4, **OPTIONS),  # type: ignore[arg-type]
        lambda source: fit(source, small_head.initial, n=99, **OPTIONS),  # type: ignore[arg-type]
        lambda source: small_head.dictionary.coverage(source, small_head.initial, n=2),
    ):
        with contextlib.suppress(ValueError):
            use(tmp_path / "head.npy")
        assert len(closed) == 1 and len(closed.pop()) == 24
        with contextlib.suppress(ValueError):
            use(open_source(tmp_path / "head.npy"))
        assert not closed


def test_identical_frames_give_one_atom(small_head: SmallHead) -> None:
    frames = np.repeat(small_head.frames[:1], 6, axis=0)
    initial = np.repeat(small_head.initial[:1], 6, axis=0)
    assert fit(frames, initial, n=6, **OPTIONS).n_atoms == 1  # type: ignore[arg-type]


def test_a_still_video_gives_one_atom_by_coverage_as_well(small_head: SmallHead) -> None:
    frames = np.repeat(small_head.frames[:1], 12, axis=0)
    initial = np.repeat(small_head.initial[:1], 12, axis=0)
    learnt = fit(frames, initial, n=6, selection="coverage", **OPTIONS)  # type: ignore[arg-type]
    assert learnt.n_atoms == 1
    assert 2 <= len(learnt.provenance["sample"]) < 6


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


def test_frames_of_one_defect_are_told_of_by_one_warning(small_head, caplog):
    frames, initial = small_head.frames.copy(), small_head.initial.copy()
    frames[[2, 5, 7, 11, 13, 17]] = 0
    initial[9, :2, 2] += 5000.0
    fit(frames, initial, n=len(frames), **OPTIONS)  # type: ignore[arg-type]
    black, outside = sorted(text for text in caplog.messages if "left out" in text)
    assert "frame 2 of array, " in black and "frame 13 of array and 1 more: " in black
    assert "all zero" in black and "frame 9 of array: more than half" in outside
    assert "images[" not in caplog.text


def test_no_initial_transform_for_any_frame_is_said(small_head: SmallHead) -> None:
    with pytest.raises(NothingToAlignError, match="nothing to start from"):
        fit(small_head.frames, np.full((24, 3, 3), np.nan), n=6, **OPTIONS)  # type: ignore[arg-type]


def test_a_transform_outside_the_family_is_refused(small_head: SmallHead) -> None:
    initial = small_head.initial.copy()
    initial[:, 0, 1] += 0.3
    with pytest.raises(ValueError, match="initial"):
        fit(small_head.frames, initial, n=6, **OPTIONS)  # type: ignore[arg-type]


RARE = [5, 17, 29, 41]
ACCIDENTS = [3, 11]


@pytest.fixture(scope="module")
def mixed(small_head: SmallHead) -> SmallHead:
    """48 frames: four are lit from the side, two have initial transforms far off the face."""
    frames = np.concatenate([small_head.frames, small_head.frames])
    initial = np.concatenate([small_head.initial, small_head.initial])
    light = np.linspace(0.2, 1.0, frames.shape[2])
    for index in RARE:
        frames[index] = (frames[index] * light).astype(np.uint8)
    for index in ACCIDENTS:
        initial[index, :2, 2] -= 30.0
    return SmallHead(small_head.head, frames, initial, small_head.dictionary)


def test_a_sample_by_coverage_is_the_seeds_alone(mixed: SmallHead) -> None:
    first = sample_of(mixed, n=10, selection="coverage", seed=1)
    assert sample_of(mixed, n=10, selection="coverage", seed=1) == first
    assert sample_of(mixed, n=10, selection="coverage", seed=2) != first
    assert len(set(first)) == len(first) <= 10


@pytest.mark.parametrize("seed", range(5))
def test_coverage_finds_the_rare_and_leaves_accidents(mixed: SmallHead, seed: int) -> None:
    sample = set(sample_of(mixed, n=8, selection="coverage", seed=seed))
    assert sample & set(RARE)
    assert not sample & set(ACCIDENTS)


def test_coverage_leaves_a_smaller_worst_residual_than_chance(mixed: SmallHead) -> None:
    good = np.setdiff1d(np.arange(len(mixed.frames)), ACCIDENTS)

    def worst(selection: str, seed: int) -> float:
        learnt = fit(mixed.frames[good], mixed.initial[good], n=8, selection=selection, seed=seed,
                     **OPTIONS)  # type: ignore[arg-type]  # fmt: skip
        return float(align_batch(mixed.frames[good], learnt, mixed.initial[good]).residual.max())

    seeds = range(4)
    chance = np.mean([worst("random", seed) for seed in seeds])
    assert np.mean([worst("coverage", seed) for seed in seeds]) < 0.8 * chance


def test_a_dictionary_by_coverage_is_rasl_on_its_sample(mixed: SmallHead) -> None:
    grown = fit(mixed.frames, mixed.initial, n=8, selection="coverage", **OPTIONS)  # type: ignore[arg-type]
    sample = [frame for _, frame in grown.provenance["sample"]]
    again = fit(mixed.frames[sample], mixed.initial[sample], n=len(sample),
                selection="consecutive", **OPTIONS)  # type: ignore[arg-type]  # fmt: skip
    np.testing.assert_allclose(again.atoms, grown.atoms, atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 48])
def test_coverage_takes_any_n(mixed: SmallHead, n: int) -> None:
    assert 2 <= len(sample_of(mixed, n=n, selection="coverage")) <= n


def test_coverage_ends_where_more_frames_bring_nothing(small_head: SmallHead) -> None:
    frames = np.repeat(small_head.frames[:2], 12, axis=0)
    initial = np.repeat(small_head.initial[:2], 12, axis=0)
    twice = SmallHead(small_head.head, frames, initial, small_head.dictionary)
    assert len(sample_of(twice, n=20, selection="coverage")) < 20


def test_coverage_looks_at_a_bounded_pool_and_reads_forward(
    mixed: SmallHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    get = FrameSource.__getitem__

    def recorded(source: FrameSource, position: int):  # type: ignore[no-untyped-def]
        read.append(position)
        return get(source, position)

    monkeypatch.setattr(FrameSource, "__getitem__", recorded)
    asked: list[int] = []

    def initial(frame):  # type: ignore[no-untyped-def]
        asked.append(frame.frame)
        return mixed.initial[frame.frame]

    fit(open_source(mixed.frames), initial, n=4, selection="coverage", **OPTIONS)  # type: ignore[arg-type]
    assert len(asked) == len(set(asked)) == POOL * 4
    assert set(read) == set(asked)
    # First look; then each round reads the new frames, and the candidates that are left.
    assert sum(b < a for a, b in pairwise(read)) <= 2 * ROUNDS


def test_worst_first_is_pivoted_qr() -> None:
    residuals = np.random.default_rng(0).normal(size=(12, 40)).astype(np.float32)
    residuals *= np.linspace(0.2, 1.0, 12, dtype=np.float32)[:, None]
    pivots = scipy.linalg.qr(residuals.T, mode="r", pivoting=True)[1]
    assert worst_first(residuals, 7) == pivots[:7].tolist()
    assert len(worst_first(np.repeat(residuals[:2], 3, axis=0), 6)) == 2


def test_grains_finer_than_their_displacement_are_not_mistaken() -> None:
    """Edges alone settle 5 pixels away, and call it good."""
    rng = np.random.default_rng(0)
    scene = gaussian_filter(rng.standard_normal((180, 180)), 1.2)
    scene = 120 + 40 * scene / scene.std()
    shifts = rng.integers(-9, 10, (12, 2))
    stack = np.stack([scene[20 - b : 148 - b, 20 - a : 148 - a] for a, b in shifts])
    start = np.tile(np.diag([2.0, 2.0, 1.0]), (12, 1, 1))
    dictionary = fit(stack, start, n=12, shape=(64, 64), motion="translation", roi="full")
    found = [a.frame_from_canonical[:2, 2] for a in align(stack, dictionary, start)]
    errors = np.array(found) - shifts
    assert np.abs(errors - errors.mean(axis=0)).max() < 0.2
