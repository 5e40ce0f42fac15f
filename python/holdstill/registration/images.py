"""Images of faces as a model learns them: where they are, their pictures, their vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.canonical import Weights
from holdstill.checks import floats, refuse_fractions
from holdstill.landmarks import mean_shape, similarity_of
from holdstill.pyramid import at_level
from holdstill.sources import Frame
from holdstill.transforms import warn_of_swapped_eyes

LEAST_APART = 0.35
"""Distance of the outer eye corners beside the points' extent: on faces it is 0.6 to 1 of it."""

log = logging.getLogger("holdstill")


def read_greys(images: Sequence[npt.ArrayLike] | npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Grey levels of each image, finite; what is wrong with one names it."""
    greys: list[npt.NDArray[Any]] = []
    if not np.iterable(images):
        raise TypeError(f"images: expected a sequence of images, got {type(images).__name__}")
    for number, image in enumerate(images):
        try:
            grey = Frame("images", number, None, np.asarray(image)).grey()
        except (TypeError, ValueError) as error:
            raise ValueError(f"images: image {number}: {error}") from None
        if not np.isfinite(grey).all():
            raise ValueError(f"images: image {number} has values that are not finite")
        greys.append(grey)
    return greys


def registration_of(
    greys: list[npt.NDArray[Any]],
    frame_from_canonical: npt.ArrayLike | None,
    points: npt.ArrayLike | None,
    eye_corners: tuple[int, int],
    shape: tuple[int, int],
) -> tuple[FloatArray, FloatArray]:
    """Transforms of the images, and the mean shape of their points."""
    if frame_from_canonical is not None and points is not None:
        raise ValueError("points: the images are registered by frame_from_canonical already")
    if points is not None:
        marked = floats("points", points, f"({len(greys)}, k, 2)")
        if marked.shape[:1] != (len(greys),):
            raise ValueError(f"points: expected shape ({len(greys)}, k, 2), got {marked.shape}")
        refuse_fractions("points", marked)
        mean = mean_shape(marked, shape, eye_corners)
        _refuse_other_points(mean, eye_corners)
        left, right = (marked[:, k] for k in eye_corners)
        if not _warn_of_exchanged_axes(left, right):
            warn_of_swapped_eyes(left, right)
        return similarity_of(marked, mean), mean
    if frame_from_canonical is None:
        for number, grey in enumerate(greys):
            if grey.shape != shape:
                raise ValueError(
                    f"images: without transforms they are canonical pictures of shape {shape}, but "
                    f"image {number} has shape {grey.shape}"
                )
        return np.broadcast_to(np.eye(3), (len(greys), 3, 3)), np.zeros((0, 2))
    transforms = floats("frame_from_canonical", frame_from_canonical, f"({len(greys)}, 3, 3)")
    if transforms.shape != (len(greys), 3, 3) or not np.isfinite(transforms).all():
        raise ValueError(
            f"frame_from_canonical: expected finite entries of shape ({len(greys)}, 3, 3), "
            f"got shape {transforms.shape}"
        )
    return transforms, np.zeros((0, 2))


def _warn_of_exchanged_axes(left: FloatArray, right: FloatArray) -> bool:
    """Warn where most outer eye corners lie one above the other."""
    across, down = np.abs(right - left).T
    exchanged = bool(np.sum(down > across) > np.sum(down <= across))
    if exchanged:
        log.warning("most outer eye corners lie one above the other: points are (x, y), not (y, x)")
    return exchanged


def _refuse_other_points(mean: FloatArray, eye_corners: tuple[int, int]) -> None:
    """The outer eye corners are far apart; neighbours on a contour are not."""
    left, right = (mean[k] for k in eye_corners)
    apart, extent = float(np.hypot(*(right - left))), float(np.ptp(mean, axis=0).max())
    if apart < LEAST_APART * extent:
        raise ValueError(
            f"points: {eye_corners[0]} and {eye_corners[1]} are not the outer eye corners, they "
            "lie close together; say which are by eye_corners (--landmarks LEFT,RIGHT,... on the "
            "command line)"
        )


def picture_of(
    grey: npt.NDArray[Any], transform: FloatArray, shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """The face in the canonical frame."""
    return np.asarray(_core.warp(grey.astype(np.float32), transform, shape))


def mean_picture(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Mean of pictures; stretched to 0..255 where it lies beyond."""
    mean = pictures.mean(axis=0)
    low, high = min(0.0, float(mean.min())), max(255.0, float(mean.max()))
    return np.asarray(np.rint(255.0 * (mean - low) / (high - low)), dtype=np.uint8)


def vectors_of(
    greys: list[npt.NDArray[Any]],
    transforms: FloatArray,
    roi: Weights,
    level: int,
    features: str,
    sigma: float,
) -> FloatArray:
    """f(I∘τ) of each image on one octave, unit norm: (N, D)."""
    height, width = roi.shape
    pixels = int((roi > 0).sum())
    vectors = []
    for number, (grey, transform) in enumerate(zip(greys, transforms, strict=True)):
        if not np.ptp(grey) > 0:
            raise ValueError(f"images: image {number} is constant")
        try:
            now = _core.linearize(
                grey, at_level(transform, level), shape=(height, width), motion="homography",
                features=features, sigma=sigma, roi=roi,
            )  # fmt: skip
        except ValueError as error:
            raise ValueError(f"{error} (image {number})") from None
        if 2 * now.outside > pixels:
            raise ValueError(f"images: more than half of face {number} lies outside of its image")
        if not now.norm > 0:
            raise ValueError(f"images: image {number} shows nothing in the region of interest")
        vectors.append(now.vector)
    return np.stack(vectors)
