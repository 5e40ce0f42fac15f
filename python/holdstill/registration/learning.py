"""What images tell a face model: octaves, pictures, users, and what it leaves of unseen faces."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import check_shape, roi_mask
from holdstill.checks import integer
from holdstill.pyramid import level_roi, n_levels
from holdstill.reference.warp import n_planes
from holdstill.registration.images import (
    mean_picture,
    picture_of,
    read_greys,
    registration_of,
    vectors_of,
)
from holdstill.registration.octave import Octave, learn_octave
from holdstill.registration.quality import unseen_residuals

EVERYBODY = "all"
"""As a user: whoever of those enrolled is likeliest."""

FACE_SHAPE = (64, 64)
"""Of the canonical frame, where the images are not canonical pictures themselves."""


class LearntFaces(NamedTuple):
    """What images say; the fields are those of :class:`holdstill.FaceModel`."""

    octaves: tuple[Octave, ...]
    n_images: int
    face: npt.NDArray[np.uint8]
    users: tuple[str, ...]
    thumbnails: npt.NDArray[np.uint8]
    landmarks: FloatArray
    unseen: FloatArray


def learn_faces(
    images: Sequence[npt.ArrayLike] | npt.NDArray[Any],
    frame_from_canonical: npt.ArrayLike | None,
    *,
    points: npt.ArrayLike | None,
    eye_corners: tuple[int, int],
    users: Sequence[Hashable] | None,
    shape: tuple[int, int] | None,
    features: str,
    sigma: float,
    roi: str | os.PathLike[str] | npt.ArrayLike | None,
    components: int | float,
    levels: int | None,
) -> LearntFaces:
    """Learn from registered images, or from images and points on them.

    The parameters and what is raised are those of :meth:`holdstill.FaceModel.fit`.
    """
    greys = read_greys(images)
    if len(greys) < 3:
        raise ValueError(f"images: expected at least 3, got {len(greys)}")
    n_planes(features)  # refuses an unknown one
    if shape is None and frame_from_canonical is None and points is None:
        shape = greys[0].shape[:2]
    shape = check_shape(FACE_SHAPE if shape is None else shape)
    transforms, landmarks = registration_of(greys, frame_from_canonical, points, eye_corners, shape)
    names = _names(users, len(greys))
    weights = roi_mask(roi, shape)
    most = n_levels(weights)
    count = most if levels is None else integer("levels", levels, 1, most)
    octaves = tuple(
        learn_octave(
            vectors_of(greys, transforms, mask, level, features, sigma), names, mask, components
        )
        for level, mask in enumerate(level_roi(weights, level) for level in range(count))
    )
    pictures = np.stack([picture_of(g, F, shape) for g, F in zip(greys, transforms, strict=True)])
    known = sorted(set(names))
    thumbnails = [mean_picture(pictures[[name == user for name in names]]) for user in known]
    return LearntFaces(
        octaves,
        len(greys),
        mean_picture(pictures),
        tuple(known),
        np.array(thumbnails, dtype=np.uint8).reshape(-1, *shape),
        landmarks,
        unseen_residuals(greys, transforms, names, weights, features, sigma, components),
    )


def _names(users: Sequence[Hashable] | None, n: int) -> list[str]:
    if users is None:
        return []
    try:
        names = [str(user) for user in users]
    except TypeError:
        raise TypeError(f"users: expected a sequence, got {type(users).__name__}") from None
    if len(names) != n:
        raise ValueError(f"users: expected one for each of {n} images, got {len(names)}")
    if not all(names):
        raise ValueError(f"users: expected a name for each image, image {names.index('')} has none")
    for name in set(names):
        refuse_reserved("users", name)
    return names


def refuse_reserved(argument: str, user: str) -> None:
    """Refuse the name of a user who could not be asked for."""
    if user == EVERYBODY:
        raise ValueError(f"{argument}: {user!r} stands for all who are enrolled; take another name")
