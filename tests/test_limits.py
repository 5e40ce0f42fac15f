"""The limits of accuracy: the operator against the sampler, the corners against differences."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill.limits import (
    corner_rms,
    covariance_under_frame_noise,
    cramer_rao,
    roi_corners,
    sample_operator,
)
from holdstill.reference import MOTIONS, linearize, update
from holdstill.reference.motion import map_points, n_parameters

SHAPE = (24, 20)
UPRIGHT = np.array([[1.0, 0.0, 8.0], [0.0, 1.0, 6.0], [0.0, 0.0, 1.0]])
TURNED = np.array([[2.2, -0.5, 30.0], [0.5, 2.2, 18.0], [0.0, 0.0, 1.0]])
PERSPECTIVE = np.array([[2.2, -0.5, 30.0], [0.4, 2.1, 18.0], [2e-3, -1e-3, 1.0]])


@pytest.mark.parametrize("truth", [UPRIGHT, TURNED, PERSPECTIVE])
def test_operator_is_low_pass_and_sampling(truth: np.ndarray) -> None:
    random = np.random.default_rng(0)
    frame = random.normal(100.0, 30.0, (90, 80))
    roi = random.random(SHAPE) < 0.7
    H = sample_operator(frame.shape, truth, shape=SHAPE, roi=roi)
    sampled = linearize(
        frame, truth, shape=SHAPE, motion="homography", roi=roi, normalize=False
    ).vector
    np.testing.assert_allclose(H.apply(frame), sampled, rtol=1e-12)
    weights = random.standard_normal(sampled.size)
    assert np.sum(H.adjoint(weights) * frame) == pytest.approx(weights @ sampled, rel=1e-9)


def test_operator_refuses_samples_outside_of_the_frame() -> None:
    with pytest.raises(ValueError, match="frame_from_canonical"):
        sample_operator((20, 20), UPRIGHT, shape=SHAPE)


@pytest.mark.parametrize("motion", MOTIONS)
def test_corners_move_as_small_steps_move_them(motion: str) -> None:
    truth = PERSPECTIVE if motion == "homography" else TURNED
    corners = roi_corners(None, SHAPE)
    random = np.random.default_rng(1)
    step = random.standard_normal(n_parameters(motion)) * 1e-6
    moved = map_points(
        np.linalg.inv(truth), map_points(update(truth, step, motion, SHAPE), corners)
    )
    distance = np.sqrt(np.square(moved - corners).sum(axis=1).mean())
    of_step = corner_rms(np.outer(step, step), truth, corners, motion=motion, shape=SHAPE)
    assert of_step == pytest.approx(distance, rel=1e-4)


def test_covariance_under_frame_noise_is_that_of_many_draws() -> None:
    random = np.random.default_rng(2)
    H = sample_operator((60, 64), TURNED, shape=(12, 12))
    J, atoms = random.standard_normal((144, 2)), random.standard_normal((144, 3))
    noise = np.stack([H.apply(random.standard_normal((60, 64))) for _ in range(3000)], axis=1)
    drawn = np.linalg.lstsq(np.hstack([J, atoms]), noise, rcond=None)[0][:2]
    expected = covariance_under_frame_noise(J, atoms, H)
    np.testing.assert_allclose(np.cov(drawn), expected, atol=0.12 * np.trace(expected))


def test_bound_knows_only_what_the_atoms_cannot_explain() -> None:
    J = np.array([[3.0, 0.0], [4.0, 0.0], [7.0, 2.0]])
    bound = cramer_rao(J[:, :1], [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]])  # dependent atoms
    np.testing.assert_allclose(bound, [[1 / 25]])


def test_corners_are_those_of_the_bounding_rectangle() -> None:
    roi = np.zeros((9, 9), bool)
    roi[[2, 5, 6], [3, 7, 1]] = True
    assert roi_corners(roi, (9, 9)).tolist() == [[1, 2], [7, 2], [1, 6], [7, 6]]
