"""What a dictionary leaves unexplained of images like its own: the yardstick of later frames."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill.l1 import l1_least_squares

MOST_IMAGES = 60
"""Images measured at most, evenly through the batch."""


class OwnResiduals(NamedTuple):
    """Residuals of a dictionary's own images.

    Attributes
    ----------
    norms : ndarray, shape (k,), float64
        ‖e‖₂ of each image measured.
    pixel : float
        Median of |e_i| over their pixels, taken over the planes of edges.
    """

    norms: npt.NDArray[np.float64]
    pixel: float


def leave_one_out(
    images: Sequence[npt.ArrayLike],
    initial: npt.NDArray[np.float64],
    frame_from_canonical: npt.NDArray[np.float64],
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
    planes = 2 if features == "edges" else 1
    norms, pixels = [], []
    for index in np.unique(np.linspace(0, len(images) - 1, MOST_IMAGES).astype(int)):
        others = atoms[:, columns != index]
        if others.shape[1] == 0:
            continue
        now = core.linearize(
            images[index],
            frame_from_canonical[index],
            lowpass_from=initial[index],
            features=features,
            **sampling,
        )
        residual = l1_least_squares(others, now.vector, now.jacobian, mu=mu).residual
        norms.append(float(np.linalg.norm(residual)))
        pixels.append(np.linalg.norm(residual.reshape(planes, -1), axis=0))
    if not norms:
        return OwnResiduals(np.zeros(0), float("nan"))
    return OwnResiduals(np.array(norms), float(np.median(pixels)))
