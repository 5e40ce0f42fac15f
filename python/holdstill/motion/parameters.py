"""What a transform does to the head: shift, rotation, scale and shear apart, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SHAPE, check_shape
from holdstill.decomposition import decompose as take_apart

PARAMETERS = ("x", "y", "rotation", "scale", "stretch", "shear")
"""Columns of `decompose`; those of a similarity are the first four."""

N_PARAMETERS = {"similarity": 4, "affine": 6}
"""How many of them a motion model has."""

_OUTSIDE = 1e-6
"""Stretch or shear from which on a transform is no similarity."""


def decompose(
    frame_from_canonical: npt.ArrayLike,
    *,
    shape: tuple[int, int] = DEFAULT_SHAPE,
    motion: str = "affine",
) -> FloatArray:
    """Shift, rotation, scale, stretch and shear of transforms; `compose` is the inverse.

    With the canonical centre c, F c = (x, y) and L = F[:2, :2] (equations §0),

        L = R(rotation) · exp(scale) · [exp(stretch), shear; 0, exp(-stretch)].

    Parameters
    ----------
    frame_from_canonical : array_like, shape (..., 3, 3)
        Translations to affine transforms, none that mirrors; NaN throughout where there is none.
    shape : (int, int)
        Height and width of the canonical frame.
    motion : {"affine", "similarity"}
        Six parameters or, where the last two are zero, four.

    Returns
    -------
    ndarray, shape (..., 6) or (..., 4), float64
        In the order of `PARAMETERS`: x and y of the centre in frame pixels, the rotation in radians
        from -π to π (from x to y), the logarithm of the scale in frame pixels per canonical pixel,
        the logarithm of the stretch along canonical x at constant area, and the shear. NaN where
        there is no transform.

    Raises
    ------
    ValueError
        If a transform is not of the family, mirrors or is singular, or an argument is wrong.

    Examples
    --------
    >>> turned = np.array([[0.0, -2.0, 50.0], [2.0, 0.0, 60.0], [0.0, 0.0, 1.0]])
    >>> decompose(turned, shape=(3, 5), motion="similarity").round(3).tolist()
    [48.0, 64.0, 1.571, 0.693]
    """
    transforms = np.asarray(frame_from_canonical, dtype=np.float64)
    if transforms.shape[-2:] != (3, 3):
        raise ValueError(
            f"frame_from_canonical: expected shape (..., 3, 3), got {transforms.shape}"
        )
    count = _n_parameters(motion)
    present = np.isfinite(transforms).all(axis=(-2, -1))
    found = np.full((*transforms.shape[:-2], 6), np.nan)
    found[present] = _decompose_present(transforms[present], shape)
    if count == 4 and (np.abs(found[present][:, 4:]) > _OUTSIDE).any():
        raise ValueError("frame_from_canonical: expected similarities, got sheared transforms")
    return found[..., :count]


def compose(parameters: npt.ArrayLike, *, shape: tuple[int, int] = DEFAULT_SHAPE) -> FloatArray:
    """Transforms of what `decompose` returns.

    Parameters
    ----------
    parameters : array_like, shape (..., 6) or (..., 4)
        In the order of `PARAMETERS`; without the last two, stretch and shear are zero.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64
        frame_from_canonical.

    Raises
    ------
    ValueError
        If there are neither six nor four parameters.

    Examples
    --------
    >>> compose([48.0, 64.0, np.pi / 2, np.log(2.0)], shape=(3, 5)).round(9)[:2].tolist()
    [[0.0, -2.0, 50.0], [2.0, 0.0, 60.0]]
    """
    values = np.asarray(parameters, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] not in N_PARAMETERS.values():
        raise ValueError(f"parameters: expected shape (..., 6) or (..., 4), got {values.shape}")
    x, y, rotation, scale = np.moveaxis(values[..., :4], -1, 0)
    stretch, shear = (
        np.moveaxis(values[..., 4:], -1, 0) if values.shape[-1] == 6 else (0.0 * x, 0.0 * x)
    )
    size = np.exp(scale)
    cosine, sine = size * np.cos(rotation), size * np.sin(rotation)
    along, across = np.exp(stretch), np.exp(-stretch)
    transforms = np.zeros((*values.shape[:-1], 3, 3))
    transforms[..., 0, 0], transforms[..., 1, 0] = cosine * along, sine * along
    transforms[..., 0, 1] = cosine * shear - sine * across
    transforms[..., 1, 1] = sine * shear + cosine * across
    transforms[..., 2, 2] = 1.0
    shift = transforms[..., :2, :2] @ _centre(shape)
    transforms[..., 0, 2], transforms[..., 1, 2] = x - shift[..., 0], y - shift[..., 1]
    transforms[np.isnan(values).any(axis=-1)] = np.nan
    return transforms


def _decompose_present(transforms: FloatArray, shape: tuple[int, int]) -> FloatArray:
    if (np.abs(transforms[:, 2] - [0.0, 0.0, 1.0]) > 1e-9).any():
        raise ValueError("frame_from_canonical: expected affine transforms, got homographies")
    if (np.linalg.det(transforms[:, :2, :2]) <= 0.0).any():
        raise ValueError("frame_from_canonical: expected transforms that neither mirror nor vanish")
    found = take_apart(transforms, check_shape(shape))
    # Logarithms: what grows and shrinks does so by factors.
    return np.column_stack(
        [
            found.translation,
            np.radians(found.rotation),
            np.log(found.scale),
            np.log(found.aspect),
            found.shear,
        ]
    )


def _centre(shape: tuple[int, int]) -> FloatArray:
    height, width = check_shape(shape)
    return np.array([(width - 1) / 2, (height - 1) / 2])


def _n_parameters(motion: str) -> int:
    if motion not in N_PARAMETERS:
        raise ValueError(f"motion: expected one of {', '.join(N_PARAMETERS)}, got {motion!r}")
    return N_PARAMETERS[motion]
