"""What tells one job from another: initial transforms in memory."""

from __future__ import annotations

import numpy as np
import pytest

import holdstill
from holdstill.jobs.manifest import manifest_of


def given():
    """As `read_transforms` returns it."""
    return {
        "source": np.array(["a.mp4", "a.mp4", "b.mp4"], dtype=object),
        "frame": np.array([0, 1, 0]),
        "frame_from_canonical": np.stack([np.eye(3)] * 3),
        "yaw": np.array([0.5, np.nan, 3.0]),
    }


def fingerprint(initial):
    frames = holdstill.open(np.zeros((3, 8, 8), np.uint8))
    return manifest_of(frames, initial, "", {}, {})["initial"]


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("source", np.array(["a.mp4", "b.mp4", "b.mp4"], dtype=object)),
        ("frame", np.array([0, 1, 2])),
        ("frame_from_canonical", np.stack([np.eye(3), np.eye(3), 2 * np.eye(3)])),
        ("yaw", np.array([0.5, 2.0, 3.0])),
    ],
)
def test_the_same_transforms_of_other_frames_are_another_job(column, other):
    assert fingerprint(given()) == fingerprint(dict(reversed(given().items())))
    assert fingerprint({**given(), column: other}) != fingerprint(given())
    without = {name: values for name, values in given().items() if name != column}
    assert fingerprint(without) != fingerprint(given())


def test_an_array_is_told_by_its_numbers_and_not_by_their_type():
    transforms = given()["frame_from_canonical"]
    assert fingerprint(transforms) == fingerprint(transforms.astype(np.float32).tolist())
    assert fingerprint(transforms) != fingerprint(2 * transforms)
