"""How accurate a frame's alignment is where the truth is known, beside the theoretical limit.

    python benchmarks/known_truth.py

The error is the distance of the corners of the region's bounding rectangle from the truth, in
canonical pixels, root mean square over corners and draws; starts are 2 to 3 px off at the corner
that is farthest off. Noise is white, of a standard deviation in grey levels, and there are two:

samples
    Noise that is white on the canonical samples, the Cramér-Rao bound's own s²(J_wᵀP_ÃJ_w)⁻¹. The
    aligner takes frames and low-passes them; so the truth is a shift by whole pixels at scale 1,
    where a sample is a pixel of the low-passed frame, and the frame gets G⁻¹n, G the low-pass:
    what arrives at the samples is n exactly. Away from the truth the noise is resampled along with
    the frame, as noise in frames always is. J_w is the aligner's own, of central differences; the
    bound with the slopes of cubic splines in their place is a few per cent lower, and shown too.
frame
    Noise that is white on the frame's pixels, what a camera has. It reaches the samples through
    H = sampling · low-pass: s²K⁻¹JᵀP_ÃHHᵀP_ÃJK⁻¹. This is the limit of least squares on low-passed
    samples, not of the frame; the frame's own bound is shown beside it.

Claims, per motion model and noise of 1 to 10 grey levels, frames in the dictionary's span, plain
least squares (mu = 0): error at most 1.1 of the limit, bias at most 0.01 px. The bias grows
with the square of the noise, falls with the number of pixels and varies with the scene: the claim
is for the default canonical frame. `--side 100` exceeds it under 10 grey levels on the samples: by
the scene (`--seed`), a homography's is 0.007 to 0.029 px there, an affine motion's up to 0.014 px.

Claims on real pictures, with the method's defaults and noise on the frame: error at most 1.1 of
the limit or 0.02 px, whichever is more. Faces under twenty lights and the synthetic head are warped
by known affine warps (cubic splines). The dictionary comes from other warps of the same pictures:
frames lie in its span up to interpolation. The crops of the faces are up to two pixels off each
other, so RASL registers a person's pictures first, and the truth is that, warped. The peers are
given the same frames, low-passed alike, and the same starts; their template is the noise-free
canonical picture of the very light (or expression), which a video never has, or the mean picture.
Also shown, without a claim: RASL's low-rank dictionary, and one that lacks the frame's own picture.
There the frame is not in the span, and what is not modelled, not noise, makes the error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Claims, data_folder, peer, print_table
from peers import PACKAGES, ecc, stackreg
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates

import holdstill
from holdstill.canonical import DEFAULT_SHAPE
from holdstill.limits import (
    SampleOperator,
    corner_rms,
    covariance_under_frame_noise,
    cramer_rao,
    roi_corners,
    sample_operator,
)
from holdstill.reference import (
    MOTIONS,
    linearize,
    low_pass,
    lowpass_sigma,
    n_parameters,
    update,
    warp_jacobian,
)
from holdstill.reference.motion import linear_part, map_points, matrix_from_parameters
from holdstill.reference.warp import canonical_points
from holdstill.synthetic import TalkingHead

cv2 = peer("cv2")

FloatArray = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

SLACK, BIAS_PX, FLOOR_PX = 1.1, 0.01, 0.02
NOISE = (1.0, 3.0, 10.0)
MIXTURE = (0.5, 0.3, 0.2, 0.0)
"""The frame in the span: this much of each of the dictionary's textures."""
TEXTURE_SIGMA, TEXTURE_CONTRAST = 2.0, 40.0
"""Canonical pixels and grey levels: the gradient is 8 grey levels per pixel and axis."""
LIGHTS = (
    "+000E+00", "+000E+20", "+000E-20", "+005E+10", "+005E-10", "+010E+00", "+010E-20", "+015E+20",
    "+020E+10", "+020E-10", "-005E+10", "-005E-10", "-010E+00", "-010E-20", "-015E+20", "-020E+10",
    "-020E-10", "+025E+00", "-025E+00", "+035E+15",
)  # fmt: skip
"""The lights up to 25 degrees of azimuth and 20 of elevation, and one further."""


