"""The look around a start: the compiled one finds what the NumPy twin does, and the truth."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill import _core, reference
from holdstill.reference import MOTIONS
from holdstill.reference.search import APART, SearchRange

SHAPE = (26, 24)


def scene(seed=0, size=(150, 170)):
    """Smooth textures about the middle of a frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    image = np.full(size, 110.0)
    for _ in range(40):
        cx, cy = rng.normal((85, 75), (25, 25))
        width = rng.uniform(4, 9)
        image += rng.uniform(-45, 45) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
    return image.astype(np.float32)


def place(x=85.0, y=75.0, scale=3.0, angle=0.0):
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    transform = np.array([[a, -b, 0.0], [b, a, 0.0], [0.0, 0.0, 1.0]])
    transform[:2, 2] = np.array([x, y]) - transform[:2, :2] @ [11.5, 12.5]
    return transform


def dictionary(options, n=3):
    truths = [place(scale=3.0 + 0.02 * k) for k in range(n)]
    columns = [reference.linearize(scene(), at, **options).vector for at in truths]
    return np.stack(columns, axis=1).astype(np.float32)


def corners_apart(first, second):
    h, w = SHAPE
    corners = np.array([[0, w - 1, w - 1, 0], [0, 0, h - 1, h - 1], [1, 1, 1, 1.0]])
    a, b = (m @ corners for m in (first, second))
    return np.linalg.norm(a[:2] / a[2] - b[:2] / b[2], axis=0).max()


@pytest.mark.parametrize(
    ("motion", "features"),
    [(motion, "edges") for motion in MOTIONS] + [("euclidean", "grey"), ("euclidean", "magnitude")],
)
def test_it_finds_what_the_twin_finds(motion, features):
    options = {"shape": SHAPE, "motion": motion, "features": features}
    atoms, start = dictionary(options), place(x=95.0, y=70.0)
    found, unexplained = _core.search(scene(), atoms, start, **options)
    twin = reference.search(scene(), atoms, start, **options)
    assert len(found) == len(twin.unexplained) > 0
    np.testing.assert_allclose(unexplained, twin.unexplained, atol=1e-4)
    # Nearly equal ones may change places.
    for at, left in zip(found, unexplained, strict=True):
        near = np.abs(twin.unexplained - left) < 1e-4
        assert min(corners_apart(at, other) for other in twin.frame_from_canonical[near]) < 1e-6


def test_a_region_of_interest_is_the_twins_too():
    roi = np.zeros(SHAPE, bool)
    roi[4:20, 3:21] = True
    options = {"shape": SHAPE, "motion": "euclidean", "features": "edges", "roi": roi}
    atoms, start = dictionary(options), place(x=80.0, angle=0.3)
    found, unexplained = _core.search(scene(), atoms, start, **options)
    twin = reference.search(scene(), atoms, start, **options)
    np.testing.assert_allclose(found[0], twin.frame_from_canonical[0], atol=1e-9)
    np.testing.assert_allclose(unexplained, twin.unexplained, atol=1e-4)


@pytest.mark.parametrize(("x", "scale", "angle"), [(103, 3.0, 0), (75, 3.9, 0.3), (85, 2.3, -0.7)])
def test_the_best_start_is_within_a_step_of_the_truth(x, scale, angle):
    options = {"shape": SHAPE, "motion": "similarity", "features": "grey"}
    found, unexplained = _core.search(
        scene(), dictionary(options), place(x, 75, scale, angle), **options
    )
    assert (np.diff(unexplained) >= 0).all()
    limits = SearchRange()
    step = 3.0 * (limits.shift_step * SHAPE[1] + 17 * (limits.rotation_step + 0.12) / 2)
    assert min(corners_apart(at, place()) for at in found[:2]) < step
    assert corners_apart(place(x, 75, scale, angle), place()) > step / 2


def test_starts_differ_and_none_is_given_more_than_asked_for():
    options = {"shape": SHAPE, "motion": "similarity"}
    atoms = dictionary(options)
    found, _ = _core.search(scene(), atoms, place(), **options, kept=3)
    assert len(found) == 3
    for i, first in enumerate(found):
        for second in found[:i]:
            assert corners_apart(np.eye(3), np.linalg.solve(first, second)) >= APART * SHAPE[1]


def test_a_frame_that_shows_nothing_has_no_start():
    options = {"shape": SHAPE, "motion": "translation"}
    atoms, black = dictionary(options), np.zeros((150, 170), np.float32)
    assert len(_core.search(black, atoms, place(), **options)[0]) == 0
    assert len(reference.search(black, atoms, place(), **options).unexplained) == 0


def test_wrong_arguments_are_named():
    options = {"shape": SHAPE, "motion": "translation"}
    with pytest.raises(ValueError, match="kept: expected at least 1"):
        _core.search(scene(), dictionary(options), place(), **options, kept=0)
    with pytest.raises(ValueError, match="atoms: expected shape"):
        _core.search(scene(), np.ones((5, 2), np.float32), place(), **options)


def test_an_end_beyond_the_limits_of_the_start_is_not_taken():
    options = {"shape": SHAPE, "motion": "similarity", "features": "grey"}
    aligner = _core.FrameAligner(dictionary(options), **options, search=True, misfits=(0.02, 0.1))
    assert aligner.align(scene(), place(scale=1.8 * 3.0)).status == "converged"
    found = aligner.align(scene(), place(scale=2.1 * 3.0))
    area = np.linalg.det(found.frame_from_canonical[:2, :2]) / (2.1 * 3.0) ** 2
    assert found.status != "converged" or area > 1 / 4
