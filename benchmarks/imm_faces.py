"""The IMM faces as the benchmarks use them: manual points, known offsets, images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import FloatArray, peer

from holdstill.faces import FaceDetector
from holdstill.landmarks import mean_shape, similarity_of
from holdstill.reference.motion import map_points
from holdstill.transforms import from_box

CORNERS = (21, 13, 25, 17, 39, 43)
"""Of the 58 points: the outer eye corners, image left and right, the inner ones, the mouth's."""
FRONTAL, TURNED, LIT = (1, 2), (3, 4), (5,)
"""Kinds of picture: neutral and smiling; 30 degrees to either side; a spot light from the left."""
_DETECTOR_EYES = 50.0
"""Smaller faces are enlarged to about this interocular distance before they are detected."""


@dataclass(frozen=True)
class Face:
    """A picture, whose it is, and its six corners in pixels."""

    person: int
    kind: int
    picture: npt.NDArray[np.uint8]
    corners: FloatArray

    @property
    def interocular(self) -> float:
        """Between the middles of each eye's two corners, pixels."""
        left, right = self.corners[[0, 2]].mean(axis=0), self.corners[[1, 3]].mean(axis=0)
        return float(np.linalg.norm(left - right))


def read_faces(folder: Path, kinds: Sequence[int]) -> list[Face]:
    """All pictures of some kinds, in the order of their names."""
    cv2 = peer("cv2")
    points = np.load(folder / "points.npy").astype(np.float64)
    return [
        Face(
            int(name[:2]),
            int(name[3]),
            cv2.imread(str(folder / f"{name}.jpg"), cv2.IMREAD_GRAYSCALE),
            marked[list(CORNERS)],
        )
        for name, marked in zip((folder / "names.txt").read_text().split(), points, strict=True)
        if int(name[3]) in kinds
    ]


def reduced(face: Face, interocular: float) -> Face:
    """The whole picture at another interocular distance, by mean values over areas."""
    cv2 = peer("cv2")
    height, width = face.picture.shape
    share = interocular / face.interocular
    size = (max(1, round(width * share)), max(1, round(height * share)))
    picture = cv2.resize(face.picture, size, interpolation=cv2.INTER_AREA)
    shares = np.array(size) / (width, height)
    # Pixel centres lie on integers: position x becomes (x + 1/2) share - 1/2.
    return Face(face.person, face.kind, picture, (face.corners + 0.5) * shares - 0.5)


def split(people: Sequence[int], seed: int) -> tuple[set[int], set[int]]:
    """Half of the people to train with, and the others."""
    order = np.random.default_rng(seed).permutation(sorted(set(people)))
    half = len(order) // 2
    return set(order[:half].tolist()), set(order[half:].tolist())


def shape_of(faces: Sequence[Face], shape: tuple[int, int]) -> FloatArray:
    """Mean shape of the corners, canonical pixels: (6, 2)."""
    return mean_shape([face.corners for face in faces], shape)


def truth(face: Face, corners: FloatArray) -> FloatArray:
    """The similarity that takes the mean corners to the manual ones, by least squares."""
    return similarity_of(face.corners, corners)


def error(found: FloatArray, face: Face, corners: FloatArray) -> float:
    """Mean distance between where a transform and the truth put the corners, % interocular."""
    apart = map_points(found, corners) - map_points(truth(face, corners), corners)
    return float(100.0 * np.linalg.norm(apart, axis=1).mean() / face.interocular)


def displaced(
    face: Face, corners: FloatArray, percent: float, rng: np.random.Generator
) -> FloatArray:
    """The truth, scaled, turned and shifted so that the corners move by some % on average."""
    middle = corners.mean(axis=0)
    radius = np.sqrt(((corners - middle) ** 2).sum(axis=1).mean())
    scale, angle, *shift = rng.standard_normal(4)

    def start(size: float) -> FloatArray:
        # As complex numbers: z -> middle + (z - middle) a + b.
        a = (1.0 + size * scale / radius) * np.exp(1j * size * angle / radius)
        offset = np.array([[a.real, -a.imag, 0.0], [a.imag, a.real, 0.0], [0.0, 0.0, 1.0]])
        offset[:2, 2] = middle - offset[:2, :2] @ middle + size * np.array(shift)
        return truth(face, corners) @ offset

    size = 1.0
    for _ in range(5):
        size *= percent / error(start(size), face, corners)
    return start(size)


@cache
def _detector() -> FaceDetector:
    return FaceDetector()


def detected(face: Face, shape: tuple[int, int]) -> FloatArray | None:
    """Start from Viola and Jones's box; None where it finds no face."""
    cv2 = peer("cv2")
    factor = max(1, round(_DETECTOR_EYES / face.interocular))
    picture: npt.NDArray[Any] = face.picture
    if factor > 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    box = _detector().detect(picture)
    if box is None:
        return None
    # Back through x = (X + 1/2) / factor - 1/2.
    box[:2] = (box[:2] + 0.5) / factor - 0.5
    box[2:] /= factor
    return from_box(box, shape)
