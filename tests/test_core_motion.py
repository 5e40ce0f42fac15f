"""Motion models of the compiled core: against the NumPy twin and central differences."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill import _core, reference
from holdstill.reference import MOTIONS

SHAPE = (61, 80)
POINTS = np.array([[0.0, 0.0], [79.0, 0.0], [12.5, 60.0], [39.5, 30.0]])


def tau(motion: str, seed: int) -> np.ndarray:
    """Parameters of a plausible transform; the identity for seed 0, 1e-8 from it for seed 1."""
    rng = np.random.default_rng(seed)
    identity = {
        "translation": [39.5, 30.0],
        "euclidean": [0.0, 39.5, 30.0],
        "similarity": [1.0, 0.0, 39.5, 30.0],
        "affine": [1.0, 0.0, 0.0, 1.0, 39.5, 30.0],
        "homography": [1.0, 0.0, 0.0, 1.0, 39.5, 30.0, 0.0, 0.0],
    }[motion]
    size = np.where(np.abs(identity) > 10, 30.0, 0.3)
    if motion == "homography":
        size[6:] = 2e-3
    amount = (0.0, 1e-8)[seed] if seed < 2 else 1.0
    return np.asarray(identity + amount * size * rng.uniform(-1, 1, len(size)))


def base(seed: int = 0) -> np.ndarray:
    """A similarity, whose scale a euclidean motion keeps."""
    angle, scale = 0.3 + seed, 1.7
    F = scale * np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 0]]
    )
    F[:, 2] = [20.0, -7.0, 1.0]
    return F


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_are_those_of_the_numpy_twin(motion: str, seed: int) -> None:
    close = {"rtol": 1e-10, "atol": 1e-10}
    parameters = tau(motion, seed)
    F = _core.matrix_from_parameters(parameters, base(), motion, SHAPE)
    twin = reference.matrix_from_parameters(parameters, base(), motion, SHAPE)
    np.testing.assert_allclose(F, twin, **close)
    np.testing.assert_allclose(
        _core.parameters_from_matrix(F, motion, SHAPE),
        reference.parameters_from_matrix(F, motion, SHAPE),
        **close,
    )
    step = 0.01 * tau(motion, seed + 10)
    np.testing.assert_allclose(
        _core.update(F, step, motion, SHAPE), reference.update(F, step, motion, SHAPE), **close
    )
    np.testing.assert_allclose(
        _core.warp_jacobian(F, motion, SHAPE, POINTS),
        reference.warp_jacobian(F, motion, SHAPE, POINTS),
        **close,
    )
    assert _core.n_parameters(motion) == reference.n_parameters(motion) == len(parameters)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("motion", MOTIONS)
def test_parameters_survive_the_way_through_the_matrix(motion: str, seed: int) -> None:
    parameters = tau(motion, seed)
    F = _core.matrix_from_parameters(parameters, base(), motion, SHAPE)
    back = _core.parameters_from_matrix(F, motion, SHAPE)
    np.testing.assert_allclose(back, parameters, rtol=1e-12, atol=1e-12)
    scaled = _core.parameters_from_matrix(-3.0 * F, motion, SHAPE)
    np.testing.assert_allclose(scaled, parameters, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("motion", MOTIONS)
def test_warp_jacobian_is_the_derivative_of_the_mapped_points(motion: str, seed: int) -> None:
    F = _core.matrix_from_parameters(tau(motion, seed), base(), motion, SHAPE)
    jacobian = _core.warp_jacobian(F, motion, SHAPE, POINTS)

    def mapped(step: np.ndarray) -> np.ndarray:
        moved = _core.update(F, step, motion, SHAPE)
        x, y, z = moved @ np.column_stack([POINTS, np.ones(len(POINTS))]).T
        return np.stack([x / z, y / z], axis=1)

    for k in range(_core.n_parameters(motion)):
        step = np.zeros(_core.n_parameters(motion))
        step[k] = 1e-7 if k >= 6 else 1e-5
        difference = (mapped(step) - mapped(-step)) / (2 * step[k])
        np.testing.assert_allclose(jacobian[:, :, k], difference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("motion", ["translation", "euclidean"])
def test_what_a_model_does_not_estimate_comes_from_its_base(motion: str) -> None:
    F = _core.update(base(), 0.1 * np.ones(_core.n_parameters(motion)), motion, SHAPE)
    assert np.linalg.det(F[:2, :2]) == pytest.approx(1.7**2, rel=1e-12)
    if motion == "translation":
        np.testing.assert_allclose(F[:2, :2], base()[:2, :2], rtol=1e-14)


SHEAR = np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
MIRROR = np.diag([1.0, -1.0, 1.0])
PERSPECTIVE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1e-3, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("matrix", "motion"),
    [
        (SHEAR, "euclidean"),
        (SHEAR, "similarity"),
        (MIRROR, "similarity"),
        (PERSPECTIVE, "affine"),
        (PERSPECTIVE, "translation"),
    ],
)
def test_transform_outside_of_the_model_is_refused_as_by_the_twin(
    matrix: np.ndarray, motion: str
) -> None:
    for kernels in (_core, reference):
        with pytest.raises(ValueError, match="frame_from_canonical"):
            kernels.parameters_from_matrix(matrix, motion, SHAPE)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: _core.n_parameters("rigid"), "motion"),
        (lambda: _core.update(np.eye(3), np.zeros(3), "affine", SHAPE), "step"),
        (lambda: _core.update(np.eye(2), np.zeros(6), "affine", SHAPE), "frame_from_canonical"),
        (
            lambda: _core.update(np.full((3, 3), np.nan), np.zeros(6), "affine", SHAPE),
            "frame_from_canonical",
        ),
        (lambda: _core.matrix_from_parameters(np.zeros(5), np.eye(3), "affine", SHAPE), "param"),
        (lambda: _core.matrix_from_parameters(np.ones(6), np.eye(4), "affine", SHAPE), "base"),
        (lambda: _core.warp_jacobian(np.eye(3), "affine", SHAPE, np.zeros(2)), "points"),
        (lambda: _core.parameters_from_matrix(np.eye(3), "affine", (1, 9)), "shape"),
    ],
)
def test_wrong_argument_is_named(call, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()
