"""The compiled aligner of a dictionary: its atoms on every octave, under options of the solver."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill.canonical import Weights
from holdstill.checks import integer
from holdstill.pyramid import n_levels, octave
from holdstill.reference.warp import n_planes
from holdstill.solver_options import SolverOptions

if TYPE_CHECKING:
    from holdstill.dictionary import Dictionary

CoarseAtoms: TypeAlias = tuple[npt.NDArray[np.float32], Weights, float]
"""Atoms of an octave, its region of interest, and its κ."""


def possible(dictionary: Dictionary, options: SolverOptions) -> SolverOptions:
    """The options with their number of octaves; refused where the dictionary cannot serve them."""
    most = n_levels(dictionary.weights)
    levels = most if options.levels is None else integer("levels", options.levels, 1, most)
    if options.loss != "l2" and not dictionary.pixel_residual > 0:
        raise ValueError(
            f"loss: {options.loss!r} takes its threshold from the residuals of the "
            "dictionary's own images, and this one does not know them; give its "
            "pixel_residual, or fit it again"
        )
    return replace(options, levels=levels)


def coarse_atoms(dictionary: Dictionary) -> list[CoarseAtoms]:
    """The octaves beyond the finest, finer ones first."""
    sigma = 0.0 if dictionary.features == "grey" else dictionary.sigma
    octaves = []
    for level in range(1, n_levels(dictionary.weights)):
        coarse = octave(
            dictionary.atoms,
            dictionary.weights,
            planes=n_planes(dictionary.features),
            sigma=sigma,
            level=level,
        )
        # A unit norm is shared by fewer pixels.
        thinning = np.sqrt(dictionary.atoms.shape[0] / coarse.atoms.shape[0])
        octaves.append((coarse.atoms, coarse.roi, float(dictionary.kappa * thinning)))
    return octaves


def compiled_aligner(
    dictionary: Dictionary, options: SolverOptions, coarse: list[CoarseAtoms]
) -> _core.FrameAligner:
    """Hand a dictionary and its :func:`coarse_atoms` to the core, under :func:`possible` options.

    Parameters
    ----------
    dictionary : Dictionary
    options : SolverOptions
        With their number of octaves.
    coarse : list
        As many are taken as the options ask for.

    Returns
    -------
    holdstill._core.FrameAligner
        It has copies of all arrays.

    Raises
    ------
    ValueError
        If the motion model or σ is unknown to the core.
    """
    assert options.levels is not None
    plain = options.loss == "l2"
    return _core.FrameAligner(
        dictionary.atoms,
        shape=dictionary.shape,
        motion=dictionary.motion,
        features=dictionary.features,
        sigma=dictionary.sigma,
        roi=dictionary.weights,
        mu=options.mu,
        tolerance=options.tolerance,
        max_iterations=options.max_iterations,
        loss=options.loss,
        kappa=0.0 if plain else dictionary.kappa,
        verify=options.verify,
        coarse=coarse[: options.levels - 1],
        search=options.search,
        misfits=dictionary.misfits if plain else dictionary.robust_misfits,
        visible=_typically_visible(dictionary),
    )


def _typically_visible(dictionary: Dictionary) -> float:
    seen = dictionary.robust_residuals[:, 2]
    return float(np.median(seen)) if len(seen) else 1.0
