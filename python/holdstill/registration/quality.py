"""Whether a registered face is one: its residual beside those of faces a model has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import Weights
from holdstill.learning.residuals import displacements
from holdstill.principal_components import principal_components
from holdstill.registration.images import vectors_of

FOLDS = 5
"""Parts of the images, each explained by a model of the others."""

DISPLACEMENT = 0.05
"""What counts as misregistered, as a share of the canonical width: a tenth of the eye distance."""


def unseen_residuals(
    greys: list[npt.NDArray[Any]],
    transforms: FloatArray,
    names: Sequence[str],
    roi: Weights,
    features: str,
    sigma: float,
    components: int | float,
) -> FloatArray:
    """ε of images under a model of the others, in place and displaced by `DISPLACEMENT`.

    Parameters
    ----------
    greys : list of ndarray (H_i, W_i)
    transforms : ndarray (N, 3, 3)
        frame_from_canonical of each.
    names : sequence of str
        Whose each is; empty where that is unknown. Images of one person stay together, else those
        that follow each other.
    roi, features, sigma, components
        Those of the model's finest octave.

    Returns
    -------
    ndarray (K, 2), float64
        Empty where there are too few images to leave some out.
    """
    shifts = displacements(len(greys), DISPLACEMENT * roi.shape[1])
    try:
        in_place, displaced = (
            vectors_of(greys, at, roi, 0, features, sigma)
            for at in (transforms, transforms @ shifts)
        )
    except ValueError:  # the displaced face has left its image
        return np.zeros((0, 2))
    fold = _folds(names, len(greys))
    found = []
    for part in range(FOLDS):
        others, held = in_place[fold != part], fold == part
        mean = others.mean(axis=0)
        try:
            basis, _ = principal_components(others - mean, len(others) - 1, components, capped=True)
        except ValueError:  # too few, or all alike
            return np.zeros((0, 2))
        found.append(
            [
                np.linalg.norm(away - (away @ basis) @ basis.T, axis=1)
                for away in (in_place[held] - mean, displaced[held] - mean)
            ]
        )
    return np.concatenate(found, axis=1).T


def quality(residual: float, misfits: tuple[float, float] | None) -> float:
    """0.95 at the first of `misfits`, 0.5 at the second; log-odds fall with the logarithm.

    The same curve that the frame aligner has. NaN where nothing is known.

    Examples
    --------
    >>> [round(quality(residual, (0.5, 0.8)), 2) for residual in (0.5, 0.8, 1.0)]
    [0.95, 0.5, 0.2]
    """
    if misfits is None or not np.isfinite(residual):
        return float("nan")
    typical, poor = misfits
    return float(1.0 / (1.0 + (residual / poor) ** (np.log(19.0) / np.log(poor / typical))))


def _folds(names: Sequence[str], n: int) -> npt.NDArray[np.intp]:
    people = list(dict.fromkeys(names))
    if len(people) >= FOLDS:
        return np.array([people.index(name) % FOLDS for name in names])
    return np.arange(n) * FOLDS // n
