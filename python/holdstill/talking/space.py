"""The space of a person's mouths: principal components of the region in aligned frames."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdstill._typing import FloatArray
from holdstill.applying import resample
from holdstill.principal_components import principal_components
from holdstill.run_folder import Run
from holdstill.run_frames import RunFrames, canonical_from_resized
from holdstill.talking.pose import usable_rows
from holdstill.talking.region import depth

SHAPE = (100, 100)
"""Canonical frame in which mouths are compared."""


@dataclass(frozen=True)
class MouthSpace:
    """Principal components of a run's mouths.

    The same frames and number of components give the same space. Signs are fixed: the largest entry
    of every component is positive.

    Attributes
    ----------
    mean : ndarray, shape (D,), float64
        Grey levels of the region.
    basis : ndarray, shape (D, k), float64
        Orthonormal components, those of most variance first.
    scores : ndarray, shape (n, k), float64
        Of the run's own frames; NaN where a frame is not good or its mouth out of the picture.

    Examples
    --------
    >>> space = MouthSpace.fit("interview.mp4", read_run("aligned"), components=8)  # doctest: +SKIP
    """

    mean: FloatArray
    basis: FloatArray
    scores: FloatArray

    @classmethod
    def fit(cls, frames: Any, run: Run, *, components: int = 10) -> MouthSpace:
        """Learn the space of a run's good frames.

        Parameters
        ----------
        frames : whatever `holdstill.open` takes
            The run's frames, or another stream of them.
        run : Run
        components : int
            How many.

        Returns
        -------
        MouthSpace

        Raises
        ------
        ValueError
            If there are too few good frames for so many components.
        """
        pixels = _mouths(frames, run)
        seen = pixels[np.isfinite(pixels).all(axis=1)]
        if len(seen) <= components:
            raise ValueError(
                f"components: expected fewer than the {len(seen)} frames with a good mouth, "
                f"got {components}"
            )
        mean = seen.mean(axis=0)
        basis = principal_components(seen - mean, len(seen) - 1, components).basis
        largest = basis[np.abs(basis).argmax(axis=0), np.arange(components)]
        basis = basis * np.sign(largest)
        return cls(mean, basis, (pixels - mean) @ basis)

    def project(self, frames: Any, run: Run) -> FloatArray:
        """Scores of another run of the same person, (n, k); NaN where a frame has none."""
        return np.asarray((_mouths(frames, run) - self.mean) @ self.basis)


def _mouths(frames: Any, run: Run) -> FloatArray:
    """Grey levels of the region in every frame, (n, D); NaN where it is not to be used."""
    if not isinstance(frames, RunFrames):
        with closing(RunFrames(frames, run)) as opened:
            return _mouths(opened, run)
    rows = frames
    y, x = np.mgrid[: SHAPE[0] + SHAPE[0] // 4, : SHAPE[1]].astype(np.float64)
    region = depth(x, y, SHAPE) > 0
    through = canonical_from_resized(rows.shape, SHAPE)
    usable = usable_rows(rows)
    mouths = np.full((len(rows), int(region.sum())), np.nan)
    for row, frame in rows:
        if not usable[row] or not frame.readable:
            continue
        grey = frame.grey()
        matrix = rows.transform(row, grey.shape)
        if matrix is not None:
            mouths[row] = resample(grey, matrix @ through, region.shape)[region]
    return mouths
