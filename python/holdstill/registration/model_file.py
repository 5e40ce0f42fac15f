"""A face model as a versioned file: what of it is kept, under which names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from holdstill.archive import read_archive, write_archive
from holdstill.registration.octave import ARRAYS, Octave

if TYPE_CHECKING:
    from holdstill.registration.model import FaceModel

FORMAT = "holdstill.face_model"
FORMAT_VERSION = 2

Made = TypeVar("Made")


def write_model(path: str | os.PathLike[str], model: FaceModel) -> None:
    """See :meth:`holdstill.FaceModel.save`."""
    meta = {
        "features": model.features,
        "sigma": model.sigma,
        "rho": model.rho,
        "n_images": model.n_images,
        "users": list(model.users),
        "octaves": len(model.octaves),
    }
    arrays = {
        f"{name}_{level}": getattr(octave, name)
        for level, octave in enumerate(model.octaves)
        for name in ARRAYS
    }
    for name in ("face", "thumbnails", "landmarks", "unseen"):
        arrays[name] = getattr(model, name)
    write_archive(path, FORMAT, FORMAT_VERSION, meta, arrays)


def read_model(path: str | os.PathLike[str], make: Callable[..., Made]) -> Made:
    """See :meth:`holdstill.FaceModel.load`; `make` is the class, or takes what it does."""

    def from_archive(meta: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Made:
        return make(
            tuple(
                Octave(**{name: arrays[f"{name}_{level}"] for name in ARRAYS})
                for level in range(meta["octaves"])
            ),
            features=meta["features"],
            sigma=meta["sigma"],
            rho=meta["rho"],
            n_images=meta["n_images"],
            face=arrays["face"],
            users=tuple(meta["users"]),
            thumbnails=arrays["thumbnails"],
            landmarks=arrays["landmarks"],
            unseen=arrays["unseen"] if meta["format_version"] > 1 else np.zeros((0, 2)),
        )

    return read_archive(path, "face model", FORMAT, FORMAT_VERSION, from_archive)
