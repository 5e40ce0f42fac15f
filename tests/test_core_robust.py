"""Robust losses of the compiled core: the twin's fixed points, hidden frames, pixels' weights."""

from __future__ import annotations

import numpy as np
import pytest
from textures import (
    SHAPE,
    corner_error,
    dictionary,
    displaced,
    hidden,
    mixed,
    start,
    texture,
)

from holdstill import _core, reference
from holdstill.reference.robust import magnitudes

PLANES = {"grey": 1, "edges": 2, "magnitude": 1}


def threshold(atoms: np.ndarray, motion: str, features: str) -> float:
    """Kappa from a frame's own residuals, as a dictionary takes it from those of its images."""
    v = _core.linearize(mixed(0), start(), shape=SHAPE, motion=motion, features=features).vector
    left = v - atoms @ np.linalg.lstsq(atoms, v, rcond=None)[0]
    return 1.345 * 1.4826 * float(np.median(magnitudes(left, PLANES[features])))


@pytest.mark.parametrize("loss", ["huber", "l1", "geman-mcclure"])
@pytest.mark.parametrize("features", ["grey", "edges"])
@pytest.mark.parametrize(("motion", "seed"), [("similarity", 0), ("similarity", 1), ("affine", 2)])
def test_fixed_point_is_that_of_the_numpy_twin(
    motion: str, seed: int, features: str, loss: str
) -> None:
    """Reweighting in the core and explicit occlusions in the twin end in the same place."""
    atoms = dictionary(8, motion, features)
    options = {"shape": SHAPE, "motion": motion, "features": features, "loss": loss}
    options["kappa"] = threshold(atoms, motion, features)
    frame, initial = hidden(mixed(seed), seed, 30.0), displaced(start(), motion)
    core = _core.FrameAligner(atoms, **options).align(frame, initial)
    twin = reference.align_frame(frame, atoms, initial, **options)
    assert core.status == twin.status == "converged"
    assert corner_error(core.frame_from_canonical, twin.frame_from_canonical) < 1e-3
    np.testing.assert_allclose(core.coefficients, twin.coefficients, atol=1e-4)
    assert core.residual == pytest.approx(twin.residual, rel=1e-4)
    assert twin.weights is not None
    np.testing.assert_allclose(core.weights.ravel(), twin.weights, atol=5e-3)
    # And it is not where the plain loss ends.
    plain = _core.FrameAligner(atoms, **(options | {"loss": "l2"})).align(frame, initial)
    assert corner_error(plain.frame_from_canonical, twin.frame_from_canonical) > 0.02


@pytest.mark.parametrize("features", ["grey", "edges", "magnitude"])
@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_what_is_hidden_pulls_little(loss: str, features: str) -> None:
    atoms = dictionary(5, "similarity", features)
    options = {"shape": SHAPE, "motion": "similarity", "features": features}
    initial = displaced(start(), "similarity", 0.7)
    errors = {"l2": [], loss: []}
    for seed in range(6):
        frame = hidden(texture(seed % 5), seed)
        for name, found in errors.items():
            core = _core.FrameAligner(atoms, loss=name, kappa=1e-3, **options)
            found.append(corner_error(core.align(frame, initial).frame_from_canonical, start()))
    share = np.median(errors[loss]) / np.median(errors["l2"])
    # Huber's pull grows with the number of hidden pixels; l1's, beside the others', is small.
    assert share < (0.25 if loss == "huber" else 0.03)


