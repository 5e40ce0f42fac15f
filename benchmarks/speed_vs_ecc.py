"""Milliseconds to align one frame, beside OpenCV's findTransformECC and a bare warp.

    python benchmarks/speed_vs_ecc.py [--frames 25] [--repetitions 5]

One thread. Decoded grey frames and their initial transforms go in, a transform comes out. ECC is
given the template as the canonical square and the full frame to search, with the initial transform
as its start, as one would call it; and beside that a crop made through the initial transform. The
criteria differ: ECC's is an increment of correlation below 1e-6, holdstill's a step of norm 1e-6.
What either leaves undone is shown beside its time: how far off it is from where it would end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from common import Claims, FloatArray, Grey, data_folder, parser_of, peer, print_table
from peers import corner_distance, ecc, ecc_iterations, mean_picture
from talking_face import CORNERS, SHAPE, TalkingFace

import holdstill
from holdstill.canonical import roi_mask

cv2 = peer("cv2")

VARIANTS = (
    ("edges", "eyes-first", 1e-6),
    ("grey", "full", 1e-6),
    ("grey", "full", 1e-4),
    ("grey", "upper-face", 1e-6),
    ("edges", "upper-face", 1e-6),
    ("edges", "eyes", 1e-6),
)
"""Features, region of interest, tolerance."""
HEADERS = (
    "method", "ms", "median", "most", "iterations", "most", "ms/iteration", "speed", "warps",
    "px to go", "most",
)  # fmt: skip
PEER, UNIT = "findTransformECC, full frame", "warpAffine"
DEFAULT, GREY = "holdstill edges, eyes-first", "holdstill grey, full"
GOING_ON = 1e-10
IDENTITY = np.eye(3)
NEAR = np.array([[1.015, 0.01, 1.0], [-0.01, 0.99, -2.0], [0.0, 0.0, 1.0]])
"""A start a few canonical pixels away from where it should end."""


@dataclass(frozen=True)
class Method:
    """Something to time on a frame, by its number; iterations and distance for what iterates."""

    name: str
    run: Callable[[int], object]
    iterations: Callable[[int], int] | None = None
    px_to_go: Callable[[int], float] | None = None


def main() -> int:
    """Check that both find a known transform, then time them; 1 where they do not."""
    parser = parser_of(__doc__)
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
    methods = [*peers(face), *ours(face)]
    timed = np.linspace(0, len(face.frames) - 1, options.frames).astype(int).tolist()
    milliseconds = interleaved(methods, timed, options.repetitions)
    peer, unit = milliseconds[PEER].mean(), milliseconds[UNIT].mean()
    print_table(
        f"talking_face, affine, {SHAPE[0]}x{SHAPE[1]}, one thread. ms of CPU: of each frame the "
        f"median of {options.repetitions} interleaved runs; mean, median and most of {len(timed)} "
        "frames. Speed: 1 is ECC on the full frame; warps: 1 is warpAffine. px to go: largest "
        "distance of a canonical corner from where the method ends if it goes on; median and most",
        HEADERS,
        [cells(method, milliseconds[method.name], timed, peer, unit) for method in methods],
        packages=("opencv-python-headless",),
    )
    claim_speed(claims, {name: each.mean() for name, each in milliseconds.items()})
    return claims.exit_code()


def claim_speed(claims: Claims, mean: dict[str, float]) -> None:
    """At most 32 bare warps and a fifth of ECC's time; edges at most 2.2 times grey's."""
    for name in (DEFAULT, GREY):
        warps, speed = mean[name] / mean[UNIT], mean[PEER] / mean[name]
        claims.check(warps <= 32, f"{name}: {warps:.1f} warps a frame, at most 32")
        claims.check(
            speed >= 5,
            f"{name}: {speed:.1f} times as fast as ECC, at least 5",
            missed=speed >= 2.5 if name == GREY else None,
        )
    for name in (name for name in mean if name.startswith("holdstill")):
        speed = mean[PEER] / mean[name]
        claims.check(speed >= 1, f"{name}: no slower than ECC ({speed:.1f} times as fast)")
    edges = mean["holdstill edges, upper-face"] / mean["holdstill grey, upper-face"]
    claims.check(edges <= 2.2, f"upper-face: edges take {edges:.2f} times as long as grey levels")


def peers(face: TalkingFace) -> list[Method]:
    """The bare warp; ECC on full frames and on crops."""
    crops = face.crops()
    sample = np.random.default_rng(0).permutation(len(crops))[:100]
    template = mean_picture([crops[index] for index in sample])

    def crop_of(index: int) -> Grey:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frame, transform = face.frames[index], face.initial[index][:2]
        return np.asarray(cv2.warpAffine(frame, transform, SHAPE[::-1], flags=flags))

    def method(
        name: str, image: Callable[[int], Grey], start: Callable[[int], FloatArray]
    ) -> Method:
        def px_to_go(index: int) -> float:
            ended = ecc(image(index), template, start(index))
            further = ecc(image(index), template, start(index), epsilon=GOING_ON)
            assert ended is not None and further is not None
            return corner_distance(ended, further, CORNERS)

        return Method(
            name,
            lambda index: ecc(image(index), template, start(index)),
            lambda index: ecc_iterations(image(index), template, start(index))[0],
            px_to_go,
        )

    return [
        Method(UNIT, crop_of),
        method(PEER, face.frames.__getitem__, face.initial.__getitem__),
        method("findTransformECC, crop", crop_of, lambda index: IDENTITY),
    ]


def ours(face: TalkingFace) -> list[Method]:
    """The aligner with each variant's dictionary."""

    def method(dictionary: holdstill.Dictionary, name: str, tolerance: float) -> Method:
        def align(index: int, tolerance: float = tolerance) -> holdstill.Alignment:
            return holdstill.align_frame(
                face.frames[index], dictionary, face.initial[index], tolerance=tolerance
            )

        def px_to_go(index: int) -> float:
            ended = align(index).frame_from_canonical
            further = align(index, GOING_ON).frame_from_canonical
            assert ended is not None and further is not None
            return corner_distance(ended, further, CORNERS)

        return Method(name, align, lambda index: align(index).iterations, px_to_go)

    learnt: dict[tuple[str, str], holdstill.Dictionary] = {}
    methods = []
    for features, roi, tolerance in VARIANTS:
        if (features, roi) not in learnt:
            learnt[features, roi] = holdstill.fit(
                face.frames, face.initial, shape=SHAPE, features=features, roi=roi
            )
        name = f"holdstill {features}, {roi}" + (f", {tolerance:.0e}" if tolerance > 1e-6 else "")
        methods.append(method(learnt[features, roi], name, tolerance))
    return methods


