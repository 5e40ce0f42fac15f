"""What a face model knows on one octave of the canonical frame: mean, components, templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import Weights
from holdstill.principal_components import principal_components


@dataclass(frozen=True, eq=False)
class Octave:
    """What a model knows on one octave of the canonical frame.

    Attributes
    ----------
    roi : ndarray (h, w), bool or float32
        Region of interest, or weights.
    mean : ndarray (D,), float32
        x̄ of unit-norm vectors.
    basis : ndarray (D, M), float32
        Φ_M of the covariance.
    eigenvalues : ndarray (K,), float64
        Of the covariance, falling, all that are not zero.
    within_basis, within_eigenvalues
        The same of the covariance within users; empty where the images' users are unknown.
    templates : ndarray (U, D), float32
        t_u, one row for each user.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, an entry is not finite, or no eigenvalue is left beyond
        the basis.
    """

    roi: Weights
    mean: npt.NDArray[np.float32]
    basis: npt.NDArray[np.float32]
    eigenvalues: FloatArray
    within_basis: npt.NDArray[np.float32]
    within_eigenvalues: FloatArray
    templates: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        size = self.mean.size
        fit = self.roi.ndim == 2 and self.mean.ndim == 1 and self.templates.shape[1:] == (size,)
        for basis, eigenvalues in (
            (self.basis, self.eigenvalues),
            (self.within_basis, self.within_eigenvalues),
        ):
            fit = fit and basis.ndim == 2 and len(basis) == size and eigenvalues.ndim == 1
            # ρ is the mean of those beyond; within users there may be none at all.
            unknown = basis is self.within_basis and basis.size == eigenvalues.size == 0
            fit = fit and (unknown or basis.shape[1] < eigenvalues.size)
        if not fit:
            shapes = {name: getattr(self, name).shape for name in ARRAYS}
            raise ValueError(f"octaves: expected arrays that fit each other, got shapes {shapes}")
        for name in ARRAYS:
            array = getattr(self, name)
            if not np.isfinite(array).all():
                raise ValueError(f"octaves: expected finite entries of {name}")
            array.flags.writeable = False


ARRAYS = tuple(Octave.__dataclass_fields__)


def check_octaves(octaves: Sequence[Octave], planes: int, n_users: int) -> None:
    """Refuse octaves that are none, or have other pixels or users than they should."""
    if not octaves:
        raise ValueError("octaves: expected at least one")
    for octave in octaves:
        size = planes * int((octave.roi > 0).sum())
        if len(octave.mean) != size:
            raise ValueError(
                f"octaves: expected vectors of {size} entries for this region and feature, "
                f"got {len(octave.mean)}"
            )
        if len(octave.templates) != n_users:
            raise ValueError(
                f"octaves: expected templates of {n_users} users, got {len(octave.templates)}"
            )


def learn_octave(
    vectors: FloatArray, names: Sequence[str], roi: Weights, components: int | float
) -> Octave:
    """Mean and PCA of vectors, and of what differs between vectors of the same user.

    Parameters
    ----------
    vectors : ndarray (N, D), float64
        Of registered images, unit norm.
    names : sequence of str
        Whose each is; empty where that is unknown.
    roi : ndarray (h, w), bool or float32
        Kept beside what is learnt.
    components : int or float
        As in `principal_components`; within users the same, or as many as there are.

    Returns
    -------
    Octave

    Raises
    ------
    ValueError
        If there are fewer vectors than components need.
    """
    mean = vectors.mean(axis=0)
    overall = principal_components(vectors - mean, len(vectors) - 1, components)
    users = sorted(set(names))
    of_user = [np.array([name == user for name in names]) for user in users]
    templates = np.array([vectors[which].mean(axis=0) for which in of_user])
    templates = templates.reshape(-1, vectors.shape[1])
    within_basis, within = np.zeros((vectors.shape[1], 0)), np.zeros(0)
    if len(vectors) - len(users) >= 2 and users:
        deviations = vectors.copy()
        for which, template in zip(of_user, templates, strict=True):
            deviations[which] -= template
        within_basis, within = principal_components(
            deviations, len(vectors) - len(users), components, capped=True
        )
    return Octave(
        roi,
        mean.astype(np.float32),
        overall.basis.astype(np.float32),
        overall.eigenvalues,
        within_basis.astype(np.float32),
        within,
        templates.astype(np.float32),
    )
