"""Motion models: parameters, matrices and the Jacobian of the warp (equations §0)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

MOTIONS = ("translation", "euclidean", "similarity", "affine", "homography")
"""Names of the motion models, from the fewest parameters to the most."""

_N_PARAMETERS = {"translation": 2, "euclidean": 3, "similarity": 4, "affine": 6, "homography": 8}
_FAMILY_TOLERANCE = 1e-6


def n_parameters(motion: str) -> int:
    """Number p of parameters of a motion model.

    Parameters
    ----------
    motion : str
        One of `MOTIONS`.

    Returns
    -------
    int
        2, 3, 4, 6 or 8.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> [n_parameters(motion) for motion in MOTIONS]
    [2, 3, 4, 6, 8]
    """
    if motion not in _N_PARAMETERS:
        raise ValueError(f"motion: expected one of {', '.join(MOTIONS)}, got {motion!r}")
    return _N_PARAMETERS[motion]


def centre(shape: tuple[int, int]) -> FloatArray:
    """Centre c = ((w - 1)/2, (h - 1)/2) of the canonical frame, about which motions are taken.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (2,), float64
        (x, y) in canonical pixels.
    """
    height, width = shape
    return np.array([(width - 1) / 2, (height - 1) / 2])


def centred_matrix(frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """H = [L + t pᵀ, t; pᵀ, 1], the transform with its origin at the canonical centre.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Transform; its scale as a homogeneous matrix does not matter.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (3, 3), float64
        H, scaled to H[2, 2] = 1 (equations §0: F ∝ H [I, -c; 0, 1]).

    Raises
    ------
    ValueError
        If the matrix is not a finite 3×3, or maps the canonical centre to infinity.
    """
    matrix = np.asarray(frame_from_canonical, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"frame_from_canonical: expected shape (3, 3), got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("frame_from_canonical: expected finite entries")
    centred = matrix.copy()
    centred[:, 2] = matrix @ np.append(centre(shape), 1.0)
    if centred[2, 2] == 0.0:
        raise ValueError("frame_from_canonical: the canonical centre is mapped to infinity")
    return np.asarray(centred / centred[2, 2])


def matrix_from_centred(centred: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Transform F = H [I, -c; 0, 1] of a centred matrix H, the inverse of `centred_matrix`.

    Parameters
    ----------
    centred : ndarray, shape (3, 3)
        H.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (3, 3), float64
        frame_from_canonical; an affine one has the last row (0, 0, 1) exactly, any other is scaled
        to F[2, 2] = 1 where that entry is not zero.
    """
    matrix = np.array(centred, dtype=np.float64)
    matrix[:, 2] -= matrix[:, :2] @ centre(shape)
    scale = matrix[2, 2]
    return matrix if scale in (0.0, 1.0) else matrix / scale


