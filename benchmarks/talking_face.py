"""The talking-face set, as the benchmarks use it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import FloatArray, Grey
from peers import Rectangle

import holdstill
from holdstill.canonical import roi_mask
from holdstill.evaluate import RegionVariance, region_variance

SHAPE = (200, 200)
CORNERS = Rectangle.all_of(SHAPE).corners()
PUBLISHED = {"features": "grey", "roi": "full", "lambda_c": 1.0}
"""The method as it was published, as options of `holdstill.fit`."""


@dataclass(frozen=True)
class TalkingFace:
    """All frames, decoded to grey, with their initial transforms and annotated points."""

    frames: npt.NDArray[np.uint8]
    initial: FloatArray
    points: FloatArray

    @classmethod
    def load(cls, folder: Path) -> TalkingFace:
        """Read the set from its folder."""
        source = holdstill.open(folder)
        table = holdstill.read_transforms(folder / "initial.csv", shape=SHAPE)
        assert table["frame"].tolist() == list(range(len(source)))
        return cls(
            np.stack([frame.grey() for frame in source]),
            table["frame_from_canonical"],
            np.load(folder / "points.npy").astype(np.float64),
        )

    def initial_for(self, shape: tuple[int, int]) -> FloatArray:
        """The initial transforms of a canonical frame of another size."""
        return np.asarray(self.initial @ np.diag([SHAPE[1] / shape[1], SHAPE[0] / shape[0], 1.0]))

    def crops(self) -> list[Grey]:
        """Every frame seen through its initial transform."""
        return [
            holdstill.warp(frame, transform, SHAPE)
            for frame, transform in zip(self.frames, self.initial, strict=True)
        ]


def mouth_variance(frames: Iterable[Grey], transforms: FloatArray) -> RegionVariance:
    """PCA of the mouth's grey levels in the canonical frame (paper A, Fig. 1)."""
    mask = roi_mask("mouth", SHAPE)
    pixels = [
        holdstill.warp(frame, at, SHAPE)[mask] for frame, at in zip(frames, transforms, strict=True)
    ]
    return region_variance(np.stack(pixels))
