"""Filters, warp, features and Jacobians of the NumPy reference, against an analytic image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage

from holdstill.reference import (
    FEATURES,
    MOTIONS,
    gaussian_kernel,
    linearize,
    low_pass,
    lowpass_sigma,
    matrix_from_parameters,
    n_parameters,
    parameters_from_matrix,
    update,
    warp,
)
from holdstill.reference.image import feature_sigma, octave, outside, sample_bilinear
from holdstill.reference.motion import map_points
from holdstill.reference.warp import canonical_points

SHAPE = (30, 36)
SIGMA = 0.8


def waves(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wave vectors (wavelengths 100 to 300 px), amplitudes and phases of an analytic image."""
    rng = np.random.default_rng(seed)
    angles, lengths = rng.uniform(0, 2 * np.pi, 8), rng.uniform(100, 300, 8)
    k = 2 * np.pi / lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return k, rng.uniform(5, 20, 8), rng.uniform(0, 2 * np.pi, 8)


def analytic(points: np.ndarray, blur: float) -> np.ndarray:
    """The image, low-passed by a Gaussian of σ = blur, at positions."""
    k, amplitude, phase = waves()
    damped = amplitude * np.exp(-(blur**2) * (k**2).sum(axis=1) / 2)
    return 100 + np.sin(points @ k.T + phase) @ damped


def analytic_gradient(points: np.ndarray, blur: float) -> np.ndarray:
    k, amplitude, phase = waves()
    damped = amplitude * np.exp(-(blur**2) * (k**2).sum(axis=1) / 2)
    return (np.cos(points @ k.T + phase) * damped) @ k


def frame(height: int = 260, width: int = 280) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return analytic(np.stack([x, y], axis=-1).reshape(-1, 2).astype(float), 0.0).reshape(x.shape)


def transform(motion: str, scale: float) -> np.ndarray:
    """A transform of the family that stays well inside of the frame."""
    turn = scale * np.array([[np.cos(0.25), -np.sin(0.25)], [np.sin(0.25), np.cos(0.25)]])
    if motion in ("translation", "affine", "homography"):
        turn = turn @ np.array([[1.06, 0.1], [0.02, 0.95]])
    parameters = [*turn.ravel(), 140.3, 128.6]
    if motion == "homography":
        return matrix_from_parameters([*parameters, 2e-3, -1.5e-3], np.eye(3), motion, SHAPE)
    return matrix_from_parameters(parameters, np.eye(3), "affine", SHAPE)


def analytic_vector(
    F: np.ndarray, initial: np.ndarray, features: str, normalize: bool
) -> np.ndarray:
    """f(I∘τ) computed from the continuous image: sharing no code with the library."""
    u = canonical_points(None, SHAPE)
    if features == "grey":
        vector = analytic(map_points(F, u), lowpass_sigma(initial, SHAPE))
    else:
        blur = feature_sigma(initial, SHAPE, SIGMA)
        h = 1e-4
        slopes = [
            (map_points(F, u + h * axis) - map_points(F, u - h * axis)) / (2 * h)
            for axis in np.eye(2)
        ]
        gradient = analytic_gradient(map_points(F, u), blur)
        edges = np.stack([(slope * gradient).sum(axis=1) for slope in slopes])
        vector = edges.ravel() if features == "edges" else np.hypot(*edges)
    return vector / np.linalg.norm(vector) if normalize else vector


def differences(
    function: Callable[[np.ndarray], np.ndarray], F: np.ndarray, motion: str
) -> np.ndarray:
    size = np.array(
        [1e-4 if abs(t) < 10 else 1e-3 for t in parameters_from_matrix(F, motion, SHAPE)]
    )
    if motion == "homography":
        size[6:] = 1e-6
    columns = []
    for step in np.diag(size):
        ahead, behind = (function(update(F, s, motion, SHAPE)) for s in (step, -step))
        columns.append((ahead - behind) / (2 * np.abs(step).max()))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_vector_and_jacobian_are_those_of_the_continuous_image(
    motion: str, features: str, scale: float, normalize: bool
) -> None:
    initial = transform(motion, scale)
    F = update(initial, 0.002 * parameters_from_matrix(initial, motion, SHAPE), motion, SHAPE)
    now = linearize(
        frame(), F, shape=SHAPE, motion=motion, features=features, sigma=SIGMA,
        lowpass_from=initial, normalize=normalize,
    )  # fmt: skip
    expected = analytic_vector(F, initial, features, normalize)
    assert now.outside == 0
    assert np.linalg.norm(now.vector - expected) < 0.01 * np.linalg.norm(expected)
    jacobian = differences(lambda G: analytic_vector(G, initial, features, normalize), F, motion)
    error = np.linalg.norm(now.jacobian - jacobian, axis=0) / np.linalg.norm(jacobian, axis=0)
    assert error.max() < 0.04


