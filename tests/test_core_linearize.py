"""Warp, features and Jacobians of the compiled core: NumPy twin, continuous image, bad input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np
import pytest
import textures

from holdstill import _core, reference
from holdstill.canonical import DEFAULT_SIGMA
from holdstill.reference import FEATURES, MOTIONS

SHAPE = (24, 28)
SIGMA = 0.8
# Float32 has 6e-8 per operation. An entry of the vector or of a Jacobian's column is a sum of tens
# of such terms, and a gradient a difference of grey levels ten times its size.
FLOAT32 = 1e-5

texture = partial(textures.texture, size=(220, 240), sigma=4.0, contrast=40.0)


def transform(
    motion: str, scale: float, centre: tuple[float, float] = (118.3, 107.6)
) -> np.ndarray:
    """A transform of the family, `scale` frame pixels per canonical pixel."""
    turn = scale * np.array([[np.cos(0.25), -np.sin(0.25)], [np.sin(0.25), np.cos(0.25)]])
    if motion in ("translation", "affine", "homography"):
        turn = turn @ [[1.05, 0.1], [0.0, 0.95]]
    tau = [*turn.ravel(), *centre]
    if motion == "homography":
        return reference.matrix_from_parameters([*tau, 2e-3, -1.5e-3], np.eye(3), motion, SHAPE)
    return reference.matrix_from_parameters(tau, np.eye(3), "affine", SHAPE)


def mask() -> np.ndarray:
    return np.random.default_rng(9).random(SHAPE) < 0.4


def assert_twin(image: np.ndarray, F: np.ndarray, **options: object) -> int:
    """The core's linearisation is the twin's to float32 rounding; returns the samples outside."""
    options = {"shape": SHAPE, "sigma": SIGMA} | options
    core, twin = (k.linearize(image, F, **options) for k in (_core, reference))
    assert core.outside == twin.outside
    assert core.norm == pytest.approx(twin.norm, rel=FLOAT32)
    assert core.vector.shape == twin.vector.shape
    assert core.jacobian.shape == twin.jacobian.shape
    assert np.linalg.norm(core.vector - twin.vector) <= FLOAT32 * np.linalg.norm(twin.vector)
    error = np.linalg.norm(core.jacobian - twin.jacobian, axis=0)
    assert (error <= FLOAT32 * np.linalg.norm(twin.jacobian, axis=0)).all(), error
    return core.outside


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.9, 4.0, 8.0])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_linearisation_is_that_of_the_numpy_twin(motion: str, features: str, scale: float) -> None:
    image = texture()
    for roi in (None, mask()):
        for normalize in (True, False):
            assert_twin(
                image, transform(motion, scale), motion=motion, features=features, roi=roi,
                normalize=normalize,
            )  # fmt: skip


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_low_pass_of_another_transform_is_that_of_the_numpy_twin(
    motion: str, features: str
) -> None:
    initial = transform(motion, 3.0)
    F = reference.update(initial, 0.02 * reference.parameters_from_matrix(
        initial, motion, SHAPE), motion, SHAPE)  # fmt: skip
    image = texture()
    assert_twin(image, F, motion=motion, features=features, lowpass_from=initial)


@pytest.mark.parametrize("scale", [0.7, 1.0, 4.0])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("centre", [(4.0, 100.0), (237.0, 3.0), (120.0, 216.0)])
def test_samples_outside_of_the_frame_are_those_of_the_numpy_twin(
    centre: tuple[float, float], motion: str, features: str, scale: float
) -> None:
    image = texture()
    F = transform(motion, scale, centre)
    outside = assert_twin(image, F, motion=motion, features=features)
    assert 0 < outside < SHAPE[0] * SHAPE[1]


def views(pixels: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "whole": pixels,
        "every other": pixels[::2, ::3],
        "upside down": pixels[::-1],
        "mirrored": pixels[:, ::-1],
        "transposed": pixels.T,
        "part": pixels[7:, 5:-3],
        "colour plane": np.stack([pixels, pixels + 1, pixels], axis=-1)[..., 1],
        "column-major": np.asfortranarray(pixels),
    }


@pytest.mark.parametrize("view", views(np.zeros((2, 2))))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_slice_of_any_pixel_type_is_read(dtype: type, view: str) -> None:
    scale = 1.0 if dtype == np.uint8 else 200.0
    image = views((scale * texture()).astype(dtype))[view]
    for features in ("grey", "edges"):
        for size in (1.0, 3.0):
            F = transform("affine", size, (0.5 * image.shape[1], 0.5 * image.shape[0]))
            options = {"shape": SHAPE, "motion": "affine", "features": features}
            assert_twin(image, F, motion="affine", features=features)
            copied = _core.linearize(np.ascontiguousarray(image), F, **options)
            seen = _core.linearize(image, F, **options)
            np.testing.assert_array_equal(seen.vector, copied.vector)
            np.testing.assert_array_equal(seen.jacobian, copied.jacobian)


def test_brightness_leaves_the_unit_vector() -> None:
    F = transform("affine", 1.2)
    image = texture()
    bright, dark = (
        _core.linearize(s * image, F, shape=SHAPE, motion="affine") for s in (1.0, 1 / 1024)
    )
    np.testing.assert_allclose(dark.vector, bright.vector, rtol=1e-6)


# The continuous image: plane waves of 100 to 300 pixels. Between samples that are 1 (or, where the
# filter is wide, 2) pixels apart the bilinear samples of such a wave are off by (k h)²/8 and its
# central differences by (k h)²/6: at most 0.3 %, and a little more where columns are projected.
CONTINUOUS = 0.01


def waves() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    angles, lengths = rng.uniform(0, 2 * np.pi, 9), rng.uniform(100, 300, 9)
    k = 2 * np.pi / lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return k, rng.uniform(5, 20, 9), rng.uniform(0, 2 * np.pi, 9)


def continuous(points: np.ndarray, blur: float) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of the image after a Gaussian of σ = blur, at positions."""
    k, amplitude, phase = waves()
    damped = amplitude * np.exp(-(blur**2) * (k**2).sum(axis=1) / 2)
    angle = points @ k.T + phase
    return 128 + np.sin(angle) @ damped, (np.cos(angle) * damped) @ k


