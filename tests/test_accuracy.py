"""Accuracy where the truth is known: against the Cramér-Rao bound, and on warped pictures.

Margins: the root mean square of n draws scatters by at most 1/√(2n) of itself (all of the error in
one direction), so that 1.1 of the bound is over four standard errors away with the draws taken.
From below it is less than 0.9: the sampled gradients that the bound is computed with are central
differences, between pixels some 5 % below the slope of what they are sampled from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import affine_transform, gaussian_filter

from holdstill import AlignmentBatch, Dictionary, align_batch, rasl
from holdstill.limits import (
    corner_rms,
    covariance_under_frame_noise,
    cramer_rao,
    roi_corners,
    sample_operator,
)
from holdstill.reference import MOTIONS, linearize, update
from holdstill.reference.motion import map_points, n_parameters
from holdstill.synthetic import TalkingHead

FloatArray = npt.NDArray[np.float64]

SHAPE = (48, 48)
FRAME = (92, 92)
DRAWS = 1000
WHOLE_SHIFT = np.array([[1.0, 0.0, 22.0], [0.0, 1.0, 22.0], [0.0, 0.0, 1.0]])
POSES = {
    "similarity": np.array([[1.4, -0.2, 18.3], [0.2, 1.4, 6.6], [0.0, 0.0, 1.0]]),
    "affine": np.array([[1.4, -0.3, 20.3], [0.1, 1.3, 6.6], [0.0, 0.0, 1.0]]),
    "homography": np.array([[1.4, -0.3, 20.3], [0.1, 1.3, 6.6], [6e-4, -4e-4, 1.0]]),
}


class InSpan:
    """A mixture of textures, and the dictionary of these at the same transform."""

    def __init__(self, truth: FloatArray, motion: str) -> None:
        self.settings: dict[str, Any] = {"shape": SHAPE, "motion": motion}
        self.truth = truth
        random = np.random.default_rng(3)
        noise = random.standard_normal((3, *FRAME))
        frames = 128 + 40 * np.stack([n / n.std() for n in gaussian_filter(noise, (0, 2, 2))])
        self.frame = np.einsum("k,kyx->yx", (0.5, 0.3, 0.2), frames)
        self.atoms = np.stack([linearize(f, truth, **self.settings).vector for f in frames], axis=1)
        self.dictionary = Dictionary(self.atoms.astype(np.float32), **self.settings)
        self.jacobian = linearize(self.frame, truth, normalize=False, **self.settings).jacobian
        self.operator = sample_operator(FRAME, truth, shape=SHAPE)

    def limit(self, covariance: FloatArray) -> float:
        return corner_rms(covariance, self.truth, roi_corners(None, SHAPE), **self.settings)

    def errors(self, noise: FloatArray) -> FloatArray:
        """Corner errors (n, 4, 2) with each noise, from starts that are off by 2 px."""
        random = np.random.default_rng(4)
        starts = [start_near(self.truth, random, **self.settings) for _ in noise]
        found = align_batch(self.frame + noise, self.dictionary, starts, threads=1, mu=0.0)
        return errors_at_corners(found, np.stack([self.truth] * len(noise)), SHAPE)

    def white_on_samples(self, n: int) -> FloatArray:
        """The low-pass undone: where samples are pixels, what arrives there is white."""
        white = np.random.default_rng(5).standard_normal((n, *FRAME))
        undo = np.linalg.inv(self.operator.rows)
        return undo @ white @ undo.T


def errors_at_corners(
    found: AlignmentBatch, truths: FloatArray, shape: tuple[int, int]
) -> FloatArray:
    assert found.converged.all()
    corners = roi_corners(None, shape)
    return np.array(
        [
            map_points(np.linalg.inv(truth), map_points(F, corners)) - corners
            for F, truth in zip(found.frame_from_canonical, truths, strict=True)
        ]
    )


def start_near(
    truth: FloatArray, random: np.random.Generator, *, shape: tuple[int, int], motion: str
) -> FloatArray:
    """A start in the motion's family, off by 2 px at the farthest corner."""
    corners, half = roi_corners(None, shape), max(shape) / 2
    size = {"translation": [1, 1], "euclidean": [1 / half, 1, 1]}.get(motion)
    if size is None:
        size = [1 / half] * (n_parameters(motion) - 2) + [1, 1]
    if motion == "homography":
        size = [1 / half] * 4 + [1, 1] + [0.3 / half**2] * 2
    step = np.array(size) * random.standard_normal(len(size))
    for _ in range(3):  # the distance is nearly linear in the step
        start = update(truth, step, motion, shape)
        off = map_points(np.linalg.inv(truth), map_points(start, corners)) - corners
        step *= 2.0 / np.linalg.norm(off, axis=1).max()
    return update(truth, step, motion, shape)


def rms(errors: FloatArray) -> float:
    return float(np.sqrt(np.square(errors).sum(axis=-1).mean()))


