"""Jitter, variance of a region, sharpness of the mean: each against what it must be."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill.evaluate import (
    corner_jitter,
    mean_squared_gradient,
    point_jitter,
    region_variance,
    second_differences,
)
from holdstill.evaluate.pictures import grey_levels, spread_evenly

# --- jitter ---------------------------------------------------------------------------------------


def shifted(shifts, scale=1.0, angle=0.0):
    """Similarities with these translations, (n, 2)."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    transforms = np.tile(
        np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]), (len(shifts), 1, 1)
    )
    transforms[:, :2, 2] = shifts
    return transforms


def test_a_constant_velocity_has_no_jitter():
    steady = np.arange(30)[:, None] * [1.5, -0.7]
    found = corner_jitter(shifted(steady, 2.0, 0.3), (40, 50), np.arange(30))
    assert found.overall.rms < 1e-12
    assert found.overall.n == 28
    assert np.isnan(found.per_frame[[0, -1]]).all()


def test_white_noise_has_the_jitter_of_theory_in_both_units():
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 0.5, (20000, 2))
    found = corner_jitter(shifted(noise, 2.5, 0.4), (40, 50), np.arange(20000)).overall
    assert found.rms_in_frame == pytest.approx(0.5 * np.sqrt(12.0), rel=0.02)
    assert found.rms == pytest.approx(found.rms_in_frame / 2.5)


def test_points_that_the_transforms_follow_have_no_jitter_however_the_head_moves():
    rng = np.random.default_rng(4)
    transforms = shifted(rng.uniform(0, 300, (50, 2)), 1.7, 0.2)
    canonical = rng.uniform(0, 40, (4, 2))
    points = np.einsum("nij,kj->nki", transforms[:, :2, :2], canonical) + transforms[:, None, :2, 2]
    assert point_jitter(transforms, points, np.arange(50)).overall.rms < 1e-9
    wrong = points + rng.normal(0.0, 0.34, points.shape)
    found = point_jitter(transforms, wrong, np.arange(50)).overall.rms
    assert found == pytest.approx(0.34 / 1.7 * np.sqrt(12.0), rel=0.15)


def test_only_frames_with_both_neighbours_count():
    positions = np.random.default_rng(5).normal(size=(12, 2, 2))
    frame = np.array([0, 1, 2, 3, 4, 6, 7, 8, 0, 1, 2, 3])
    stream = np.array([0] * 8 + [1] * 4)
    positions[9, 0] = np.nan
    found = second_differences(positions, frame, stream)
    known = np.isfinite(found).all(axis=2)
    assert np.flatnonzero(known[:, 1]).tolist() == [1, 2, 3, 6, 9, 10]
    assert np.flatnonzero(known[:, 0]).tolist() == [1, 2, 3, 6]
    np.testing.assert_allclose(found[6], np.diff(positions[5:8], n=2, axis=0)[0])


def test_every_third_frame_is_a_recording_of_its_own_step():
    found = corner_jitter(shifted(np.zeros((5, 2))), (9, 9), [0, 3, 6, 9, 15]).overall
    assert (found.step, found.n) == (3, 2)


def test_without_three_frames_in_a_row_there_is_no_jitter():
    transforms = shifted(np.zeros((4, 2)))
    transforms[1] = np.nan
    for rows in (transforms, transforms[:2], transforms[:0]):
        found = corner_jitter(rows, (9, 9), np.arange(len(rows)))
        assert np.isnan(found.overall.rms) and found.overall.n == 0
        assert len(found.per_frame) == len(rows)


def test_jitter_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="positions: expected shape"):
        second_differences(np.zeros((3, 2)), [0, 1, 2])
    with pytest.raises(ValueError, match=r"frame: expected integers of shape \(3,\)"):
        second_differences(np.zeros((3, 1, 2)), [0, 1])
    with pytest.raises(ValueError, match="stream: expected integers"):
        second_differences(np.zeros((3, 1, 2)), [0, 1, 2], [0.5, 1, 1])


# --- variance -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(30, 9000), (50, 12), (5, 40), (2, 1)])
def test_variance_is_that_of_scikit_learns_pca(n, m):
    sklearn = pytest.importorskip("sklearn.decomposition")
    rng = np.random.default_rng(n)
    grey = rng.uniform(0, 255, (n, m)) * np.linspace(0.05, 1.0, m) + rng.normal(0, 30, (n, 1))
    found = region_variance(grey.astype(np.float32))
    pca = sklearn.PCA(svd_solver="full").fit(grey)
    assert found.total == pytest.approx(pca.explained_variance_.sum(), rel=1e-6)
    assert found.total == pytest.approx(grey.var(axis=0, ddof=1).sum(), rel=1e-6)
    assert found.per_pixel == pytest.approx(np.sqrt(grey.var(axis=0, ddof=1).mean()), rel=1e-6)
    expected = np.cumsum(pca.explained_variance_ratio_)[:20]
    shared = min(len(expected), len(found.accumulated))
    assert shared == min(20, n - 1, m)
    np.testing.assert_allclose(found.accumulated[:shared], expected[:shared], atol=1e-6)
    assert found.share == pytest.approx(expected[-1], abs=1e-6)


def test_what_never_changes_has_no_variance_and_no_share():
    found = region_variance(np.full((6, 10), 77.0))
    assert found.total == 0.0 and np.isnan(found.share)


def test_variance_needs_two_frames():
    with pytest.raises(ValueError, match=r"pixels: expected shape .* got \(1, 5\)"):
        region_variance(np.zeros((1, 5)))


# --- sharpness ------------------------------------------------------------------------------------


def test_the_mean_of_shifted_waves_keeps_what_theory_says():
    # The mean of sin(kx ± kd) is cos(kd) sin(kx): cos²(kd) of the energy is left.
    x = np.arange(400) + np.zeros((60, 1))
    k, d = 2 * np.pi / 40, 4.0
    mask = np.ones(x.shape, bool)
    left, right = 50 * np.sin(k * (x - d)), 50 * np.sin(k * (x + d))
    frames = (mean_squared_gradient(left, mask) + mean_squared_gradient(right, mask)) / 2
    kept = mean_squared_gradient((left + right) / 2, mask) / frames
    assert kept == pytest.approx(np.cos(k * d) ** 2, rel=1e-3)
    assert frames == pytest.approx((50 * np.sin(k)) ** 2 / 2, rel=0.01)


def test_the_gradient_is_numpys():
    rng = np.random.default_rng(0)
    picture, mask = rng.uniform(0, 255, (20, 30)), rng.random((20, 30)) > 0.4
    gy, gx = np.gradient(picture)
    expected = (gx**2 + gy**2)[mask].mean()
    assert mean_squared_gradient(picture, mask) == pytest.approx(expected, rel=1e-5)


# --- which frames, which levels -------------------------------------------------------------------


def test_a_long_run_is_thinned_out_evenly():
    rows = np.arange(9374)
    chosen = spread_evenly(rows, 1000)
    assert (len(chosen), chosen[0], chosen[-1]) == (1000, 0, 9373)
    assert set(np.diff(chosen)) == {9, 10}
    np.testing.assert_array_equal(spread_evenly(rows[:7], 1000), rows[:7])


def test_sixteen_bits_are_the_levels_of_eight():
    eight = np.arange(256, dtype=np.uint8)[None]
    sixteen = eight.astype(np.uint16) * 257
    np.testing.assert_allclose(grey_levels(sixteen), grey_levels(eight), rtol=1e-6)
