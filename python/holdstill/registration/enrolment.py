"""Enrol a user with a face model: a template on every octave, and a thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from holdstill.registration.covariance import refuse_unknown_within
from holdstill.registration.images import (
    mean_picture,
    picture_of,
    read_greys,
    registration_of,
    vectors_of,
)
from holdstill.registration.learning import refuse_reserved

if TYPE_CHECKING:
    from holdstill.registration.model import FaceModel


def enrolled(
    model: FaceModel,
    user: str,
    image: npt.ArrayLike | Sequence[npt.ArrayLike],
    frame_from_canonical: npt.ArrayLike | None,
) -> FaceModel:
    """The model with a user; see :meth:`holdstill.FaceModel.enrol`."""
    if not isinstance(user, str) or not user:
        raise ValueError(f"user: expected a name, got {user!r}")
    refuse_reserved("user", user)
    refuse_unknown_within(model.octaves)
    greys = read_greys(image if isinstance(image, (list, tuple)) else [np.asarray(image)])
    if not greys:
        raise ValueError("image: expected at least one")
    given = None if frame_from_canonical is None else np.asarray(frame_from_canonical)
    if given is not None and given.ndim == 2:
        given = given[None]
    transforms, _ = registration_of(greys, given, None, (0, 1), model.shape)
    others = [i for i, name in enumerate(model.users) if name != user]
    octaves = []
    for level, octave in enumerate(model.octaves):
        vectors = vectors_of(greys, transforms, octave.roi, level, model.features, model.sigma)
        template = vectors.mean(axis=0).astype(np.float32)
        templates = np.concatenate([octave.templates[others], template[None]])
        octaves.append(replace(octave, templates=templates))
    pictures = [picture_of(g, F, model.shape) for g, F in zip(greys, transforms, strict=True)]
    thumbnails = model.thumbnails.reshape(-1, *model.shape)[others]
    return replace(
        model,
        octaves=tuple(octaves),
        users=(*(model.users[i] for i in others), user),
        thumbnails=np.concatenate([thumbnails, mean_picture(np.stack(pictures))[None]]),
    )