def main() -> int:
    """Measure everything; 1 where a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=600, help="of noise, in the span; even")
    parser.add_argument("--side", type=int, default=DEFAULT_SHAPE[0], help="of it, canonical px")
    parser.add_argument("--frames", type=int, default=60, help="of each set, per level of noise")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    claims = Claims()
    in_span((options.side, options.side), options.draws, options.seed, claims)
    for album in albums():
        on_pictures(album, options.frames, options.seed, claims)
    return claims.exit_code()


# Frames in the span


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


def in_span(shape: tuple[int, int], draws: int, seed: int, claims: Claims) -> None:
    """Frames in the dictionary's span, mu = 0: both noises, every motion model."""
    noises = {"samples": (whole_shift, on_samples), "frame": (general_pose, on_frame)}
    for name, (pose, make) in noises.items():
        rows = []
        for motion in MOTIONS:
            scene = textures(*pose(motion, shape), motion, shape, seed)
            atoms = scene.dictionary.atoms
            if name == "samples":
                covariance = cramer_rao(scene.jacobian, atoms)
            else:
                covariance = covariance_under_frame_noise(scene.jacobian, atoms, scene.operator)
            unit, strict = scene.limit(covariance), scene.limit(strict_bound(scene, name))
            for noise, (errors, converged) in monte_carlo(scene, make, draws, seed).items():
                error, error_doubt = rms_of(errors)
                bias, bias_doubt = bias_of(errors)
                ratio = error / (noise * unit)
                claims.check(
                    converged and ratio <= SLACK and bias <= BIAS_PX,
                    f"noise on the {name}, {motion}, {noise:g} grey levels: error {error:.4f} px, "
                    f"{ratio:.3f} of the limit, bias {bias:.4f} px",
                )
                rows.append(
                    [motion, f"{noise:g}", f"{error:.4f}", f"{noise * unit:.4f}",
                     f"{ratio:.3f} ± {error_doubt / (noise * unit):.3f}",
                     f"{error / (noise * strict):.3f}",
                     f"{bias:.4f} ± {bias_doubt:.4f}"]
                )  # fmt: skip
        print_table(
            f"Frames in the span, mu = 0, noise white on the {name}, {draws} draws (half of them "
            "the other half's negatives: the bias is free of the noise's odd orders; ± is the "
            "standard error); "
            f"{shape[0]}x{shape[1]}; corner error, limit and bias in canonical px",
            ("motion", "noise", "error", "limit", "error/limit", f"error/{STRICT[name]}", "bias"),
            rows,
        )  # fmt: skip


MARGIN = 20
"""Frame pixels around what is to be aligned."""


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


def mean_scale(truth: FloatArray, shape: tuple[int, int]) -> float:
    """√|det L|, frame pixels per canonical pixel."""
    return float(np.sqrt(abs(np.linalg.det(linear_part(truth, shape)))))


