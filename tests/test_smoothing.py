"""Smoothing of transforms: the least squares that it stands for, gaps, and what it takes off."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from holdstill.motion import compose, decompose, smooth

needs_statsmodels = pytest.mark.skipif(
    find_spec("statsmodels") is None, reason="statsmodels is not installed"
)
SHAPE = (80, 60)
MIDDLE = np.array([300.0, 200.0, 0.1, 0.5, 0.0, 0.0])
SCALE = np.array([10.0, 8.0, 0.05, 0.03, 0.01, 0.01])


def movement(n, seed=0):
    """A smooth movement of six parameters in units of 1."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)[:, None] / 25.0
    return np.sin(t * rng.uniform(1, 4, 6) + rng.uniform(0, 6, 6))


def transforms_of(values):
    return compose(MIDDLE + SCALE * values, shape=SHAPE)


def values_of(transforms):
    return (decompose(transforms, shape=SHAPE) - MIDDLE) / SCALE


def least_squares(values, strength):
    """The closed form: (W + λ DᵀD) x = W y, W without the gaps, D second differences."""
    n = len(values)
    present = np.isfinite(values).all(axis=1)
    second = np.diff(np.eye(n), n=2, axis=0)
    normal = np.diag(present.astype(float)) + strength * second.T @ second
    return np.linalg.solve(normal, np.where(present[:, None], values, 0.0))


@needs_statsmodels
@pytest.mark.parametrize("strength", [0.5, 30.0, 1e4])
@pytest.mark.parametrize("gap", [False, True])
def test_the_smoother_finds_the_least_squares_it_stands_for(strength, gap):
    values = movement(80) + 0.1 * np.random.default_rng(1).normal(size=(80, 6))
    if gap:
        values[30:37] = np.nan
    found = values_of(smooth(transforms_of(values), shape=SHAPE, strength=strength))
    expected = least_squares(values, strength)
    present = np.isfinite(values).all(axis=1)
    np.testing.assert_allclose(found[present], expected[present], atol=1e-6)
    assert np.isnan(found[~present]).all()


@needs_statsmodels
def test_the_likeliest_strength_takes_the_noise_off_and_leaves_the_movement():
    truth = movement(400)
    noise = 0.05 * np.random.default_rng(2).normal(size=truth.shape)
    found = values_of(smooth(transforms_of(truth + noise), shape=SHAPE))
    before, after = (np.sqrt(((v - truth) ** 2).mean(axis=0)) for v in (truth + noise, found))
    assert (after < 0.6 * before).all()
    steps = np.abs(np.diff(found, n=2, axis=0)).mean(axis=0)
    assert (steps < 0.2 * np.abs(np.diff(truth + noise, n=2, axis=0)).mean(axis=0)).all()


@needs_statsmodels
def test_movement_without_noise_and_straight_movement_stay():
    values = movement(100)
    values[:, 1] = 0.01 * np.arange(100)
    values[:, 5] = 0.0
    found = values_of(smooth(transforms_of(values), shape=SHAPE))
    np.testing.assert_allclose(found, values, atol=0.01)


@needs_statsmodels
def test_a_turn_past_half_a_circle_is_no_jump():
    values = decompose(transforms_of(movement(60)), shape=SHAPE, motion="affine")
    values[:, 2] += np.pi - values[:, 2].mean()
    turned = compose(values, shape=SHAPE)
    assert np.ptp(decompose(turned, shape=SHAPE)[:, 2]) > 6.0
    found = smooth(turned, shape=SHAPE, strength=1.0)
    assert np.abs(found - turned)[:, :2, :2].max() < 0.05


@needs_statsmodels
@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (np.eye(3), {}, r"shape \(n, 3, 3\)"),
        (np.tile(np.eye(3), (3, 1, 1)), {}, "at least 4 transforms, got 3"),
        (np.tile(np.eye(3), (9, 1, 1)), {"strength": 0.0}, "strength"),
        (np.tile(np.eye(3), (9, 1, 1)), {"motion": "homography"}, "motion"),
    ],
)
def test_what_cannot_be_smoothed_is_refused(given, options, says):
    with pytest.raises(ValueError, match=says):
        smooth(given, **options)


def test_without_statsmodels_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.tsa.statespace.structural", None)
    with pytest.raises(ImportError, match=r'pip install "holdstill\[motion\]"'):
        smooth(transforms_of(movement(30)), shape=SHAPE)
