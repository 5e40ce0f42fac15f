"""The hand that passes over the synthetic head."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from holdstill._typing import FloatArray

from .appearance import TEXELS_PER_UNIT, Array, as_texture, blend, smoothstep, tinted
from .scene import SWEATER

HAND_LEFT, HAND_RIGHT, HAND_TOP, HAND_BOTTOM = -60, 40, -124, 170
"""Extent of the hand's texture in face units: the wrist at the origin, fingers upwards."""

# Capsules of a hand with its thumb at the left: ends and radii. Palm, forearm, four fingers, thumb.
_CAPSULES = (
    ((-13, -22), (-8, -46), 15.0, 13.0),
    ((5, -20), (12, -46), 16.0, 13.0),
    ((0, 190), (0, 0), 25.0, 17.0),
    ((-19, -52), (-27, -96), 7.6, 6.0),
    ((-6, -56), (-8, -110), 8.0, 6.2),
    ((7, -55), (10, -106), 7.8, 6.0),
    ((19, -48), (28, -86), 6.8, 5.2),
    ((-20, -18), (-45, -52), 9.5, 7.0),
)
_NAILS = ((-27.0, -97.0, -0.18), (-8.2, -111.0, -0.04), (10.2, -107.0, 0.06), (28.3, -87.0, 0.23))
_SOFTNESS = 3.0  # face units over which the parts of the hand grow together
_CUFF = 42.0  # where the sleeve begins


def hand_from_face(wrist: FloatArray, angle: float, mirrored: bool) -> FloatArray:
    """Transform from face coordinates to the hand's own.

    Parameters
    ----------
    wrist : ndarray, shape (2,), float64
        Position of the wrist in face coordinates.
    angle : float
        Turn of the fingers from upright in radians, positive to the right.
    mirrored : bool
        Whether the thumb is at the right.

    Returns
    -------
    ndarray, shape (3, 3), float64
    """
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, sin], [-sin, cos]])
    if mirrored:
        linear[0] *= -1.0
    result = np.eye(3)
    result[:2, :2], result[:2, 2] = linear, -linear @ wrist
    return result


@lru_cache(maxsize=2)
def hand_texture(blur: float = 1.0) -> Array:
    """Colour of the lit hand with its sleeve, and its opacity.

    Parameters
    ----------
    blur : float
        Low-pass in texels.

    Returns
    -------
    ndarray, shape (rows, columns, 4), float32
        Read-only; the first texel lies at (HAND_LEFT, HAND_TOP).
    """
    columns = (HAND_RIGHT - HAND_LEFT) * TEXELS_PER_UNIT + 1
    rows = (HAND_BOTTOM - HAND_TOP) * TEXELS_PER_UNIT + 1
    v, u = np.meshgrid(
        np.linspace(HAND_TOP, HAND_BOTTOM, rows, dtype=np.float32),
        np.linspace(HAND_LEFT, HAND_RIGHT, columns, dtype=np.float32),
        indexing="ij",
    )
    inside = _depth(u, v)
    dy, dx = np.gradient(np.sqrt(np.clip(inside, 0.0, None) * 24.0), 1.0 / TEXELS_PER_UNIT)
    facing = np.clip((0.85 - 0.25 * dx + 0.35 * dy) / np.sqrt(1.0 + dx**2 + dy**2), 0.0, None)
    mottle = np.sin(0.9 * u + 0.7 * np.sin(0.33 * v)) * np.sin(0.8 * v + 0.5 * np.sin(0.41 * u))
    shade = 0.5 + 0.52 * facing + 0.012 * mottle
    hand = np.empty((4, *u.shape), np.float32)
    hand[:3] = tinted((222.0, 162.0, 132.0), shade)
    _paint_fingers(hand, u, v)
    blend(hand, tinted(SWEATER, 1.05 * shade), smoothstep((v - _CUFF) * 1.5))
    hand[3] = smoothstep((inside - 0.5) * 1.5)
    return as_texture(hand, blur, 1)


def _depth(u: Array, v: Array) -> Array:
    """Signed distance inside the hand: the smooth union of its capsules, in face units."""
    total = np.zeros_like(u)
    for (ax, ay), (bx, by), ra, rb in _CAPSULES:
        ex, ey = bx - ax, by - ay
        t = np.clip(((u - ax) * ex + (v - ay) * ey) / (ex * ex + ey * ey), 0.0, 1.0)
        distance = np.hypot(u - ax - t * ex, v - ay - t * ey)
        total += np.exp((ra + t * (rb - ra) - distance) / _SOFTNESS)
    return np.asarray(_SOFTNESS * np.log(total + 1e-30), np.float32)


def _paint_fingers(hand: Array, u: Array, v: Array) -> None:
    for (ax, ay), (bx, by), radius, _ in _CAPSULES[3:7]:
        for t, strength in ((0.02, 0.10), (0.45, 0.2), (0.72, 0.16)):
            kx, ky = ax + t * (bx - ax), ay + t * (by - ay)
            fold = np.exp(-(((u - kx) / (0.6 * radius)) ** 2) - ((v - ky) / 1.3) ** 2)
            blend(hand, (130.0, 74.0, 56.0), strength * fold)
    for nx, ny, tilt in _NAILS:
        across = (u - nx) - tilt * (v - ny)
        nail = smoothstep(4.0 * (1.0 - (across / 3.4) ** 4 - ((v - ny) / 5.0) ** 4))
        blend(hand, (240.0, 190.0, 172.0), 0.75 * nail)
