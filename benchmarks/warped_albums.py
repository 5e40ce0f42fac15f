"""Noisy frames of real pictures under known warps, and what each method is given of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from common import FloatArray, data_folder, peer
from poses import MARGIN, start_near
from scipy.ndimage import affine_transform

import holdstill
from holdstill.limits import (
    corner_rms,
    covariance_under_frame_noise,
    roi_corners,
    sample_operator,
)
from holdstill.reference import linearize
from holdstill.synthetic import TalkingHead

Picture = npt.NDArray[np.float32]

LIGHTS = (
    "+000E+00", "+000E+20", "+000E-20", "+005E+10", "+005E-10", "+010E+00", "+010E-20", "+015E+20",
    "+020E+10", "+020E-10", "-005E+10", "-005E-10", "-010E+00", "-010E-20", "-015E+20", "-020E+10",
    "-020E-10", "+025E+00", "-025E+00", "+035E+15",
)  # fmt: skip
"""The lights up to 25 degrees of azimuth and 20 of elevation, and one further."""


@dataclass(frozen=True)
class Album:
    """Pictures of one thing, registered, and how frames are made of them."""

    name: str
    people: list[tuple[list[FloatArray], FloatArray]]
    """Pictures of a person, and picture_from_canonical (n, 3, 3) of each."""
    shape: tuple[int, int]
    low_rank: list[holdstill.Dictionary] = field(default_factory=list)
    """RASL's dictionary of each person, where RASL registered the pictures."""

    @property
    def settings(self) -> dict[str, Any]:
        """Shape and motion, as the functions take them."""
        return {"shape": self.shape, "motion": "affine"}


def albums() -> Iterator[Album]:
    """Faces at two and at one frame pixel per canonical pixel, and the synthetic head."""
    cv2, folder = peer("cv2"), data_folder("yaleb")
    if folder is not None:
        people = [
            [
                cv2.imread(str(person / f"{person.name}_P00A{light}.pgm"), cv2.IMREAD_GRAYSCALE)
                for light in LIGHTS
            ]
            for person in sorted(folder.iterdir())
        ]
        for scale, shape in ((2.0, (64, 56)), (1.0, (128, 112))):
            yield faces(people, scale, shape)
    head = TalkingHead(
        240, size=(288, 360), shape=(64, 64), noise=0.0, occlusion=False, color=False
    )
    some = range(0, len(head), 20)
    pictures = [head[i].astype(np.float64) for i in some]
    yield Album("synthetic head", [(pictures, head.frame_from_canonical[list(some)])], head.shape)


def faces(people: list[list[npt.NDArray[np.uint8]]], scale: float, shape: tuple[int, int]) -> Album:
    """Every person's pictures, registered by RASL in the middle of the crop."""
    album = Album(f"yaleb, {scale:g} frame px per canonical px", [], shape)
    for pictures in people:
        height, width = pictures[0].shape
        middle = np.diag([scale, scale, 1.0])
        middle[0, 2] = (width - 1 - scale * (shape[1] - 1)) / 2
        middle[1, 2] = (height - 1 - scale * (shape[0] - 1)) / 2 + 3
        registered = holdstill.rasl(pictures, np.stack([middle] * len(pictures)), **album.settings)
        album.people.append(
            ([p.astype(np.float64) for p in pictures], registered.frame_from_canonical)
        )
        album.low_rank.append(holdstill.Dictionary.from_rasl(registered, **album.settings))
    return album


@dataclass(frozen=True)
class Shot:
    """A noisy frame of a picture, and what each method is given."""

    frame: Picture
    start: FloatArray
    template: Picture
    mean: Picture
    dictionaries: dict[str, holdstill.Dictionary]


def shots(
    album: Album,
    person: int,
    n_frames: int,
    levels: tuple[float, ...],
    random: np.random.Generator,
) -> Iterator[tuple[Shot, FloatArray, float, float]]:
    """Frames of a person: the shot, the truth, the noise, the limit per grey level of noise."""
    pictures, registered = album.people[person]
    vectors = []
    for picture, transform in zip(pictures, registered, strict=True):
        warp = random_warp(picture.shape, random)
        vectors.append(linearize(warped(picture, warp), warp @ transform, **album.settings).vector)
    atoms = np.stack(vectors, axis=1)
    pictures_dictionary = holdstill.Dictionary(atoms.astype(np.float32), **album.settings)
    corners = roi_corners(None, album.shape)
    for k in np.resize(random.permutation(len(pictures)), n_frames).tolist():
        warp = random_warp(pictures[k].shape, random)
        truth, clean = warp @ registered[k], warped(pictures[k], warp)
        now = linearize(clean, truth, normalize=False, **album.settings)
        operator = sample_operator(clean.shape, truth, shape=album.shape)
        covariance = covariance_under_frame_noise(now.jacobian, atoms, operator)
        unit = corner_rms(covariance, truth, corners, **album.settings)
        others = np.delete(atoms, k, axis=1).astype(np.float32)
        dictionaries = {
            "pictures": pictures_dictionary,
            "others": holdstill.Dictionary(others, **album.settings),
        }
        if album.low_rank:
            dictionaries["low rank"] = album.low_rank[person]
        start = start_near(truth, album.settings, random)
        noise_of_one = random.standard_normal(clean.shape)
        for noise in levels:
            shot = Shot(
                (clean + noise * noise_of_one).astype(np.float32),
                start,
                canonical_picture(atoms[:, k], now.norm, album.shape),
                canonical_picture(atoms.mean(axis=1), now.norm, album.shape),
                dictionaries,
            )
            yield shot, truth, noise, unit


def canonical_picture(vector: FloatArray, norm: float, shape: tuple[int, int]) -> Picture:
    """A unit-norm vector as a picture in grey levels."""
    return (norm * vector.reshape(shape)).astype(np.float32)


def random_warp(size: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """frame_from_picture: up to 8 degrees, 6 % of scale, 4 % of shear, 6 px."""
    angle, scale = np.deg2rad(random.uniform(-8.0, 8.0)), random.uniform(0.94, 1.06)
    cosine, sine = np.cos(angle), np.sin(angle)
    sheared = scale * np.eye(2) + random.uniform(-0.04, 0.04, (2, 2))
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ sheared
    middle = (np.array(size[::-1]) - 1) / 2
    warp = np.eye(3)
    warp[:2, :2] = linear
    warp[:2, 2] = middle + MARGIN + random.uniform(-6.0, 6.0, 2) - linear @ middle
    return warp


def warped(picture: FloatArray, frame_from_picture: FloatArray) -> FloatArray:
    """The picture under a warp, by cubic splines; its border goes on beyond it."""
    pad = 40
    back = np.linalg.inv(frame_from_picture)
    height, width = picture.shape
    return np.asarray(
        affine_transform(
            np.pad(picture, pad, mode="edge"),
            back[:2, :2][::-1, ::-1],
            back[:2, 2][::-1] + pad,
            output_shape=(height + 2 * MARGIN, width + 2 * MARGIN),
            mode="nearest",
        )
    )
