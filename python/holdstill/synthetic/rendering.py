"""Resampling and shading: from the head's texture to the pixels of one frame.

The texture is sampled through the inverse of the frame's true transform, so that a feature of the
head lies where the truth says, whatever the resolution of either.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from holdstill._typing import FloatArray

from .appearance import Array, smoothstep

Warp = Callable[[Array, Array], tuple[Array, Array]]

_ROWS_AT_A_TIME = 8  # keeps the intermediate arrays within the processor's cache


def sample_texture(
    texture: Array,
    origin: tuple[float, float],
    texels_per_unit: float,
    units_from_frame: FloatArray,
    box: tuple[int, int, int, int],
    *,
    step: int = 1,
    displace: Warp | None = None,
) -> Array:
    """Sample a texture bilinearly at the pixels of a box of the frame.

    Parameters
    ----------
    texture : ndarray, shape (rows, columns, 4), float32
        Outside of it the nearest texel counts.
    origin : (float, float)
        Where its first texel lies in the units of the face or the hand.
    texels_per_unit : float
        Texels per face unit.
    units_from_frame : ndarray, shape (3, 3), float64
        Affine map from frame pixels to those units.
    box : (int, int, int, int)
        x0, y0, x1, y1 in frame pixels, ends excluded.
    step : int
        Distance of the samples in frame pixels.
    displace : callable (x, y) -> (x, y)
        Where in the face at rest a point of the moving face comes from.

    Returns
    -------
    ndarray, shape (4, ceil((y1 - y0) / step), ceil((x1 - x0) / step)), float32
    """
    x0, y0, x1, y1 = box
    rows, columns = texture.shape[:2]
    flat = texture.reshape(-1, 4)
    height, width = -((y0 - y1) // step), -((x0 - x1) // step)
    result = np.empty((4, height, width), np.float32)
    for top in range(0, height, _ROWS_AT_A_TIME):
        end = min(top + _ROWS_AT_A_TIME, height)
        x, y = unit_grid(units_from_frame, (x0, y0 + top * step, x1, y0 + end * step), step)
        if displace is not None:
            x, y = displace(x, y)
        x = np.clip((x - origin[0]) * texels_per_unit, 0, columns - 1.001)
        y = np.clip((y - origin[1]) * texels_per_unit, 0, rows - 1.001)
        result[:, top:end] = _bilinear(flat, columns, x, y).transpose(2, 0, 1)
    return result


def unit_grid(
    units_from_frame: FloatArray, box: tuple[int, int, int, int], step: int = 1
) -> tuple[Array, Array]:
    """Coordinates x and y, in units of the face or the hand, of the pixels of a box."""
    x0, y0, x1, y1 = box
    u = np.arange(x0, x1, step, dtype=np.float32)[None, :]
    v = np.arange(y0, y1, step, dtype=np.float32)[:, None]
    (a, b, c), (d, e, f) = units_from_frame[:2].astype(np.float32)
    return a * u + (b * v + c), d * u + (e * v + f)


def _bilinear(flat: Array, columns: int, x: Array, y: Array) -> Array:
    left, above = x.astype(np.intp), y.astype(np.intp)
    index = above * columns + left
    # Weights as wide as the texels multiply faster than broadcast ones.
    right = np.repeat((x - left)[..., None], 4, axis=-1)
    below = np.repeat((y - above)[..., None], 4, axis=-1)
    upper, upper_right = flat.take(index, axis=0), flat.take(index + 1, axis=0)
    index += columns
    lower, lower_right = flat.take(index, axis=0), flat.take(index + 1, axis=0)
    for value, neighbour in ((upper, upper_right), (lower, lower_right)):
        neighbour -= value
        neighbour *= right
        value += neighbour
    lower -= upper
    lower *= below
    upper += lower
    return upper


def face_displacement(jaw: float, nose: tuple[float, float]) -> Warp:
    """Motion of the face within itself: the falling jaw, and the nose's parallax.

    Parameters
    ----------
    jaw : float
        Drop of the chin in face units.
    nose : (float, float)
        Displacement of the nose tip in face units.

    Returns
    -------
    callable (x, y) -> (x, y)
    """

    def displace(x: Array, y: Array) -> tuple[Array, Array]:
        if jaw and y.max() > 78.0:
            fall = smoothstep((y - 78.0) / 26.0) * smoothstep((80.0 - np.abs(x)) / 46.0)
            y = y - np.float32(jaw) * fall
        if any(nose) and y.max() > -16.0 and y.min() < 84.0:
            near = np.exp(-((x / 17.0) ** 2) - ((y - 36.0) / 22.0) ** 2)
            x, y = x - np.float32(nose[0]) * near, y - np.float32(nose[1]) * near
        return x, y

    return displace


def shading(
    relief: Array,
    ambient: FloatArray,
    direction: FloatArray,
    intensity: FloatArray,
) -> Array:
    """Light on the relief: ambient from above, soft diffuse, and the key light's gloss.

    Parameters
    ----------
    relief : ndarray, shape (4, h, w), float32
        Samples of `HeadTexture.relief`.
    ambient : ndarray, shape (3,)
    direction, intensity : ndarray, shape (2, 3)
        As in `Lights`, of one frame.

    Returns
    -------
    ndarray, shape (4, h, w), float32
        Factors of red, green and blue, and a term to add.
    """
    nx, ny, gloss = relief[:3]
    nz = np.sqrt(np.clip(1.0 - nx * nx - ny * ny, 0.0, None))
    terms = np.empty_like(relief)
    terms[0] = 0.86 - 0.14 * ny
    for k, towards in enumerate(direction.astype(np.float32)):
        facing = towards[0] * nx + towards[1] * ny + towards[2] * nz
        terms[1 + k] = np.clip((facing + 0.22) / 1.22, 0.0, None)
    half = direction[0] + (0.0, 0.0, 1.0)
    half = (half / np.linalg.norm(half)).astype(np.float32)
    shine = np.clip(half[0] * nx + half[1] * ny + half[2] * nz, 0.0, None)
    terms[3] = gloss * shine**16
    mix = np.zeros((4, 4), np.float32)
    mix[:3, 0], mix[:3, 1:3] = ambient, intensity.T
    mix[3, 3] = 75.0 * intensity[0].mean()
    return (mix @ terms.reshape(4, -1)).reshape(relief.shape)


def double_resolution(samples: Array, height: int, width: int) -> Array:
    """Interpolate samples at every second pixel linearly to every pixel.

    Parameters
    ----------
    samples : ndarray, shape (k, ceil(height / 2) + 1, ceil(width / 2) + 1), float32
    height, width : int
        Size of the result.

    Returns
    -------
    ndarray, shape (k, height, width), float32
    """
    channels, h, w = samples.shape
    wide = np.empty((channels, h, 2 * w - 2), np.float32)
    wide[:, :, 0::2] = samples[:, :, :-1]
    wide[:, :, 1::2] = 0.5 * (samples[:, :, :-1] + samples[:, :, 1:])
    result = np.empty((channels, 2 * h - 2, 2 * w - 2), np.float32)
    result[:, 0::2] = wide[:, :-1]
    result[:, 1::2] = 0.5 * (wide[:, :-1] + wide[:, 1:])
    return result[:, :height, :width]