def positions(F: np.ndarray, u: np.ndarray) -> np.ndarray:
    x, y, z = F @ np.column_stack([u, np.ones(len(u))]).T
    return np.stack([x / z, y / z], axis=1)


def sampled(F: np.ndarray, scale: float, features: str, normalize: bool) -> np.ndarray:
    """f(I∘τ) of the continuous image, written from its definition."""
    u = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]][::-1], axis=-1).reshape(-1, 2).astype(float)
    low_pass = max(0.7, 0.4 * scale)
    if features == "grey":
        vector, _ = continuous(positions(F, u), low_pass)
    else:
        _, gradient = continuous(positions(F, u), np.hypot(low_pass, SIGMA * scale))
        h = 1e-3
        edges = np.stack(
            [
                ((positions(F, u + h * e) - positions(F, u - h * e)) / (2 * h) * gradient).sum(1)
                for e in np.eye(2)
            ]
        )
        vector = edges.ravel() if features == "edges" else np.hypot(*edges)
    return vector / np.linalg.norm(vector) if normalize else vector


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_jacobian_is_the_derivative_of_the_continuous_image(
    motion: str, features: str, scale: float, normalize: bool
) -> None:
    y, x = np.mgrid[:220, :240].astype(float)
    image = continuous(np.stack([x, y], -1).reshape(-1, 2), 0.0)[0].reshape(x.shape)
    F = transform(motion, scale)
    L = reference.parameters_from_matrix(F, "homography", SHAPE)[:4].reshape(2, 2)
    size = np.sqrt(np.linalg.det(L))
    now = _core.linearize(
        image.astype(np.float32), F, shape=SHAPE, motion=motion, features=features, sigma=SIGMA,
        normalize=normalize,
    )  # fmt: skip
    expected = sampled(F, size, features, normalize)
    assert np.linalg.norm(now.vector - expected) <= CONTINUOUS * np.linalg.norm(expected)
    for k in range(_core.n_parameters(motion)):
        step = np.zeros(_core.n_parameters(motion))
        step[k] = 1e-6 if k >= 6 else 1e-4
        ahead, behind = (
            sampled(_core.update(F, s, motion, SHAPE), size, features, normalize)
            for s in (step, -step)
        )
        difference = (ahead - behind) / (2 * step[k])
        error = np.linalg.norm(now.jacobian[:, k] - difference)
        assert error <= CONTINUOUS * np.linalg.norm(difference), k


@pytest.mark.parametrize("features", FEATURES)
def test_black_frame_has_zero_norm_and_no_nan(features: str) -> None:
    black = np.zeros((50, 50), np.uint8)
    now = _core.linearize(black, np.eye(3), shape=SHAPE, motion="affine", features=features)
    assert now.norm == 0.0
    assert not now.vector.any()
    assert not now.jacobian.any()


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (40, 1)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_smallest_frames_and_extreme_scales_are_those_of_the_numpy_twin(
    size: tuple[int, int], features: str, scale: float
) -> None:
    image = np.random.default_rng(0).integers(1, 255, size, dtype=np.uint8)
    F = transform("affine", scale, (0.4 * size[1], 0.4 * size[0]))
    options = {"shape": SHAPE, "motion": "affine", "features": features, "normalize": False}
    core = _core.linearize(image, F, **options)
    assert np.isfinite(core.vector).all()
    assert np.isfinite(core.jacobian).all()
    # The core's filter is never wider than a quarter of the frame, the twin's is.
    if scale <= 1.0 and (features == "grey" or max(size) >= 40):
        twin = reference.linearize(image, F, **options)
        np.testing.assert_allclose(core.vector, twin.vector, rtol=0, atol=255 * FLOAT32)
        assert core.outside == twin.outside


