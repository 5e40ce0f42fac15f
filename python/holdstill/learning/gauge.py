"""The gauge of a batch: the common motion of the canonical frame that RASL leaves free.

A transform g common to all images, F_i → F_i g, does not change how well they agree, and a batch
left to itself zooms. `compose_gauge` removes the common motion from the transforms,
`canonical_motion` states it for a step (equations §1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.reference.motion import centre, n_parameters


def compose_gauge(
    frame_from_canonical: npt.ArrayLike,
    initial: npt.ArrayLike,
    motion: str,
    shape: tuple[int, int],
) -> FloatArray:
    """Compose the transforms with the g that makes their mean motion the identity (equations §1).

    With H_i the centred matrices, M_i = (H_i⁰)⁻¹H_i the motion since the start in canonical
    coordinates and g = z (mean M_i)⁻¹: H_i ← H_i g. The mean shift, rotation and shear vanish. The
    zoom z keeps the geometric mean of the scales: the mean of turned matrices is smaller than each
    of them, and its inverse alone would zoom by the spread of the rotations. For homography two
    passes leave a remainder of second order.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
        Transforms.
    initial : array_like, shape (n, 3, 3)
        Transforms at the start.
    motion : str
        Motion model; every transform stays in its family.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (n, 3, 3), float64
        frame_from_canonical with the common motion removed.

    Raises
    ------
    ValueError
        If the shapes differ, or a transform is not invertible.

    Examples
    --------
    >>> zoomed = np.stack([np.diag([1.1, 1.1, 1.0])] * 3)
    >>> start = np.stack([np.eye(3)] * 3)
    >>> bool(np.allclose(compose_gauge(zoomed, start, "affine", (20, 20)), start))
    True
    """
    n_parameters(motion)
    transforms = np.asarray(frame_from_canonical, dtype=np.float64)
    start = np.asarray(initial, dtype=np.float64)
    if transforms.ndim != 3 or transforms.shape != start.shape:
        raise ValueError(
            f"initial: expected the shape of frame_from_canonical {transforms.shape}, "
            f"got {start.shape}"
        )
    H, H_start = _centred(transforms, shape), _centred(start, shape)
    for _ in range(2 if motion == "homography" else 1):
        H = H @ _common_inverse(_motion_since(H, H_start), motion)
        H = H / H[:, 2:, 2:]
        areas = np.linalg.det(_motion_since(H, H_start)[:, :2, :2])
        H[:, :, :2] *= np.exp(-0.5 * np.log(np.abs(areas)).mean())
    H[:, :, 2] -= H[:, :, :2] @ centre(shape)
    scale = H[:, 2:, 2:]
    return np.asarray(H / np.where(scale == 0.0, 1.0, scale))


def _centred(transforms: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """H of equations §0, the origin at the canonical centre, scaled to h33 = 1."""
    if transforms.ndim != 3 or transforms.shape[1:] != (3, 3):
        raise ValueError(f"frame_from_canonical: expected shape (n, 3, 3), got {transforms.shape}")
    H = transforms.copy()
    H[:, :, 2] += transforms[:, :, :2] @ centre(shape)
    if not (np.isfinite(H).all() and H[:, 2, 2].all()):
        raise ValueError(
            "frame_from_canonical: expected finite entries that keep the canonical centre finite"
        )
    return np.asarray(H / H[:, 2:, 2:])


def _motion_since(H: FloatArray, H_start: FloatArray) -> FloatArray:
    """M_i = (H_i⁰)⁻¹H_i, scaled to m33 = 1."""
    try:
        motion = np.linalg.solve(H_start, H)
    except np.linalg.LinAlgError:
        raise ValueError("initial: expected invertible transforms") from None
    return np.asarray(motion / motion[:, 2:, 2:])


def _common_inverse(motion_since: FloatArray, motion: str) -> FloatArray:
    """g of equations §1."""
    mean = motion_since.mean(axis=0)
    if motion != "euclidean":
        return np.asarray(np.linalg.inv(mean))
    # A mean of rotations shrinks; a euclidean motion cannot undo a scale, so only the turn counts.
    K, k = mean[:2, :2], mean[:2, 2]
    g = np.eye(3)
    g[:2, :2] = (K / np.sqrt(np.linalg.det(K))).T
    g[:2, 2] = -np.linalg.solve(K, k)
    return g


def canonical_motion(
    frame_from_canonical: npt.ArrayLike, motion: str, shape: tuple[int, int]
) -> FloatArray:
    """C_i with C_i Δτ_i the motion of the canonical frame that a step implies (equations §1).

    Parameters
    ----------
    frame_from_canonical : array_like, shape (n, 3, 3)
        Transforms at τ.
    motion : str
        Motion model.
    shape : (int, int)
        Height and width of the canonical frame.

    Returns
    -------
    ndarray, shape (n, q, p), float64
        affine: L⁻¹ΔL row by row, L⁻¹Δt; similarity: Δs/s, Δα, L⁻¹Δt; euclidean: Δα, L⁻¹Δt;
        translation: L⁻¹Δt; homography: the eight entries of H⁻¹ΔH but the last, less that times I.

    Examples
    --------
    >>> canonical_motion(np.diag([2.0, 2.0, 1.0])[None], "translation", (5, 5))[0].tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    transforms = np.asarray(frame_from_canonical, dtype=np.float64)
    p = n_parameters(motion)
    H = _centred(transforms, shape)
    if motion == "homography":
        return np.stack([_canonical_motion_homography(matrix) for matrix in H])
    inverse = np.linalg.inv(H[:, :2, :2])
    C = np.zeros((len(H), p, p))
    C[:, -2:, -2:] = inverse
    if motion == "affine":
        C[:, 0:4:2, 0:4:2] = C[:, 1:4:2, 1:4:2] = inverse
    elif motion != "translation":
        C[:, -3, -3] = 1.0
        if motion == "similarity":
            C[:, 0, 0] = np.sqrt(np.linalg.det(inverse))
    return C


def _canonical_motion_homography(H: FloatArray) -> FloatArray:
    """Column k is H⁻¹∂H/∂τ_k less its (3, 3) entry times I."""
    translation, perspective = H[:2, 2], H[2, :2]
    derivative = np.zeros((8, 3, 3))
    for k in range(4):
        derivative[k, k // 2, k % 2] = 1.0
    for k in range(2):
        derivative[4 + k, k, :2] = perspective
        derivative[4 + k, k, 2] = 1.0
        derivative[6 + k, :2, k] = translation
        derivative[6 + k, 2, k] = 1.0
    common = np.linalg.solve(H, derivative)
    common -= common[:, 2:, 2:] * np.eye(3)
    return np.asarray(common.reshape(8, 9)[:, :8].T)
