"""One frame against a dictionary, NumPy reference: known motions, statuses, the limit of noise."""

from __future__ import annotations

import numpy as np
import pytest
from textures import SHAPE, corner_error, displacement, texture

from holdstill.reference import FEATURES, MOTIONS, align_frame, linearize, update
from holdstill.reference.motion import parameters_from_matrix


def start() -> np.ndarray:
    F = 1.4 * np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 0]])
    F[:, 2] = [38.0, 22.0, 1.0]
    return F


def atoms_of(
    frames: list[np.ndarray], F: np.ndarray, motion: str, features: str = "grey"
) -> np.ndarray:
    vectors = [
        linearize(frame, F, shape=SHAPE, motion=motion, features=features).vector
        for frame in frames
    ]
    return np.stack(vectors, axis=1)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_known_motion_is_recovered(motion: str, features: str) -> None:
    truth = start()
    frame = texture()
    atoms = atoms_of([frame, texture(1), texture(2)], truth, motion, features)
    initial = update(truth, displacement(motion), motion, SHAPE)
    assert corner_error(initial, truth) > 1.0
    found = align_frame(frame, atoms, initial, shape=SHAPE, motion=motion, features=features)
    assert found.status == "converged"
    assert found.step <= 1e-6
    assert found.iterations < 60
    assert corner_error(found.frame_from_canonical, truth) < 0.02
    assert np.argmax(np.abs(found.coefficients)) == 0


def test_brightness_does_not_matter() -> None:
    truth, frame = start(), texture()
    atoms = atoms_of([frame], truth, "affine")
    initial = update(truth, displacement("affine"), "affine", SHAPE)
    found = [
        align_frame(scale * frame, atoms, initial, shape=SHAPE, motion="affine")
        for scale in (1.0, 0.01)
    ]
    np.testing.assert_allclose(
        found[0].frame_from_canonical, found[1].frame_from_canonical, atol=1e-6
    )


def test_returned_point_is_a_fixed_point_with_a_certified_solution() -> None:
    frame = texture() + np.random.default_rng(0).normal(0, 3, texture().shape)
    atoms = atoms_of([texture(), texture(1)], start(), "affine")
    options = {"shape": SHAPE, "motion": "affine"}
    initial = update(start(), displacement("affine"), "affine", SHAPE)
    found = align_frame(frame, atoms, initial, **options)
    assert found.status == "converged"
    assert found.gap <= 1e-9 * found.residual**2
    now = linearize(frame, found.frame_from_canonical, lowpass_from=initial, **options)
    gradient = now.jacobian.T @ (atoms @ found.coefficients)
    scale = np.linalg.norm(now.jacobian, axis=0)
    assert np.abs(gradient / scale).max() < 1e-4


def test_start_that_is_already_right_stays() -> None:
    atoms = atoms_of([texture()], start(), "affine")
    found = align_frame(texture(), atoms, start(), shape=SHAPE, motion="affine")
    assert found.status == "converged"
    assert found.iterations <= 2
    assert corner_error(found.frame_from_canonical, start()) < 1e-9


def test_region_of_interest_makes_what_lies_outside_of_it_irrelevant() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[8:30, 8:36] = True
    truth, frame = start(), texture()
    options = {"shape": SHAPE, "motion": "similarity", "roi": mask}
    atom = linearize(frame, truth, **options).vector
    initial = update(truth, [0.01, 0.01, 0.5, -0.3], "similarity", SHAPE)
    spoilt = frame.copy()
    spoilt[:15] = 0.0
    whole, part = (align_frame(f, atom[:, None], initial, **options) for f in (frame, spoilt))
    np.testing.assert_array_equal(whole.frame_from_canonical, part.frame_from_canonical)


def test_cap_is_never_called_converged() -> None:
    atoms = atoms_of([texture()], start(), "affine")
    initial = update(start(), displacement("affine"), "affine", SHAPE)
    found = align_frame(texture(), atoms, initial, shape=SHAPE, motion="affine", max_iterations=2)
    assert (found.status, found.iterations) == ("max_iterations", 2)


def aligned_status(frame: np.ndarray, F: np.ndarray, motion: str = "affine") -> str:
    atoms = atoms_of([texture()], start(), motion)
    return align_frame(frame, atoms, F, shape=SHAPE, motion=motion).status


def test_frame_that_is_mostly_outside_is_out_of_frame() -> None:
    away = start()
    away[0, 2] = -60.0
    assert aligned_status(texture(), away) == "out_of_frame"


@pytest.mark.parametrize("level", [0.0, 128.0])
def test_flat_frame_is_singular(level: float) -> None:
    assert aligned_status(np.full((120, 130), level), start()) == "singular"


def test_stripes_do_not_determine_an_affine_motion() -> None:
    stripes = 100 + 50 * np.sin(np.arange(130) / 5.0) * np.ones((120, 1))
    straight = np.diag([1.4, 1.4, 1.0])
    straight[:2, 2] = 20.0
    assert aligned_status(stripes, straight) == "singular"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frame_that_is_not_finite_is_unreadable(value: float) -> None:
    frame = texture()
    frame[60, 60] = value
    found = align_frame(
        frame, atoms_of([texture()], start(), "affine"), start(), shape=SHAPE, motion="affine"
    )
    assert found.status == "unreadable"
    np.testing.assert_array_equal(found.frame_from_canonical, start())


def test_zoom_by_more_than_two_has_collapsed() -> None:
    y, x = np.mgrid[:240, :240] - 120.0
    wide, narrow = (np.exp(-(x**2 + y**2) / (2 * s**2)) for s in (60.0, 9.0))
    F = np.eye(3)
    F[:2, 2] = 98.0
    options = {"shape": SHAPE, "motion": "similarity"}
    atom = linearize(narrow + 0.2 * np.roll(narrow, 6, 1), F, **options).vector
    found = align_frame(wide + 0.2 * np.roll(wide, 40, 1), atom[:, None], F, **options)
    assert found.status == "collapsed"


def test_start_outside_of_the_motion_model_is_refused() -> None:
    sheared = start()
    sheared[0, 1] += 0.2
    with pytest.raises(ValueError, match="similarity"):
        aligned_status(texture(), sheared, "similarity")


def test_dictionary_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="atoms"):
        align_frame(texture(), np.ones((7, 2)), start(), shape=SHAPE, motion="affine")


def test_spread_under_noise_is_the_cramer_rao_bound() -> None:
    """White noise on the samples' scale: the bound of equations §3, with H of the filter."""
    truth, frame, options = start(), texture(), {"shape": SHAPE, "motion": "translation"}
    atom = linearize(frame, truth, **options).vector
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        noisy = frame + rng.normal(0, 4.0, frame.shape)
        aligned = align_frame(noisy, atom[:, None], truth, **options)
        found.append(parameters_from_matrix(aligned.frame_from_canonical, "translation", SHAPE))
    clean = linearize(frame, truth, normalize=False, **options)
    J = clean.jacobian - np.outer(atom, atom @ clean.jacobian)
    K = np.linalg.inv(J.T @ J)
    impulses = rng.normal(0, 4.0, (200, *frame.shape))
    noise = [linearize(e, truth, normalize=False, **options).vector for e in impulses]
    bound = np.std([K @ J.T @ e for e in noise], axis=0)
    np.testing.assert_allclose(np.std(found, axis=0), bound, rtol=0.35)
