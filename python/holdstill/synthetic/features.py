"""The parts of the synthetic head that move within it: eyes and mouth.

They are evaluated at the frame's own pixels from formulas in face coordinates, with edges as soft
as one frame pixel (`pixel`, in face units).
"""

from __future__ import annotations

import numpy as np

from .appearance import Array, blend, smoothstep, tinted

EYE_BOX = (14.0, -17.0, 56.0, 13.0)  # of the eye at image right: x0, y0, x1, y1
MOUTH_BOX = (-46.0, 62.0, 46.0, 112.0)
_INNER, _OUTER = 20.0, 50.0


def edge(distance: Array, pixel: float) -> Array:
    """Opacity of a shape from the signed distance inside it, one pixel soft."""
    return smoothstep(distance / (1.5 * pixel) + 0.5)


def draw_eye(
    colour: Array,
    x: Array,
    y: Array,
    *,
    lids: float,
    gaze: tuple[float, float],
    glint: tuple[float, float],
    pixel: float,
) -> None:
    """Draw the eye at image right; for the other one pass -x, -gaze_x and -glint_x.

    Parameters
    ----------
    colour : ndarray, shape (>= 3, h, w), float32
        Reflectance, changed in place.
    x, y : ndarray, shape (h, w), float32
        Face coordinates of its pixels.
    lids : float
        1 open, 0 closed.
    gaze, glint : (float, float)
        Displacement of the iris, and of the reflected light within it, in face units.
    pixel : float
        Size of a frame pixel in face units.
    """
    along = np.clip((x - _INNER) / (_OUTER - _INNER), 0.0, 1.0)
    arch = (4.0 * along * (1.0 - along)) ** 0.75
    lower = 5.4 * arch * (0.75 + 0.25 * along)
    upper = lower * (1.0 - lids) * 0.8 - lids * 8.3 * arch * (1.1 - 0.2 * along)
    within = edge(np.minimum(x - _INNER, _OUTER - x), pixel)
    opening = edge(np.minimum(y - upper, lower - y), pixel) * within

    depth = np.clip((y - upper) / 5.0, 0.0, 1.0)
    white = tinted((226.0, 216.0, 210.0), 0.55 + 0.45 * depth)
    corner = np.exp(-(((x - _INNER - 1.5) / 3.0) ** 2))
    blend(white, (206.0, 132.0, 120.0), 0.8 * corner)
    _draw_iris(white, x - 35.5 - gaze[0], y + 1.2 - gaze[1], glint, depth, pixel)

    crease = np.exp(-(((y - upper + 4.2 * lids + 1.0) / 1.0) ** 2)) * within * arch
    blend(colour, (128.0, 76.0, 58.0), 0.55 * crease * lids)
    blend(colour, white, opening)
    lash = np.exp(-(((y - upper + 0.4) / (1.1 + 0.6 * along)) ** 2))
    blend(colour, (38.0, 24.0, 18.0), 0.88 * lash * within * smoothstep(arch * 2.5))
    rim = np.exp(-(((y - lower - 0.3) / 0.8) ** 2)) * within
    blend(colour, (120.0, 68.0, 56.0), 0.45 * rim * arch)


def _draw_iris(
    white: Array, dx: Array, dy: Array, glint: tuple[float, float], depth: Array, pixel: float
) -> None:
    radius = np.hypot(dx, dy)
    fibres = 0.5 + 0.5 * np.sin(17.0 * np.arctan2(dy, dx) + 2.0 * np.sin(radius))
    brown = tinted((88.0, 60.0, 38.0), (0.8 + 0.25 * fibres) * (0.5 + 0.5 * depth))
    blend(brown, (36.0, 24.0, 18.0), 0.8 * smoothstep((radius - 4.6) / 2.4))
    blend(white, brown, edge(7.3 - radius, pixel))
    blend(white, (12.0, 9.0, 8.0), edge(3.3 - radius, pixel))
    shine = np.exp(-((((dx - glint[0]) ** 2 + (dy - glint[1]) ** 2) / 1.7) ** 2))
    blend(white, (255.0, 255.0, 255.0), 0.95 * shine)


