"""Transforms as other libraries have them.

holdstill's is ``frame_from_canonical``: it takes a pixel (x, y, 1) of the output to one of the
input, and pixel centres are integers (equations §0). Libraries that resample go the same way, from
the output to the input, but differ in the order of axes, in what they call the inverse, and in
where a pixel's centre lies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray

_SWAP = np.eye(3)[[1, 0, 2]]


def to_opencv(frame_from_canonical: npt.ArrayLike, *, inverse_map: bool = True) -> FloatArray:
    """For `cv2.warpAffine`, or `cv2.warpPerspective` where the transform is a homography.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (..., 3, 3)
    inverse_map : bool
        For the flag ``cv2.WARP_INVERSE_MAP``, and as `cv2.findTransformECC` and
        `cv2.estimateAffine2D(canonical_points, frame_points)` have it: output to input. Without it
        the other direction, which `cv2.warpAffine` takes unless it is told otherwise.

    Returns
    -------
    ndarray, shape (..., 2, 3), float64; (..., 3, 3) of homographies

    Raises
    ------
    ValueError
        If it is no matrix of that shape, not finite, or has no inverse where that is asked for.

    Examples
    --------
    >>> to_opencv([[2, 0, 10], [0, 2, 20], [0, 0, 1]]).tolist()
    [[2.0, 0.0, 10.0], [0.0, 2.0, 20.0]]
    >>> to_opencv([[2, 0, 10], [0, 2, 20], [0, 0, 1]], inverse_map=False).tolist()
    [[0.5, 0.0, -5.0], [0.0, 0.5, -10.0]]
    """
    matrix = _checked(frame_from_canonical)
    if not inverse_map:
        matrix = _inverse(matrix, "frame_from_canonical")
    return matrix[..., :2, :] if _is_affine(matrix) else matrix


def from_opencv(matrix: npt.ArrayLike, *, inverse_map: bool = True) -> FloatArray:
    """frame_from_canonical from a matrix of OpenCV's, the reverse of `to_opencv`.

    Parameters
    ----------
    matrix : array_like, shape (..., 2, 3) or (..., 3, 3)
    inverse_map : bool
        Whether it takes output pixels to input pixels, as that of `cv2.findTransformECC` does.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64

    Raises
    ------
    ValueError
        As `to_opencv`.

    Examples
    --------
    >>> from_opencv([[1, 0, 3], [0, 1, 4]]).tolist()
    [[1.0, 0.0, 3.0], [0.0, 1.0, 4.0], [0.0, 0.0, 1.0]]
    """
    given = np.asarray(matrix, dtype=np.float64)
    if given.shape[-2:] == (2, 3):
        last = np.broadcast_to([0.0, 0.0, 1.0], (*given.shape[:-2], 1, 3))
        given = np.concatenate([given, last], axis=-2)
    found = _checked(given, "matrix", "(..., 2, 3) or (..., 3, 3)")
    return found if inverse_map else _inverse(found, "matrix")


def to_scipy(frame_from_canonical: npt.ArrayLike) -> FloatArray:
    """For `scipy.ndimage.affine_transform`, CuPy's and dask-image's: (row, column), not (x, y).

    Parameters
    ----------
    frame_from_canonical : array_like, shape (..., 3, 3)
        Affine.

    Returns
    -------
    ndarray, shape (..., 3, 3), float64
        Homogeneous, output to input, which those functions take as `matrix`.

    Raises
    ------
    ValueError
        If it is no matrix of that shape, not finite, or a homography.

    Examples
    --------
    >>> to_scipy([[1, 0, 3], [0, 1, 4], [0, 0, 1]]).tolist()
    [[1.0, 0.0, 4.0], [0.0, 1.0, 3.0], [0.0, 0.0, 1.0]]
    """
    return _SWAP @ _affine(frame_from_canonical) @ _SWAP


def from_scipy(matrix: npt.ArrayLike, offset: npt.ArrayLike = 0.0) -> FloatArray:
    """frame_from_canonical from what `scipy.ndimage.affine_transform` takes.

    Parameters
    ----------
    matrix : array_like, shape (2, 2), (2, 3) or (3, 3)
    offset : float or array_like, shape (2,)
        Used with a (2, 2) matrix only, as SciPy does.

    Returns
    -------
    ndarray, shape (3, 3), float64

    Raises
    ------
    ValueError
        If it is no such matrix.

    Examples
    --------
    >>> from_scipy([[1, 0], [0, 1]], offset=(4, 3)).tolist()
    [[1.0, 0.0, 3.0], [0.0, 1.0, 4.0], [0.0, 0.0, 1.0]]
    """
    given = np.asarray(matrix, dtype=np.float64)
    if given.shape not in ((2, 2), (2, 3), (3, 3)):
        raise ValueError(f"matrix: expected shape (2, 2), (2, 3) or (3, 3), got {given.shape}")
    full = np.eye(3)
    full[: given.shape[0], : given.shape[1]] = given
    if given.shape == (2, 2):
        full[:2, 2] = offset
    return _SWAP @ _affine(full, "matrix") @ _SWAP


def to_skimage(frame_from_canonical: npt.ArrayLike) -> Any:
    """For `skimage.transform.warp`, as its `inverse_map`.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)

    Returns
    -------
    skimage.transform.AffineTransform or ProjectiveTransform
        Of the same matrix; its ``inverse`` takes points of the frame to the canonical frame.

    Raises
    ------
    ValueError
        If it is no matrix of that shape, or not finite.
    ImportError
        Without scikit-image.
    """
    from skimage.transform import AffineTransform, ProjectiveTransform

    matrix = _one(frame_from_canonical)
    kind: Any = AffineTransform if _is_affine(matrix) else ProjectiveTransform
    return kind(matrix=matrix)


def from_skimage(transform: Any) -> FloatArray:
    """frame_from_canonical from a transform of scikit-image's that takes output to input.

    Parameters
    ----------
    transform : skimage.transform.ProjectiveTransform, or one of its kinds
        As `skimage.transform.warp` takes it for `inverse_map`.

    Returns
    -------
    ndarray, shape (3, 3), float64

    Raises
    ------
    ValueError
        If it has no 3×3 matrix.
    """
    return _one(getattr(transform, "params", transform), "transform")


def to_simpleitk(
    frame_from_canonical: npt.ArrayLike, frame: Any = None, canonical: Any = None
) -> Any:
    """For `SimpleITK.Resample`: points in space, from the fixed image to the moving one.

    Parameters
    ----------
    frame_from_canonical : array_like, shape (3, 3)
        Affine: SimpleITK has no homographies.
    frame, canonical : SimpleITK.Image, optional
        The moving image, and the one whose grid is filled, for their origin, spacing and
        direction. None is an image of unit spacing at the origin, as `GetImageFromArray` makes it.

    Returns
    -------
    SimpleITK.AffineTransform

    Raises
    ------
    ValueError
        If it is no matrix of that shape, not finite, or a homography.
    ImportError
        Without SimpleITK.
    """
    import SimpleITK

    matrix = _space_from_pixels(frame) @ _affine(_one(frame_from_canonical))
    matrix = matrix @ np.linalg.inv(_space_from_pixels(canonical))
    transform = SimpleITK.AffineTransform(2)
    transform.SetMatrix(matrix[:2, :2].ravel().tolist())
    transform.SetTranslation(matrix[:2, 2].tolist())
    return transform


def from_simpleitk(transform: Any, frame: Any = None, canonical: Any = None) -> FloatArray:
    """frame_from_canonical from a transform of SimpleITK's, the reverse of `to_simpleitk`.

    Parameters
    ----------
    transform : SimpleITK.Transform
        Of two dimensions and linear: affine, similarity, Euler, translation, or composed of these;
        what a registration of `canonical` (fixed) and `frame` (moving) returns.
    frame, canonical : SimpleITK.Image, optional
        As in `to_simpleitk`.

    Returns
    -------
    ndarray, shape (3, 3), float64

    Raises
    ------
    ValueError
        If the transform has another number of dimensions, or is not linear.
    """
    if transform.GetDimension() != 2 or not transform.IsLinear():
        raise ValueError("transform: expected a linear transform of two dimensions")
    corner, along_x, along_y = (
        np.array(transform.TransformPoint(point)) for point in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    matrix = np.eye(3)
    matrix[:2] = np.stack([along_x - corner, along_y - corner, corner], axis=1)
    found = np.linalg.inv(_space_from_pixels(frame)) @ matrix @ _space_from_pixels(canonical)
    return np.asarray(found)


def _space_from_pixels(image: Any) -> FloatArray:
    """Where SimpleITK has the pixels of an image."""
    matrix = np.eye(3)
    if image is not None:
        direction = np.array(image.GetDirection()).reshape(2, 2)
        matrix[:2, :2] = direction * np.array(image.GetSpacing())
        matrix[:2, 2] = image.GetOrigin()
    return matrix


def _checked(
    given: npt.ArrayLike, name: str = "frame_from_canonical", expected: str = "(..., 3, 3)"
) -> FloatArray:
    matrix = np.asarray(given, dtype=np.float64)
    if matrix.shape[-2:] != (3, 3):
        raise ValueError(f"{name}: expected shape {expected}, got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name}: expected finite numbers")
    return matrix


def _one(given: npt.ArrayLike, name: str = "frame_from_canonical") -> FloatArray:
    matrix = _checked(given, name, "(3, 3)")
    if matrix.ndim != 2:
        raise ValueError(f"{name}: expected shape (3, 3), got {matrix.shape}")
    return matrix


def _affine(given: npt.ArrayLike, name: str = "frame_from_canonical") -> FloatArray:
    matrix = _checked(given, name)
    if not _is_affine(matrix):
        raise ValueError(f"{name}: expected an affine transform, got a homography")
    return matrix


def _is_affine(matrix: FloatArray) -> bool:
    return bool((matrix[..., 2, :] == (0.0, 0.0, 1.0)).all())


def _inverse(matrix: FloatArray, name: str) -> FloatArray:
    if (np.linalg.det(matrix) == 0).any():
        raise ValueError(f"{name}: expected a transform that can be inverted")
    inverse = np.linalg.inv(matrix)
    return inverse / inverse[..., 2:, 2:]
