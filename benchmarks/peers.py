"""The methods that people use instead, each behind the same call.

A peer takes a frame, a template (a canonical picture, such as the mean of a sample) and an initial
frame_from_canonical, and returns the frame_from_canonical that it finds, or None where it gives up.
Each can be confined to a rectangle of the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from common import FloatArray, Grey, peer

import holdstill
from holdstill.canonical import roi_mask

cv2 = peer("cv2")

Picture = Grey | npt.NDArray[np.float32]

PACKAGES = ("opencv-python-headless", "pystackreg")
"""Distributions whose versions belong to a table of peers."""

ECC_EPSILON, ECC_ITERATIONS = 1e-6, 300
"""The stop of both ECCs here: where they are about to end anyway."""
ECC_DEFAULTS = {"epsilon": 1e-3, "iterations": 50}
"""The stop that findTransformECC has of its own, far from the optimum."""
ECC_BLUR = 5
ECC_LEVELS = 4
"""Both are OpenCV's defaults."""


class Peer(Protocol):
    """What every peer is called like."""

    def __call__(
        self, frame: Grey, template: Grey, initial: FloatArray, *, region: Rectangle | None = None
    ) -> FloatArray | None: ...


class Rectangle(NamedTuple):
    """A rectangular region of interest, in canonical pixels."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, roi: str, shape: tuple[int, int]) -> Rectangle:
        """The rectangle of a region by name; it must be one."""
        rows, columns = np.nonzero(roi_mask(roi, shape))
        found = cls(
            int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
        )
        assert found.width * found.height == len(rows), f"{roi} is no rectangle"
        return found

    @classmethod
    def all_of(cls, shape: tuple[int, int]) -> Rectangle:
        """The full canonical frame."""
        return cls(0, 0, shape[1], shape[0])

    def cut(self, picture: Picture) -> Picture:
        """The region's part of a canonical picture."""
        rows = slice(self.y, self.y + self.height)
        return np.ascontiguousarray(picture[rows, self.x : self.x + self.width])

    def corners(self) -> FloatArray:
        """Its four corner pixels, (4, 2), as (x, y)."""
        last_x, last_y = self.x + self.width - 1.0, self.y + self.height - 1.0
        return np.array([[x, y] for x in (float(self.x), last_x) for y in (float(self.y), last_y)])

    def canonical_from_region(self) -> FloatArray:
        """The shift from the region's own pixels to canonical ones."""
        return np.array([[1.0, 0.0, self.x], [0.0, 1.0, self.y], [0.0, 0.0, 1.0]])


def corner_distance(first: FloatArray, second: FloatArray, corners: FloatArray) -> float:
    """Largest distance between what both make of the corners, in canonical pixels of the first."""
    homogeneous = np.column_stack([corners, np.ones(len(corners))])
    moved = homogeneous @ (np.linalg.inv(first) @ second).T
    return float(np.linalg.norm(moved[:, :2] / moved[:, 2:] - corners, axis=1).max())


def mean_picture(pictures: Sequence[Grey]) -> Grey:
    """Mean of pictures, rounded: the template that a single-template method is given."""
    return np.asarray(np.rint(np.mean(pictures, axis=0)), dtype=np.uint8)


def ecc(
    frame: Picture,
    template: Picture,
    initial: FloatArray,
    *,
    region: Rectangle | None = None,
    motion: str = "affine",
    epsilon: float = ECC_EPSILON,
    iterations: int = ECC_ITERATIONS,
    blur: int = ECC_BLUR,
) -> FloatArray | None:
    """OpenCV's findTransformECC."""
    part, start, shift = _prepared(template, initial, region, motion)
    end = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS
    try:
        _, found = cv2.findTransformECC(
            part, frame, start, _ecc_motion(motion), (end, iterations, epsilon), None, blur
        )
    except cv2.error:
        return None
    return _finished(found, shift)


