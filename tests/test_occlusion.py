"""What hides a part of the face: the robust losses hold where least squares is pulled away."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import SmallHead

from holdstill import AlignmentBatch, align_batch, align_frame
from holdstill.evaluate import map_to_canonical

LOST_PX = 1.0


def hide(frame: npt.NDArray[np.uint8], place: npt.NDArray[np.float64], row: int) -> Any:
    """The frame with a textured band over all canonical rows from `row` on."""
    y, x = np.indices(frame.shape)
    points = np.stack([x, y], axis=-1).reshape(1, -1, 2).astype(np.float64)
    hidden = map_to_canonical(place[None], points)[0, :, 1].reshape(frame.shape) >= row
    checks = 60 + 120 * ((x // 4 + y // 4) % 2)
    return np.where(hidden, checks, frame).astype(np.uint8)


def shifts(found: AlignmentBatch, reference: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Root mean square over the corners of the 64×64 frame, of each frame."""
    corners = np.array([[0, 0, 1], [63, 0, 1], [0, 63, 1], [63, 63, 1]], dtype=np.float64).T
    moved = np.linalg.inv(reference) @ found.frame_from_canonical @ corners - corners
    return np.asarray(np.sqrt(np.square(moved[:, :2]).sum(axis=1).mean(axis=1)))


@pytest.fixture(scope="module")
def held_out(small_head: SmallHead) -> tuple[Any, Any]:
    """Frames that the dictionary has not seen, and their true transforms."""
    used = {frame for _, frame in small_head.dictionary.provenance["sample"]}
    rest = [index for index in range(len(small_head.frames)) if index not in used]
    return small_head.frames[rest], small_head.head.frame_from_canonical[rest]


@pytest.fixture(scope="module")
def ends(small_head: SmallHead, held_out: tuple[Any, Any]) -> dict[str, Any]:
    """Each loss: where frames end whole, and with the lowest 20 % of the region hidden."""
    frames, truth = held_out
    starts = similar(truth)
    hidden = np.stack([hide(frame, place, 51) for frame, place in zip(frames, truth, strict=True)])
    found = {}
    for loss in ("l2", "huber", "l1", "geman-mcclure"):
        whole = align_batch(frames, small_head.dictionary, starts, loss=loss, threads=1)
        part = align_batch(hidden, small_head.dictionary, starts, loss=loss, threads=1)
        found[loss] = whole, part
    return found


def similar(truth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The similarities nearest to affine transforms, shifted by a pixel and a half."""
    starts = truth.copy()
    a = (truth[:, 0, 0] + truth[:, 1, 1]) / 2
    b = (truth[:, 1, 0] - truth[:, 0, 1]) / 2
    middle = np.array([31.5, 31.5])
    starts[:, 0, 0] = starts[:, 1, 1] = a
    starts[:, 1, 0], starts[:, 0, 1] = b, -b
    starts[:, :2, 2] += (truth[:, :2, :2] - starts[:, :2, :2]) @ middle + (1.5, -1.0)
    return starts


@pytest.mark.parametrize("loss", ["huber", "l1", "geman-mcclure"])
def test_occluder_moves_the_robust_losses_little(ends: dict[str, Any], loss: str) -> None:
    whole, part = ends[loss]
    plain_whole, plain_part = ends["l2"]
    assert whole.converged.all()
    moved = shifts(part, whole.frame_from_canonical)
    plainly = shifts(plain_part, plain_whole.frame_from_canonical)
    assert np.median(moved) < 0.35
    assert np.median(moved) < 0.25 * np.median(plainly)
    assert (moved < LOST_PX).mean() >= 0.9


def test_a_bounded_loss_is_moved_less_than_one_that_grows(ends: dict[str, Any]) -> None:
    moved = {
        loss: np.median(shifts(part, whole.frame_from_canonical))
        for loss, (whole, part) in ends.items()
    }
    assert moved["geman-mcclure"] < 0.5 * moved["huber"]


def test_robust_losses_cost_nothing_where_nothing_is_hidden(
    ends: dict[str, Any], held_out: tuple[Any, Any]
) -> None:
    _, truth = held_out
    error = {loss: shifts(whole, truth) for loss, (whole, _) in ends.items()}
    rms = {loss: np.sqrt(np.mean(np.square(e))) for loss, e in error.items()}
    assert rms["huber"] <= 1.05 * rms["l2"]
    assert rms["geman-mcclure"] <= 1.05 * rms["l2"]


@pytest.mark.parametrize("loss", ["huber", "l1", "geman-mcclure"])
def test_hidden_frames_that_keep_their_place_are_good(ends: dict[str, Any], loss: str) -> None:
    whole, part = ends[loss]
    kept = shifts(part, whole.frame_from_canonical) < LOST_PX
    assert (part.quality[kept] >= 0.5).mean() >= 0.95
    # Least squares on the same frames says that something is wrong.
    assert np.median(ends["l2"][1].quality) < np.median(part.quality)


def test_weights_show_what_hides(small_head: SmallHead, held_out: tuple[Any, Any]) -> None:
    frames, truth = held_out
    hidden = hide(frames[0], truth[0], 51)
    found = align_frame(hidden, small_head.dictionary, similar(truth)[0], loss="huber")
    assert found.weights is not None
    assert found.weights.shape == (64, 64)
    assert np.median(found.weights[53:]) < 0.5 < np.median(found.weights[:48])