def draw_mouth(
    colour: Array, x: Array, y: Array, *, jaw: float, width: float, pixel: float
) -> None:
    """Draw lips, teeth, tongue and the dark between them.

    Parameters
    ----------
    colour : ndarray, shape (>= 3, h, w), float32
        Reflectance, changed in place.
    x, y : ndarray, shape (h, w), float32
        Face coordinates of its pixels.
    jaw : float
        Drop of the lower lip in face units.
    width : float
        Relative widening of the mouth.
    pixel : float
        Size of a frame pixel in face units.
    """
    half = 32.0 * (1.0 + width)
    across = np.clip(x / half, -1.0, 1.0)
    bow = 1.0 - across**2
    fullness = 1.0 - 0.6 * width
    seam = 79.0 + 2.6 * bow - 0.12 * jaw * bow
    peaks = 0.10 * np.exp(-(((np.abs(across) - 0.2) / 0.12) ** 2))
    cupid = 1.0 - 0.22 * np.exp(-((across / 0.13) ** 2)) + peaks
    top = seam - 7.2 * fullness * bow**0.9 * cupid
    lower_seam = seam + jaw * bow**0.75
    bottom = lower_seam + 10.0 * fullness * bow**0.62
    inside = edge((half - np.abs(x)) * 0.6, pixel)

    wrinkles = np.sin(1.9 * x + 0.6 * np.sin(0.31 * x)) + 0.7 * np.sin(3.1 * x + 1.3)
    depth = (y - top) / np.maximum(seam - top, 0.5)
    upper_lip = tinted((168.0, 100.0, 90.0), 0.79 + 0.22 * depth + 0.025 * wrinkles)
    cover = edge(np.minimum(y - top, seam - y + 0.5), 2 * pixel) * inside
    blend(colour, upper_lip, 0.9 * cover)
    depth = (y - lower_seam) / np.maximum(bottom - lower_seam, 0.5)
    shine = 0.2 * np.exp(-(((depth - 0.38) / 0.18) ** 2))
    lower_lip = tinted((190.0, 122.0, 110.0), 1.08 - 0.16 * depth + shine + 0.025 * wrinkles)
    cover = edge(np.minimum(y - lower_seam + 0.5, bottom - y), 2 * pixel) * inside
    blend(colour, lower_lip, 0.9 * cover)
    gap = edge(np.minimum(y - seam, lower_seam - y), pixel) * inside
    blend(colour, _oral_cavity(x, y, seam, lower_seam, across, jaw), gap * min(1.0, jaw / 1.5))
    closed = np.exp(-(((y - seam - 0.1) / 0.9) ** 2)) * inside
    blend(colour, (84.0, 34.0, 32.0), 0.75 * closed)
    corner = np.exp(-(((np.abs(x) - half) / 2.6) ** 2) - ((y - 79.2) / 1.7) ** 2)
    blend(colour, (104.0, 54.0, 46.0), 0.6 * corner)


def _oral_cavity(
    x: Array, y: Array, seam: Array, lower_seam: Array, across: Array, jaw: float
) -> Array:
    cavity = tinted((44.0, 15.0, 17.0), np.ones_like(x))
    tongue = smoothstep((y - lower_seam + 4.5) / 2.5) * smoothstep((0.75 - np.abs(across)) * 4)
    blend(cavity, (164.0, 78.0, 78.0), 0.8 * tongue)
    roundness = np.clip(1.0 - 1.25 * across**2, 0.0, 1.0)
    gaps = 1.0 - 0.22 * np.exp(-((np.sin(np.pi * x / 7.6) / 0.2) ** 2))
    enamel = tinted((236.0, 229.0, 214.0), gaps * (0.45 + 0.55 * roundness))
    teeth = smoothstep((seam + 1.2 + 0.34 * jaw - y) / 0.9)
    teeth *= smoothstep((0.86 - np.abs(across)) * 5)
    blend(cavity, enamel, teeth)
    return cavity
