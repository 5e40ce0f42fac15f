"""Which aligned images of a batch make its dictionary: independent columns of A (equations §2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

from holdstill.learning.rasl import RaslResult


def independent_columns(result: RaslResult) -> npt.NDArray[np.intp]:
    """Images of a batch whose low-rank columns make its dictionary (equations §2)."""
    # Of the tall matrix's own triangle, which has the same pivots: pivoting is slow.
    triangle = np.linalg.qr(np.asarray(result.low_rank, dtype=np.float64), mode="r")
    triangle, pivots = scipy.linalg.qr(triangle, mode="r", pivoting=True)
    weights = np.abs(np.diag(triangle))
    # The rank that A's last step kept is soft: columns at rounding level are no images.
    independent = int((weights > 1e-6 * weights[0]).sum())
    return np.asarray(pivots[: max(1, min(result.rank, independent))])


def atoms_of(result: RaslResult) -> npt.NDArray[np.float32]:
    """Columns of a batch's low-rank part, scaled to norm 1: (M, r)."""
    atoms = np.asarray(result.low_rank, dtype=np.float64)[:, independent_columns(result)]
    return np.asarray(atoms / np.linalg.norm(atoms, axis=0), dtype=np.float32)