def check_agreement(face: TalkingFace, claims: Claims) -> None:
    """One frame is its own template: started a few pixels off, both must come back to it."""
    for index in range(0, len(face.frames), 100):
        frame, truth = face.frames[index], face.initial[index]
        template = holdstill.warp(frame, truth, SHAPE)
        own = holdstill.Dictionary(atoms_of(template), shape=SHAPE, motion="affine")
        found = holdstill.align_frame(frame, own, truth @ NEAR)
        other = ecc(frame, template, truth @ NEAR)
        assert other is not None and found.frame_from_canonical is not None
        away = corner_distance(truth, truth @ NEAR, CORNERS)
        ours = corner_distance(truth, found.frame_from_canonical, CORNERS)
        theirs = corner_distance(truth, other, CORNERS)
        claims.check(
            found.converged and max(ours, theirs) < 0.2,
            f"frame {index}, from {away:.1f} px away: holdstill ends at {ours:.3f} px, "
            f"ECC at {theirs:.3f} px from the truth (largest of the four corners)",
        )


def atoms_of(picture: Grey) -> npt.NDArray[np.float32]:
    """A dictionary of this picture alone."""
    column = picture[roi_mask("full", SHAPE)].astype(np.float32).reshape(-1, 1)
    return np.asarray(column / np.linalg.norm(column))


def interleaved(methods: list[Method], timed: list[int], repetitions: int) -> dict[str, FloatArray]:
    """Milliseconds of each method on each frame: medians of runs that take turns."""
    taken = {method.name: np.zeros((repetitions, len(timed))) for method in methods}
    for method in methods:
        method.run(timed[0])  # first calls build what later ones keep
    for repetition in range(repetitions):
        for column, index in enumerate(timed):
            for method in methods:
                of_all, of_this = time.process_time(), time.thread_time()
                method.run(index)
                seconds = time.thread_time() - of_this
                others = time.process_time() - of_all - seconds
                assert others < 0.5 * seconds + 1e-3, f"{method.name}: more than one thread"
                taken[method.name][repetition, column] = 1e3 * seconds
    return {name: np.median(values, axis=0) for name, values in taken.items()}


def cells(
    method: Method, taken: FloatArray, timed: list[int], peer: float, unit: float
) -> list[str]:
    """A row of the table; what is not timed is computed here."""
    iterations, distances = ["–"] * 3, ["–"] * 2
    if method.iterations is not None and method.px_to_go is not None:
        counts = np.array([method.iterations(index) for index in timed])
        px = np.array([method.px_to_go(index) for index in timed])
        iterations = [
            f"{counts.mean():.1f}",
            f"{counts.max()}",
            f"{taken.sum() / counts.sum():.2f}",
        ]
        distances = [f"{np.median(px):.0e}", f"{px.max():.0e}"]
    return [
        method.name,
        *(f"{value:.2f}" for value in (taken.mean(), np.median(taken), taken.max())),
        *iterations,
        f"{peer / taken.mean():.2f}",
        f"{taken.mean() / unit:.0f}",
        *distances,
    ]


if __name__ == "__main__":
    sys.exit(main())
