"""The talking-face set, and the peers that align single frames, as the benchmarks use them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from common import peer

import holdstill
from holdstill.canonical import roi_mask

cv2 = peer("cv2")

SHAPE = (200, 200)
ECC_EPSILON = 1e-6
ECC_ITERATIONS = 300
ECC_BLUR = 5

FloatArray = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]
Picture = Grey | npt.NDArray[np.float32]


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


class Rectangle(NamedTuple):
    """A rectangular region of interest, in canonical pixels."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, roi: str) -> Rectangle:
        """The rectangle of a region by name; it must be one."""
        rows, columns = np.nonzero(roi_mask(roi, SHAPE))
        found = cls(
            int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
        )
        assert found.width * found.height == len(rows), f"{roi} is no rectangle"
        return found

    def cut(self, picture: Grey) -> Grey:
        """The region's part of a canonical picture."""
        rows = slice(self.y, self.y + self.height)
        return np.ascontiguousarray(picture[rows, self.x : self.x + self.width])

    def canonical_from_region(self) -> FloatArray:
        """The shift from the region's own pixels to canonical ones."""
        return np.array([[1.0, 0.0, self.x], [0.0, 1.0, self.y], [0.0, 0.0, 1.0]])


def mean_picture(pictures: list[Grey]) -> Grey:
    """Mean of pictures, rounded: the template that a single-template method is given."""
    return np.asarray(np.rint(np.mean(pictures, axis=0)), dtype=np.uint8)


def ecc(
    template: Picture,
    image: Picture,
    image_from_template: FloatArray,
    epsilon: float = ECC_EPSILON,
    blur: int = ECC_BLUR,
) -> FloatArray | None:
    """findTransformECC, affine, with its own Gaussian of `blur` pixels; None where it gives up."""
    warp = image_from_template[:2].astype(np.float32)
    end = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS
    try:
        _, warp = cv2.findTransformECC(
            template,
            image,
            warp,
            cv2.MOTION_AFFINE,
            (end, ECC_ITERATIONS, epsilon),
            None,
            blur,
        )
    except cv2.error:
        return None
    return np.vstack([warp, [0.0, 0.0, 1.0]]).astype(np.float64)


def ecc_iterations(
    template: Grey, image: Grey, image_from_template: FloatArray
) -> tuple[int, FloatArray]:
    """Iterations of findTransformECC, which keeps their number to itself, and where they end.

    Its iteration depends on the warp alone: calls of one iteration each, chained, are its loop, and
    the correlations they return are what its criterion looks at.
    """
    warp = image_from_template[:2].astype(np.float32)
    before, now, count = -ECC_EPSILON, -1.0, 0
    while count < ECC_ITERATIONS and abs(now - before) >= ECC_EPSILON:
        before = now
        now, warp = cv2.findTransformECC(
            template,
            image,
            warp,
            cv2.MOTION_AFFINE,
            (cv2.TERM_CRITERIA_COUNT, 1, -1.0),
            None,
            ECC_BLUR,
        )
        count += 1
    return count, np.vstack([warp, [0.0, 0.0, 1.0]]).astype(np.float64)


def corner_distance(first: FloatArray, second: FloatArray) -> float:
    """Largest distance between the canonical corners of both, in canonical pixels of the first."""
    height, width = SHAPE
    corners = np.array([[x, y, 1.0] for x in (0.0, width - 1.0) for y in (0.0, height - 1.0)])
    moved = corners @ (np.linalg.inv(first) @ second).T
    return float(np.linalg.norm(moved[:, :2] / moved[:, 2:] - corners[:, :2], axis=1).max())
