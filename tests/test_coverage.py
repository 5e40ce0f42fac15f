"""Whether a dictionary's sample was large enough: the measured numbers, and the advice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import SmallHead

from holdstill import Dictionary, align_batch, fit
from holdstill.evaluate import map_to_canonical
from holdstill.learning.coverage import ENOUGH, Coverage

OPTIONS = {"shape": (64, 64), "motion": "similarity", "features": "grey", "roi": "full"}


@pytest.fixture(scope="module")
def coverage(small_head: SmallHead) -> Coverage:
    return small_head.dictionary.coverage(small_head.frames, small_head.initial)


@pytest.fixture(scope="module")
def changing_light(small_head: SmallHead) -> SmallHead:
    """The second half of the frames is lit from the side."""
    frames = small_head.frames.copy()
    light = np.linspace(0.2, 1.0, frames.shape[2])
    frames[12:] = (frames[12:] * light).astype(np.uint8)
    return SmallHead(small_head.head, frames, small_head.initial, small_head.dictionary)


def test_no_frame_of_the_sample_is_held_out(small_head: SmallHead, coverage: Coverage) -> None:
    sample = {frame for _, frame in small_head.dictionary.provenance["sample"]}
    assert set(coverage.frame.tolist()) == set(range(24)) - sample


def test_residuals_are_those_of_aligning_the_frames(
    small_head: SmallHead, coverage: Coverage
) -> None:
    frames = coverage.frame
    found = align_batch(
        small_head.frames[frames], small_head.dictionary, small_head.initial[frames]
    )
    assert coverage.status.tolist() == found.status.tolist()
    np.testing.assert_allclose(coverage.residual, found.residual, rtol=1e-9)
    assert coverage.share_explained == np.mean(found.residual <= coverage.limit)


def test_disagreement_is_how_far_the_halves_put_a_point_apart(
    small_head: SmallHead, coverage: Coverage
) -> None:
    learnt, frames = small_head.dictionary, coverage.frame
    first, second = (
        align_batch(
            small_head.frames[frames],
            Dictionary(learnt.atoms[:, start::2], **OPTIONS),  # type: ignore[arg-type]
            small_head.initial[frames],
        ).frame_from_canonical
        for start in (0, 1)
    )
    rows, columns = np.mgrid[:64, :64]
    canonical = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    in_frames = (second @ canonical).transpose(0, 2, 1)[..., :2]
    apart = map_to_canonical(first, in_frames) - canonical[:2].T
    expected = np.sqrt((apart**2).sum(axis=2).mean(axis=1))
    np.testing.assert_allclose(coverage.disagreement, expected, rtol=1e-6, atol=1e-12)


def test_held_out_frames_are_the_seeds_alone(small_head: SmallHead) -> None:
    def drawn(seed: int) -> list[int]:
        found = small_head.dictionary.coverage(
            small_head.frames, small_head.initial, n=4, seed=seed
        )
        return found.frame.tolist()  # type: ignore[no-any-return]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(drawn(1)) == 4


def test_frames_unlike_the_sample_are_not_explained(changing_light: SmallHead) -> None:
    frames, initial = changing_light.frames, changing_light.initial
    consecutive = fit(frames, initial, n=10, selection="consecutive", **OPTIONS)  # type: ignore[arg-type]
    found = consecutive.coverage(frames, initial)
    lit_otherwise = found.frame >= 12
    assert found.explained[~lit_otherwise].all()
    assert not found.explained[lit_otherwise].any()
    assert not found.enough
    assert "do not stand for this source" in str(found)
    assert set(found.frame[found.worst()[:12]].tolist()) == set(range(12, 24))
    spread = fit(frames, initial, n=10, selection="stratified", **OPTIONS)  # type: ignore[arg-type]
    assert spread.coverage(frames, initial).share_explained >= ENOUGH


def test_failures_are_unexplained_and_come_first(small_head: SmallHead) -> None:
    initial = small_head.initial.copy()
    held_out = np.setdiff1d(
        np.arange(24), [frame for _, frame in small_head.dictionary.provenance["sample"]]
    )
    initial[held_out[3], :2, 2] += 5000.0
    found = small_head.dictionary.coverage(small_head.frames, initial)
    first = found.worst()[0]
    assert (found.frame[first], found.status[first]) == (held_out[3], "out_of_frame")
    assert np.isnan(found.residual[first]) and not found.explained[first]
    assert f"frame {held_out[3]} out_of_frame" in str(found) and "1 failed" in str(found)


def test_advice_follows_the_numbers(coverage: Coverage) -> None:
    steady = replace(coverage, disagreement=np.zeros(12), residual=np.full(12, coverage.limit))
    assert steady.enough and "n = 12 was enough" in str(steady)
    unsteady = replace(steady, disagreement=np.full(12, 3.0 * coverage.tolerance), advised_n=36)
    assert not unsteady.enough and "take n ≈ 36" in str(unsteady)
    residual = np.where(np.arange(12) < 2, 2.0, 1.0) * coverage.limit
    assert not replace(steady, residual=residual).enough


def test_advised_n_grows_with_the_disagreement_up_to_the_source(
    small_head: SmallHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdstill.learning.coverage.SLACK", 100.0)  # every frame is explained

    def advised() -> int:
        found = small_head.dictionary.coverage(small_head.frames, small_head.initial)
        assert found.enough == (found.advised_n == found.n)
        return found.advised_n

    disagreement = np.quantile(
        small_head.dictionary.coverage(small_head.frames, small_head.initial).disagreement, 0.95
    )
    monkeypatch.setattr("holdstill.learning.coverage.STEADY", disagreement / 64 / 0.9)
    assert advised() == 12
    monkeypatch.setattr("holdstill.learning.coverage.STEADY", disagreement / 64 / 1.5)
    assert advised() == 18
    monkeypatch.setattr("holdstill.learning.coverage.STEADY", disagreement / 64 / 100)
    assert advised() == 24


def test_a_single_atom_has_no_halves(small_head: SmallHead) -> None:
    frames = np.repeat(small_head.frames[:1], 6, axis=0)
    initial = np.repeat(small_head.initial[:1], 6, axis=0)
    found = fit(frames, initial, n=4, **OPTIONS).coverage(frames, initial)  # type: ignore[arg-type]
    assert np.isnan(found.disagreement).all() and len(found.frame) == 2
    str(found)


def test_what_cannot_be_measured_is_said(small_head: SmallHead) -> None:
    frames, initial = small_head.frames, small_head.initial
    with pytest.raises(ValueError, match="n: expected an integer of at least 1, got 0"):
        small_head.dictionary.coverage(frames, initial, n=0)
    with pytest.raises(ValueError, match="n: expected an integer of at least 1, got None"):
        small_head.dictionary.coverage(frames, initial, n=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed: expected an integer of at least 0, got -1"):
        small_head.dictionary.coverage(frames, initial, seed=-1)
    with pytest.raises(ValueError, match=r"learn it by holdstill\.fit"):
        replace(small_head.dictionary, provenance={}).coverage(frames, initial)
    with pytest.raises(ValueError, match="no frame is left to hold out"):
        fit(frames, initial, n=24, **OPTIONS).coverage(frames, initial)  # type: ignore[arg-type]