@pytest.mark.parametrize("features", FEATURES)
def test_unit_norm_vector_is_orthogonal_to_its_jacobian(features: str) -> None:
    F = transform("affine", 1.5)
    now = linearize(frame(), F, shape=SHAPE, motion="affine", features=features)
    assert np.linalg.norm(now.vector) == pytest.approx(1.0, rel=1e-14)
    assert np.abs(now.vector @ now.jacobian).max() < 1e-14
    raw = linearize(frame(), F, shape=SHAPE, motion="affine", features=features, normalize=False)
    assert now.norm == pytest.approx(np.linalg.norm(raw.vector), rel=1e-14)


def test_edges_are_those_of_the_warped_image_along_canonical_axes() -> None:
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(5).uniform(0, 255, (260, 280)), 3)
    F = transform("similarity", 1.5)  # the largest scale that is not decimated
    blurred = low_pass(noise, lowpass_sigma(F, SHAPE))
    margin = 8
    shift = np.eye(3)
    shift[:2, 2] = -margin
    wide = warp(blurred, F @ shift, (SHAPE[0] + 2 * margin, SHAPE[1] + 2 * margin))
    inside = (slice(margin, -margin), slice(margin, -margin))
    expected = np.stack(
        [
            scipy.ndimage.gaussian_filter(wide, SIGMA, order=order)[inside]
            for order in ((0, 1), (1, 0))
        ]
    )
    now = linearize(
        noise, F, shape=SHAPE, motion="similarity", features="edges", sigma=SIGMA, normalize=False
    )
    assert np.linalg.norm(now.vector - expected.ravel()) < 0.03 * np.linalg.norm(expected)


def test_edges_turn_with_the_canonical_frame() -> None:
    """A quarter turn of the canonical frame turns (E_x, E_y) into (E_y, -E_x)."""
    shape = (31, 31)
    upright = matrix_from_parameters([1.5, 0.0, 140, 120], np.eye(3), "similarity", shape)
    turned = matrix_from_parameters([1.5, np.pi / 2, 140, 120], np.eye(3), "similarity", shape)
    options = {"shape": shape, "motion": "similarity", "features": "edges", "normalize": False}
    e_x, e_y = linearize(frame(), upright, **options).vector.reshape(2, *shape)
    t_x, t_y = linearize(frame(), turned, **options).vector.reshape(2, *shape)
    np.testing.assert_allclose(t_x, np.rot90(e_y), atol=1e-9)
    np.testing.assert_allclose(t_y, np.rot90(-e_x), atol=1e-9)


def test_region_of_interest_picks_its_rows_in_raster_order() -> None:
    mask = np.random.default_rng(0).random(SHAPE) < 0.3
    options = {"shape": SHAPE, "motion": "affine", "normalize": False}
    F = transform("affine", 1.2)
    whole = linearize(frame(), F, **options)
    part = linearize(frame(), F, roi=mask, **options)
    np.testing.assert_array_equal(part.vector, whole.vector[mask.ravel()])
    np.testing.assert_array_equal(part.jacobian, whole.jacobian[mask.ravel()])


@pytest.mark.parametrize("features", FEATURES)
def test_samples_outside_of_the_frame_are_counted_and_do_not_move(features: str) -> None:
    F = np.eye(3)
    F[0, 2] = -10.0
    now = linearize(
        frame(), F, shape=SHAPE, motion="translation", features=features, normalize=False
    )
    assert now.outside == 10 * SHAPE[0]
    left = now.jacobian.reshape(-1, *SHAPE, 2)[:, :, :10]
    assert not left.any()
    grey = linearize(frame(), F, shape=SHAPE, motion="affine", normalize=False).vector.reshape(
        SHAPE
    )
    np.testing.assert_array_equal(grey[:, :10], np.repeat(grey[:, 10:11], 10, axis=1))


@pytest.mark.parametrize("features", FEATURES)
def test_black_frame_has_zero_norm_and_no_nan(features: str) -> None:
    now = linearize(np.zeros((50, 50)), np.eye(3), shape=SHAPE, motion="affine", features=features)
    assert now.norm == 0.0
    assert not now.vector.any() and not now.jacobian.any()


