"""A contest: every method learns from the same sample and aligns the same frames of known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from common import FloatArray, Grey
from peers import Peer, Rectangle, corner_distance, mean_picture, peers

import holdstill
from holdstill.canonical import eye_corners

Aligner: TypeAlias = Callable[[Grey, FloatArray], "FloatArray | None"]
"""(frame, initial) -> frame_from_canonical, None where it gives up."""


@dataclass(frozen=True)
class Thing:
    """One thing seen in many frames: a sample to learn from, and others with their true transforms.

    Errors are scaled to 100 px in `unit` canonical pixels: for a face the distance between the
    outer eye corners.
    """

    shape: tuple[int, int]
    region: Rectangle
    unit: float
    sample: Sequence[Grey]
    sample_start: FloatArray
    frames: Sequence[Grey]
    truth: FloatArray

    def template(self, transforms: Iterable[FloatArray]) -> Grey:
        """Mean of the sample seen through these transforms."""
        return mean_picture(
            [
                holdstill.warp(frame, transform, self.shape)
                for frame, transform in zip(self.sample, transforms, strict=True)
            ]
        )

    def mask(self) -> npt.NDArray[np.bool_]:
        """The region as a mask of the canonical frame."""
        mask = np.zeros(self.shape, dtype=bool)
        region = self.region
        mask[region.y : region.y + region.height, region.x : region.x + region.width] = True
        return mask

    def error(self, found: FloatArray | None, reference: FloatArray) -> float:
        """Largest distance of a corner of the region from where it belongs; infinite for None."""
        if found is None or not np.isfinite(found).all():
            return float("inf")
        return corner_distance(reference, found, self.region.corners()) * 100.0 / self.unit


def face_among(
    frames: Sequence[Grey],
    truth: FloatArray,
    shape: tuple[int, int],
    *,
    sample: int,
    held_out: int,
) -> Thing:
    """A face: frames at random for the sample, the held-out ones spread over the rest."""
    order = np.random.default_rng(0).permutation(len(frames))
    rest = np.sort(order[sample:])
    held = rest[np.linspace(0, len(rest) - 1, held_out).astype(int)]
    eyes = eye_corners(shape)
    return Thing(
        shape,
        Rectangle.all_of(shape),
        float(np.linalg.norm(eyes[1] - eyes[0])),
        [frames[index] for index in order[:sample]],
        truth[order[:sample]],
        [frames[index] for index in held],
        truth[held],
    )


Method: TypeAlias = Callable[[Thing], Aligner]
"""Learns from the thing's sample."""


def by_holdstill(
    fit: Mapping[str, Any] | None = None, align: Mapping[str, Any] | None = None
) -> Method:
    """`holdstill.fit` and `holdstill.align_frame` with these keywords.

    A frame that does not converge is judged by where it ended, as the peers are, who do not say.
    """

    def learn(thing: Thing) -> Aligner:
        options = {"n": len(thing.sample), "shape": thing.shape, "roi": thing.mask(), **(fit or {})}
        dictionary = holdstill.fit(np.stack(list(thing.sample)), thing.sample_start, **options)

        def run(frame: Grey, initial: FloatArray) -> FloatArray | None:
            found = holdstill.align_frame(frame, dictionary, initial, **(align or {}))
            return found.frame_from_canonical

        return run

    return learn


def by_peer(register: Peer, rounds: int = 0) -> Method:
    """A peer with the mean of the sample as its template, on the thing's region.

    In each further round the sample is registered to its mean, and the mean taken anew: what one
    does where the sample's transforms are not good.
    """

    def learn(thing: Thing) -> Aligner:
        template = thing.template(thing.sample_start)
        for _ in range(rounds):
            found = [
                register(frame, template, start, region=thing.region)
                for frame, start in zip(thing.sample, thing.sample_start, strict=True)
            ]
            template = thing.template(
                [
                    start if end is None else end
                    for start, end in zip(thing.sample_start, found, strict=True)
                ]
            )
        return lambda frame, initial: register(frame, template, initial, region=thing.region)

    return learn


def by_peers(motion: str = "affine", rounds: int = 0) -> dict[str, Method]:
    """All peers, by name."""
    return {name: by_peer(register, rounds) for name, register in peers(motion).items()}


def similarity(
    centre: tuple[float, float], *, shift: tuple[float, float], degrees: float, scale: float
) -> FloatArray:
    """A turn and a change of scale about a canonical point, then a shift of it; 3×3."""
    angle = np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.array(centre) + shift - linear @ np.array(centre)
    return matrix


def disturbance(centre: tuple[float, float], unit: float, rng: np.random.Generator) -> FloatArray:
    """A detector's error: standard deviations 4 % of `unit` along x and y, 4°, 4 % of scale."""
    x, y, turn, log_scale = rng.standard_normal(4)
    return similarity(
        centre,
        shift=(0.04 * unit * x, 0.04 * unit * y),
        degrees=4.0 * turn,
        scale=float(np.exp(0.04 * log_scale)),
    )
