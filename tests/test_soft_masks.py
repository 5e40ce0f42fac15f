"""Regions of interest whose pixels weigh differently: core, reference and what a weight means."""

from __future__ import annotations

import numpy as np
import pytest
from textures import SHAPE, corner_error, dictionary, displaced, mixed, start, texture

from holdstill import Dictionary, _core, align_frame, reference
from holdstill.canonical import roi_mask
from holdstill.reference import FEATURES, MOTIONS


def soft(seed: int = 0) -> np.ndarray:
    """Weights from 0 to 1, zero in a corner."""
    weights = np.random.default_rng(seed).uniform(0.05, 1.0, SHAPE).astype(np.float32)
    weights[:12, :15] = 0.0
    return weights


def atoms_under(roi: np.ndarray, motion: str, features: str, n: int = 6) -> np.ndarray:
    vectors = [
        _core.linearize(
            texture(k), start(), shape=SHAPE, motion=motion, features=features, roi=roi
        ).vector
        for k in range(n)
    ]
    return np.stack(vectors, axis=1)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_linearization_is_that_of_the_numpy_twin(
    motion: str, features: str, normalize: bool
) -> None:
    options = {"shape": SHAPE, "motion": motion, "features": features, "roi": soft()}
    options["normalize"] = normalize
    core = _core.linearize(texture(), displaced(start(), motion), **options)
    twin = reference.linearize(texture(), displaced(start(), motion), **options)
    assert core.vector.shape == twin.vector.shape
    for found, expected in ((core.vector, twin.vector), (core.jacobian, twin.jacobian)):
        lengths = np.linalg.norm(expected, axis=0)
        assert (np.linalg.norm(found - expected, axis=0) <= 1e-5 * lengths).all()
    assert core.norm == pytest.approx(twin.norm, rel=1e-5)


@pytest.mark.parametrize("kernels", [_core, reference])
@pytest.mark.parametrize("features", FEATURES)
def test_integer_weight_is_a_pixel_repeated(features: str, kernels: object) -> None:
    counts = np.random.default_rng(1).integers(0, 4, SHAPE)
    planes = 2 if features == "edges" else 1
    repeats = np.tile(counts[counts > 0], planes)
    options = {"shape": SHAPE, "motion": "affine", "features": features}
    weighted = kernels.linearize(texture(), start(), roi=counts.astype(np.float32), **options)
    raw = kernels.linearize(texture(), start(), roi=counts > 0, normalize=False, **options)
    vector, jacobian = np.repeat(raw.vector, repeats), np.repeat(raw.jacobian, repeats, axis=0)
    norm = np.linalg.norm(vector)
    v = vector / norm
    J = (jacobian - np.outer(v, v @ jacobian)) / norm
    repeated = np.column_stack([v, J])
    products = np.column_stack([weighted.vector, weighted.jacobian])
    lengths = np.linalg.norm(repeated, axis=0)
    np.testing.assert_allclose(
        products.T @ products / np.outer(lengths, lengths),
        repeated.T @ repeated / np.outer(lengths, lengths),
        atol=1e-5,
    )
    assert weighted.norm == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("loss", ["l2", "huber"])
@pytest.mark.parametrize("features", ["grey", "edges"])
def test_alignment_is_that_of_the_numpy_twin(features: str, loss: str) -> None:
    options = {"shape": SHAPE, "motion": "similarity", "features": features, "roi": soft()}
    options |= {"loss": loss, "kappa": 6e-3}
    atoms, initial = (
        atoms_under(soft(), "similarity", features),
        displaced(start(), "similarity"),
    )
    core = _core.FrameAligner(atoms, **options).align(mixed(1), initial)
    twin = reference.align_frame(mixed(1), atoms, initial, **options)
    assert core.status == twin.status == "converged"
    assert corner_error(core.frame_from_canonical, twin.frame_from_canonical) < 1e-3
    np.testing.assert_allclose(core.coefficients, twin.coefficients, atol=1e-3)


@pytest.mark.parametrize("features", FEATURES)
def test_weights_of_0_and_1_are_a_mask(features: str) -> None:
    mask = soft() > 0.3
    found = [
        _core.FrameAligner(
            atoms_under(roi, "affine", features),
            shape=SHAPE, motion="affine", features=features, roi=roi,
        ).align(mixed(2), displaced(start(), "affine"))
        for roi in (mask, mask.astype(np.float32), mask * np.float32(7.0))
    ]  # fmt: skip
    assert found[0].status == "converged"
    np.testing.assert_array_equal(found[0].frame_from_canonical, found[1].frame_from_canonical)
    np.testing.assert_allclose(
        found[0].frame_from_canonical, found[2].frame_from_canonical, atol=1e-4
    )


def test_light_pixels_pull_less() -> None:
    """A spoilt stretch of the frame costs the less the less its pixels weigh."""
    spoilt = texture()
    spoilt[:, 100:] = texture(9)[:, 100:]
    errors = []
    for weight in (1.0, 0.3, 0.05, 0.0):
        roi = np.ones(SHAPE, np.float32)
        roi[:, 28:] = weight
        atoms = atoms_under(roi, "similarity", "grey", 1)
        core = _core.FrameAligner(atoms, shape=SHAPE, motion="similarity", roi=roi)
        found = core.align(spoilt, displaced(start(), "similarity", 0.5))
        errors.append(corner_error(found.frame_from_canonical, start()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]


def test_dictionary_scales_weights_and_keeps_a_mask_a_mask() -> None:
    weights = soft()
    atoms = atoms_under(weights, "similarity", "grey")
    one, scaled = (
        Dictionary(atoms, shape=SHAPE, motion="similarity", roi=roi)
        for roi in (weights / weights.max(), 40 * weights)
    )
    np.testing.assert_allclose(one.weights, scaled.weights, rtol=1e-6)
    assert one.weights.dtype == np.float32
    np.testing.assert_array_equal(one.mask, weights > 0)
    a, b = (
        align_frame(mixed(1), d, displaced(start(), "similarity"), levels=1) for d in (one, scaled)
    )
    np.testing.assert_allclose(a.frame_from_canonical, b.frame_from_canonical, atol=1e-5)
    mask = Dictionary(
        dictionary(2, "affine"), shape=SHAPE, motion="affine", roi=255 * np.ones(SHAPE, np.uint8)
    )
    assert mask.weights.dtype == np.bool_


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
@pytest.mark.parametrize("call", ["core", "aligner", "dictionary"])
def test_wrong_weights_are_named(call: str, value: float) -> None:
    roi = np.ones(SHAPE, np.float32)
    roi[3, 4] = value
    options = {"shape": SHAPE, "motion": "affine", "roi": roi}
    with pytest.raises(ValueError, match="roi: expected"):
        if call == "core":
            _core.linearize(texture(), start(), **options)
        elif call == "aligner":
            _core.FrameAligner(dictionary(2), **options)
        else:
            Dictionary(dictionary(2), **options)
    with pytest.raises(ValueError, match="roi: expected"):
        reference.linearize(texture(), start(), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_called_that(value: float) -> None:
    roi = np.ones(SHAPE)
    roi[3, 4] = value
    with pytest.raises(ValueError, match=r"roi: expected finite weights, got 1 that are not"):
        roi_mask(roi, SHAPE)
