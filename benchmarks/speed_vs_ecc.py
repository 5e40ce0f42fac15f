"""Milliseconds to align one frame, beside OpenCV's findTransformECC and a bare warp.

    python benchmarks/speed_vs_ecc.py

One thread. Decoded grey frames and their initial transforms go in, a transform comes out. ECC is
given the template as the canonical square and the full frame to search, with the initial transform
as its start, as one would call it; and beside that a crop made through the initial transform, which
spares it the frame's derivatives. Its criterion, an increment of correlation below 1e-6, is looser
than a step of norm 1e-6.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from common import Claims, data_folder, print_table
from talking_face import (
    SHAPE,
    FloatArray,
    Grey,
    TalkingFace,
    corner_distance,
    ecc,
    ecc_iterations,
    mean_picture,
)

import holdstill
from holdstill.canonical import roi_mask

VARIANTS = (
    ("grey", "full"),
    ("grey", "upper-face"),
    ("edges", "upper-face"),
    ("edges", "eyes"),
)
HEADERS = (
    "method", "ms", "median", "most", "iterations", "most", "ms/iteration", "speed", "warps",
    "px from ECC",
)  # fmt: skip
IDENTITY = np.eye(3)
NEAR = np.array([[1.015, 0.01, 1.0], [-0.01, 0.99, -2.0], [0.0, 0.0, 1.0]])
"""A start a few canonical pixels away from where it should end."""


def main() -> int:
    """Check that both find a known transform, then time them; 1 where they do not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=25, help="timed, spread over the set")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    folder = data_folder("talking_face")
    if folder is None:
        return 0
    cv2.setNumThreads(1)
    face = TalkingFace.load(folder)
    claims = Claims()
    check_agreement(face, claims)
    if claims.exit_code():
        return claims.exit_code()

    dictionaries = {
        f"holdstill {features}, {roi}": holdstill.fit(
            face.frames, face.initial, shape=SHAPE, features=features, roi=roi
        )
        for features, roi in VARIANTS
    }
    crops = face.crops()
    sample = np.random.default_rng(0).permutation(len(crops))[:100]
    template = mean_picture([crops[index] for index in sample])
    timed = np.linspace(0, len(crops) - 1, options.frames).astype(int)

    def crop_of(index: int) -> Grey:
        warp = face.initial[index][:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(face.frames[index], warp, SHAPE[::-1], flags=flags)

    methods: dict[str, Callable[[int], object]] = {
        "warpAffine": crop_of,
        "findTransformECC, full frame": lambda index: ecc(
            template, face.frames[index], face.initial[index]
        ),
        "findTransformECC, crop": lambda index: ecc(template, crop_of(index), IDENTITY),
    }
    for name, dictionary in dictionaries.items():
        methods[name] = lambda index, dictionary=dictionary: holdstill.align_frame(
            face.frames[index], dictionary, face.initial[index]
        )
    milliseconds = interleaved(methods, timed, options.repetitions)
    iterations = iterations_of(methods, face, template, crop_of, timed)
    apart = distances_to_ecc(methods, face, timed)
    reference = milliseconds["findTransformECC, full frame"].mean()
    unit = milliseconds["warpAffine"].mean()
    rows = []
    for name, taken in milliseconds.items():
        counted = ["–", "–", "–"]
        if name in iterations:
            count = np.array(iterations[name])
            counted = [f"{count.mean():.1f}", f"{count.max()}", f"{taken.sum() / count.sum():.2f}"]
        rows.append(
            [
                name,
                *(f"{value:.2f}" for value in (taken.mean(), np.median(taken), taken.max())),
                *counted,
                f"{reference / taken.mean():.2f}",
                f"{taken.mean() / unit:.0f}",
                f"{np.median(apart[name]):.2f}" if name in apart else "–",
            ]
        )
    print_table(
        f"talking_face, affine, {SHAPE[0]}x{SHAPE[1]}, one thread. ms of CPU: of each frame "
        f"the median of {options.repetitions} interleaved runs; mean, median and most of "
        f"{len(timed)} frames. Speed: 1 is ECC on the full frame; warps: 1 is warpAffine.",
        HEADERS,
        rows,
        packages=("opencv-python-headless",),
    )
    for name in dictionaries:
        ours = milliseconds[name].mean()
        verdict = "no slower than" if ours <= reference else "SLOWER than"
        print(f"{name}: {verdict} ECC on the full frame ({ours / reference:.2f} of its time)")
    return claims.exit_code()


def check_agreement(face: TalkingFace, claims: Claims) -> None:
    """One frame is its own template: started a few pixels off, both must come back to it."""
    for index in range(0, len(face.frames), 100):
        frame, truth = face.frames[index], face.initial[index]
        template = holdstill.warp(frame, truth, SHAPE)
        own = holdstill.Dictionary(atoms_of(template), shape=SHAPE, motion="affine")
        found = holdstill.align_frame(frame, own, truth @ NEAR)
        other = ecc(template, frame, truth @ NEAR)
        assert other is not None and found.frame_from_canonical is not None
        away = corner_distance(truth, truth @ NEAR)
        ours = corner_distance(truth, found.frame_from_canonical)
        theirs = corner_distance(truth, other)
        claims.check(
            found.converged and max(ours, theirs) < 0.2,
            f"frame {index}, from {away:.1f} px away: holdstill ends at {ours:.3f} px, "
            f"ECC at {theirs:.3f} px from the truth (largest of the four corners)",
        )


def atoms_of(picture: Grey) -> npt.NDArray[np.float32]:
    """A dictionary of this picture alone."""
    column = picture[roi_mask("full", SHAPE)].astype(np.float32).reshape(-1, 1)
    return np.asarray(column / np.linalg.norm(column))


def interleaved(
    methods: dict[str, Callable[[int], object]], timed: npt.NDArray[np.int_], repetitions: int
) -> dict[str, FloatArray]:
    """Milliseconds of each method on each frame: medians of runs that take turns."""
    taken = {name: np.zeros((repetitions, len(timed))) for name in methods}
    for method in methods.values():
        method(int(timed[0]))  # first calls build what later ones keep
    for repetition in range(repetitions):
        for column, index in enumerate(timed):
            for name, method in methods.items():
                all_before, before = time.process_time(), time.thread_time()
                method(int(index))
                taken[name][repetition, column] = time.thread_time() - before
                spent = time.process_time() - all_before
                assert spent < 1.5 * taken[name][repetition, column] + 1e-3, f"{name}: more threads"
    return {name: 1e3 * np.median(values, axis=0) for name, values in taken.items()}


def iterations_of(
    methods: dict[str, Callable[[int], object]],
    face: TalkingFace,
    template: Grey,
    crop_of: Callable[[int], Grey],
    timed: npt.NDArray[np.int_],
) -> dict[str, list[int]]:
    """Iterations on each frame, of those that iterate."""
    counts: dict[str, list[int]] = {name: [] for name in methods if name != "warpAffine"}
    for index in map(int, timed):
        for name, count in counts.items():
            if name.endswith("full frame"):
                count.append(ecc_iterations(template, face.frames[index], face.initial[index])[0])
            elif name.endswith("crop"):
                count.append(ecc_iterations(template, crop_of(index), IDENTITY)[0])
            else:
                found = methods[name](index)
                assert isinstance(found, holdstill.Alignment) and found.converged, name
                count.append(found.iterations)
    return counts


def distances_to_ecc(
    methods: dict[str, Callable[[int], object]], face: TalkingFace, timed: npt.NDArray[np.int_]
) -> dict[str, list[float]]:
    """How far each method ends from ECC on the full frame, in canonical pixels."""
    apart: dict[str, list[float]] = {name: [] for name in methods if name.startswith("holdstill")}
    for index in map(int, timed):
        theirs = methods["findTransformECC, full frame"](index)
        for name, distances in apart.items():
            ours = methods[name](index)
            assert isinstance(theirs, np.ndarray) and isinstance(ours, holdstill.Alignment)
            assert ours.frame_from_canonical is not None
            distances.append(corner_distance(theirs, ours.frame_from_canonical))
    return apart


if __name__ == "__main__":
    sys.exit(main())
