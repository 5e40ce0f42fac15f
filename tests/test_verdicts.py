"""A verdict one can trust: wrong ends do not pass as good, right ones are not rejected."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import SmallHead

from holdstill import align, align_batch
from holdstill.synthetic import TalkingHead

CORNERS = np.array([[0, 0, 1], [63, 0, 1], [0, 63, 1], [63, 63, 1]], dtype=np.float64).T
PX = 64 / 200
"""A pixel at 100 px between the eyes, in canonical pixels."""


def errors(found: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> Any:
    """Of each frame the farthest corner from its true place, px at 100 px between the eyes."""
    moved = np.linalg.inv(truth) @ found @ CORNERS - CORNERS
    return np.linalg.norm(moved[:, :2], axis=1).max(axis=1) / PX


def put_off(transforms: npt.NDArray[np.float64], size: float, seed: int) -> Any:
    """Starts shifted by up to `size` eye distances, turned by up to 60°·`size`, scaled."""
    random = np.random.default_rng(seed)
    starts = []
    for transform in transforms:
        shift = size * 32.0 * random.uniform(-1.0, 1.0, 2)
        angle, scale = size * random.uniform(-1.0, 1.0), np.exp(0.5 * size * random.uniform(-1, 1))
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        moved = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        moved[:2, 2] = shift + 31.5 - moved[:2, :2] @ [31.5, 31.5]
        starts.append(transform @ moved)
    return np.stack(starts)


@pytest.fixture(scope="module")
def settled(small_head: SmallHead) -> npt.NDArray[np.float64]:
    """Where every frame ends from its initial transform; near the truth."""
    found = align_batch(small_head.frames, small_head.dictionary, small_head.initial, threads=1)
    assert errors(found.frame_from_canonical, small_head.head.frame_from_canonical).max() < 20.0
    return found.frame_from_canonical


@pytest.mark.parametrize(
    ("search", "loss"), [(True, "l2"), (False, "l2"), (True, "huber"), (True, "geman-mcclure")]
)
def test_ends_from_starts_of_all_sizes(small_head: SmallHead, search: bool, loss: str) -> None:
    # Where the same loss ends from the start it was given; near the truth.
    settled = align_batch(
        small_head.frames, small_head.dictionary, small_head.initial, loss=loss, threads=1
    ).frame_from_canonical
    assert errors(settled, small_head.head.frame_from_canonical).max() < 20.0
    off, within, passed, rejected = 0, 0, 0, 0
    for seed, size in enumerate((0.05, 0.15, 0.4, 1.0)):
        starts = put_off(settled, size, seed)
        found = align_batch(
            small_head.frames,
            small_head.dictionary,
            starts,
            threads=1,
            search=search,
            loss=loss,
        )
        error = errors(found.frame_from_canonical, settled)
        off += int((error > 5.0).sum())
        passed += int(found.good[error > 5.0].sum())
        within += int((error < 1.0).sum())
        rejected += int((~found.good[error < 1.0]).sum())
    # Both kinds are there: an aligner that calls everything good, or nothing, fails.
    assert off >= 4
    assert within >= 40
    assert passed <= 0.01 * off
    assert rejected <= 0.02 * within


def test_frames_that_show_something_else(
    small_head: SmallHead, settled: npt.NDArray[np.float64]
) -> None:
    random = np.random.default_rng(0)
    shape = small_head.frames.shape
    wall = small_head.frames[:, ::-1, :]  # upside down
    others = {
        "black": np.zeros(shape, np.uint8),
        "noise": random.integers(0, 256, shape).astype(np.uint8),
        "upside down": np.ascontiguousarray(wall),
    }
    for name, frames in others.items():
        found = align_batch(frames, small_head.dictionary, settled, threads=1)
        assert not found.good.any(), name
        assert (found.quality[~found.converged] <= 0.5).all(), name


def test_a_track_is_found_again_after_a_cut(small_head: SmallHead) -> None:
    height, width = small_head.frames.shape[1:]
    stranger = TalkingHead(6, size=(height, width), seed=9, occlusion=False, color=False)

    def placed(pictures: npt.NDArray[np.uint8], left: int) -> npt.NDArray[np.uint8]:
        wide = np.full((len(pictures), height, 2 * width), 90, np.uint8)
        wide[:, :, left : left + width] = pictures
        return wide

    pieces = [
        (True, placed(small_head.frames[:8], 0)),
        (False, np.zeros((3, height, 2 * width), np.uint8)),
        (True, placed(small_head.frames[8:16], width)),
        (False, placed(np.stack([frame[::-1] for frame in stranger]), width)),
        (True, placed(small_head.frames[16:], 20)),
    ]
    frames = np.concatenate([piece for _, piece in pieces])
    good = np.array([found.good for found in align(frames, small_head.dictionary, threads=1)])
    first = 0
    for shown, piece in pieces:
        part = good[first : first + len(piece)]
        if shown:  # a face that stays lost is looked for after 1, 2, 4 frames
            assert part[4:].all()
        else:
            assert not part.any()
        first += len(piece)
