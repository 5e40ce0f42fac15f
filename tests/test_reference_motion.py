"""Motion models of the NumPy reference: parameters, matrices, analytic Jacobians."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill.reference import (
    MOTIONS,
    matrix_from_parameters,
    n_parameters,
    parameters_from_matrix,
    update,
    warp_jacobian,
)
from holdstill.reference.motion import (
    centre,
    linear_part,
    map_points,
    spatial_jacobian,
)

SHAPE = (24, 31)


def typical_transform(motion: str) -> np.ndarray:
    """A transform of the family, away from the identity in every parameter."""
    linear = 1.7 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    if motion in ("translation", "affine", "homography"):
        linear = linear @ np.array([[1.1, 0.15], [-0.05, 0.9]])
    centred = np.eye(3)
    centred[:2, :2] = linear
    centred[:2, 2] = [40.0, 33.0]
    if motion == "homography":
        p = np.array([2e-3, -3e-3])
        centred[2, :2] = p
        centred[:2, :2] += np.outer(centred[:2, 2], p)
    to_centre = np.eye(3)
    to_centre[:2, 2] = -centre(SHAPE)
    return centred @ to_centre


def points() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 24, (40, 2))


@pytest.mark.parametrize("motion", MOTIONS)
def test_parameters_and_matrix_are_inverse_to_each_other(motion: str) -> None:
    F = typical_transform(motion)
    tau = parameters_from_matrix(F, motion, SHAPE)
    assert tau.shape == (n_parameters(motion),)
    back = matrix_from_parameters(tau, F, motion, SHAPE)
    np.testing.assert_allclose(back, F / F[2, 2], atol=1e-12)


@pytest.mark.parametrize("motion", MOTIONS)
def test_scale_of_a_homogeneous_matrix_does_not_matter(motion: str) -> None:
    F = typical_transform(motion)
    np.testing.assert_allclose(
        parameters_from_matrix(-3.0 * F, motion, SHAPE), parameters_from_matrix(F, motion, SHAPE)
    )


@pytest.mark.parametrize("motion", MOTIONS)
def test_update_adds_the_step_to_the_parameters(motion: str) -> None:
    F = typical_transform(motion)
    step = 1e-3 * np.random.default_rng(2).standard_normal(n_parameters(motion))
    after = parameters_from_matrix(update(F, step, motion, SHAPE), motion, SHAPE)
    np.testing.assert_allclose(after, parameters_from_matrix(F, motion, SHAPE) + step, rtol=1e-12)


@pytest.mark.parametrize("motion", MOTIONS)
def test_warp_jacobian_is_the_derivative_of_the_warp(motion: str) -> None:
    F = typical_transform(motion)
    u = points()
    jacobian = warp_jacobian(F, motion, SHAPE, u)
    for k, h in enumerate(np.full(n_parameters(motion), 1e-6)):
        step = h * np.eye(n_parameters(motion))[k]
        ahead, behind = (map_points(update(F, s, motion, SHAPE), u) for s in (step, -step))
        np.testing.assert_allclose(jacobian[:, :, k], (ahead - behind) / (2 * h), atol=2e-6)


@pytest.mark.parametrize("motion", MOTIONS)
def test_spatial_jacobian_and_its_derivative_match_differences(motion: str) -> None:
    F = typical_transform(motion)
    u = points()
    spatial, derivative = spatial_jacobian(F, motion, SHAPE, u)
    for axis in range(2):
        h = 1e-5 * np.eye(2)[axis]
        slope = (map_points(F, u + h) - map_points(F, u - h)) / 2e-5
        np.testing.assert_allclose(spatial[:, :, axis], slope, atol=1e-7)
    for k in range(n_parameters(motion)):
        step = 1e-6 * np.eye(n_parameters(motion))[k]
        ahead, behind = (
            spatial_jacobian(update(F, s, motion, SHAPE), motion, SHAPE, u)[0]
            for s in (step, -step)
        )
        np.testing.assert_allclose(derivative[..., k], (ahead - behind) / 2e-6, atol=2e-6)


def test_translation_keeps_the_linear_part_of_its_start() -> None:
    F = typical_transform("affine")
    moved = update(F, [3.0, -4.0], "translation", SHAPE)
    np.testing.assert_allclose(moved[:2, :2], F[:2, :2])
    np.testing.assert_allclose(moved[:2, 2] - F[:2, 2], [3.0, -4.0])


def test_euclidean_keeps_the_scale_of_its_start() -> None:
    F = typical_transform("euclidean")
    moved = update(F, [0.4, 1.0, 2.0], "euclidean", SHAPE)
    assert np.sqrt(np.linalg.det(moved[:2, :2])) == pytest.approx(1.7, rel=1e-14)


def test_similarity_is_procrustes_about_the_centre() -> None:
    scale, angle, tx, ty = parameters_from_matrix(
        typical_transform("similarity"), "similarity", SHAPE
    )
    assert (scale, angle, tx, ty) == pytest.approx((1.7, 0.3, 40.0, 33.0))


@pytest.mark.parametrize(
    ("motion", "outsider"),
    [
        ("similarity", "affine"),
        ("euclidean", "affine"),
        ("affine", "homography"),
        ("translation", "homography"),
        ("similarity", "homography"),
    ],
)
def test_transform_outside_the_family_is_refused(motion: str, outsider: str) -> None:
    with pytest.raises(ValueError, match="frame_from_canonical"):
        parameters_from_matrix(typical_transform(outsider), motion, SHAPE)


def test_reflection_is_no_similarity() -> None:
    with pytest.raises(ValueError, match="similarity"):
        parameters_from_matrix(np.diag([1.0, -1.0, 1.0]), "similarity", SHAPE)


def test_linear_part_is_free_of_the_shift_of_a_homography() -> None:
    F = typical_transform("homography")
    tau = parameters_from_matrix(F, "homography", SHAPE)
    np.testing.assert_allclose(linear_part(F, SHAPE).ravel(), tau[:4])


@pytest.mark.parametrize(
    "bad",
    [np.eye(2), np.full((3, 3), np.nan), np.diag([1.0, 1.0, 0.0]) - np.diag([0.0, 0.0, 0.0])],
)
def test_matrix_that_is_no_transform_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frame_from_canonical"):
        parameters_from_matrix(bad, "affine", SHAPE)


def test_unknown_motion_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="motion: expected one of translation"):
        n_parameters("rigid")
