"""A dictionary as a versioned file: what of it is kept, under which names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from holdstill.archive import read_archive, write_archive
from holdstill.run_layout import DICTIONARY

if TYPE_CHECKING:
    from holdstill.dictionary import Dictionary

FORMAT = "holdstill.dictionary"
FORMAT_VERSION = 3
_OWN_RESIDUALS = ("residuals", "displaced_residuals", "robust_residuals")

Made = TypeVar("Made")


def settings_of(dictionary: Dictionary) -> dict[str, Any]:
    """What the alignment depends on beside the arrays; None where a number is unknown."""
    return {
        "shape": list(dictionary.shape),
        "motion": dictionary.motion,
        "features": dictionary.features,
        "sigma": dictionary.sigma,
        "pixel_residual": dictionary.pixel_residual if dictionary.pixel_residual >= 0 else None,
    }


def write_dictionary(path: str | os.PathLike[str], dictionary: Dictionary) -> None:
    """See :meth:`holdstill.Dictionary.save`."""
    meta = {**settings_of(dictionary), "provenance": dict(dictionary.provenance)}
    arrays = {name: getattr(dictionary, name) for name in _OWN_RESIDUALS}
    arrays.update(roi=dictionary.weights, atoms=dictionary.atoms)
    write_archive(path, FORMAT, FORMAT_VERSION, meta, arrays)


def read_dictionary(path: str | os.PathLike[str], make: Callable[..., Made]) -> Made:
    """See :meth:`holdstill.Dictionary.load`; `make` is the class, or takes what it does."""

    def from_archive(meta: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Made:
        # Earlier versions held fewer of them, or none.
        own = [name for name in _OWN_RESIDUALS if meta["format_version"] > 2 or name in arrays]
        pixel_residual = meta.get("pixel_residual")
        return make(
            arrays["atoms"],
            shape=tuple(meta["shape"]),
            motion=meta["motion"],
            features=meta["features"],
            sigma=float(meta["sigma"]),
            roi=arrays["roi"],
            pixel_residual=float("nan") if pixel_residual is None else float(pixel_residual),
            provenance=meta["provenance"],
            **{name: arrays[name] for name in own},
        )

    if os.path.isdir(path):
        path = os.path.join(path, DICTIONARY)
    return read_archive(path, "dictionary", FORMAT, FORMAT_VERSION, from_archive)