@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_weights_show_what_is_hidden(loss: str) -> None:
    roi = np.zeros(SHAPE, bool)
    roi[3:36, 4:40] = True
    options = {"shape": SHAPE, "motion": "similarity", "roi": roi}
    atoms = np.stack(
        [_core.linearize(texture(k), start(), **options).vector for k in range(5)], axis=1
    )
    core = _core.FrameAligner(atoms, loss=loss, kappa=4e-3, **options)
    frame = hidden(texture(1), 3)
    found = core.align(frame, displaced(start(), "similarity", 0.7))
    assert found.weights.shape == SHAPE
    assert found.weights.dtype == np.float32
    assert not found.weights[~roi].any()
    weights = found.weights[roi]
    assert 0.0 < weights.min() < 0.25
    assert 0.99 < weights.max() <= 1.0
    bright = _core.warp(np.abs(frame - texture(1)), start(), SHAPE)[roi] > 20
    assert bright.mean() > 0.08
    assert np.median(weights[bright]) < 0.6 * np.median(weights[~bright])
    # The next frame gets its own.
    clear = core.align(texture(1), displaced(start(), "similarity", 0.7)).weights
    assert clear[roi].min() > 0.9


def test_plain_loss_has_no_weights() -> None:
    core = _core.FrameAligner(dictionary(3), shape=SHAPE, motion="affine")
    assert core.align(texture(), displaced(start(), "affine")).weights is None


@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_start_where_the_plain_loss_ends_is_left(loss: str) -> None:
    # A translation keeps the low-pass, so that the plain fixed point is one from there, too.
    atoms, frame = dictionary(5, "translation"), hidden(texture(1))
    options = {"shape": SHAPE, "motion": "translation", "kappa": 2e-3}
    plain = _core.FrameAligner(atoms, **options).align(frame, displaced(start(), "translation"))
    core = _core.FrameAligner(atoms, loss=loss, **options)
    stuck, free = (
        core.align(frame, initial)
        for initial in (plain.frame_from_canonical, displaced(start(), "translation"))
    )
    assert stuck.status == free.status == "converged"
    assert corner_error(stuck.frame_from_canonical, free.frame_from_canonical) < 1e-3
    assert corner_error(stuck.frame_from_canonical, plain.frame_from_canonical) > 0.1


def test_threshold_above_every_residual_is_the_plain_loss() -> None:
    atoms, initial = dictionary(8), displaced(start(), "affine")
    plain, robust = (
        _core.FrameAligner(atoms, shape=SHAPE, motion="affine", **loss).align(mixed(1), initial)
        for loss in ({}, {"loss": "huber", "kappa": 1.0})
    )
    assert robust.status == "converged"
    assert corner_error(robust.frame_from_canonical, plain.frame_from_canonical) < 1e-4
    np.testing.assert_allclose(robust.coefficients, plain.coefficients, atol=1e-5)
    assert (robust.weights == 1.0).all()


@pytest.mark.parametrize("features", ["grey", "edges"])
def test_verified_robust_alignment_is_the_same(features: str) -> None:
    atoms = dictionary(40, "affine", features)
    options = {"shape": SHAPE, "motion": "affine", "features": features, "loss": "huber"}
    for seed in range(3):
        frame = hidden(mixed(seed), seed, 30.0)
        quick, verified = (
            _core.FrameAligner(atoms, kappa=5e-3, verify=verify, **options).align(
                frame, displaced(start(), "affine")
            )
            for verify in (False, True)
        )
        assert quick.status == verified.status == "converged"
        assert corner_error(quick.frame_from_canonical, verified.frame_from_canonical) < 1e-3
        assert verified.worst_gap <= 1e-9


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_robust_losses_need_a_threshold(value: float) -> None:
    with pytest.raises(ValueError, match="kappa: expected"):
        _core.FrameAligner(dictionary(3), shape=SHAPE, motion="affine", loss="l1", kappa=value)
    with pytest.raises(ValueError, match="kappa: expected"):
        reference.align_frame(
            texture(), dictionary(3), start(), shape=SHAPE, motion="affine", loss="l1", kappa=value
        )


def test_unknown_loss_is_named() -> None:
    with pytest.raises(ValueError, match="loss: expected"):
        _core.FrameAligner(dictionary(3), shape=SHAPE, motion="affine", loss="tukey")
    with pytest.raises(ValueError, match="loss: expected"):
        reference.align_frame(
            texture(), dictionary(3), start(), shape=SHAPE, motion="affine", loss="tukey"
        )
