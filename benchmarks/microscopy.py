"""A synthetic recording of blinking, bleaching, deforming cells under a drifting microscope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.ndimage
from common import FloatArray

SIZE = (224, 264)
SHAPE = (160, 200)
"""The canonical frame is the middle of the field of view, at its own scale."""


@dataclass(frozen=True)
class Recording:
    """Frames, the true transforms, and the start: the middle of every frame, as it comes."""

    frames: npt.NDArray[np.uint8]
    truth: FloatArray
    initial: FloatArray


def record(n: int, *, n_cells: int = 60, seed: int = 0) -> Recording:
    """Render n frames.

    Cells are soft-edged blobs whose outlines waver; each rests dark and flares up at moments of its
    own, over a faint static background that is out of focus. Everything bleaches to a half. The
    stage drifts by up to 10 px and turns by up to 3°; photons are counted.
    """
    rng = np.random.default_rng(seed)
    height, width = SIZE
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    places = rng.uniform(-0.6, 0.6, (n_cells, 2)) * (width, height)
    radii = rng.uniform(4.0, 9.0, n_cells)
    activity = flares(n, n_cells, rng)
    wavering = smooth(n, (n_cells, 2, 2), 15.0, rng)
    background = haze(rng)
    # Slow, and a shake from frame to frame.
    drift = 4.0 * smooth(n, (2,), 25.0, rng) + 0.4 * rng.standard_normal((n, 2))
    turn = np.deg2rad(1.2) * smooth(n, (1,), 40.0, rng)[:, 0]
    frames, truth = [], np.zeros((n, 3, 3))
    margin = np.array([(width - SHAPE[1]) / 2, (height - SHAPE[0]) / 2])
    for k in range(n):
        rotation = np.array(
            [[np.cos(turn[k]), -np.sin(turn[k])], [np.sin(turn[k]), np.cos(turn[k])]]
        )
        shift = centre + np.clip(drift[k], -10.0, 10.0)
        # The scene's origin is the middle of the field.
        light = sampled(background, rotation, shift)
        for cell in range(n_cells):
            add_cell(
                light,
                rotation @ places[cell] + shift,
                radii[cell],
                turn[k],
                wavering[k, cell],
                0.25 + activity[k, cell],
            )
        photons = rng.poisson((6.0 + 60.0 * light) * 0.5 ** (k / n))
        frames.append(np.clip(1.5 * photons, 0, 255).astype(np.uint8))
        truth[k, :2, :2] = rotation
        truth[k, :2, 2] = shift + rotation @ (margin - centre)
        truth[k, 2, 2] = 1.0
    initial = np.repeat(np.eye(3)[None], n, axis=0)
    initial[:, :2, 2] = margin
    return Recording(np.stack(frames), truth, initial)


def smooth(n: int, shape: tuple[int, ...], frames: float, rng: np.random.Generator) -> FloatArray:
    """Gaussian series of unit deviation, correlated over so many frames; (n, *shape)."""
    white = rng.standard_normal((n, *shape))
    series = scipy.ndimage.gaussian_filter1d(white, frames, axis=0, mode="reflect")
    return np.asarray(series * np.sqrt(2.0 * frames * np.sqrt(np.pi)))


def flares(n: int, n_cells: int, rng: np.random.Generator) -> FloatArray:
    """Brightness of each cell: rare onsets that decay over twenty frames; (n, n_cells)."""
    onsets = (rng.random((n, n_cells)) < 0.02) * rng.uniform(0.4, 1.2, (n, n_cells))
    level = np.zeros((n, n_cells))
    for k in range(n):
        level[k] = (level[k - 1] * np.exp(-1.0 / 20.0) if k else rng.random(n_cells)) + onsets[k]
    return level


def haze(rng: np.random.Generator) -> FloatArray:
    """The background, twice the field's width, so that it has no border in any frame."""
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal((2 * SIZE[0], 2 * SIZE[1])), 8.0)
    return np.asarray(0.25 + 0.06 * noise / noise.std())


def sampled(background: FloatArray, rotation: FloatArray, shift: FloatArray) -> FloatArray:
    """The background as a frame sees it."""
    middle = (np.array(background.shape) - 1.0) / 2.0
    back = rotation.T[::-1, ::-1]  # ndimage's points are (y, x)
    offset = middle - back @ shift[::-1]
    return np.asarray(
        scipy.ndimage.affine_transform(background, back, offset, output_shape=SIZE, order=1)
    )


def add_cell(
    light: FloatArray,
    place: FloatArray,
    radius: float,
    turn: float,
    wavering: FloatArray,
    brightness: float,
) -> None:
    """Add a cell, in place: its outline has two harmonics, its edge is 1 px soft."""
    reach = int(np.ceil(1.6 * radius)) + 3
    x0, y0 = np.round(place).astype(int) - reach
    rows = slice(max(y0, 0), min(y0 + 2 * reach, light.shape[0]))
    columns = slice(max(x0, 0), min(x0 + 2 * reach, light.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    y, x = np.mgrid[rows, columns] - place[::-1, None, None]
    angle = np.arctan2(y, x) - turn
    outline = 1.0
    for harmonic, (cos, sin) in zip((2, 3), 0.08 * wavering, strict=True):
        outline = outline + cos * np.cos(harmonic * angle) + sin * np.sin(harmonic * angle)
    inside = np.clip(radius * outline - np.hypot(x, y), -30.0, 30.0)
    light[rows, columns] += brightness / (1.0 + np.exp(-2.0 * inside))