def ecc_multiscale(
    frame: Picture,
    template: Picture,
    initial: FloatArray,
    *,
    region: Rectangle | None = None,
    motion: str = "affine",
    epsilon: float = ECC_EPSILON,
    iterations: int = ECC_ITERATIONS,
    blur: int = ECC_BLUR,
    levels: int = ECC_LEVELS,
) -> FloatArray | None:
    """OpenCV's findTransformECCMultiScale, from 4.14 on."""
    part, start, shift = _prepared(template, initial, region, motion)
    parameters = cv2.ECCParameters()
    parameters.motionType = _ecc_motion(motion)
    end = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS
    parameters.criteria = (end, iterations, epsilon)
    parameters.gaussFiltSize = blur
    parameters.nlevels = levels
    try:
        _, found = cv2.findTransformECCMultiScale(part, frame, start, parameters)
    except cv2.error:
        return None
    return _finished(found, shift)


def ecc_iterations(
    frame: Grey, template: Grey, initial: FloatArray, *, region: Rectangle | None = None
) -> tuple[int, FloatArray]:
    """Iterations of affine findTransformECC, which keeps their number to itself, and its end.

    Its iteration depends on the warp alone: calls of one iteration each, chained, are its loop, and
    the correlations they return are what its criterion looks at.
    """
    part, warp, shift = _prepared(template, initial, region, "affine")
    before, now, count = -ECC_EPSILON, -1.0, 0
    once = (cv2.TERM_CRITERIA_COUNT, 1, -1.0)
    while count < ECC_ITERATIONS and abs(now - before) >= ECC_EPSILON:
        before = now
        now, warp = cv2.findTransformECC(part, frame, warp, cv2.MOTION_AFFINE, once, None, ECC_BLUR)
        count += 1
    found = _finished(warp, shift)
    assert found is not None
    return count, found


def stackreg(
    frame: Picture,
    template: Picture,
    initial: FloatArray,
    *,
    region: Rectangle | None = None,
    motion: str = "affine",
) -> FloatArray | None:
    """TurboReg's pyramid through pystackreg.

    It has no start but the identity and wants pictures of one size: the frame is seen through the
    initial transform first. It never gives up.
    """
    part, _, shift = _prepared(template, initial, region, "affine")
    seen = holdstill.warp(frame, initial @ shift, part.shape)
    # Its matrix maps the reference's pixels to those of the moving picture.
    matrix = _stackreg_of(motion).register(part, seen)
    found = initial @ shift @ matrix @ np.linalg.inv(shift)
    return np.asarray(found) if _usable(found) else None


def peers(motion: str = "affine") -> dict[str, Peer]:
    """All peers that the installed packages have, by name, with `motion`."""
    found: dict[str, Any] = {"ECC": ecc, "ECC, defaults": partial(ecc, **ECC_DEFAULTS)}
    if hasattr(cv2, "findTransformECCMultiScale"):
        found["ECCMultiScale"] = ecc_multiscale
    else:
        print(f"OpenCV {cv2.__version__} has no findTransformECCMultiScale (4.14 has): left out")
    found["StackReg"] = stackreg

    def bound(method: Any) -> Peer:
        return lambda frame, template, initial, *, region=None: method(
            frame, template, initial, region=region, motion=motion
        )

    return {name: bound(method) for name, method in found.items()}


def _ecc_motion(motion: str) -> int:
    return int(getattr(cv2, f"MOTION_{motion.upper()}"))


def _stackreg_of(motion: str) -> Any:
    kinds = {"translation": "TRANSLATION", "euclidean": "RIGID_BODY",
             "similarity": "SCALED_ROTATION", "affine": "AFFINE"}  # fmt: skip
    kind = peer("pystackreg").StackReg
    return kind(getattr(kind, kinds[motion]))


def _prepared(
    template: Picture, initial: FloatArray, region: Rectangle | None, motion: str
) -> tuple[Picture, npt.NDArray[np.float32], FloatArray]:
    """The template's part, the start that belongs to it as OpenCV has it, and the part's shift."""
    if region is None:
        region = Rectangle.all_of((template.shape[0], template.shape[1]))
    shift = region.canonical_from_region()
    rows = 3 if motion == "homography" else 2
    return region.cut(template), (initial @ shift)[:rows].astype(np.float32), shift


def _finished(warp: npt.NDArray[np.float32], shift: FloatArray) -> FloatArray | None:
    matrix = np.eye(3)
    matrix[: len(warp)] = warp
    found = matrix @ np.linalg.inv(shift)
    return found if _usable(found) else None


def _usable(matrix: FloatArray) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:2, :2])) > 1e-6)
