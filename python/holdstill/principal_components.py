"""Principal components of a sample, through the smaller of its two Gram matrices."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray

_NEGLIGIBLE = 1e-10
"""Eigenvalues below this share of the largest are rounding."""


class PrincipalComponents(NamedTuple):
    """Eigenvectors and eigenvalues of a covariance.

    Attributes
    ----------
    basis : ndarray, shape (D, M), float64
        The leading eigenvectors, orthonormal.
    eigenvalues : ndarray, shape (K,), float64
        All that are not zero, falling; K > M.
    """

    basis: FloatArray
    eigenvalues: FloatArray


def principal_components(
    deviations: npt.ArrayLike, divisor: int, components: int | float, *, capped: bool = False
) -> PrincipalComponents:
    """PCA of deviations from a mean (equations §4).

    Parameters
    ----------
    deviations : array_like, shape (N, D)
        Rows x_i - x̄.
    divisor : int
        Of the covariance: N - 1, or N less the number of classes.
    components : int or float
        M ≥ 1; or, below 1, the least share of the variance that they make up.
    capped : bool
        Take what there is where an integer asks for more.

    Returns
    -------
    PrincipalComponents

    Raises
    ------
    ValueError
        If `components` is out of range, or leaves no eigenvalue beyond it.

    Examples
    --------
    >>> rows = np.diag([3.0, 2.0, 1.0]) - np.diag([3.0, 2.0, 1.0]).mean(axis=0)
    >>> principal_components(rows, 2, 1).basis.shape
    (3, 1)
    """
    rows = np.asarray(deviations, dtype=np.float64)
    tall = rows.shape[0] > rows.shape[1]
    gram = rows.T @ rows if tall else rows @ rows.T
    values, vectors = (part[..., ::-1] for part in np.linalg.eigh(gram))
    kept = int((values > _NEGLIGIBLE * max(values[0], np.finfo(float).tiny)).sum())
    if kept < 2:
        raise ValueError(f"images: expected them to differ in at least two ways, got {kept}")
    values, vectors = values[:kept], vectors[:, :kept]
    count = _count(values, components, capped)
    leading = vectors[:, :count]
    basis = leading if tall else rows.T @ leading / np.sqrt(values[:count])
    return PrincipalComponents(np.ascontiguousarray(basis), values / divisor)


def _count(values: FloatArray, components: int | float, capped: bool) -> int:
    if (
        not isinstance(components, Real)
        or isinstance(components, bool)
        or not 0 < components < np.inf
    ):
        raise ValueError(f"components: expected a number or share > 0, got {components!r}")
    if components < 1:
        shares = np.cumsum(values) / values.sum()
        return min(1 + int(np.searchsorted(shares, components)), len(values) - 1)
    if components != int(components):
        raise ValueError(f"components: expected an integer or a share below 1, got {components!r}")
    if components >= len(values) and not capped:
        raise ValueError(
            f"components: expected at most {len(values) - 1} for images that differ in "
            f"{len(values)} ways, got {components}"
        )
    return min(int(components), len(values) - 1)
