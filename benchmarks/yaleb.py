"""Extended Yale B as the benchmarks use it: faces under known lights, moved by known transforms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage
from common import FloatArray, Grey
from peers import Rectangle
from PIL import Image

PICTURE = (192, 168)
SHAPE = (96, 84)
"""The canonical frame is the picture at half its size: the frame, too, is larger elsewhere."""
REGION = Rectangle(6, 6, 72, 84)
"""Within the face's edges, where the cut-out ends."""
EYE_DISTANCE = 63.0
"""Between the outer corners in canonical pixels, read off the mean picture, to a few pixels."""
EYES = (42.0, 23.0)
"""Middle of the eyes in the canonical frame."""
CANVAS = (300, 320)
PICTURE_FROM_CANONICAL = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])
_LIGHT = re.compile(r"A([+-]\d+)E([+-]\d+)")


@dataclass(frozen=True)
class Lit:
    """One picture and how far its light is from the camera's axis, in degrees."""

    picture: Grey
    light: float


def read_person(folder: Path) -> list[Lit]:
    """All pictures of a person, in the order of their names; ambient ones left out."""
    found = []
    for path in sorted(folder.glob("*.pgm")):
        match = _LIGHT.search(path.stem)
        if match is None:
            continue
        azimuth, elevation = np.deg2rad([float(angle) for angle in match.groups()])
        axis = np.clip(np.cos(azimuth) * np.cos(elevation), -1.0, 1.0)
        picture = np.asarray(Image.open(path).convert("L"))
        assert picture.shape == PICTURE, path
        found.append(Lit(picture, float(np.rad2deg(np.arccos(axis)))))
    return found


def moved(picture: Grey, rng: np.random.Generator) -> tuple[Grey, FloatArray]:
    """The picture somewhere on a canvas, by an affine transform; the canvas, and its truth.

    Around the face is a texture of its own brightness that is new in every frame. The picture is
    sampled by cubic splines, not as holdstill samples.
    """
    angle = np.deg2rad(rng.uniform(-10.0, 10.0))
    scale = rng.uniform(0.8, 1.0)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ (np.eye(2) + rng.uniform(-0.04, 0.04, (2, 2)))
    middle = np.array([(PICTURE[1] - 1) / 2, (PICTURE[0] - 1) / 2])
    centre = np.array([(CANVAS[1] - 1) / 2, (CANVAS[0] - 1) / 2]) + rng.uniform(-15.0, 15.0, 2)
    frame_from_picture = np.eye(3)
    frame_from_picture[:2, :2] = linear
    frame_from_picture[:2, 2] = centre - linear @ middle
    # Outside the border's pixels go on, where the cover is 0: no ringing at the edge.
    face = _resampled(picture, frame_from_picture, order=3, mode="nearest")
    cover = _resampled(np.ones(PICTURE), frame_from_picture, order=1, mode="constant")
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal(CANVAS), 6.0)
    around = picture.mean() * (1.0 + 0.5 * noise / noise.std())
    canvas = np.clip(np.rint(cover * face + (1.0 - cover) * around), 0, 255).astype(np.uint8)
    return canvas, frame_from_picture @ PICTURE_FROM_CANONICAL


def _resampled(
    picture: npt.NDArray[Any], frame_from_picture: FloatArray, *, order: int, mode: str
) -> FloatArray:
    back = np.linalg.inv(frame_from_picture)
    # ndimage's points are (y, x).
    linear, shift = back[1::-1, 1::-1], back[1::-1, 2]
    return np.asarray(
        scipy.ndimage.affine_transform(
            picture.astype(np.float64), linear, shift, output_shape=CANVAS, order=order, mode=mode
        )
    )