@pytest.mark.parametrize("motion", MOTIONS)
def test_noise_on_the_samples_costs_what_the_cramer_rao_bound_says(motion: str) -> None:
    case = InSpan(WHOLE_SHIFT, motion)
    bound = case.limit(cramer_rao(case.jacobian, case.atoms))
    ratio = rms(case.errors(3.0 * case.white_on_samples(DRAWS))) / (3.0 * bound)
    assert 0.9 < ratio < 1.1


@pytest.mark.parametrize("motion", POSES)
def test_noise_on_the_frame_costs_what_its_covariance_says(motion: str) -> None:
    case = InSpan(POSES[motion], motion)
    noise = np.random.default_rng(6).standard_normal((DRAWS, *FRAME))
    limit = case.limit(covariance_under_frame_noise(case.jacobian, case.atoms, case.operator))
    ratio = rms(case.errors(5.0 * noise)) / (5.0 * limit)
    assert 0.9 < ratio < 1.1


@pytest.mark.parametrize("motion", MOTIONS)
def test_noise_does_not_bias(motion: str) -> None:
    case = InSpan(WHOLE_SHIFT, motion)
    noise = 3.0 * case.white_on_samples(100)
    # Noise and its negative: what is odd in the noise cancels, and a bias is even.
    errors = case.errors(np.concatenate([noise, -noise]))
    assert np.linalg.norm(errors.mean(axis=0), axis=-1).max() < 0.01


def random_warp(random: np.random.Generator, size: tuple[int, ...]) -> FloatArray:
    """frame_from_picture about the middle: a few per cent and degrees, a few pixels."""
    middle = (np.array(size[::-1]) - 1) / 2
    warp = np.eye(3)
    warp[:2, :2] += random.uniform(-0.08, 0.08, (2, 2))
    warp[:2, 2] = middle - warp[:2, :2] @ middle + random.uniform(-4.0, 4.0, 2)
    return warp


def warped(picture: FloatArray, frame_from_picture: FloatArray) -> FloatArray:
    """By cubic splines, which the aligner knows nothing of."""
    back = np.linalg.inv(frame_from_picture)
    return np.asarray(
        affine_transform(picture, back[:2, :2][::-1, ::-1], back[:2, 2][::-1], mode="nearest")
    )


def error_on_pictures(
    pictures: list[FloatArray], registered: FloatArray, shape: tuple[int, int], noise: float
) -> tuple[float, float]:
    """Corner error of the method's defaults on three new warps of each picture, and the limit."""
    random = np.random.default_rng(7)
    settings: dict[str, Any] = {"shape": shape, "motion": "affine"}
    vectors = []
    for picture, transform in zip(pictures, registered, strict=True):
        warp = random_warp(random, picture.shape)
        vectors.append(linearize(warped(picture, warp), warp @ transform, **settings).vector)
    atoms = np.stack(vectors, axis=1)
    dictionary = Dictionary(atoms.astype(np.float32), **settings)
    frames, truths, starts, limits = [], [], [], []
    for picture, transform in list(zip(pictures, registered, strict=True)) * 3:
        warp = random_warp(random, picture.shape)
        clean, truth = warped(picture, warp), warp @ transform
        jacobian = linearize(clean, truth, normalize=False, **settings).jacobian
        operator = sample_operator(clean.shape, truth, shape=shape)
        covariance = noise**2 * covariance_under_frame_noise(jacobian, atoms, operator)
        limits.append(corner_rms(covariance, truth, roi_corners(None, shape), **settings))
        frames.append(clean + noise * random.standard_normal(clean.shape))
        truths.append(truth)
        starts.append(start_near(truth, random, **settings))
    found = align_batch(np.stack(frames), dictionary, np.stack(starts), threads=1)
    errors = errors_at_corners(found, np.stack(truths), shape)
    return rms(errors), float(np.sqrt(np.mean(np.square(limits))))


def test_synthetic_head_under_known_warps() -> None:
    head = TalkingHead(120, size=(200, 250), shape=(48, 48), noise=0, occlusion=False, color=False)
    some = list(range(0, 120, 12))
    pictures = [head[i].astype(np.float64) for i in some]
    error, limit = error_on_pictures(pictures, head.frame_from_canonical[some], (48, 48), 3.0)
    assert limit < 0.02
    assert error < 0.02


def test_faces_under_known_warps(data_dir: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = data_dir / "yaleb" / "yaleB03"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder")
    pictures = []
    for light in ("+000E+20", "+005E+10", "+015E+20", "+020E+10", "-005E+10", "-015E+20"):
        with image.open(folder / f"yaleB03_P00A{light}.pgm") as file:
            pictures.append(np.asarray(file, dtype=np.float32))
    middle = np.array([[2.0, 0.0, 29.0], [0.0, 2.0, 34.0], [0.0, 0.0, 1.0]])
    # The crops are up to a pixel or two off each other: registered, they are one thing.
    registered = rasl(pictures, np.stack([middle] * len(pictures)), shape=(64, 56), motion="affine")
    error, limit = error_on_pictures(pictures, registered.frame_from_canonical, (64, 56), 3.0)
    assert limit < 0.02
    assert error < 0.02