@pytest.mark.parametrize("kernels", [_core, reference])
def test_kernels_have_the_sigma_of_the_package_by_default(kernels: ModuleType) -> None:
    options = {"shape": SHAPE, "motion": "affine", "features": "edges"}
    vectors = [
        kernels.linearize(texture(), transform("affine", 1.0), **options, **sigma).vector
        for sigma in ({}, {"sigma": DEFAULT_SIGMA})
    ]
    np.testing.assert_array_equal(*vectors)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_warped_picture_is_that_of_the_numpy_twin(dtype: type, channels: int | None) -> None:
    image = (
        texture() if channels is None else np.stack([texture(k) for k in range(3)], -1)
    ).astype(dtype)
    for F in (transform("homography", 1.3), transform("affine", 9.0), transform("affine", 0.1)):
        for picture in (image, image[::-1, ::2]):
            warped = _core.warp(picture, F, SHAPE)
            twin = reference.warp(picture, F, SHAPE)
            assert warped.dtype == dtype
            assert warped.shape == twin.shape
            if np.issubdtype(dtype, np.integer):
                np.testing.assert_allclose(warped, twin, atol=0.5 + 1e-3)
            else:
                np.testing.assert_allclose(
                    warped, twin, rtol=1e-5 if dtype == np.float32 else 1e-12
                )


OPTIONS = {"shape": SHAPE, "motion": "affine"}
GREY = np.zeros((40, 50), np.uint8)
ENDLESS = np.broadcast_to(np.uint8(0), (2, 2**31 + 9))  # one byte


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: _core.linearize(GREY.astype(np.float64), np.eye(3), **OPTIONS), "image"),
        (lambda: _core.linearize(GREY.astype(">u2"), np.eye(3), **OPTIONS), "image"),
        (lambda: _core.linearize(GREY[0], np.eye(3), **OPTIONS), "image"),
        (lambda: _core.linearize(GREY[:0], np.eye(3), **OPTIONS), "image"),
        (lambda: _core.linearize(GREY, np.eye(2), **OPTIONS), "frame_from_canonical"),
        (lambda: _core.linearize(GREY, np.eye(3) * np.nan, **OPTIONS), "frame_from_canonical"),
        (lambda: _core.linearize(GREY, np.eye(3), shape=SHAPE, motion="rigid"), "motion"),
        (lambda: _core.linearize(GREY, np.eye(3), features="sobel", **OPTIONS), "features"),
        (lambda: _core.linearize(GREY, np.eye(3), sigma=-1.0, **OPTIONS), "sigma"),
        (lambda: _core.linearize(GREY, np.eye(3), sigma=np.nan, **OPTIONS), "sigma"),
        (lambda: _core.linearize(GREY, np.eye(3), shape=(0, 9), motion="affine"), "shape"),
        (lambda: _core.linearize(GREY, np.eye(3), shape=(10**9, 9), motion="affine"), "shape"),
        (lambda: _core.linearize(GREY, np.eye(3), roi=np.zeros(SHAPE, bool), **OPTIONS), "roi"),
        (lambda: _core.linearize(GREY, np.eye(3), roi=np.ones((3, 3), bool), **OPTIONS), "roi"),
        (lambda: _core.linearize(GREY, np.eye(3), roi=[[1], [1, 2]], **OPTIONS), "roi"),
        (
            lambda: _core.linearize(GREY, np.eye(3), lowpass_from=np.eye(4), **OPTIONS),
            "lowpass_from",
        ),
        (lambda: _core.linearize("image", np.eye(3), **OPTIONS), "image"),
        (lambda: _core.warp(GREY.astype(np.int32), np.eye(3), SHAPE), "image"),
        (lambda: _core.warp(GREY, np.full((3, 3), np.inf), SHAPE), "frame_from_canonical"),
        (lambda: _core.linearize(ENDLESS, np.eye(3), **OPTIONS), "no side longer than"),
        (lambda: _core.warp(ENDLESS, np.eye(3), SHAPE), "no side longer than"),
    ],
)
def test_wrong_argument_is_named(call: Callable[[], object], named: str) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        call()


def test_region_beyond_the_horizon_is_refused() -> None:
    F = reference.matrix_from_parameters(
        [1, 0, 0, 1, 100, 100, 0.2, 0], np.eye(3), "homography", SHAPE
    )
    with pytest.raises(ValueError, match="frame_from_canonical"):
        _core.linearize(texture(), F, shape=SHAPE, motion="homography")