def test_jacobian_of_the_magnitude_is_zero_where_the_frame_is_flat() -> None:
    step_edge = np.zeros((60, 60))
    step_edge[:, 40:] = 200.0
    now = linearize(
        step_edge, np.eye(3), shape=SHAPE, motion="affine", features="magnitude", normalize=False
    )
    assert np.isfinite(now.jacobian).all()
    assert not now.jacobian.reshape(*SHAPE, 6)[:, :20].any()


def test_kernels_are_exact_on_constants_and_ramps() -> None:
    for sigma in (0.7, 1.3, 3.1):
        smooth, derivative = gaussian_kernel(sigma), gaussian_kernel(sigma, order=1)
        assert len(smooth) == len(derivative) == 2 * int(4 * sigma + 0.5) + 1
        ramp = np.arange(60.0)
        assert np.convolve(ramp, smooth, "valid") == pytest.approx(
            ramp[len(smooth) // 2 : -(len(smooth) // 2)]
        )
        assert np.convolve(ramp, derivative, "valid") == pytest.approx(1.0, rel=1e-12)


def test_low_pass_is_scipys_gaussian_filter() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (40, 50))
    expected = scipy.ndimage.gaussian_filter(image, 1.4, mode="nearest")
    np.testing.assert_allclose(low_pass(image, 1.4), expected, atol=1e-10)


def test_low_pass_follows_the_scale_between_frame_and_canonical_frame() -> None:
    assert lowpass_sigma(np.eye(3), SHAPE) == 0.7
    assert lowpass_sigma(transform("similarity", 5.0), SHAPE) == pytest.approx(2.0)
    assert feature_sigma(transform("similarity", 5.0), SHAPE, 0.8) == pytest.approx(np.hypot(2, 4))
    assert [octave(s) for s in (0.7, 1.399, 1.4, 2.79, 2.81)] == [0, 0, 1, 1, 2]


def test_warp_is_exact_on_a_plane_and_keeps_colour() -> None:
    y, x = np.mgrid[:50, :60].astype(float)
    colour = np.stack([x, y, x + y], axis=-1)
    F = matrix_from_parameters([1.1, 0.2, 25.0, 24.0], np.eye(3), "similarity", (12, 14))
    warped = warp(colour, F, (12, 14))
    positions = map_points(F, canonical_points(None, (12, 14))).reshape(12, 14, 2)
    np.testing.assert_allclose(warped[..., :2], positions, atol=1e-12)
    np.testing.assert_allclose(warped[..., 2], positions.sum(axis=-1), atol=1e-12)


def test_identity_warp_is_the_frame_itself() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    np.testing.assert_array_equal(warp(image, np.eye(3), (20, 30)), image)


def test_samples_agree_with_scipys_linear_interpolation() -> None:
    rng = np.random.default_rng(0)
    plane, points = rng.uniform(size=(17, 23)), rng.uniform(-3, 26, (200, 2))
    expected = scipy.ndimage.map_coordinates(plane, points.T[::-1], order=1, mode="nearest")
    np.testing.assert_allclose(sample_bilinear(plane, points), expected, atol=1e-13)


def test_one_pixel_frame_is_sampled_everywhere() -> None:
    points = np.array([[0.0, 0.0], [3.0, -2.0], [np.nan, 1.0]])
    assert sample_bilinear(np.array([[7.0]]), points).tolist() == [7.0, 7.0, 7.0]
    assert outside(points, 1, 1).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"features": "sobel"}, "features"),
        ({"motion": "rigid"}, "motion"),
        ({"roi": np.zeros(SHAPE, bool)}, "roi"),
        ({"roi": np.ones((3, 3), bool)}, "roi"),
        ({"features": "edges", "sigma": -1.0}, "sigma"),
    ],
)
def test_wrong_argument_is_named(change: dict[str, object], named: str) -> None:
    options: dict[str, object] = {"shape": SHAPE, "motion": "affine"} | change
    with pytest.raises(ValueError, match=named):
        linearize(frame(60, 60), np.eye(3), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros(5), np.array([["a"]])])
def test_image_that_is_not_grey_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image"):
        linearize(image, np.eye(3), shape=SHAPE, motion="affine")


def test_numbers_of_parameters_match_the_jacobian() -> None:
    for motion in MOTIONS:
        now = linearize(frame(60, 60), np.eye(3), shape=SHAPE, motion=motion)
        assert now.jacobian.shape == (SHAPE[0] * SHAPE[1], n_parameters(motion))