def linear_part(frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """L of equations §0: the linear part at the canonical centre, t taken out of the fraction.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Transform.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (2, 2), float64
        Frame pixels per canonical pixel.
    """
    centred = centred_matrix(frame_from_canonical, shape)
    return np.asarray(centred[:2, :2] - np.outer(centred[:2, 2], centred[2, :2]))


def parameters_from_matrix(
    frame_from_canonical: npt.ArrayLike, motion: str, shape: tuple[int, int]
) -> FloatArray:
    """Parameter vector τ of a transform (equations §0).

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Transform.
    motion : str
        One of `MOTIONS`.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (p,), float64
        translation (tx, ty); euclidean (α, tx, ty); similarity (s, α, tx, ty); affine
        (l11, l12, l21, l22, tx, ty); homography (the affine six, p1, p2). α in radians, t in frame
        pixels, s and l in frame pixels per canonical pixel, p per canonical pixel.

    Raises
    ------
    ValueError
        If the transform lies outside the model's family by more than 1e-6 of its scale.

    Examples
    --------
    >>> parameters_from_matrix([[2, 0, 5], [0, 2, 7], [0, 0, 1]], "similarity", (3, 3)).tolist()
    [2.0, 0.0, 7.0, 9.0]
    """
    n_parameters(motion)
    centred = centred_matrix(frame_from_canonical, shape)
    translation, perspective = centred[:2, 2], centred[2, :2]
    linear = centred[:2, :2] - np.outer(translation, perspective)
    if motion == "homography":
        return np.concatenate([linear.ravel(), translation, perspective])
    if np.abs(perspective).max() * max(shape) > _FAMILY_TOLERANCE:
        raise ValueError(
            f"frame_from_canonical: has a perspective part {perspective}, outside of {motion!r}"
        )
    if motion == "affine":
        return np.concatenate([linear.ravel(), translation])
    if motion == "translation":
        return np.array(translation)
    scale, angle = _scale_and_angle(linear, motion)
    pose = [angle, *translation]
    return np.array(pose if motion == "euclidean" else [scale, *pose])


def _scale_and_angle(linear: FloatArray, motion: str) -> tuple[float, float]:
    """s, α of L = s R(α); ValueError where L has shear, stretch or a reflection."""
    cosine = (linear[0, 0] + linear[1, 1]) / 2
    sine = (linear[1, 0] - linear[0, 1]) / 2
    scale = float(np.hypot(cosine, sine))
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    if scale == 0.0 or np.abs(linear - rotation).max() > _FAMILY_TOLERANCE * scale:
        raise ValueError(
            f"frame_from_canonical: its linear part {linear.tolist()} is not a rotation times a "
            f"scale, outside of {motion!r}"
        )
    return scale, float(np.arctan2(sine, cosine))


def matrix_from_parameters(
    parameters: npt.ArrayLike, base: npt.ArrayLike, motion: str, shape: tuple[int, int]
) -> FloatArray:
    """Transform of a parameter vector (equations §0), the inverse of `parameters_from_matrix`.

    Parameters
    ----------
    parameters : array_like, shape (p,)
        τ.
    base : array_like, shape (3, 3)
        Transform that keeps what the model does not estimate: L₀ of a translation, s₀ of a
        euclidean motion. The other models do not look at it.
    motion : str
        One of `MOTIONS`.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (3, 3), float64
        frame_from_canonical.

    Raises
    ------
    ValueError
        If the number of parameters is wrong.

    Examples
    --------
    >>> matrix_from_parameters([2, 0, 7, 9], np.eye(3), "similarity", (3, 3)).tolist()
    [[2.0, -0.0, 5.0], [0.0, 2.0, 7.0], [0.0, 0.0, 1.0]]
    """
    tau = np.asarray(parameters, dtype=np.float64)
    if tau.shape != (n_parameters(motion),):
        raise ValueError(f"parameters: expected shape ({n_parameters(motion)},), got {tau.shape}")
    centred = np.eye(3)
    if motion in ("affine", "homography"):
        linear, translation = tau[:4].reshape(2, 2), tau[4:6]
        perspective = tau[6:] if motion == "homography" else np.zeros(2)
        centred[2, :2] = perspective
        centred[:2, :2] = linear + np.outer(translation, perspective)
    elif motion == "translation":
        translation = tau
        centred[:2, :2] = linear_part(base, shape)
    else:
        base_linear = linear_part(base, shape) if motion == "euclidean" else None
        scale = tau[0] if base_linear is None else _scale_and_angle(base_linear, motion)[0]
        angle, translation = tau[-3], tau[-2:]
        centred[:2, :2] = scale * _rotation(angle)
    centred[:2, 2] = translation
    return matrix_from_centred(centred, shape)


def _rotation(angle: float) -> FloatArray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def update(
    frame_from_canonical: npt.ArrayLike, step: npt.ArrayLike, motion: str, shape: tuple[int, int]
) -> FloatArray:
    """τ ← τ + Δτ on the transform (equations §1, §3).

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Transform at τ.
    step : array_like, shape (p,)
        Δτ.
    motion : str
        One of `MOTIONS`.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (3, 3), float64
        Transform at τ + Δτ.

    Examples
    --------
    >>> update(np.eye(3), [1.0, -2.0], "translation", (5, 5))[:2, 2].tolist()
    [1.0, -2.0]
    """
    parameters = parameters_from_matrix(frame_from_canonical, motion, shape)
    return matrix_from_parameters(
        parameters + np.asarray(step, dtype=np.float64), frame_from_canonical, motion, shape
    )


def map_points(frame_from_canonical: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Positions W(u) in the frame of canonical points u.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Transform.
    points : array_like, shape (k, 2)
        (x, y) in canonical pixels.

    Returns
    -------
    ndarray, shape (k, 2), float64
        (x, y) in frame pixels.

    Examples
    --------
    >>> map_points([[2, 0, 1], [0, 2, 0], [0, 0, 1]], [[3, 4]]).tolist()
    [[7.0, 8.0]]
    """
    matrix = np.asarray(frame_from_canonical, dtype=np.float64)
    u = np.asarray(points, dtype=np.float64)
    mapped = u @ matrix[:2, :2].T + matrix[:2, 2]
    if not matrix[2, :2].any():
        return np.asarray(mapped / matrix[2, 2])
    return np.asarray(mapped / (u @ matrix[2, :2] + matrix[2, 2])[:, None])


def warp_jacobian(
    frame_from_canonical: npt.ArrayLike, motion: str, shape: tuple[int, int], points: npt.ArrayLike
) -> FloatArray:
    """∂W(u; τ)/∂τ at canonical points u (equations §0).

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Transform at τ.
    motion : str
        One of `MOTIONS`.
    shape : (int, int)
        Height and width of the canonical frame.
    points : array_like, shape (k, 2)
        (x, y) in canonical pixels.

    Returns
    -------
    ndarray, shape (k, 2, p), float64
        Derivative of the frame position (x, y) by each parameter.

    Examples
    --------
    >>> warp_jacobian(np.eye(3), "translation", (5, 5), [[1, 1]])[0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    tau = parameters_from_matrix(frame_from_canonical, motion, shape)
    a, b = (np.asarray(points, dtype=np.float64) - centre(shape)).T
    jacobian = np.zeros((a.size, 2, tau.size))
    if motion in ("affine", "homography"):
        z = np.ones_like(a) if motion == "affine" else 1.0 + tau[6] * a + tau[7] * b
        jacobian[:, 0, 0] = jacobian[:, 1, 2] = a / z
        jacobian[:, 0, 1] = jacobian[:, 1, 3] = b / z
        jacobian[:, 0, 4] = jacobian[:, 1, 5] = 1.0
        if motion == "homography":
            q = np.stack([tau[0] * a + tau[1] * b, tau[2] * a + tau[3] * b]) / z
            jacobian[:, :, 6] = (-q * a / z).T
            jacobian[:, :, 7] = (-q * b / z).T
        return jacobian
    jacobian[:, 0, -2] = jacobian[:, 1, -1] = 1.0
    if motion == "translation":
        return jacobian
    scale, angle = _scale_and_angle(linear_part(frame_from_canonical, shape), motion)
    cosine, sine = np.cos(angle), np.sin(angle)
    jacobian[:, 0, -3] = scale * (-a * sine - b * cosine)
    jacobian[:, 1, -3] = scale * (a * cosine - b * sine)
    if motion == "similarity":
        jacobian[:, 0, 0] = a * cosine - b * sine
        jacobian[:, 1, 0] = a * sine + b * cosine
    return jacobian


def spatial_jacobian(
    frame_from_canonical: npt.ArrayLike, motion: str, shape: tuple[int, int], points: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """DW(u) = ∂W/∂u and its derivative by the parameters, which features along canonical axes need.

    DW = L for the affine models; for the homography, with z and q = L(a, b)/z of equations §0,
    DW = (L - q pᵀ)/z.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Transform at τ.
    motion : str
        One of `MOTIONS`.
    shape : (int, int)
        Height and width of the canonical frame.
    points : array_like, shape (k, 2)
        (x, y) in canonical pixels.

    Returns
    -------
    spatial : ndarray, shape (k, 2, 2), float64
        DW: row x or y of the frame, column x or y of the canonical frame.
    derivative : ndarray, shape (k, 2, 2, p), float64
        ∂DW/∂τ.
    """
    tau = parameters_from_matrix(frame_from_canonical, motion, shape)
    u = np.asarray(points, dtype=np.float64) - centre(shape)
    linear = linear_part(frame_from_canonical, shape)
    derivative = np.zeros((len(u), 2, 2, tau.size))
    if motion == "homography":
        return _spatial_jacobian_homography(linear, tau[6:], u, derivative)
    if motion == "affine":
        derivative[:, 0, 0, 0] = derivative[:, 0, 1, 1] = 1.0
        derivative[:, 1, 0, 2] = derivative[:, 1, 1, 3] = 1.0
    elif motion != "translation":
        derivative[:, :, :, -3] = np.array([[0.0, -1.0], [1.0, 0.0]]) @ linear
        if motion == "similarity":
            derivative[:, :, :, 0] = linear / tau[0]
    return np.broadcast_to(linear, (len(u), 2, 2)), derivative


def _spatial_jacobian_homography(
    linear: FloatArray, perspective: FloatArray, u: FloatArray, derivative: FloatArray
) -> tuple[FloatArray, FloatArray]:
    z = (1.0 + u @ perspective)[:, None, None]
    q = (u @ linear.T)[:, :, None] / z
    spatial = (linear - q * perspective) / z
    for k, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        unit = np.zeros((2, 2))
        unit[i, j] = 1.0
        derivative[:, :, :, k] = (unit - (u @ unit.T)[:, :, None] / z * perspective) / z
    for k in range(2):
        along = u[:, k, None, None]
        turned = np.eye(2)[k] - along * perspective / z
        derivative[:, :, :, 6 + k] = -(along * spatial + q * turned) / z
    return spatial, derivative