def monte_carlo(
    scene: Scene,
    make: Callable[[Scene, np.random.Generator], FloatArray],
    draws: int,
    seed: int,
) -> dict[float, tuple[FloatArray, bool]]:
    """For each level, corner errors (draws/2, 2, 4, 2) of noise and its negative; all converged?

    The levels share their draws, scaled, and their starts.
    """
    random = np.random.default_rng([seed, 2])
    shape = scene.dictionary.shape
    errors: dict[float, list[list[FloatArray]]] = {noise: [] for noise in NOISE}
    converged = dict.fromkeys(NOISE, True)
    for _ in range(draws // 2):
        added = make(scene, random)
        starts = [start_near(scene.truth, scene.settings, random) for _ in range(2)]
        for noise in NOISE:
            frames = np.stack([scene.frame + noise * added, scene.frame - noise * added])
            found = holdstill.align_batch(frames, scene.dictionary, starts, threads=1, mu=0.0)
            converged[noise] &= bool(found.converged.all())
            errors[noise].append(
                [error_at_corners(F, scene.truth, shape) for F in found.frame_from_canonical]
            )
    return {noise: (np.array(errors[noise]), converged[noise]) for noise in NOISE}


def rms_of(errors: FloatArray) -> tuple[float, float]:
    """Root mean square corner error, and its standard error: a pair is one independent draw."""
    squares = np.square(errors).sum(axis=-1).mean(axis=(1, 2))
    rms = np.sqrt(squares.mean())
    return float(rms), float(squares.std(ddof=1) / np.sqrt(len(squares)) / (2.0 * rms))


def bias_of(errors: FloatArray) -> tuple[float, float]:
    """Largest length of a corner's mean error, and the standard error of that mean."""
    pairs = errors.mean(axis=1)
    lengths = np.linalg.norm(pairs.mean(axis=0), axis=-1)
    worst = int(lengths.argmax())
    spread = float(np.sqrt(pairs[:, worst].var(axis=0, ddof=1).sum() / len(pairs)))
    return float(lengths[worst]), spread


def start_near(
    truth: FloatArray, settings: dict[str, Any], random: np.random.Generator
) -> FloatArray:
    """A start in the motion's family that is 2 to 3 px off at the corner that is farthest off."""
    motion, shape = settings["motion"], settings["shape"]
    half, scale = max(shape) / 2, mean_scale(truth, shape)
    size = np.full(n_parameters(motion), scale)
    if motion == "homography":
        size[:4], size[6:] = scale / half, 0.3 / half**2
    elif motion != "translation":
        size[:-2] = (1.0 if motion == "euclidean" else scale) / half
    if motion == "similarity":
        size[1] = 1.0 / half
    step = size * random.standard_normal(size.size)
    wanted = random.uniform(2.0, 3.0)
    for _ in range(3):  # the distance is nearly linear in the step
        start = update(truth, step, motion, shape)
        step *= wanted / np.linalg.norm(error_at_corners(start, truth, shape), axis=1).max()
    return update(truth, step, motion, shape)


def error_at_corners(found: FloatArray, truth: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Where `found` puts the canonical corners, less where they belong, (4, 2), canonical px."""
    corners = roi_corners(None, shape)
    return map_points(np.linalg.inv(truth), map_points(found, corners)) - corners


# Real pictures under known warps


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
    folder = data_folder("yaleb")
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


Method = Callable[[Shot], FloatArray | None]


def by_holdstill(dictionary: str, mu: float | None = None) -> Method:
    """The aligner, with one of the dictionaries."""
    options = {} if mu is None else {"mu": mu}

    def run(shot: Shot) -> FloatArray | None:
        if dictionary not in shot.dictionaries:
            return None
        found = holdstill.align_frame(
            shot.frame, shot.dictionaries[dictionary], shot.start, **options
        )
        return found.frame_from_canonical if found.converged else None

    return run


def low_passed(shot: Shot, shape: tuple[int, int]) -> Picture:
    """The frame as the aligner itself samples it: the peers have no low-pass for the scale."""
    return low_pass(shot.frame, lowpass_sigma(shot.start, shape)).astype(np.float32)


def by_ecc(template: str, blur: int) -> Method:
    """findTransformECC on the whole frame."""

    def run(shot: Shot) -> FloatArray | None:
        picture = getattr(shot, template)
        return ecc(low_passed(shot, picture.shape), picture, shot.start, blur=blur)

    return run


def by_stackreg(template: str) -> Method:
    """StackReg on the frame seen through the start."""

    def run(shot: Shot) -> FloatArray | None:
        picture = getattr(shot, template)
        return stackreg(low_passed(shot, picture.shape), picture, shot.start)

    return run


METHODS: dict[str, Method] = {
    "start": lambda shot: shot.start,
    "holdstill": by_holdstill("pictures"),
    "holdstill, mu = 0": by_holdstill("pictures", 0.0),
    "ECC, own picture, blur 1": by_ecc("template", 1),
    "ECC, own picture, blur 5 (its default)": by_ecc("template", 5),
    "ECC, mean picture": by_ecc("mean", 5),
    "StackReg, own picture": by_stackreg("template"),
    "StackReg, mean picture": by_stackreg("mean"),
    "holdstill, RASL's low-rank dictionary": by_holdstill("low rank"),
    "holdstill, own picture left out": by_holdstill("others"),
}


def on_pictures(album: Album, n_frames: int, seed: int, claims: Claims) -> None:
    """Noisy frames of each picture under new warps: every method's error, and the claim."""
    random = np.random.default_rng([seed, 3])
    levels = (0.0, *NOISE)
    errors: dict[str, dict[float, list[FloatArray | None]]] = {
        name: {noise: [] for noise in levels} for name in METHODS
    }
    squared_limits: list[float] = []
    for person in range(len(album.people)):
        share = -(-n_frames // len(album.people))
        for shot, truth, noise, unit in shots(album, person, share, levels, random):
            if noise == 0.0:
                squared_limits.append(unit**2)
            for name, method in METHODS.items():
                found = method(shot)
                errors[name][noise].append(
                    None if found is None else error_at_corners(found, truth, album.shape)
                )
    unit = float(np.sqrt(np.mean(squared_limits)))
    rows = [["limit", *(f"{noise * unit:.4f}" for noise in levels), "–", "–", "–"]]
    for name in METHODS:
        if all(e is None for e in errors[name][NOISE[0]]):
            continue
        known = {noise: [e for e in errors[name][noise] if e is not None] for noise in levels}
        per_frame = {
            noise: np.sqrt(np.square(e).sum(axis=2).mean(axis=1)) for noise, e in known.items()
        }
        failed = sum(e is None for noise in levels for e in errors[name][noise])
        rms = {noise: float(np.sqrt(np.square(e).mean())) for noise, e in per_frame.items()}
        middle = per_frame[NOISE[1]]
        rows.append(
            [name, *(f"{rms[noise]:.4f}" for noise in levels),
             f"{np.median(middle):.4f}", f"{middle.max():.4f}", str(failed)]
        )  # fmt: skip
        if name == "holdstill":
            for noise in NOISE:
                allowed = max(SLACK * noise * unit, FLOOR_PX)
                claims.check(
                    failed == 0 and rms[noise] <= allowed,
                    f"{album.name}, {noise:g} grey levels: error {rms[noise]:.4f} px, limit "
                    f"{noise * unit:.4f}, allowed {allowed:.4f}; {failed} not converged",
                )
    print_table(
        f"{album.name}, {album.shape[0]}x{album.shape[1]}, affine, {len(squared_limits)} frames a "
        "level, noise white on the frame: corner error in canonical px for noise of "
        f"{', '.join(f'{noise:g}' for noise in levels)} grey levels; median and most over frames "
        f"at {NOISE[1]:g}; failures on all levels",
        ("method", *(f"{noise:g}" for noise in levels), "median", "most", "failed"),
        rows,
        packages=PACKAGES,
    )


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


if __name__ == "__main__":
    sys.exit(main())
