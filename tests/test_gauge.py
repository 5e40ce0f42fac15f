"""The gauge: common motions removed, families preserved, C against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill.learning.gauge import canonical_motion, compose_gauge
from holdstill.reference import MOTIONS, n_parameters, parameters_from_matrix, update
from holdstill.reference.motion import centred_matrix

SHAPE = (40, 50)


def batch(motion: str, n: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Start and moved transforms of one family, of different scale and turn."""
    rng = np.random.default_rng(seed)
    start = []
    for _ in range(n):
        angle, scale = rng.uniform(-0.3, 0.3), rng.uniform(1.0, 3.0)
        F = np.eye(3)
        F[:2, :2] = scale * np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        )
        F[:2, 2] = rng.uniform(0, 100, 2)
        start.append(F)
    size = {
        "translation": [2, 2],
        "euclidean": [0.1, 2, 2],
        "similarity": [0.1, 0.1, 2, 2],
        "affine": [0.1] * 4 + [2, 2],
        "homography": [0.1] * 4 + [2, 2, 1e-3, 1e-3],
    }[motion]
    common = np.array(size) * 0.7
    moved = [
        update(F, common + np.array(size) * 0.3 * rng.standard_normal(len(size)), motion, SHAPE)
        for F in start
    ]
    return np.stack(start), np.stack(moved)


def mean_motion(transforms: np.ndarray, start: np.ndarray) -> np.ndarray:
    H, H0 = (np.stack([centred_matrix(F, SHAPE) for F in batch]) for batch in (transforms, start))
    M = np.linalg.inv(H0) @ H
    return (M / M[:, 2:, 2:]).mean(axis=0)


def mean_log_scale(transforms: np.ndarray, start: np.ndarray) -> float:
    areas = [
        np.linalg.det(
            centred_matrix(F, SHAPE)[:2, :2] @ np.linalg.inv(centred_matrix(S, SHAPE)[:2, :2])
        )
        for F, S in zip(transforms, start, strict=True)
    ]
    return float(0.5 * np.log(areas).mean())


@pytest.mark.parametrize("motion", ["translation", "similarity", "affine"])
def test_neither_shift_nor_turn_nor_shear_nor_zoom_is_common_afterwards(motion: str) -> None:
    start, moved = batch(motion)
    assert np.abs(mean_motion(moved, start) - np.eye(3)).max() > 0.02
    gauged = compose_gauge(moved, start, motion, SHAPE)
    mean = mean_motion(gauged, start)
    scale = np.sqrt(np.linalg.det(mean[:2, :2]))
    np.testing.assert_allclose(mean[:2, :2], scale * np.eye(2), atol=1e-12)
    np.testing.assert_allclose(mean[:2, 2], 0, atol=1e-9)
    assert mean_log_scale(gauged, start) == pytest.approx(0, abs=1e-12)


def test_images_that_turn_are_not_zoomed() -> None:
    start, _ = batch("similarity", n=40)
    # Half a radian either way: the mean of these matrices has a scale of 0.88.
    turned = np.stack(
        [update(F, [0.0, a, 0.0, 0.0], "similarity", SHAPE)
         for F, a in zip(start, np.linspace(-0.5, 0.5, 40), strict=True)]
    )  # fmt: skip
    np.testing.assert_allclose(compose_gauge(turned, start, "similarity", SHAPE), turned, atol=1e-9)


def test_euclidean_mean_has_neither_turn_nor_shift_afterwards() -> None:
    start, moved = batch("euclidean")
    mean = mean_motion(compose_gauge(moved, start, "euclidean", SHAPE), start)
    assert mean[0, 1] == pytest.approx(0, abs=1e-12)
    assert mean[0, 0] == pytest.approx(mean[1, 1])
    np.testing.assert_allclose(mean[:2, 2], 0, atol=1e-9)


def test_homography_mean_is_the_identity_to_second_order() -> None:
    start, moved = batch("homography")
    gauged = compose_gauge(moved, start, "homography", SHAPE)
    before = np.abs(mean_motion(moved, start) - np.eye(3)).max()
    mean = mean_motion(gauged, start)
    mean[:2, :2] /= np.sqrt(np.linalg.det(mean[:2, :2]))
    assert np.abs(mean - np.eye(3)).max() < 1e-2 * before


@pytest.mark.parametrize("motion", MOTIONS)
def test_transforms_stay_in_their_family_and_agree_as_before(motion: str) -> None:
    start, moved = batch(motion)
    gauged = compose_gauge(moved, start, motion, SHAPE)
    for F in gauged:
        parameters_from_matrix(F, motion, SHAPE)
    common = np.linalg.inv(moved) @ gauged
    common /= common[:, 2:, 2:]
    np.testing.assert_allclose(common, np.broadcast_to(common[0], common.shape), atol=1e-9)


def test_transforms_without_a_common_motion_are_left_alone() -> None:
    start, moved = batch("affine")
    once = compose_gauge(moved, start, "affine", SHAPE)
    np.testing.assert_allclose(compose_gauge(once, start, "affine", SHAPE), once, atol=1e-10)


@pytest.mark.parametrize("motion", MOTIONS)
def test_canonical_motion_is_the_derivative_of_the_motion(motion: str) -> None:
    _, transforms = batch(motion)
    C = canonical_motion(transforms, motion, SHAPE)
    p = n_parameters(motion)
    assert C.shape == (len(transforms), p, p)
    for F, C_i in zip(transforms, C, strict=True):
        H = centred_matrix(F, SHAPE)
        for k in range(p):
            h = 1e-6
            ahead, behind = (
                np.linalg.inv(H) @ centred_matrix(update(F, s * np.eye(p)[k], motion, SHAPE), SHAPE)
                for s in (h, -h)
            )
            X = (ahead / ahead[2, 2] - behind / behind[2, 2]) / (2 * h)
            expected = {
                "translation": lambda X: X[:2, 2],
                "euclidean": lambda X: [X[1, 0], *X[:2, 2]],
                "similarity": lambda X: [X[0, 0], X[1, 0], *X[:2, 2]],
                "affine": lambda X: [*X[0, :2], *X[1, :2], *X[:2, 2]],
                "homography": lambda X: (X - X[2, 2] * np.eye(3)).ravel()[:8],
            }[motion](X)
            np.testing.assert_allclose(C_i[:, k], expected, atol=1e-6)


def test_different_numbers_of_transforms_are_refused() -> None:
    start, moved = batch("affine")
    with pytest.raises(ValueError, match="initial"):
        compose_gauge(moved, start[:-1], "affine", SHAPE)


def test_singular_start_is_refused() -> None:
    start, moved = batch("affine")
    start[2, :2, :2] = 0
    with pytest.raises(ValueError, match="initial"):
        compose_gauge(moved, start, "affine", SHAPE)


def test_one_transform_is_no_batch() -> None:
    with pytest.raises(ValueError, match="frame_from_canonical: expected shape"):
        canonical_motion(np.eye(3), "affine", SHAPE)
