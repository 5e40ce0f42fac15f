"""RASL's outer loop in pure NumPy: known misalignments, the gauge, what it returns, bad batches."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from textures import smooth_noise

import holdstill.reference as reference
from holdstill.learning.gauge import compose_gauge
from holdstill.learning.rasl import RaslImageError, RaslResult, rasl
from holdstill.reference import MOTIONS, linearize, update, upper_bound
from holdstill.reference.motion import map_points

SHAPE = (36, 40)
N = 10


def scene(n: int = N, seed: int = 0, modes: float = 0.0, spoilt: bool = False) -> list[np.ndarray]:
    """A texture under a changing exposure that does not move: equal transforms are the truth.

    Modes of appearance, where asked for, are unlike any motion of the texture. Where they are not
    (a light that wanders), the nuclear norm explains a part of them by motion, and its optimum is
    not the truth.
    """
    rng = np.random.default_rng(seed)
    mean, first, second = (smooth_noise(rng, (90, 100), sigma) for sigma in (4.0, 2.0, 2.0))
    frames = []
    for _ in range(n):
        weights = modes * rng.standard_normal(2)
        frame = 120 + 40 * mean + weights[0] * first + weights[1] * second
        frame = rng.uniform(0.7, 1.0) * frame
        if spoilt:
            row, column = rng.integers(25, 55, 2)
            frame[row : row + 9, column : column + 9] = 255.0
        frames.append(frame)
    return frames


def misaligned(motion: str, n: int = N, seed: int = 1, size: float = 1.0) -> np.ndarray:
    base = np.array([[1.3, 0.1, 18.0], [-0.1, 1.3, 22.0], [0.0, 0.0, 1.0]])
    sizes = {
        "translation": [1.0, 1.0],
        "euclidean": [0.02, 1.0, 1.0],
        "similarity": [0.02, 0.02, 1.0, 1.0],
        "affine": [0.02] * 4 + [1.0, 1.0],
        "homography": [0.02] * 4 + [1.0, 1.0, 2e-4, 2e-4],
    }[motion]
    rng = np.random.default_rng(seed)
    steps = size * np.array(sizes) * rng.standard_normal((n, len(sizes)))
    return np.stack([update(base, step, motion, SHAPE) for step in steps])


def disagreement(transforms: np.ndarray) -> float:
    """Largest distance of a canonical corner in the frame from where it lies on average, pixels."""
    corners = np.array([[0.0, 0.0], [39.0, 0.0], [0.0, 35.0], [39.0, 35.0]])
    positions = np.stack([map_points(F, corners) for F in transforms])
    return float(np.linalg.norm(positions - positions.mean(axis=0), axis=-1).max())


def align(images: Any, initial: np.ndarray, **options: Any) -> RaslResult:
    return rasl(images, initial, **({"shape": SHAPE, "kernels": reference} | options))


@pytest.mark.parametrize("motion", MOTIONS)
def test_batch_is_brought_into_agreement(motion: str) -> None:
    start = misaligned(motion)
    assert disagreement(start) > 1.4
    found = align(scene(), start, motion=motion)
    assert found.status == "converged"
    assert disagreement(found.frame_from_canonical) < 0.1
    assert np.linalg.matrix_rank(found.low_rank, tol=1e-2) == 1


def test_modes_of_appearance_are_told_from_motion() -> None:
    found = align(scene(modes=8.0), misaligned("translation"), motion="translation")
    assert found.status == "converged"
    assert disagreement(found.frame_from_canonical) < 0.02
    assert np.linalg.matrix_rank(found.low_rank, tol=1e-2) == 3


@pytest.mark.parametrize("features", ["edges", "magnitude"])
def test_edges_and_magnitude_agree_too(features: str) -> None:
    found = align(scene(), misaligned("similarity"), motion="similarity", features=features)
    assert found.status == "converged"
    assert disagreement(found.frame_from_canonical) < 0.15


def test_occluded_batch_stays_within_a_tenth_of_a_pixel() -> None:
    found = align(scene(spoilt=True), misaligned("similarity", size=0.7), motion="similarity")
    assert found.status == "converged"
    assert disagreement(found.frame_from_canonical) < 0.15
    assert (np.abs(found.sparse) > 1e-4).mean() < 0.5


def test_both_solvers_find_the_same_alignment() -> None:
    images, start = scene(modes=8.0), misaligned("translation")
    alm, apg = (align(images, start, motion="translation", solver=s) for s in ("alm", "apg"))
    # APG relaxes the constraint by 1e-4 of the spectral norm, and its objective pays for that.
    assert apg.objective == pytest.approx(alm.objective, rel=2e-4)
    assert np.abs(alm.frame_from_canonical - apg.frame_from_canonical).max() < 0.02


def test_mean_motion_since_the_start_is_the_identity() -> None:
    start = misaligned("affine")
    found = align(scene(), start, motion="affine").frame_from_canonical
    np.testing.assert_allclose(compose_gauge(found, start, "affine", SHAPE), found, atol=1e-9)


def test_parts_belong_to_the_returned_transforms() -> None:
    start = misaligned("affine")
    images = [frame.astype(np.float32) for frame in scene()]
    found = align(images, start, motion="affine", max_iterations=3)
    assert (found.status, found.iterations) == ("max_iterations", 3)
    assert len(found.moves) == len(found.objectives) == 3
    for index in (0, 5):
        now = linearize(
            images[index], found.frame_from_canonical[index], shape=SHAPE, motion="affine",
            lowpass_from=start[index],
        )  # fmt: skip
        np.testing.assert_array_equal(found.vectors[:, index], now.vector)
        difference = found.low_rank[:, index] + found.sparse[:, index] - now.vector
        Q, _ = np.linalg.qr(now.jacobian)
        outside_of_step = difference - Q @ (Q.T @ difference)
        assert np.abs(outside_of_step).max() < 1e-4


def test_objective_falls_and_is_the_one_reported() -> None:
    found = align(scene(), misaligned("affine"), motion="affine")
    assert found.objectives[0] > found.objectives[-1] == found.objective
    plain = upper_bound(
        found.vectors, np.zeros((N, 0)), np.zeros((N, found.vectors.shape[0], 0)),
        found.low_rank, 1 / np.sqrt(found.vectors.shape[0]),
    )  # fmt: skip
    assert found.objective == pytest.approx(plain, rel=1e-2)


def test_identical_images_stay_and_are_of_rank_one() -> None:
    image = scene(1)[0]
    start = np.repeat(misaligned("affine", 1), 6, axis=0)
    found = align([image] * 6, start, motion="affine")
    assert (found.status, found.rank) == ("converged", 1)
    np.testing.assert_allclose(found.frame_from_canonical, start, atol=1e-6)


def test_images_may_differ_in_size_and_type() -> None:
    images: list[np.ndarray] = [
        frame[: 90 - i].astype(np.float32) for i, frame in enumerate(scene())
    ]
    images[0] = images[0].clip(0, 255).astype(np.uint8)
    found = align(images, misaligned("translation"), motion="translation")
    assert found.status == "converged"


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_the_core_takes_other_numbers_as_float32(dtype: Any) -> None:
    images = [frame.astype(dtype) for frame in scene()]
    found, expected = (
        align(batch, misaligned("translation"), motion="translation", kernels=None)
        for batch in (images, [image.astype(np.float32) for image in images])
    )
    np.testing.assert_array_equal(found.frame_from_canonical, expected.frame_from_canonical)


def test_progress_is_told_after_every_iteration() -> None:
    told: list[tuple[int, int]] = []
    found = align(
        scene(), misaligned("translation"), motion="translation",
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(k + 1, 50) for k in range(found.iterations)]


def test_kernels_of_another_module_are_used() -> None:
    calls: list[float] = []

    def spy(*args: Any, **options: Any) -> Any:
        calls.append(options["rho"])
        return reference.rasl_alm(*args, **options)

    kernels: ModuleType = SimpleNamespace(  # type: ignore[assignment]
        linearize=reference.linearize, update=reference.update, rasl_alm=spy
    )
    found = align(scene(), misaligned("translation"), motion="translation", kernels=kernels)
    assert len(calls) == found.iterations
    assert calls[0] == 1.5 and calls[-1] == 1.05


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda image: np.zeros_like(image), "all zero"),
        (lambda image: np.full_like(image, 90.0), "does not fix"),
        (lambda image: np.where(image > 150, np.nan, image), "finite"),
        (lambda image: np.stack([image] * 3, axis=-1), "grey"),
        (lambda image: image[:20, :30], "outside"),
        (lambda image: image[:1, :1], "outside"),
    ],
)
def test_image_that_cannot_take_part_is_named_by_its_index(spoil: Any, reason: str) -> None:
    images: list[np.ndarray] = scene()
    images[7] = spoil(images[7])
    with pytest.raises(RaslImageError, match=rf"images\[7\].*{reason}") as caught:
        align(images, misaligned("affine"), motion="affine")
    assert caught.value.index == 7


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"initial": misaligned("affine", N - 1)}, "initial"),
        ({"initial": np.zeros((N, 2, 3))}, "initial"),
        ({"initial": np.full((N, 3, 3), np.nan)}, r"initial\[0\]"),
        (
            {"initial": np.tile(np.diag([1.0, 0.0, 1.0]), (N, 1, 1))},
            "initial transform is not invertible",
        ),
        ({"motion": "similarity"}, r"initial\[0\]"),
        ({"motion": "rigid"}, "motion"),
        ({"features": "sobel"}, "features"),
        ({"solver": "admm"}, "solver"),
        ({"roi": np.zeros(SHAPE, bool)}, "roi"),
        ({"roi": np.ones((3, 3), bool)}, "roi"),
        ({"shape": (1, 5)}, "shape"),
        ({"lambda_c": 0.0}, "lambda_c"),
        ({"lambda_c": 0.05}, "lambda_c: at 0.05 nothing"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"max_iterations": np.nan}, "max_iterations"),
        ({"objective_tolerance": -0.1}, "objective_tolerance"),
        ({"objective_tolerance": np.nan}, "objective_tolerance"),
        ({"images": scene(1), "initial": misaligned("affine", 1)}, "images"),
        ({"images": [], "initial": np.zeros((0, 3, 3))}, "images"),
    ],
)
def test_wrong_argument_is_named(change: dict[str, Any], named: str) -> None:
    arguments = {"images": scene(), "initial": misaligned("affine"), "motion": "affine"} | change
    with pytest.raises(ValueError, match=named):
        align(arguments.pop("images"), arguments.pop("initial"), **arguments)
