"""Anderson acceleration of the outer loop: the same fixed points, in fewer iterations."""

from __future__ import annotations

import numpy as np
import pytest
from textures import SHAPE, corner_error, dictionary, displaced, hidden, mixed, start

from holdstill import _core
from holdstill.reference import FEATURES, MOTIONS


@pytest.mark.parametrize("loss", ["l2", "huber", "l1"])
@pytest.mark.parametrize("features", FEATURES)
def test_fixed_points_are_those_of_plain_steps_and_are_reached_sooner(
    features: str, loss: str
) -> None:
    iterations = []
    for motion in MOTIONS:
        atoms, initial = dictionary(8, motion, features), displaced(start(), motion)
        options = {"shape": SHAPE, "motion": motion, "features": features, "loss": loss}
        cores = [
            _core.FrameAligner(atoms, kappa=6e-3, acceleration=depth, **options) for depth in (0, 4)
        ]
        for seed in range(3):
            plain, quick = (core.align(mixed(seed), initial) for core in cores)
            assert plain.status == quick.status == "converged"
            assert corner_error(quick.frame_from_canonical, plain.frame_from_canonical) < 1e-3
            assert quick.step <= _core.DEFAULT_TOLERANCE
            np.testing.assert_allclose(quick.coefficients, plain.coefficients, atol=1e-3)
            iterations.append((plain.iterations, quick.iterations))
    plain_mean, quick_mean = np.mean(iterations, axis=0)
    # Frames that need 7 iterations leave little to spare; the hard ones below leave more.
    assert quick_mean < plain_mean


@pytest.mark.parametrize("features", FEATURES)
def test_hard_frames_converge_wherever_they_do_with_plain_steps(features: str) -> None:
    """A bright occlusion of a fifth: a slow and kinked map may send it round in circles."""
    slow = []
    for motion in MOTIONS:
        atoms, initial = dictionary(8, motion, features), displaced(start(), motion)
        options = {"shape": SHAPE, "motion": motion, "features": features, "kappa": 6e-3}
        for loss in ("huber", "l1"):
            for seed in range(3):
                frame = mixed(seed)
                frame[60:84, 70:94] = 250.0
                plain, quick = (
                    _core.FrameAligner(atoms, loss=loss, acceleration=depth, **options).align(
                        frame, initial
                    )
                    for depth in (0, 4)
                )
                if plain.status == "converged" and plain.iterations < 150:
                    assert quick.status == "converged", (motion, loss, seed)
                    slow.append((plain.iterations, quick.iterations))
    plain_mean, quick_mean = np.mean(slow, axis=0)
    assert plain_mean > 60
    if features != "magnitude":  # where few converge at all, and those no sooner
        assert len(slow) > 10
        assert quick_mean < 0.7 * plain_mean


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_depth_ends_in_the_same_place(depth: int) -> None:
    options = {"shape": SHAPE, "motion": "affine"}
    plain, quick = (
        _core.FrameAligner(dictionary(8), acceleration=each, **options).align(
            hidden(mixed(1)), displaced(start(), "affine")
        )
        for each in (0, depth)
    )
    assert quick.iterations < plain.iterations
    assert corner_error(quick.frame_from_canonical, plain.frame_from_canonical) < 1e-3


@pytest.mark.parametrize("depth", [-1, 5])
def test_depth_out_of_range_is_named(depth: int) -> None:
    with pytest.raises(ValueError, match="acceleration: expected"):
        _core.FrameAligner(dictionary(2), shape=SHAPE, motion="affine", acceleration=depth)
