"""The scene around the synthetic head: a wall, and a sweater whose collar hides the neck."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .appearance import Array, band_noise, blend, smoothstep, tinted

SWEATER = (66.0, 92.0, 118.0)


@lru_cache(maxsize=2)
def backdrop(size: tuple[int, int], seed: int) -> tuple[Array, Array]:
    """Everything behind and below the head.

    Parameters
    ----------
    size : (int, int)
        Height and width of the frame in pixels.
    seed : int
        Seed of the wall's texture and of the blurred lights on it.

    Returns
    -------
    colour : ndarray, shape (3, H, W), float32
        Wall and sweater, 0 to 255.
    sweater : ndarray, shape (H, W), float32
        Opacity of the sweater, which lies over the neck. Both are read-only.
    """
    height, width = size
    rng = np.random.default_rng([seed, 9])
    zoom = min(height / 576, width / 720)
    y, x = np.meshgrid(
        (np.arange(height, dtype=np.float32) - (height - 1) / 2) / zoom,
        (np.arange(width, dtype=np.float32) - (width - 1) / 2) / zoom,
        indexing="ij",
    )
    colour = _wall(rng, x, y, zoom)
    sweater = smoothstep((y - _neckline(x)) * zoom / 1.6 + 0.5)
    blend(colour, _knit(rng, x, y), sweater)
    colour.setflags(write=False)
    sweater.setflags(write=False)
    return colour, sweater


def _wall(rng: np.random.Generator, x: Array, y: Array, zoom: float) -> Array:
    glow = np.exp(-(((x + 150) / 330) ** 2) - ((y + 120) / 280) ** 2)
    wall = tinted((96.0, 116.0, 122.0), np.ones_like(x)) + tinted((74.0, 66.0, 52.0), glow)
    for _ in range(9):
        cx, cy = rng.uniform(-360, 360), rng.uniform(-270, 60)
        radius, strength = rng.uniform(22, 58), rng.uniform(0.05, 0.16)
        tint = (255.0, rng.uniform(190, 240), rng.uniform(140, 210))
        disc = strength * smoothstep((radius - np.hypot(x - cx, y - cy)) / 7.0)
        blend(wall, tint, disc)
    for sigma in (2.0, 9.0):
        wall += 2.1 * band_noise(rng, x.shape, sigma * zoom)
    return wall


def _neckline(x: Array) -> Array:
    """Upper border of the sweater: a round collar, then sloping shoulders."""
    across = np.abs(x)
    collar = 216.0 - 30.0 * smoothstep(across / 112.0)
    beyond = np.clip(across - 104.0, 0.0, None)
    return np.asarray(collar + 0.15 * beyond + 0.0013 * beyond**2, np.float32)


def _knit(rng: np.random.Generator, x: Array, y: Array) -> Array:
    across = np.abs(x)
    below = y - _neckline(x)
    band = 26.0 - 22.0 * smoothstep((across - 40.0) / 75.0)
    collar = smoothstep((band - below) / 2.5) * smoothstep((124.0 - across) / 12.0)
    column = x / 7.0
    stitch = np.sin(2 * np.pi * column) * np.sin(np.pi * (y / 3.0 + 1.2 * np.abs(column % 1 - 0.5)))
    ribs = np.sin(100.0 * np.arctan2(x, np.abs(y - 120.0) + 40.0))
    light = 0.92 + 0.05 * stitch * (1 - collar) + 0.09 * ribs * collar
    light += 0.05 * np.sin(0.021 * x + 0.9 * np.sin(0.013 * y))
    light -= 0.0009 * np.clip(across - 120, 0, None)
    seam = np.exp(-(((below - band - 1.5) / 3.0) ** 2)) * smoothstep((124.0 - across) / 12.0)
    light += 0.02 * band_noise(rng, x.shape, 0.8) - 0.25 * seam
    return tinted(SWEATER, light)
