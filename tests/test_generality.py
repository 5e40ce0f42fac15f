"""No faces: a drifting field of flaring spots end to end, digits that do not zoom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from holdstill import align, fit, rasl

SHAPE = (56, 64)
MARGIN = 16


def drifting_spots(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three groups of spots that flare, noise, a drift; frames, true transforms, starts."""
    rng = np.random.default_rng(seed)
    height, width = SHAPE[0] + 2 * MARGIN, SHAPE[1] + 2 * MARGIN
    centre = np.array([width - 1, height - 1]) / 2
    places = rng.uniform(-0.5, 0.5, (30, 2)) * (width, height)
    widths = rng.uniform(2.0, 5.0, 30)
    group = rng.integers(3, size=30)
    y, x = np.mgrid[:height, :width]
    frames, truth = [], np.tile(np.eye(3), (n, 1, 1))
    for k in range(n):
        angle, shift = np.deg2rad(1.5) * rng.standard_normal(), 1.0 * rng.standard_normal(2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        frame, brightness = np.full((height, width), 20.0), rng.uniform(30.0, 90.0, 3)[group]
        spots = zip(places @ turn.T + centre + shift, widths, brightness, strict=True)
        for (a, b), size, bright in spots:
            distance = (x - a) ** 2 + (y - b) ** 2
            frame += bright * np.exp(-distance / (2 * size**2))
        frames.append(np.clip(frame + 2.0 * rng.standard_normal(frame.shape), 0, 255))
        truth[k, :2, :2] = turn
        truth[k, :2, 2] = centre + shift + turn @ (MARGIN - centre)
    initial = np.tile(np.eye(3), (n, 1, 1))
    initial[:, :2, 2] = MARGIN
    return np.stack(frames).astype(np.uint8), truth, initial


def corner_errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Farthest corner of each frame from its true place, the common motion taken out; pixels."""
    off = np.linalg.inv(truth) @ found
    off = off @ np.linalg.inv(np.median(off, axis=0))
    corners = np.array([[x, y, 1.0] for x in (0, SHAPE[1] - 1) for y in (0, SHAPE[0] - 1)])
    moved = corners @ off.transpose(0, 2, 1)
    return np.asarray(np.linalg.norm((moved - corners)[..., :2], axis=-1).max(axis=1))


@pytest.mark.parametrize("features", ["grey", "edges"])
def test_flaring_spots_come_to_rest_from_given_starts(features: str) -> None:
    frames, truth, initial = drifting_spots()
    dictionary = fit(
        frames,
        initial,
        n=20,
        shape=SHAPE,
        motion="euclidean",
        features=features,
        sigma=1.5,
        roi="full",
    )
    found = list(align(frames, dictionary, initial))
    assert [alignment.status for alignment in found] == ["converged"] * len(frames)
    after = corner_errors(np.stack([a.frame_from_canonical for a in found]), truth)
    before = corner_errors(initial, truth)
    assert np.median(before) > 1.5
    assert np.median(after) < 0.2 * np.median(before)
    assert after.max() < 1.0


def digits(folder: Path, n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The first images, and the similarities that two given points of each ask for."""
    paths = sorted(folder.glob("*.bmp"))[:n]
    start = np.tile(np.eye(3), (n, 1, 1))
    for F, path in zip(start, paths, strict=True):
        points = loadmat(str(path.with_suffix("")) + "-points.mat")["points"]
        left, right = points[0] + 1j * points[1] - (1 + 1j)  # MATLAB counts from 1
        a = (right - left) / 19.0  # of the canonical points (4, 14) and (23, 14)
        b = left - a * (4 + 14j)
        F[:2] = [[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]]
    return [np.asarray(Image.open(path)) for path in paths], start


@pytest.fixture(scope="module", params=["similarity", "affine"])
def motion_of_digits(request: pytest.FixtureRequest, data_dir: Path) -> dict[bool, np.ndarray]:
    """Linear parts of the motion since the start, with and without the gauge."""
    images, start = digits(data_dir / "rasl" / "Digits_3", 30)
    return {
        gauge: np.linalg.inv(start[:, :2, :2])
        @ rasl(
            images, start, shape=(29, 29), motion=request.param, gauge=gauge, max_iterations=15
        ).frame_from_canonical[:, :2, :2]
        for gauge in (True, False)
    }


def test_digits_do_not_zoom(motion_of_digits: dict[bool, np.ndarray]) -> None:
    scales = {gauge: np.sqrt(np.linalg.det(M)).mean() for gauge, M in motion_of_digits.items()}
    assert scales[True] == pytest.approx(1.0, abs=0.005)
    # What the gauge is for: without it zooming pays.
    assert scales[False] > 1.1
