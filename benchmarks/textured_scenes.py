"""Frames in the span of their dictionary at a known transform, their noise, their strict bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from common import FloatArray
from poses import MARGIN, mean_scale
from scipy.ndimage import gaussian_filter, map_coordinates

import holdstill
from holdstill.limits import SampleOperator, corner_rms, cramer_rao, roi_corners, sample_operator
from holdstill.reference import linearize, low_pass, lowpass_sigma, warp_jacobian
from holdstill.reference.motion import map_points, matrix_from_parameters
from holdstill.reference.warp import canonical_points

MIXTURE = (0.5, 0.3, 0.2, 0.0)
"""The frame in the span: this much of each of the dictionary's textures."""
TEXTURE_SIGMA, TEXTURE_CONTRAST = 2.0, 40.0
"""Canonical pixels and grey levels: the gradient is 8 grey levels per pixel and axis."""


@dataclass(frozen=True)
class Scene:
    """A noise-free frame at a known transform, in the span of its dictionary."""

    frame: FloatArray
    truth: FloatArray
    dictionary: holdstill.Dictionary
    jacobian: FloatArray
    operator: SampleOperator

    @property
    def settings(self) -> dict[str, Any]:
        """Shape and motion, as the functions take them."""
        return {"shape": self.dictionary.shape, "motion": self.dictionary.motion}

    def limit(self, covariance: FloatArray) -> float:
        """Corner error of a covariance, px per grey level."""
        corners = roi_corners(None, self.dictionary.shape)
        return corner_rms(covariance, self.truth, corners, **self.settings)


def whole_shift(motion: str, shape: tuple[int, int]) -> tuple[FloatArray, tuple[int, int]]:
    """A transform under which samples are pixels of the frame, and the frame's size."""
    truth = np.array([[1.0, 0.0, MARGIN], [0.0, 1.0, MARGIN], [0.0, 0.0, 1.0]])
    return truth, (shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN)


def general_pose(motion: str, shape: tuple[int, int]) -> tuple[FloatArray, tuple[int, int]]:
    """Two frame pixels per canonical pixel, turned; sheared, and in perspective, where possible."""
    cosine, sine = 2.0 * np.cos(0.15), 2.0 * np.sin(0.15)
    tau = np.array([cosine, -sine, sine, cosine, 0.0, 0.0, 0.0, 0.0])
    if motion in ("affine", "homography"):
        tau[:4] += (0.1, -0.06, 0.08, -0.1)
    if motion == "homography":
        tau[6:] = (0.04 / shape[1], -0.03 / shape[0])
    pose = matrix_from_parameters(tau, np.eye(3), "homography", shape)
    corners = map_points(pose, roi_corners(None, shape))
    shift = np.eye(3)
    shift[:2, 2] = MARGIN + 0.3 - corners.min(axis=0)
    width, height = (2 * MARGIN + np.ceil(np.ptp(corners, axis=0))).astype(int).tolist()
    return shift @ pose, (height, width)


def textures(
    truth: FloatArray, size: tuple[int, int], motion: str, shape: tuple[int, int], seed: int
) -> Scene:
    """A mixture of smooth random textures, and the dictionary of these at the same transform."""
    settings: dict[str, Any] = {"shape": shape, "motion": motion}
    scale = mean_scale(truth, shape)
    random = np.random.default_rng([seed, 1])
    frames = []
    for _ in MIXTURE:
        smooth = gaussian_filter(random.standard_normal(size), TEXTURE_SIGMA * scale)
        frames.append(128.0 + TEXTURE_CONTRAST * smooth / smooth.std())
    frame = np.einsum("k,kyx->yx", MIXTURE, frames)
    atoms = np.stack([linearize(f, truth, **settings).vector for f in frames], axis=1)
    return Scene(
        frame,
        truth,
        holdstill.Dictionary(atoms.astype(np.float32), **settings),
        linearize(frame, truth, normalize=False, **settings).jacobian,
        sample_operator(size, truth, shape=shape),
    )


def on_frame(scene: Scene, random: np.random.Generator) -> FloatArray:
    """White noise on the frame's pixels."""
    return random.standard_normal(scene.frame.shape)


def on_samples(scene: Scene, random: np.random.Generator) -> FloatArray:
    """G⁻¹n: noise that is white on the pixels of the low-passed frame, hence on its samples."""
    white = random.standard_normal(scene.frame.shape)
    rows, columns = scene.operator.rows, scene.operator.columns
    return np.asarray(np.linalg.solve(columns, np.linalg.solve(rows, white).T).T)


STRICT = {"samples": "bound by splines", "frame": "frame's own bound"}


def strict_bound(scene: Scene, noise_on: str) -> FloatArray:
    """The bound with the slopes of cubic splines for J_w, of the samples or of the frame itself.

    The aligner's gradients are central differences, which flatten what is as fine as pixels are.
    The frame's bound is about (J_wᵀP_ÃJ_w)⁻¹/|det L|, J_w of the frame without the low-pass.
    """
    motion, shape = scene.dictionary.motion, scene.dictionary.shape
    frame, density = scene.frame, mean_scale(scene.truth, shape) ** 2
    if noise_on == "samples":
        frame, density = low_pass(frame, lowpass_sigma(scene.truth, shape)), 1.0
    u = canonical_points(None, shape)
    y, x = map_points(scene.truth, u).T[::-1]
    h = 0.01
    slope_x, slope_y = (
        map_coordinates(frame, (y + dy, x + dx)) - map_coordinates(frame, (y - dy, x - dx))
        for dx, dy in ((h, 0.0), (0.0, h))
    )
    slopes = np.stack([slope_x, slope_y], axis=1) / (2.0 * h)
    jacobian = np.einsum("kx,kxp->kp", slopes, warp_jacobian(scene.truth, motion, shape, u))
    return cramer_rao(jacobian, scene.dictionary.atoms) / density
