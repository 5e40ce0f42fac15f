"""One pass over the frames, seen in the canonical frame before and after alignment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.alignment import warp
from holdstill.evaluate.sharpness import Sharpness, mean_squared_gradient
from holdstill.evaluate.variance import RegionVariance, region_variance
from holdstill.run_folder import Run
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source

Mask = npt.NDArray[np.bool_]
GreyImage = npt.NDArray[np.float32]

MOST_FRAMES = 1000
"""Frames looked at, at most; of a longer run so many are taken, evenly spread."""


@dataclass(frozen=True)
class Pictures:
    """What the frames show through one set of transforms.

    Attributes
    ----------
    mean_image : ndarray, shape (h, w), float32
        Grey levels from 0 to 255; of floats their own.
    sharpness : Sharpness
        In the thing that is shown.
    variance : RegionVariance or None
        Of the region; None where there is but one frame.
    n_frames : int
    """

    mean_image: GreyImage
    sharpness: Sharpness
    variance: RegionVariance | None
    n_frames: int


@dataclass
class _Accumulator:
    """Sums over frames, and the region's pixels of each."""

    region: Mask
    thing: Mask
    total: FloatArray = field(init=False)
    sharpness: float = 0.0
    pixels: list[GreyImage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.region.shape)

    def add(self, picture: GreyImage) -> None:
        self.total += picture
        self.sharpness += mean_squared_gradient(picture, self.thing)
        self.pixels.append(picture[self.region])

    def result(self) -> Pictures:
        count = len(self.pixels)
        mean = (self.total / count).astype(np.float32)
        return Pictures(
            mean,
            Sharpness(mean_squared_gradient(mean, self.thing), self.sharpness / count),
            region_variance(np.stack(self.pixels)) if count > 1 else None,
            count,
        )


def spread_evenly(rows: npt.NDArray[np.int64], most: int = MOST_FRAMES) -> npt.NDArray[np.int64]:
    """At most so many of the rows, the first and the last among them.

    Examples
    --------
    >>> spread_evenly(np.arange(9), 3).tolist()
    [0, 4, 8]
    """
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def open_shown(run: Run) -> tuple[FrameSource | None, str | None]:
    """The frames of a run; where they have gone its aligned video, one picture for every row.

    Returns
    -------
    (FrameSource or None, str or None)
        What there is, and why it is not the frames.
    """
    try:
        return run.open_frames(), None
    except (OSError, ValueError) as error:
        missing = str(error)
    if run.video is None:
        return None, f"{missing}, and there is no aligned.mp4"
    try:
        frames = open_source(run.video)
    except (OSError, ValueError) as error:
        return None, f"{missing}, and {error}"
    if len(frames) != len(run):
        frames.close()
        return None, f"{missing}, and {run.video.name} is not the run's: {len(frames)} pictures"
    return frames, missing


def look_at(
    frames: FrameSource,
    position: npt.NDArray[np.int64],
    transforms: Sequence[FloatArray],
    region: Mask,
    thing: Mask,
    progress: Callable[[int, int], None] | None = None,
) -> list[Pictures]:
    """See frames through several sets of transforms, each decoded once.

    Parameters
    ----------
    frames : FrameSource
    position : ndarray (n,), int
        Positions of the frames in the source, rising.
    transforms : sequence of ndarray (n, 3, 3)
        frame_from_canonical of these frames: before, after.
    region, thing : ndarray (h, w), bool
        Where variance and where sharpness are measured.
    progress : callable (done, total), optional
        Called after every frame.

    Returns
    -------
    list of Pictures
        For each set of transforms; empty where no frame can be read.
    """
    sides = [_Accumulator(region, thing) for _ in transforms]
    last: tuple[int, npt.NDArray[Any] | None] = (-1, None)
    for k, at in enumerate(position.tolist()):
        if at != last[0]:
            frame = frames[at]
            last = at, grey_levels(frame.grey()) if frame.readable else None
        grey = last[1]
        if grey is not None:
            for side, of_side in zip(sides, transforms, strict=True):
                side.add(warp(grey, of_side[k], region.shape))
        if progress is not None:
            progress(k + 1, len(position))
    return [side.result() for side in sides if side.pixels]


def grey_levels(grey: npt.NDArray[Any]) -> GreyImage:
    """Grey levels from 0 to 255 as float32; 16 bits are scaled, floats taken as they are."""
    scale = np.float32(1.0 / 257.0 if grey.dtype == np.uint16 else 1.0)
    return np.ascontiguousarray(grey, dtype=np.float32) * scale
