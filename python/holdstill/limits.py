"""How accurate an alignment can be: the Cramér-Rao bound, and frame noise (equations §3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse
from scipy.ndimage import convolve1d

from holdstill._typing import FloatArray
from holdstill.reference.image import gaussian_kernel, lowpass_sigma, octave
from holdstill.reference.motion import map_points, spatial_jacobian, warp_jacobian
from holdstill.reference.warp import canonical_points


@dataclass(frozen=True)
class SampleOperator:
    """H = sampling · low-pass: the linear map from a frame's grey levels to its canonical samples.

    Attributes
    ----------
    rows : ndarray, shape (H_l, H), float64
        Low-pass and decimation along y.
    columns : ndarray, shape (W_l, W), float64
        The same along x.
    weights : sparse array, shape (m, H_l W_l)
        Bilinear weights of the samples.
    """

    rows: FloatArray
    columns: FloatArray
    weights: scipy.sparse.csr_array

    def apply(self, frame: npt.ArrayLike) -> FloatArray:
        """The samples H I, shape (m,), of a frame I, shape (H, W)."""
        filtered = self.rows @ np.asarray(frame, dtype=np.float64) @ self.columns.T
        return np.asarray(self.weights @ filtered.ravel())

    def adjoint(self, samples: npt.ArrayLike) -> FloatArray:
        """Hᵀ w, shape (H, W), of weights w, shape (m,), of the samples."""
        spread = self.weights.T @ np.asarray(samples, dtype=np.float64)
        plane = spread.reshape(len(self.rows), len(self.columns))
        return np.asarray(self.rows.T @ plane @ self.columns)


def sample_operator(
    frame_shape: tuple[int, int],
    frame_from_canonical: npt.ArrayLike,
    *,
    shape: tuple[int, int],
    roi: npt.NDArray[np.bool_] | None = None,
) -> SampleOperator:
    """H at a transform, for grey frames (equations §0, §3).

    Parameters
    ----------
    frame_shape : (int, int)
        Height and width of the frame.
    frame_from_canonical : array_like, shape (3, 3)
        Transform; it also sets the low-pass.
    shape : (int, int)
        Height and width of the canonical frame.
    roi : ndarray, shape (h, w), bool, optional
        Region of interest; the whole canonical frame by default.

    Returns
    -------
    SampleOperator

    Raises
    ------
    ValueError
        If a sample lies outside of the frame.

    Examples
    --------
    >>> shifted = [[1, 0, 2], [0, 1, 3], [0, 0, 1]]
    >>> H = sample_operator((9, 8), shifted, shape=(3, 4))
    >>> H.apply(np.full((9, 8), 5.0)).round(9).tolist() == [5.0] * 12
    True
    """
    sigma = lowpass_sigma(frame_from_canonical, shape)
    stride = 2 ** octave(sigma)
    rows, columns = (_low_pass_matrix(n, sigma, stride) for n in frame_shape)
    points = map_points(frame_from_canonical, canonical_points(roi, shape)) / stride
    height, width = len(rows), len(columns)
    if (points < 0).any() or (points > (width - 1, height - 1)).any():
        raise ValueError("frame_from_canonical: expected all samples inside of the frame")
    x0, y0 = np.minimum(np.floor(points), (max(width - 2, 0), max(height - 2, 0))).astype(int).T
    fx, fy = points[:, 0] - x0, points[:, 1] - y0
    values = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy]
    corners = [y0 * width + x0, y0 * width + x0 + 1, (y0 + 1) * width + x0]
    corners.append(corners[2] + 1)
    sample = np.tile(np.arange(len(points)), 4)
    weights = scipy.sparse.csr_array(
        (np.concatenate(values), (sample, np.concatenate(corners))),
        shape=(len(points), height * width),
    )
    return SampleOperator(rows, columns, weights)


def _low_pass_matrix(n: int, sigma: float, stride: int) -> FloatArray:
    return np.asarray(
        convolve1d(np.eye(n), gaussian_kernel(sigma), axis=0, mode="nearest")[::stride]
    )


def cramer_rao(jacobian: npt.ArrayLike, atoms: npt.ArrayLike) -> FloatArray:
    """(J_wᵀ P_Ã J_w)⁻¹: least covariance of τ̂ under white unit noise on the samples (equations §3).

    Parameters
    ----------
    jacobian : array_like, shape (m, p)
        J_w at the truth, unnormalised and noise-free: grey levels per parameter.
    atoms : array_like, shape (m, r)
        Ã; its span counts. Coefficients are free.

    Returns
    -------
    ndarray, shape (p, p), float64
        For noise of one grey level; multiply by s².

    Examples
    --------
    >>> cramer_rao([[3.0], [4.0], [7.0]], [[0.0], [0.0], [1.0]]).round(9).tolist()
    [[0.04]]
    """
    projected = _off_span(jacobian, atoms)
    return np.asarray(np.linalg.inv(projected.T @ projected))


def covariance_under_frame_noise(
    jacobian: npt.ArrayLike, atoms: npt.ArrayLike, operator: SampleOperator
) -> FloatArray:
    """K⁻¹JᵀP_Ã HHᵀ P_ÃJ K⁻¹, K = JᵀP_ÃJ: white unit noise on the frame's pixels (equations §3).

    What least squares on the low-passed samples has, not a lower bound: that is the frame's own.

    Parameters
    ----------
    jacobian : array_like, shape (m, p)
        J_w at the truth, unnormalised and noise-free.
    atoms : array_like, shape (m, r)
        Ã.
    operator : SampleOperator
        H at the truth.

    Returns
    -------
    ndarray, shape (p, p), float64
        For noise of one grey level; multiply by s².
    """
    projected = _off_span(jacobian, atoms)
    gain = np.linalg.solve(projected.T @ projected, projected.T)
    on_frame = np.stack([operator.adjoint(row).ravel() for row in gain])
    return np.asarray(on_frame @ on_frame.T)


def corner_rms(
    covariance: npt.ArrayLike,
    frame_from_canonical: npt.ArrayLike,
    corners: npt.ArrayLike,
    *,
    motion: str,
    shape: tuple[int, int],
) -> float:
    """Root mean square distance of canonical points from the truth, of a covariance of τ̂.

    Parameters
    ----------
    covariance : array_like, shape (p, p)
        Of the parameters of `motion`.
    frame_from_canonical : array_like, shape (3, 3)
        The true transform.
    corners : array_like, shape (k, 2)
        (x, y) in canonical pixels, such as the corners of a region of interest.
    motion : str
        Motion model.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    float
        Canonical pixels.

    Examples
    --------
    >>> twice = np.diag([2.0, 2.0, 1.0])
    >>> corner_rms(np.diag([9.0, 16.0]), twice, [[0, 0]], motion="translation", shape=(9, 9))
    2.5
    """
    points = np.asarray(corners, dtype=np.float64)
    spatial, _ = spatial_jacobian(frame_from_canonical, motion, shape, points)
    moved = np.linalg.solve(spatial, warp_jacobian(frame_from_canonical, motion, shape, points))
    squares = np.einsum("kip,pq,kiq->k", moved, np.asarray(covariance, dtype=np.float64), moved)
    return float(np.sqrt(squares.mean()))


def roi_corners(roi: npt.NDArray[np.bool_] | None, shape: tuple[int, int]) -> FloatArray:
    """Corners of the bounding rectangle of a region of interest.

    Parameters
    ----------
    roi : ndarray, shape (h, w), bool, or None
        None is the whole canonical frame.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (4, 2), float64
        (x, y) of the outermost pixels' centres.

    Examples
    --------
    >>> roi_corners(None, (3, 5)).tolist()
    [[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [4.0, 2.0]]
    """
    points = canonical_points(roi, shape)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]])


def _off_span(jacobian: npt.ArrayLike, atoms: npt.ArrayLike) -> FloatArray:
    """P_Ã J with P_Ã = I - ÃÃ⁺."""
    J = np.asarray(jacobian, dtype=np.float64)
    basis = scipy.linalg.orth(np.asarray(atoms, dtype=np.float64))
    return np.asarray(J - basis @ (basis.T @ J))
