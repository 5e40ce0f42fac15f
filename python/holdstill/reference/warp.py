"""Warp, features and their Jacobian in one linearisation (equations §0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .image import (
    central_differences,
    feature_sigma,
    gaussian_derivatives,
    low_pass,
    lowpass_sigma,
    octave,
    outside,
    sample_bilinear,
)
from .motion import FloatArray, map_points, n_parameters, spatial_jacobian, warp_jacobian

PLANES = {"grey": 1, "edges": 2, "magnitude": 1}
"""How many planes of the canonical frame a feature fills: edges are E_x, then E_y."""

FEATURES = tuple(PLANES)
"""Names of the features: grey levels, the stacked gradient, its magnitude."""


class Linearization(NamedTuple):
    """A warped frame and its Jacobian.

    Attributes
    ----------
    vector : ndarray, shape (M,), float64
        f(I∘τ) over the region of interest in raster order (edges: all E_x, then all E_y); of unit
        norm where asked for.
    jacobian : ndarray, shape (M, p), float64
        Derivative of `vector` by τ.
    norm : float
        ‖f(I∘τ)‖₂ before normalisation; 0 where the frame is black there.
    outside : int
        Samples of the region that lie outside the frame.
    """

    vector: FloatArray
    jacobian: FloatArray
    norm: float
    outside: int


@dataclass(frozen=True)
class PreparedFrame:
    """Filtered planes of one frame, computed once and sampled at every iteration.

    Attributes
    ----------
    planes : ndarray, shape (H_l, W_l, 3) or (H_l, W_l, 5), float64
        grey: I, I_x, I_y; edges and magnitude: g_x, g_y, H_xx, H_yy, H_xy. Per decimated pixel.
    level : int
        Octave l: every 2ˡ-th pixel of the frame, from pixel 0.
    features : str
        One of `FEATURES`.
    """

    planes: FloatArray
    level: int
    features: str


def n_planes(features: str) -> int:
    """Number of planes of the canonical frame that a feature fills.

    Parameters
    ----------
    features : str
        One of `FEATURES`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no such feature.

    Examples
    --------
    >>> n_planes("edges")
    2
    """
    if features not in FEATURES:
        raise ValueError(f"features: expected one of {', '.join(FEATURES)}, got {features!r}")
    return PLANES[features]


def prepare_frame(
    image: npt.ArrayLike,
    lowpass_from: npt.ArrayLike,
    *,
    shape: tuple[int, int],
    features: str = "grey",
    sigma: float = 0.8,
) -> PreparedFrame:
    """Low-pass a frame, decimate it and take its derivatives (equations §0, "Features").

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    lowpass_from : array_like, shape (3, 3)
        The initial transform: it alone sets the σ of the filter.
    shape : (int, int)
        Height and width of the canonical frame.
    features : str
        One of `FEATURES`.
    sigma : float
        σ of edges and magnitude, canonical pixels; grey does not use it.

    Returns
    -------
    PreparedFrame
    """
    n_planes(features)
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma: expected a positive number of canonical pixels, got {sigma}")
    # Bounds the time on frames far smaller than their transform says.
    widest = 0.25 * max(*np.shape(image)[:2], 3)
    if features == "grey":
        blur = min(lowpass_sigma(lowpass_from, shape), widest)
        level = octave(blur)
        frame = low_pass(image, blur)[:: 2**level, :: 2**level]
        planes = [frame, *central_differences(frame)]
    else:
        blur = min(feature_sigma(lowpass_from, shape, sigma), widest)
        level = octave(blur)
        g_x, g_y = (
            2**level * plane[:: 2**level, :: 2**level]
            for plane in gaussian_derivatives(image, blur)
        )
        h_xx, h_xy_from_x = central_differences(g_x)
        h_xy_from_y, h_yy = central_differences(g_y)
        planes = [g_x, g_y, h_xx, h_yy, (h_xy_from_x + h_xy_from_y) / 2]
    return PreparedFrame(np.stack(planes, axis=-1), level, features)


def canonical_points(roi: npt.NDArray[Any] | None, shape: tuple[int, int]) -> FloatArray:
    """(x, y) of the pixels of a region of interest in raster order.

    Parameters
    ----------
    roi : ndarray, shape (h, w), bool or weights, or None
        None is the whole canonical frame.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (m, 2), float64

    Raises
    ------
    ValueError
        If the mask has another shape or no pixel, or a weight is negative or not finite.
    """
    weights = np.ones(shape, dtype=bool) if roi is None else np.asarray(roi)
    if weights.shape != tuple(shape):
        raise ValueError(f"roi: expected a mask of shape {tuple(shape)}, got {weights.shape}")
    if not ((weights >= 0) & np.isfinite(weights)).all():
        raise ValueError("roi: expected finite weights of at least 0")
    if not weights.any():
        raise ValueError("roi: expected at least one pixel, got an empty mask")
    return np.argwhere(weights)[:, ::-1].astype(np.float64)


def warp(
    image: npt.ArrayLike, frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]
) -> FloatArray:
    """(I∘τ)(u) = I(W(u; τ)): the frame seen in the canonical frame, bilinear, nearest border.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, c)
        The frame as it is; no low-pass.
    frame_from_canonical : array_like, shape (3, 3)
        Transform.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (h, w) or (h, w, c), float64

    Raises
    ------
    ValueError
        If the image has neither two nor three axes, or no pixel.

    Examples
    --------
    >>> warp([[0.0, 2.0], [4.0, 6.0]], [[1, 0, 0.5], [0, 1, 0], [0, 0, 1]], (2, 1)).tolist()
    [[1.0], [5.0]]
    """
    frame = np.asarray(image, dtype=np.float64)
    if frame.ndim not in (2, 3) or frame.size == 0:
        raise ValueError(f"image: expected shape (H, W) or (H, W, c), got {frame.shape}")
    points = map_points(frame_from_canonical, canonical_points(None, shape))
    return sample_bilinear(frame, points).reshape(*shape, *frame.shape[2:])


def linearize(
    image: npt.ArrayLike,
    frame_from_canonical: npt.ArrayLike,
    *,
    shape: tuple[int, int],
    motion: str,
    features: str = "grey",
    sigma: float = 0.8,
    roi: npt.NDArray[Any] | None = None,
    lowpass_from: npt.ArrayLike | None = None,
    normalize: bool = True,
) -> Linearization:
    """f(I∘τ) and its Jacobian at τ (equations §0; paper A, Algorithm 1, steps 1 and 2).

    The derivative images are sampled as the image is: the exact derivative of a bilinear cell
    jumps at pixel borders, and outer loops then fall into limit cycles.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Grey levels.
    frame_from_canonical : array_like, shape (3, 3)
        Transform at τ.
    shape : (int, int)
        Height and width of the canonical frame.
    motion : str
        One of `MOTIONS`.
    features : str
        One of `FEATURES`.
    sigma : float
        σ of edges and magnitude, canonical pixels.
    roi : ndarray, shape (h, w), bool or float, optional
        Region of interest, or weights of the squared residuals; the whole canonical frame by
        default.
    lowpass_from : array_like, shape (3, 3), optional
        The initial transform, which sets the low-pass; `frame_from_canonical` by default.
    normalize : bool
        Divide by the norm of the vector: v and J = (J_w - v vᵀJ_w)/‖f(I∘τ)‖₂.

    Returns
    -------
    Linearization

    Raises
    ------
    ValueError
        If an argument has the wrong shape, the name of a feature or motion is unknown, or the
        transform lies outside the model's family.

    Examples
    --------
    >>> y, x = np.mgrid[:20, :20]
    >>> ramp = linearize(3.0 * x, np.eye(3), shape=(20, 20), motion="translation", normalize=False)
    >>> ramp.jacobian.reshape(20, 20, 2)[10, 10].round(9).tolist()
    [3.0, 0.0]
    """
    initial = frame_from_canonical if lowpass_from is None else lowpass_from
    frame = prepare_frame(image, initial, shape=shape, features=features, sigma=sigma)
    return linearize_prepared(
        frame, frame_from_canonical, shape=shape, motion=motion, roi=roi, normalize=normalize
    )


def linearize_prepared(
    frame: PreparedFrame,
    frame_from_canonical: npt.ArrayLike,
    *,
    shape: tuple[int, int],
    motion: str,
    roi: npt.NDArray[Any] | None = None,
    normalize: bool = True,
) -> Linearization:
    """`linearize` of a frame that `prepare_frame` has filtered.

    Parameters
    ----------
    frame : PreparedFrame
        The filtered frame.
    frame_from_canonical, shape, motion, roi, normalize
        As in `linearize`.

    Returns
    -------
    Linearization
    """
    n_parameters(motion)
    points = canonical_points(roi, shape)
    scale = 0.5**frame.level
    positions = map_points(frame_from_canonical, points) * scale
    border = outside(positions, *frame.planes.shape[:2])
    samples = sample_bilinear(frame.planes, positions)
    # Nearest border value, derivative 0: what is differentiated is I for grey, ∇I for edges.
    samples[border, 1 if frame.features == "grey" else 2 :] = 0.0
    position_jacobian = scale * warp_jacobian(frame_from_canonical, motion, shape, points)
    if frame.features == "grey":
        vector = samples[:, 0]
        jacobian = np.einsum("kx,kxp->kp", samples[:, 1:], position_jacobian)
    else:
        spatial, turning = spatial_jacobian(frame_from_canonical, motion, shape, points)
        edges, edges_jacobian = _edges(samples, scale * spatial, scale * turning, position_jacobian)
        if frame.features == "edges":
            vector = edges.T.reshape(-1)
            jacobian = edges_jacobian.transpose(1, 0, 2).reshape(vector.size, -1)
        else:
            vector, jacobian = _magnitude(edges, edges_jacobian)
    if roi is not None and np.asarray(roi).dtype != np.bool_:
        roots = np.sqrt(np.asarray(roi, dtype=np.float64)[np.asarray(roi) > 0])
        roots = np.tile(roots, vector.size // roots.size)
        vector, jacobian = roots * vector, roots[:, None] * jacobian
    norm = float(np.linalg.norm(vector))
    if normalize:
        vector, jacobian = _unit_norm(vector, jacobian, norm)
    return Linearization(vector, jacobian, norm, int(border.sum()))


def _edges(
    samples: FloatArray, spatial: FloatArray, derivative: FloatArray, position_jacobian: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """E = DWᵀ∇I (k, 2) and ∂E/∂τ = (∂DW/∂τ)ᵀ∇I + DWᵀ H ∂W/∂τ (k, 2, p), equations §0."""
    gradient = samples[:, :2]
    h_xx, h_yy, h_xy = samples[:, 2:].T
    hessian = np.stack([h_xx, h_xy, h_xy, h_yy], axis=-1).reshape(-1, 2, 2)
    transposed = spatial.transpose(0, 2, 1)
    edges = np.einsum("kcf,kf->kc", transposed, gradient)
    turning = np.einsum("kfcp,kf->kcp", derivative, gradient)
    return edges, turning + transposed @ (hessian @ position_jacobian)


def _magnitude(edges: FloatArray, edges_jacobian: FloatArray) -> tuple[FloatArray, FloatArray]:
    """√(E_x² + E_y²) and (E_x ∂E_x + E_y ∂E_y)/√(E_x² + E_y²), which is 0 where both are."""
    magnitude = np.hypot(edges[:, 0], edges[:, 1])
    direction = edges / np.where(magnitude > 0, magnitude, 1.0)[:, None]
    return magnitude, np.einsum("kc,kcp->kp", direction, edges_jacobian)


def _unit_norm(
    vector: FloatArray, jacobian: FloatArray, norm: float
) -> tuple[FloatArray, FloatArray]:
    """v = w/‖w‖ and J = (J_w - v vᵀJ_w)/‖w‖ (equations §0); zeros where ‖w‖ is 0."""
    if norm == 0.0:
        return np.zeros_like(vector), np.zeros_like(jacobian)
    v = vector / norm
    return v, (jacobian - np.outer(v, v @ jacobian)) / norm
