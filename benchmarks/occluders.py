"""What covers a part of a region in a frame: blocks, a scarf, a hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.ndimage
from common import FloatArray, Grey
from peers import Rectangle

from holdstill.reference.motion import map_points
from holdstill.synthetic.hand import hand_texture

Hidden: TypeAlias = npt.NDArray[np.bool_]
Cover: TypeAlias = Callable[[Rectangle, float, np.random.Generator], Hidden]
"""(region, share, random) -> which of the region's pixels are hidden, at 4 samples a pixel."""

FINE = 4
REACH = 3
"""Canonical pixels."""


def block(region: Rectangle, share: float, random: np.random.Generator) -> Hidden:
    """A rectangle somewhere in the region."""
    hidden = canvas(region)
    height, width = hidden.shape
    across = round(np.sqrt(share) * random.uniform(0.75, 1.33) * width)
    down = round(share * height * width / across) if across else 0
    x, y = random.integers(width - across + 1), random.integers(height - down + 1)
    hidden[y : y + down, x : x + across] = True
    return hidden


def scattered(region: Rectangle, share: float, random: np.random.Generator) -> Hidden:
    """Cells of a grid of 8×8, at random."""
    cells = random.permutation(64).reshape(8, 8) < round(64 * share)
    height, width = canvas(region).shape
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    return np.asarray(cells[np.ix_(rows, columns)])


def scarf(region: Rectangle, share: float, random: np.random.Generator) -> Hidden:
    """A band over the lower part, its edge tilted by up to 8°."""
    hidden = canvas(region)
    height, width = hidden.shape
    slope = np.tan(np.deg2rad(random.uniform(-8.0, 8.0)))
    y, x = np.mgrid[:height, :width]
    depth = y - slope * x
    return np.asarray(depth >= np.quantile(depth, 1.0 - share)) if share else hidden


def hand(region: Rectangle, share: float, random: np.random.Generator) -> Hidden:
    """The synthetic head's hand, as large as it takes, its fingers spread over the region."""
    opacity = hand_texture()[..., 3]
    hidden = canvas(region)
    if not share:
        return hidden
    height, width = hidden.shape
    angle, place = random.uniform(-0.6, 0.6), random.uniform(0.35, 0.65, 2) * (height, width)
    middle = np.array(opacity.shape) * (0.42, 0.6)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    low, high = 0.005, 20.0  # texels per fine pixel
    for _ in range(24):
        scale = np.sqrt(low * high)
        linear = scale * turn
        seen = scipy.ndimage.affine_transform(
            opacity, linear, middle - linear @ place, output_shape=hidden.shape, order=0
        )
        hidden = seen > 0.5
        low, high = (low, scale) if hidden.mean() < share else (scale, high)
    return np.asarray(hidden)


def canvas(region: Rectangle) -> Hidden:
    """The region at FINE samples a pixel, nothing hidden."""
    return np.zeros((FINE * region.height, FINE * region.width), dtype=bool)


OCCLUDERS: dict[str, tuple[Cover, bool]] = {
    "flat block": (block, False),
    "textured block": (block, True),
    "scattered blocks": (scattered, True),
    "scarf": (scarf, True),
    "hand": (hand, False),
}
"""What hides, and whether it has a texture."""


def occluded(
    frame: Grey,
    truth: FloatArray,
    region: Rectangle,
    hidden: Hidden,
    textured: bool,
    random: np.random.Generator,
) -> Grey:
    """The frame with an occluder that moves with the face, its edge antialiased."""
    level = random.uniform(20.0, 235.0)
    grain = random.uniform(1.5, 5.0)
    noise = scipy.ndimage.gaussian_filter(random.standard_normal(frame.shape), grain)
    paint = level + (40.0 if textured else 4.0) * noise / noise.std()
    fine_from_frame = np.diag([FINE, FINE, 1.0]) @ np.linalg.inv(
        truth @ region.canonical_from_region()
    )
    fine_from_frame[:2, 2] += (FINE - 1) / 2
    y, x = np.indices(frame.shape)
    points = map_points(fine_from_frame, np.column_stack([x.ravel(), y.ravel()]).astype(float))
    # One frame pixel is several fine ones: their mean is what it sees of the occluder. Beyond the
    # region the occluder goes on as it ends, as a scarf does.
    wide = np.abs(np.linalg.det(fine_from_frame[:2, :2])) ** 0.5
    soft = scipy.ndimage.gaussian_filter(hidden.astype(np.float32), 0.4 * wide, mode="nearest")
    opacity = scipy.ndimage.map_coordinates(
        soft, points[:, ::-1].T, order=1, mode="nearest"
    ).reshape(frame.shape)
    return np.clip(np.rint(opacity * paint + (1 - opacity) * frame), 0, 255).astype(np.uint8)


def hidden_pixels(region: Rectangle, shape: tuple[int, int], hidden: Hidden) -> Hidden:
    """Canonical pixels that see something of the occluder through the filters' reach."""
    mask = np.zeros(shape, dtype=bool)
    cells = hidden.reshape(region.height, FINE, region.width, FINE).any(axis=(1, 3))
    mask[region.y : region.y + region.height, region.x : region.x + region.width] = cells
    return np.asarray(scipy.ndimage.binary_dilation(mask, iterations=REACH) & mask.any())
