"""The talking-face set, as the benchmarks use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from peers import FloatArray, Grey

import holdstill

SHAPE = (200, 200)


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

    def crops(self) -> list[Grey]:
        """Every frame seen through its initial transform."""
        return [
            holdstill.warp(frame, transform, SHAPE)
            for frame, transform in zip(self.frames, self.initial, strict=True)
        ]
