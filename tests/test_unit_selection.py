"""Choosing recorded mouths: dynamic programming against all sequences, PCA against scikit-learn."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise, product

import numpy as np
import pytest
from runs import write_run

from holdstill import replace_mouth
from holdstill.applying import resample
from holdstill.talking import MouthSpace, choose_mouths, selection, viterbi
from holdstill.talking.region import depth

pytest.importorskip("pyarrow")


def path_cost(path, targets, scores, smoothness):
    cost = sum(((scores[r] - y) ** 2).sum() for r, y in zip(path, targets, strict=True))
    for before, after in pairwise(path):
        follows = before + 1 < len(scores) and np.isfinite(scores[before + 1]).all()
        expected = scores[before + 1] if follows else scores[before]
        cost += smoothness * ((scores[after] - expected) ** 2).sum()
    return cost


@pytest.mark.parametrize("smoothness", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_the_best_of_all_sequences(seed, smoothness):
    rng = np.random.default_rng(seed)
    targets, scores = rng.normal(size=(5, 2)), rng.normal(size=(6, 2))
    scores[2] = np.nan
    usable = [0, 1, 3, 4, 5]
    costs = {p: path_cost(p, targets, scores, smoothness) for p in product(usable, repeat=5)}
    chosen = tuple(choose_mouths(targets, scores, smoothness=smoothness).tolist())
    assert costs[chosen] == pytest.approx(min(costs.values()), rel=1e-12)


def test_viterbi_is_the_best_of_all_paths():
    rng = np.random.default_rng(7)
    unary, pairwise = rng.random((6, 4)), rng.random((6, 4, 4))

    def cost(path):
        steps = sum(pairwise[t][path[t - 1], path[t]] for t in range(1, 6))
        return sum(unary[t, k] for t, k in enumerate(path)) + steps

    best = min(product(range(4), repeat=6), key=cost)
    assert tuple(viterbi(unary, lambda t: pairwise[t])) == best


def test_a_recorded_stretch_is_played_as_it_was():
    scores = np.random.default_rng(0).normal(size=(60, 3))
    stretch = np.r_[20:40]
    targets = scores[stretch] + np.random.default_rng(1).normal(0.0, 0.4, (20, 3))
    assert (choose_mouths(targets, scores, smoothness=0) != stretch).any()
    np.testing.assert_array_equal(choose_mouths(targets, scores, smoothness=3.0), stretch)


def test_few_candidates_are_those_nearest():
    scores = np.random.default_rng(0).normal(size=(50, 2))
    targets = np.random.default_rng(1).normal(size=(9, 2))
    nearest = ((targets[:, None] - scores) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(choose_mouths(targets, scores, candidates=1), nearest)


def test_a_long_recording_is_searched_in_little_memory(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(4000, 8))
    targets = np.random.default_rng(1).normal(size=(500, 8))
    tracemalloc.start()
    try:
        chosen = choose_mouths(targets, scores, candidates=20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    differences = targets[:, None] - scores
    assert peak < 0.3 * differences.nbytes
    monkeypatch.setattr(selection, "_AT_A_TIME", differences.size)
    np.testing.assert_array_equal(chosen, choose_mouths(targets, scores, candidates=20))
    nearest = (differences**2).sum(axis=2).argmin(axis=1)
    monkeypatch.setattr(selection, "_AT_A_TIME", 7 * scores.size)
    np.testing.assert_array_equal(choose_mouths(targets, scores, candidates=1), nearest)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"targets": np.zeros((3, 3))}, r"targets: expected shape \(n, 2\)"),
        ({"targets": np.zeros((0, 2))}, "targets: expected shape"),
        ({"targets": np.full((3, 2), np.inf)}, "targets: expected finite"),
        ({"scores": np.full((4, 2), np.nan)}, "scores: expected a mouth"),
        ({"smoothness": -1.0}, "smoothness, candidates: expected"),
        ({"candidates": 0}, "smoothness, candidates: expected"),
    ],
)
def test_arguments_are_checked(keywords, message):
    given = {"targets": np.zeros((3, 2)), "scores": np.zeros((4, 2)), **keywords}
    with pytest.raises(ValueError, match=message):
        choose_mouths(given.pop("targets"), given.pop("scores"), **given)


@pytest.fixture(scope="module")
def run(small_head, tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    np.save(folder / "frames.npy", small_head.frames)
    transforms = list(small_head.head.frame_from_canonical)
    quality = [0.9] * len(transforms)
    quality[9] = 0.1
    return write_run(
        folder / "run",
        transforms,
        small_head.dictionary,
        quality=quality,
        source=folder / "frames.npy",
    )


def test_the_mouth_space_is_the_pca_of_the_aligned_region(run, small_head):
    PCA = pytest.importorskip("sklearn.decomposition").PCA
    space = MouthSpace.fit(small_head.frames, run, components=4)
    y, x = np.mgrid[:125, :100]
    region = depth(x.astype(float), y.astype(float), (100, 100)) > 0
    good = np.flatnonzero(run.good)
    through = np.diag([0.64, 0.64, 1.0])
    mouths = [
        resample(small_head.frames[k], run.frame_from_canonical[k] @ through, (125, 100))[region]
        for k in good
    ]
    expected = PCA(4, svd_solver="full").fit(np.stack(mouths).astype(float))
    signs = np.sign((expected.components_ * space.basis.T).sum(axis=1))
    np.testing.assert_allclose(space.basis.T, expected.components_ * signs[:, None], atol=1e-8)
    scores = expected.transform(np.stack(mouths).astype(float)) * signs
    np.testing.assert_allclose(space.scores[good], scores, atol=1e-6)
    assert np.isnan(space.scores[9]).all()
    np.testing.assert_allclose(space.project(small_head.frames, run)[good], scores, atol=1e-6)


def test_a_path_of_recorded_mouths_brings_them_back(run, small_head, tmp_path):
    order = np.array([*range(10, 24), *range(9), 8])
    path = MouthSpace.fit(small_head.frames, run, components=5).scores[order]
    np.save(tmp_path / "path.npy", path)
    replacement = replace_mouth(small_head.frames, run, tmp_path / "path.npy")
    np.testing.assert_array_equal(replacement.lips, order)
