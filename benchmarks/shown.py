"""What is put before a dictionary: frames of what it knows, and what is shown in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import imm_faces as imm
import numpy as np
import scipy.ndimage
from common import FloatArray, Grey, data_folder, peer
from contest import Thing, disturbance, face_among, similarity
from talking_face import TalkingFace

import holdstill
from holdstill.canonical import eye_corners
from holdstill.faces import FaceDetector
from holdstill.synthetic import TalkingHead
from holdstill.transforms import from_box, from_eye_corners

cv2 = peer("cv2")

SHAPE = (100, 100)
SAMPLE, HELD_OUT = 80, 24
STARTS = {
    # shift in eye distances, degrees, factor of scale: at most
    "near start": None,
    "far start": (0.4, 40.0, 1.4),
    "wild start": (1.0, 90.0, 2.0),
}
EYES = eye_corners(SHAPE)
UNIT = float(np.linalg.norm(EYES[1] - EYES[0]))
MIDDLE = (float(EYES[:, 0].mean()), float(EYES[:, 1].mean()))


@dataclass(frozen=True)
class Subject:
    """Frames of one thing; `exact` where the truth is not a tracker's."""

    name: str
    thing: Thing
    exact: bool


def subjects() -> Iterator[Subject]:
    """The synthetic head; the real one; a speaker."""
    head = TalkingHead(320, size=(288, 360), shape=SHAPE, occlusion=False, color=False)
    yield subject("synthetic head", list(head), head.frame_from_canonical, exact=True)
    folder = data_folder("talking_face")
    if folder is not None:
        face = TalkingFace.load(folder)
        yield subject("talking_face", list(face.frames), face.initial_for(SHAPE))
    folder = data_folder("grid_s1")
    if folder is not None:
        clips = [str(path) for path in sorted(folder.glob("*.mpg"))[::40]]
        frames = [frame.grey() for frame in holdstill.open(clips)]
        yield subject("grid_s1", frames, steady_boxes(frames, len(frames) // len(clips)))


def subject(
    name: str, frames: Sequence[Grey], truth: FloatArray, *, exact: bool = False
) -> Subject:
    """A sample at random; held-out frames spread over the rest."""
    thing = face_among(frames, truth, SHAPE, sample=SAMPLE, held_out=HELD_OUT)
    return Subject(name, thing, exact)


def steady_boxes(frames: Sequence[Grey], length: int) -> FloatArray:
    """Detections, of each clip the median one: its speaker sits still."""
    detector = FaceDetector()
    found: list[FloatArray] = []
    for first in range(0, len(frames), length):
        clip = frames[first : first + length]
        boxes = [box for frame in clip[::5] if (box := detector.detect(frame)) is not None]
        found += [from_box(np.median(np.array(boxes, dtype=float), axis=0), SHAPE)] * len(clip)
    return np.stack(found)


@cache
def other_people() -> list[tuple[Grey, FloatArray]]:
    """Frontal pictures of 40 people, and the transforms that put their eyes in place."""
    folder = data_folder("imm")
    if folder is None:
        return []
    return [
        (face.picture, from_eye_corners(*face.corners[:2], SHAPE))
        for face in imm.read_faces(folder, imm.FRONTAL)
    ]


@cache
def other_scenes() -> list[Grey]:
    """Frames of other recordings; where there are none, walls and other heads."""
    folder = data_folder("clips")
    if folder is None:
        heads = [TalkingHead(8, size=(288, 360), seed=seed, color=False) for seed in range(50, 58)]
        return [scipy.ndimage.shift(head[0], (150, 0), mode="reflect") for head in heads]
    clips = [folder / name for name in ("weekly_address.mp4", "portrait_d10.mp4")]
    sources = [holdstill.open(path) for path in clips]
    return [source[i].grey() for source in sources for i in range(0, 140, 12)]


def noise(size: tuple[int, ...], random: np.random.Generator) -> Grey:
    """White, or as smooth as pictures are."""
    field = random.standard_normal(size)
    if random.random() < 0.5:
        field = scipy.ndimage.gaussian_filter(field, random.uniform(2.0, 20.0))
    return np.clip(128 + 50 * field / field.std(), 0, 255).astype(np.uint8)


def start_of(kind: str, random: np.random.Generator) -> FloatArray:
    """How a start is put off, in the canonical frame."""
    most = STARTS.get(kind)
    if most is None:
        return disturbance(MIDDLE, UNIT, random)
    shift, degrees, scale = most
    length, angle = shift * UNIT * np.sqrt(random.random()), random.uniform(0.0, 2 * np.pi)
    return similarity(
        MIDDLE,
        shift=(length * np.cos(angle), length * np.sin(angle)),
        degrees=random.uniform(-degrees, degrees),
        scale=float(np.exp(random.uniform(-1.0, 1.0) * np.log(scale))),
    )


def fitted(picture: Grey, size: tuple[int, ...]) -> Grey:
    """A picture of another size, scaled so that it covers a frame, its middle cut out."""
    height, width = size
    scale = max(height / picture.shape[0], width / picture.shape[1])
    larger = cv2.resize(picture, None, fx=scale + 1e-3, fy=scale + 1e-3)
    top, left = (larger.shape[0] - height) // 2, (larger.shape[1] - width) // 2
    return np.ascontiguousarray(larger[top : top + height, left : left + width])
