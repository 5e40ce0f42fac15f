"""What a dictionary leaves unexplained of images like its own: the yardstick of later frames."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.l1 import l1_least_squares
from holdstill.reference.warp import n_planes

MOST_IMAGES = 60
"""Images measured at most, evenly through the batch."""

HUBER, DEVIATIONS_PER_MEDIAN = 1.345, 1.4826
"""κ in standard deviations of a pixel's residual, 95 % efficient where noise is Gaussian; and these
in medians of its size."""

DISPLACEMENT = 0.025
"""What counts as misaligned, as a share of the canonical width: 5 pixels of 200."""

GOLDEN_ANGLE = 2.399963
"""Radians: directions so far apart fill the circle evenly, however many there are."""


class OwnResiduals(NamedTuple):
    """Residuals of a dictionary's own images.

    Attributes
    ----------
    norms : ndarray, shape (k,), float64
        ‖e‖₂ of each image measured.
    displaced : ndarray, shape (k,), float64
        The same where they are misaligned by `DISPLACEMENT`.
    pixel : float
        Median of |e_i| over their pixels, taken over the planes of edges.
    robust : ndarray, shape (k, 3), float64
        By Geman and McClure's weights: the residual's norm relative to that of the image, the same
        where it is misaligned, and the share of the model's energy that is seen.
    """

    norms: FloatArray
    displaced: FloatArray
    pixel: float
    robust: FloatArray


def huber_threshold(pixel: float) -> float:
    """κ of equations §3, from the median of |e_i|."""
    return HUBER * DEVIATIONS_PER_MEDIAN * pixel


def yardstick(in_place: FloatArray, displaced: FloatArray) -> tuple[float, float] | None:
    """Residuals that earn a frame a quality of 0.95 and of 0.5.

    The median of those in place; and what lies, on a scale of logarithms, halfway between the worst
    twentieth of them and the median of those displaced.

    Parameters
    ----------
    in_place, displaced : ndarray, shape (k,), float64
        Of the images that something was learnt from, where they belong and misaligned.

    Returns
    -------
    (float, float) or None
        None where nothing is known, or they leave nothing.

    Examples
    --------
    >>> yardstick(np.array([0.1, 0.1]), np.array([0.4]))
    (0.1, 0.2)
    """
    if not len(in_place) or not len(displaced):
        return None
    typical, worst = (float(q) for q in np.quantile(in_place, [0.5, 0.95]))
    poor = float(np.sqrt(worst * np.median(displaced)))
    return (typical, max(poor, 1.2 * typical)) if typical > 0 else None


def leave_one_out(
    images: Sequence[npt.ArrayLike],
    initial: FloatArray,
    frame_from_canonical: FloatArray,
    atoms: npt.NDArray[np.floating[Any]],
    columns: npt.NDArray[np.intp],
    *,
    mu: float = _core.DEFAULT_MU,
    features: str = "grey",
    kernels: ModuleType | None = None,
    **sampling: Any,
) -> OwnResiduals:
    """Explain every image of a batch by the atoms of the others, its transform free to move.

    An image that is an atom itself would be explained by itself, and no later frame is so lucky.

    Parameters
    ----------
    images : sequence of array_like (H_i, W_i)
        Grey images of the batch.
    initial : ndarray, shape (n, 3, 3)
        Transforms that set their low-pass.
    frame_from_canonical : ndarray, shape (n, 3, 3)
        Where the batch was aligned to.
    atoms : ndarray, shape (M, r)
        Ã.
    columns : ndarray, shape (r,), int
        The image behind each atom.
    mu : float
        μ of equations §3.
    features : str
        ``grey``, ``edges`` or ``magnitude``.
    kernels : module, optional
        Supplies `linearize`; the compiled core by default.
    **sampling
        shape, motion, sigma and roi, as in :func:`holdstill.rasl`.

    Returns
    -------
    OwnResiduals
        Empty where every image is needed to explain itself, as in a batch of one atom.
    """
    core = _core if kernels is None else kernels
    planes = n_planes(features)
    norms, fits = [], []
    shifts = displacements(len(images), DISPLACEMENT * sampling["shape"][1])
    for index in np.unique(np.linspace(0, len(images) - 1, MOST_IMAGES).astype(int)):
        others = atoms[:, columns != index]
        if others.shape[1] == 0:
            continue

        def seen_from(
            transform: FloatArray, index: int = int(index)
        ) -> tuple[FloatArray, FloatArray]:
            now = core.linearize(
                images[index],
                transform,
                lowpass_from=initial[index],
                features=features,
                **sampling,
            )
            return now.vector, now.jacobian

        vector, jacobian = seen_from(frame_from_canonical[index])
        residual = l1_least_squares(others, vector, jacobian, mu=mu).residual
        moved, _ = seen_from(frame_from_canonical[index] @ shifts[index])
        off = l1_least_squares(others, moved, mu=mu).residual
        norms.append((np.linalg.norm(residual), np.linalg.norm(off)))
        # Kept until all are known, hence in half the memory.
        fits.append(np.array([vector, residual, moved, off], dtype=np.float32))
    if not fits:
        return OwnResiduals(np.zeros(0), np.zeros(0), float("nan"), np.zeros((0, 3)))
    pixel = float(np.median([_by_pixel(residual, planes) for _, residual, _, _ in fits]))
    scale = _core.REDESCENDING_SCALE * huber_threshold(pixel)
    robust = []
    for vector, residual, moved, off in fits if scale > 0.0 else []:
        misfit, seen = _seen(vector, residual, planes, scale)
        robust.append((misfit, _seen(moved, off, planes, scale)[0], seen))
    in_place, displaced = np.array(norms).T.copy()
    return OwnResiduals(in_place, displaced, pixel, np.array(robust).reshape(-1, 3))


def displacements(n: int, distance: float) -> FloatArray:
    """Translations of the canonical frame, (n, 3, 3), each in another direction.

    Parameters
    ----------
    n : int
    distance : float
        Canonical pixels.

    Examples
    --------
    >>> np.linalg.norm(displacements(5, 3.0)[:, :2, 2], axis=1).round(9).tolist()
    [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    angles = GOLDEN_ANGLE * np.arange(n)
    shifts = np.tile(np.eye(3), (n, 1, 1))
    shifts[:, :2, 2] = distance * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return shifts


def _by_pixel(
    residual: npt.NDArray[np.floating[Any]], planes: int
) -> npt.NDArray[np.floating[Any]]:
    """|e_i|, of each pixel over its planes."""
    return np.asarray(np.linalg.norm(residual.reshape(planes, -1), axis=0))


def _seen(
    vector: npt.NDArray[np.float32], residual: npt.NDArray[np.float32], planes: int, scale: float
) -> tuple[float, float]:
    """Misfit of what Geman and McClure's weights see, and its share of the model's energy."""
    weights = np.tile((1.0 + (_by_pixel(residual, planes) / scale) ** 2) ** -2, planes)
    model = vector - residual
    misfit = np.sqrt(weights @ residual**2 / (weights @ vector**2))
    energy = float(model @ model)
    return float(misfit), float(weights @ model**2) / energy if energy > 0.0 else 0.0
