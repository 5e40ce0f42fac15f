"""What of the synthetic head stays as it is: skin, hair, brows, ears, neck, and their relief.

Everything is drawn in *face coordinates*: the origin is the middle of the outer eye corners, which
lie at (-50, 0) and (50, 0); x right, y down. A face unit is one pixel of the default canonical
frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import CubicSpline, PchipInterpolator

from ..talking.blending import smooth_step

Array: TypeAlias = npt.NDArray[Any]  # float32 throughout, which NumPy's stubs cannot follow

TEXELS_PER_UNIT = 3
RELIEF_STEP = 2  # the relief is stored at every second texel: it holds no finer detail
LEFT, RIGHT, TOP, BOTTOM = -114, 114, -166, 222

_SKIN = (226.0, 176.0, 146.0)
_HAIR = (74.0, 50.0, 34.0)
_JAW_CENTRE = 5.0
_FACE_OUTLINE = (
    (0, -128), (45, -114), (72, -75), (81, -30), (81, 0), (78, 35), (71, 67), (59, 95), (41, 124),
    (20, 142), (0, 147),
)  # fmt: skip
_HAIR_OUTLINE = (
    (0, -152), (48, -140), (84, -102), (98, -55), (97, -12), (90, 22), (84, 50), (70, 75), (45, 90),
    (20, 95), (0, 96),
)  # fmt: skip
_HAIRLINE = (
    (-140, 26), (-88, 24), (-79, 2), (-75, -22), (-69, -45), (-50, -66), (-15, -76), (22, -92),
    (46, -76), (67, -50), (75, -22), (79, 2), (88, 24), (140, 26),
)  # fmt: skip

# Height added to the skull: amplitude, centre x and y, widths along x and y; mirrored where x > 0.
_BUMPS = (
    (-9.0, 31, -5, 17, 9),  # eye socket
    (4.5, 35, -1, 11, 8),  # eyeball under its lids
    (5.0, 36, -22, 24, 7),  # brow ridge
    (7.0, 52, 36, 19, 17),  # cheekbone
    (-5.0, 72, -42, 14, 26),  # temple
    (6.5, 14, 43, 5.5, 5.5),  # wing of the nose
    (-2.5, 25, 56, 4.0, 13),  # nasolabial fold
    (7.0, 0, 76, 30, 21),  # muzzle
    (-1.8, 0, 62, 3.5, 6),  # philtrum
    (-4.5, 0, 103, 20, 5),  # groove under the lower lip
    (7.0, 0, 128, 20, 14),  # chin
    (-4.0, 52, 82, 13, 24),  # hollow of the cheek
)


@dataclass(frozen=True)
class HeadTexture:
    """The head's texture in face coordinates.

    Attributes
    ----------
    colour : ndarray, shape (rows, columns, 4), float32
        Red, green and blue reflectance (0 to 255) and opacity (0 to 1) at every texel.
    relief : ndarray, shape (rows / 2, columns / 2, 4), float32
        x and y of the unit normal (towards the viewer: 0, 0), gloss (0 to 1), and 1 where the
        sweater may cover the texel, at every second texel.
    """

    colour: Array
    relief: Array


def smoothstep(value: Array) -> Array:
    """Cubic step from 0 at `value` <= 0 to 1 at `value` >= 1."""
    return np.asarray(smooth_step(value), dtype=np.float32)


def blend(colour: Array, paint: Array | tuple[float, ...], opacity: Array) -> None:
    """Lay `paint` over the first three planes of `colour`, in place.

    Parameters
    ----------
    colour : ndarray, shape (>= 3, h, w), float32
        Changed in place.
    paint : ndarray, shape (3, h, w), or three floats
        The colour laid over it.
    opacity : ndarray, shape (h, w)
        0 leaves the colour, 1 replaces it.
    """
    for under, over in zip(colour, paint, strict=False):
        under += opacity * (over - under)


def tinted(tone: tuple[float, ...], brightness: Array) -> Array:
    """Planes of red, green and blue, shape (3, h, w): `tone` times `brightness`."""
    return np.asarray(np.array(tone, np.float32)[:, None, None] * brightness, np.float32)


def band_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Array:
    """Gaussian noise of zero mean and unit deviation, low-passed with `sigma` pixels."""
    white = rng.standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, sigma, mode="wrap", truncate=3.0)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), dtype=np.float32)


@lru_cache(maxsize=2)
def head_texture(blur: float = 1.0) -> HeadTexture:
    """Build the texture of the head, or return the one already built.

    Parameters
    ----------
    blur : float
        Low-pass in texels, so that no detail is finer than a frame pixel.

    Returns
    -------
    HeadTexture
        Read-only arrays.
    """
    rng = np.random.default_rng(20120611)
    x, y = _texel_grid()
    radius = _polar_radius(x, y, _FACE_OUTLINE)
    height = _face_height(x, y, radius)
    hair, strands = _hair_cover(rng, x, y)
    jaw = smoothstep((1.0 - radius) * 40.0)
    ears, ear_depth = _ears(x, y)
    neck = _neck_cover(x, y)

    colour = np.empty((4, *x.shape), np.float32)
    colour[:3] = tinted(_SKIN, np.ones_like(x))
    _paint_neck(colour, x, y, radius, jaw)
    _paint_ears(colour, ears * (1 - jaw), ear_depth)
    _paint_face(colour, rng, x, y, height, jaw)
    _paint_brows(colour, rng, x, y)
    hairline = _hairline_height(x)
    shadow = np.exp(-np.clip(y - hairline, 0, None) / 7.0) * jaw
    colour[:3] *= 1.0 - 0.3 * shadow
    blend(colour, _hair_colour(strands, x, y), hair)
    colour[3] = np.maximum.reduce([hair, jaw, ears, neck])

    normals = _normals(x, y, height, jaw, hair, strands)
    gloss = jaw * (1 - hair) * (0.55 + 0.45 * np.exp(-((x / 16) ** 2) - ((y - 20) / 45) ** 2))
    on_neck = 1 - np.maximum.reduce([hair, jaw, ears])  # also beside it: no seam at its edge
    relief = np.stack([*normals, gloss + 0.35 * hair * _hair_band(y, x), on_neck])
    return HeadTexture(as_texture(colour, blur, 1), as_texture(relief, 1.5 * blur, RELIEF_STEP))


def as_texture(planes: Array, blur: float, step: int) -> Array:
    """Low-passed (rows, columns, 4) of (4, rows, columns), every `step`-th texel, read-only."""
    smooth = ndimage.gaussian_filter(planes, (0, blur, blur), truncate=3.0)[:, ::step, ::step]
    texture = np.ascontiguousarray(smooth.transpose(1, 2, 0), dtype=np.float32)
    texture.setflags(write=False)
    return texture


def _texel_grid() -> tuple[Array, Array]:
    columns = (RIGHT - LEFT) * TEXELS_PER_UNIT + 1
    rows = (BOTTOM - TOP) * TEXELS_PER_UNIT + 1
    x = np.linspace(LEFT, RIGHT, columns, dtype=np.float32)
    y = np.linspace(TOP, BOTTOM, rows, dtype=np.float32)
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    return grid_x, grid_y


def _polar_radius(x: Array, y: Array, outline: tuple[tuple[int, int], ...]) -> Array:
    """Distance from the centre of the head over that of the outline in the same direction."""
    right = np.array(outline, dtype=float) - (0.0, _JAW_CENTRE)
    angle = np.arctan2(right[:, 0], -right[:, 1])  # 0 upwards, pi downwards
    knots = np.concatenate([angle, 2 * np.pi - angle[-2::-1]])
    lengths = np.hypot(right[:, 0], right[:, 1])
    spline = CubicSpline(knots, np.concatenate([lengths, lengths[-2::-1]]), bc_type="periodic")
    direction = np.mod(np.arctan2(x, -(y - _JAW_CENTRE)), 2 * np.pi)
    table = spline(np.linspace(0, 2 * np.pi, 2049))
    boundary = np.interp(direction, np.linspace(0, 2 * np.pi, 2049), table)
    return np.asarray(np.hypot(x, y - _JAW_CENTRE) / boundary, dtype=np.float32)


def _face_height(x: Array, y: Array, radius: Array) -> Array:
    """Height of the face above the plane of its outline, in face units."""
    height = 66.0 * np.sqrt(np.clip(1.04 - radius**2.3, 0.0, None))
    for amplitude, cx, cy, sx, sy in _BUMPS:
        bump = amplitude * np.exp(-(((np.abs(x) - cx) / sx) ** 2 + ((y - cy) / sy) ** 2) / 2)
        height += bump
    rows = y[:, 0]
    ridge = _profile(rows, (-22, -8, 10, 28, 38, 44, 52, 60), (0, 4, 10, 19, 23, 20, 6, 0))
    width = _profile(rows, (-12, 18, 38, 52), (6.5, 7.0, 9.5, 11.0))
    height += ridge[:, None] * np.exp(-((x / width[:, None]) ** 2) / 2)
    return np.asarray(height, dtype=np.float32)


def _profile(at: Array, knots: tuple[float, ...], values: tuple[float, ...]) -> Array:
    inside = np.clip(at, knots[0], knots[-1])
    return np.asarray(PchipInterpolator(knots, values)(inside), dtype=np.float32)


def _paint_face(
    colour: Array, rng: np.random.Generator, x: Array, y: Array, height: Array, jaw: Array
) -> None:
    """Flush, shadow of the hollows, nostrils, beard shadow, pores and freckles."""
    side = np.abs(x)
    flush = np.exp(-((side - 52) ** 2 + (y - 42) ** 2) / 700) + 0.7 * np.exp(
        -(x**2 + (y - 40) ** 2) / 110
    )
    colour[:3] += tinted((5.0, -11.0, -9.0), flush)
    beard = smoothstep((y - 50 + 0.25 * (side - 30)) / 30) * jaw
    colour[:3] -= tinted((20.0, 11.0, 6.0), beard)
    socket = np.exp(-((((side - 33) / 21) ** 2 + ((y - 1) / 12) ** 2) ** 1.5))
    colour[:3] *= 1.0 - tinted((0.20, 0.24, 0.24), socket)
    tired = np.exp(-(((side - 33) / 17) ** 2) - ((y - 14) / 6) ** 2)
    colour[:3] -= tinted((22.0, 24.0, 16.0), tired)

    hollow = np.clip(ndimage.gaussian_filter(height, 15) - height, 0, 6)
    colour[:3] *= 1.0 - 0.045 * hollow * jaw
    crease = y + 15 - 0.004 * (side - 35) ** 2
    fold = np.exp(-(((side - 33) / 26) ** 8) - (crease / 1.1) ** 2) * smoothstep((side - 17) / 8)
    blend(colour, (140.0, 84.0, 62.0), 0.5 * fold)
    nostril = np.exp(-((((side - 8) / 4.6) ** 2 + ((y - 49.5 - 0.1 * side) / 2.4) ** 2) ** 2))
    blend(colour, (58.0, 26.0, 20.0), 0.9 * nostril)
    wing = np.exp(-(((np.hypot(side - 14, y - 43) - 8.2) / 1.3) ** 2)) * (side > 15) * (y > 37)
    blend(colour, (150.0, 88.0, 66.0), 0.5 * wing)

    pores = 3.2 * band_noise(rng, x.shape, 1.6) + 3.0 * band_noise(rng, x.shape, 5.0)
    blotches = 3.0 * band_noise(rng, x.shape, 14.0)
    colour[:3] += pores + tinted((0.4, 1.0, 0.9), blotches)
    freckled = 0.9 * np.exp(-(((side - 40) / 30) ** 2) - ((y - 22) / 22) ** 2)
    speckles = band_noise(rng, x.shape, 2.4) + freckled
    blend(colour, (150.0, 92.0, 62.0), 0.5 * smoothstep((speckles - 2.35) * 2.0) * jaw)
    for mole_x, mole_y, size in ((-58, 52, 1.7), (27, 66, 1.4), (40, -58, 1.3), (-14, 116, 1.2)):
        mole = np.exp(-((((x - mole_x) ** 2 + (y - mole_y) ** 2) / size**2) ** 2))
        blend(colour, (92.0, 52.0, 38.0), 0.8 * mole)


def _paint_brows(colour: Array, rng: np.random.Generator, x: Array, y: Array) -> None:
    side = np.abs(x)
    middle = _profile(side.ravel(), (10, 26, 50, 74), (-23, -27, -31, -18)).reshape(x.shape)
    half_width = _profile(side.ravel(), (10, 20, 45, 74), (3.6, 5.0, 4.2, 0.8)).reshape(x.shape)
    inside = smoothstep((side - 10) / 8) * smoothstep((74 - side) / 14)
    across = (y - middle) / half_width
    slanted = np.stack([(y + 0.9 * side) * 0.55 + 400, (side - 0.5 * y) * 2.2 + 400])
    noise = band_noise(rng, (1000, 1000), 1.2)
    hairs = ndimage.map_coordinates(noise, slanted, order=1, mode="wrap")
    cover = smoothstep(1.35 - np.abs(across) + 0.2 * hairs) * inside
    blend(colour, tinted(_HAIR, 0.9 + 0.28 * hairs), 0.86 * cover)


def _hairline_height(x: Array) -> Array:
    knots = tuple(float(p[0]) for p in _HAIRLINE)
    values = tuple(float(p[1]) for p in _HAIRLINE)
    return _profile(x[0], knots, values)[None, :]


def _hair_cover(rng: np.random.Generator, x: Array, y: Array) -> tuple[Array, Array]:
    """Opacity of the hair and its strands (unit deviation), which fall from a parting."""
    parting = 22.0 * np.exp(-np.clip(y + 140, 0, None) / 70)
    reach = 104.0 * np.sqrt(np.clip(1.0 - ((y - 10) / 166) ** 2, 0.02, None))
    meridian = (x - parting) / reach
    strands = np.zeros_like(x)
    for lines, weight in ((45.0, 0.45), (110.0, 0.6), (210.0, 0.7)):
        at = np.stack([0.16 * (y - TOP) + 25 * np.abs(meridian), (meridian + 3.0) * lines])
        noise = band_noise(rng, (700, 1100), 0.9)
        strands += weight * ndimage.map_coordinates(noise, at, order=1, mode="wrap")
    strands = np.asarray(strands / strands.std(), np.float32)
    outline = 1.0 - _polar_radius(x, y, _HAIR_OUTLINE) + 0.010 * strands
    above = _hairline_height(x) + 3.2 * strands - y
    return smoothstep(outline * 45.0) * smoothstep(above / 3.0), strands


def _hair_band(y: Array, x: Array) -> Array:
    """Where hair catches the light: a band across the crown."""
    return np.asarray(np.exp(-(((y + 118 - 0.006 * x**2) / 15) ** 2)), np.float32)


def _hair_colour(strands: Array, x: Array, y: Array) -> Array:
    band = _hair_band(y, x) * (1.0 + 0.5 * strands)
    tone = tinted(_HAIR, 1.0 + 0.2 * strands) + tinted((46.0, 36.0, 26.0), band)
    return np.asarray(np.clip(tone, 8.0, 255.0), np.float32)


def _ears(x: Array, y: Array) -> tuple[Array, Array]:
    """Opacity of the ears and how deep a point lies in them (0 at the rim, 1 inside)."""
    side = np.abs(x) - 0.08 * (y - 10)
    distance = np.sqrt(((side - 82) / 13.5) ** 2 + ((y - 14 - 0.3 * (side - 82)) / 30) ** 2)
    return smoothstep((1.0 - distance) * 12.0), smoothstep((0.86 - distance) * 2.2)


def _paint_ears(colour: Array, ears: Array, depth: Array) -> None:
    blend(colour, (220.0, 162.0, 136.0), ears)
    blend(colour, (156.0, 96.0, 76.0), 0.65 * ears * depth)


def _neck_cover(x: Array, y: Array) -> Array:
    half_width = 54.0 + 10.0 * smoothstep((y - 150) / 110)
    return smoothstep((half_width - np.abs(x)) / 1.5) * smoothstep((y - 60) / 5)


def _paint_neck(colour: Array, x: Array, y: Array, radius: Array, jaw: Array) -> None:
    """Shadow the chin casts, and the two cords of the throat."""
    below = np.clip(radius - 1.0, 0, None) * 147
    shadow = 0.62 * np.exp(-((below / 26) ** 2)) * (1 - jaw) * (y > 40)
    cords = np.exp(-(((np.abs(x) - 34 + 0.16 * (y - 130)) / 5) ** 2)) * (1 - jaw) * (y > 100)
    colour[:3] *= 0.9 - shadow + 0.06 * cords


def _normals(
    x: Array, y: Array, height: Array, jaw: Array, hair: Array, strands: Array
) -> tuple[Array, Array]:
    step = 1.0 / TEXELS_PER_UNIT
    dy, dx = np.gradient(ndimage.gaussian_filter(height, 2.0), step)
    skull = _polar_radius(x, y, _HAIR_OUTLINE)
    dome = 92.0 * np.sqrt(np.clip(1.05 - skull**2.2, 0.0, None))
    dome_dy, dome_dx = np.gradient(ndimage.gaussian_filter(dome, 3.0) + 0.5 * strands, step)
    neck_dx = -x / np.sqrt(np.clip(72.0**2 - x**2, 400.0, None))
    dx = jaw * dx + (1 - jaw) * neck_dx
    dy = jaw * dy + (1 - jaw) * 0.15
    dx += hair * (dome_dx - dx)
    dy += hair * (dome_dy - dy)
    length = np.sqrt(1.0 + dx**2 + dy**2)
    return np.asarray(-dx / length, np.float32), np.asarray(-dy / length, np.float32)
