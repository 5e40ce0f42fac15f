"""What the tests of face models share: photographs of synthetic people, and a model of some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from clips import texts

import holdstill
from holdstill.cli import main
from holdstill.reference.motion import map_points
from holdstill.synthetic import TalkingHead

SIZE = (360, 450)
OUTER_FIRST = "0,3,1,2,5,6"
CORNERS = (0, 3, 1, 2, 5, 6)


@dataclass(frozen=True)
class Album:
    """Photographs to learn from, one folder a person; others to register; a model of the first."""

    folder: Path
    model: Path
    head: TalkingHead
    photographs: list[int]  # frames of the head, ann's and bob's alternately

    @property
    def points(self):
        return self.head.points()[self.photographs]


def portrait(head, number, person):
    """The head; bob wears a beard, cem broad glasses."""
    picture = head[number].copy()
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    back = np.linalg.inv(head.frame_from_canonical[number])
    u, v, w = np.moveaxis(np.stack([x, y, np.ones_like(x)], -1) @ back.T, -1, 0)
    u, v = u / w / head.shape[1], v / w / head.shape[0]
    dark = np.zeros(SIZE, bool)
    if person == "bob":
        dark = (np.abs(u - 0.5) < 0.3) & (v > 0.86) & (v < 1.0)
    if person == "cem":
        ring = np.hypot((np.abs(u - 0.5) - 0.17) / 0.13, (v - 0.45) / 0.11)
        dark = (ring > 0.85) & (ring < 1.15)
    picture[dark] //= 4
    return picture


def save(path, picture):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)  # of a JPEG
    return path


def make_album(folder):
    head = TalkingHead(200, size=SIZE, occlusion=False)
    training = [(number, "ann" if number % 20 else "bob") for number in range(0, 200, 10)]
    training.sort(key=lambda item: item[1])
    for number, person in training:
        save(folder / "people" / person / f"{number:03}.png", portrait(head, number, person))
    np.save(folder / "points.npy", head.points()[[number for number, _ in training]])
    photographs = [5, 45, 85, 125, 165, 195]
    for k, number in enumerate(photographs):
        person = "ann" if k % 2 == 0 else "bob"
        save(folder / "photographs" / f"{number:03}.png", portrait(head, number, person))
    arguments = train_arguments(folder, folder / "faces.npz", "--users", "folders")
    assert main(arguments) == 0
    return Album(folder, folder / "faces.npz", head, photographs)


def train_arguments(folder, out, *more):
    return texts(
        "model", "train", folder / "people" / "*" / "*.png", "--points", folder / "points.npy",
        "--landmarks", OUTER_FIRST, "--components", "8", "--out", out, "--quiet", *more,
    )  # fmt: skip


def errors(album, transforms, points=None):
    """Distances of the mean face's corners from the true ones, % of the eyes' distance."""
    corners = holdstill.FaceModel.load(album.model).landmarks
    true = (album.points if points is None else points)[:, CORNERS]
    off = [
        np.linalg.norm(map_points(t, corners) - p, axis=1).mean()
        for t, p in zip(transforms, true, strict=True)
    ]
    return 100 * np.array(off) / np.linalg.norm(true[:, 0] - true[:, 1], axis=1)
