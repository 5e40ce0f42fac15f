"""What the tests of the aligners share: smooth frames, a dictionary of them, displaced starts."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from holdstill import _core

SHAPE = (40, 44)


def smooth_noise(
    seed: int | np.random.Generator, size: tuple[int, int], sigma: float
) -> np.ndarray:
    """Noise of unit variance, smoothed."""
    noise = np.random.default_rng(seed).standard_normal(size)
    smooth = scipy.ndimage.gaussian_filter(noise, sigma)
    return np.asarray(smooth / smooth.std())


def texture(
    seed: int = 0,
    size: tuple[int, int] = (140, 150),
    sigma: float = 5.0,
    contrast: float = 30.0,
) -> np.ndarray:
    """Smooth grey levels 0 .. 255, float32."""
    grey = 120 + contrast * smooth_noise(seed, size, sigma)
    return np.asarray(grey.clip(0, 255), np.float32)


def mixed(seed: int) -> np.ndarray:
    """A frame near the dictionary's span: two of its textures, another one, noise."""
    rng = np.random.default_rng(seed)
    frame = texture(seed % 3) + 0.4 * texture((seed + 1) % 3) + 0.15 * texture(50 + seed)
    return np.asarray(0.6 * frame + rng.normal(0, 2, frame.shape), np.float32)


def hidden(frame: np.ndarray, seed: int = 0, brightness: float = 60.0) -> np.ndarray:
    """A bright square over a tenth of what the aligner sees."""
    y, x = np.random.default_rng(seed).integers((52, 56), (72, 78))
    occluded = frame.copy()
    occluded[y : y + 18, x : x + 18] = frame.mean() + brightness
    return occluded


def start(scale: float = 1.4) -> np.ndarray:
    centre = [74.2, 68.9]
    return _core.matrix_from_parameters(
        np.array([scale, 0.2, *centre]), np.eye(3), "similarity", SHAPE
    )


def displacement(motion: str) -> np.ndarray:
    """A step of about a pixel and a half at the corners."""
    steps = {
        "translation": [1.2, -0.8],
        "euclidean": [0.03, 1.0, -0.6],
        "similarity": [0.03, 0.02, 1.0, -0.6],
        "affine": [0.03, -0.02, 0.02, -0.03, 1.0, -0.6],
        "homography": [0.02, -0.02, 0.02, -0.02, 0.8, -0.5, 2e-4, -2e-4],
    }
    return np.array(steps[motion])


def displaced(F: np.ndarray, motion: str, size: float = 1.0) -> np.ndarray:
    return _core.update(F, size * displacement(motion), motion, SHAPE)


def dictionary(
    n: int = 4, motion: str = "affine", features: str = "grey", F: np.ndarray | None = None
) -> np.ndarray:
    """Textures 0 .. n - 1 seen through F, as unit vectors."""
    at = start() if F is None else F
    vectors = [
        _core.linearize(texture(k), at, shape=SHAPE, motion=motion, features=features).vector
        for k in range(n)
    ]
    return np.stack(vectors, axis=1)


def corner_error(F: np.ndarray, truth: np.ndarray, shape: tuple[int, int] = SHAPE) -> float:
    """Largest distance of a corner from its true place, canonical pixels."""
    height, width = shape
    corners = np.array([[x, y, 1.0] for x in (0, width - 1) for y in (0, height - 1)]).T
    back = np.linalg.inv(truth) @ F @ corners
    return float(np.linalg.norm(back[:2] / back[2] - corners[:2], axis=0).max())
