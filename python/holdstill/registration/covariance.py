"""The covariances of a face model: a principal subspace, and ρ in all directions beside it (§4)."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.reference import subspace
from holdstill.registration.octave import Octave

RHOS = ("existing", "all")
"""Readings of ρ: the mean of the eigenvalues beyond M that exist, or of all D - M of them."""


class Covariance(NamedTuple):
    """Of the vectors of one octave.

    Attributes
    ----------
    basis : ndarray (D, M), float32
        Φ_M.
    variances : ndarray (M,), float64
        λ along it.
    rho : float
        ρ, the variance in each direction beside it.
    """

    basis: npt.NDArray[np.float32]
    variances: FloatArray
    rho: float

    def log_volume(self) -> float:
        """What the log-likelihood has beside the distance."""
        shaped = np.broadcast_to(0.0, self.basis.shape)  # only its shape counts
        gaussian = subspace.Subspace(shaped[:, :1], shaped, self.variances, self.rho)
        return subspace.log_volume(gaussian)


def covariances(octaves: tuple[Octave, ...], rho: str | float, *, within: bool) -> list[Covariance]:
    """Of every octave: of everybody, or within users.

    Parameters
    ----------
    octaves : tuple of Octave
        The finest first.
    rho : {"existing", "all"} or float
        As in :class:`holdstill.FaceModel`.
    within : bool

    Raises
    ------
    ValueError
        If the covariance within users is asked for and unknown.
    """
    if within:
        refuse_unknown_within(octaves)
    found = []
    for octave in octaves:
        if within:
            basis, eigenvalues = octave.within_basis, octave.within_eigenvalues
        else:
            basis, eigenvalues = octave.basis, octave.eigenvalues
        size, count = basis.shape
        beyond = eigenvalues[count:]
        if isinstance(rho, str):
            beside = float(beyond.sum()) / (len(beyond) if rho == "existing" else size - count)
        else:
            # A unit norm is shared by fewer pixels.
            beside = rho * len(octaves[0].mean) / size
        found.append(Covariance(basis, eigenvalues[:count], beside))
    return found


def check_rho(rho: str | float) -> None:
    """Refuse what is neither a reading of ρ nor a variance."""
    if isinstance(rho, str) and rho in RHOS:
        return
    if not isinstance(rho, Real) or not 0 < rho < np.inf:
        raise ValueError(f"rho: expected {' or '.join(RHOS)} or a positive number, got {rho!r}")


def refuse_unknown_within(octaves: tuple[Octave, ...]) -> None:
    """Refuse octaves of images whose users were unknown."""
    if not len(octaves[0].within_eigenvalues):
        raise ValueError(
            "user: this model does not know how images of one person differ; fit it with users= "
            "(--users on the command line), and with at least two images of some of them"
        )
