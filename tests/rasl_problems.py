"""What the tests of RASL's inner solvers solve: images of low rank, spoilt and moved."""

from __future__ import annotations

import numpy as np

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
PIXELS, IMAGES = 240, 12
LAM = 1 / np.sqrt(PIXELS)


def low_rank(rng: np.random.Generator, pixels: int = PIXELS) -> np.ndarray:
    """Images of rank 2, (m, n): the first that is drawn for a problem."""
    factors = rng.standard_normal((pixels, 2)), rng.standard_normal((2, IMAGES))
    return np.asarray(factors[0] @ factors[1] / np.sqrt(pixels))


def problem(seed: int = 0, p: int = 4, pixels: int = PIXELS) -> Problem:
    """Images of rank 2, each moved along its Jacobian, a few entries spoilt; D, Q, B, the step."""
    rng = np.random.default_rng(seed)
    clean = low_rank(rng, pixels)
    Q = np.stack([np.linalg.qr(rng.standard_normal((pixels, p)))[0] for _ in range(IMAGES)])
    B = rng.standard_normal((IMAGES, p, p))
    step = 0.1 * rng.standard_normal((IMAGES, p))
    common = np.linalg.solve(np.einsum("iqp,irp->qr", B, B), np.einsum("iqp,ip->q", B, step))
    step -= np.einsum("iqp,q->ip", B, common)
    spoilt = (rng.random(clean.shape) < 0.05) * rng.uniform(-0.3, 0.3, clean.shape)
    return moved(clean + spoilt, Q, -step), Q, B, step


def moved(D: np.ndarray, Q: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Every image along its Jacobian."""
    return np.asarray(D + np.einsum("imp,ip->mi", Q, delta))
