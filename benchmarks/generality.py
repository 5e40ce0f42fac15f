"""Not faces: handwritten digits that must not zoom, and a drifting microscope, beside the peers.

    python benchmarks/generality.py [--fit NAME=VALUE] [--align NAME=VALUE] [--skip digits]

Digits: RASL's own set with euclidean, similarity and affine motion, beside the package rasl.
Claimed: the mean scale of the batch stays within 0.5 %, and the objective is no higher. Cells: a
synthetic recording of blinking, bleaching, wavering cells; every method starts from the middle of
each frame as it comes and is judged by where the corners of the field end, up to one common motion
that no method can know. It learns from a sample that is held still by the true transforms, and from
the sample as it drifts: there the peers' template is the first frame, or the sample's mean,
registered and taken again three times. Claimed, for both: the median error of edges, the default,
is below that of every peer. No line of either part is about faces.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import microscopy
import numpy as np
from common import Claims, FloatArray, add_fit_and_align, data_folder, parser_of, peer, print_table
from contest import Method, Thing, by_holdstill, by_peers
from peers import PACKAGES, Rectangle
from rasl_peers import (
    SETS,
    Aligned,
    Batch,
    Judged,
    judge,
    load,
    mean_scale,
    run_holdstill,
    run_peer,
)

from holdstill.learning.rasl import RaslImageError

cv2 = peer("cv2")

DIGITS = "Digits_3"
DIGIT_MOTIONS = ("euclidean", "similarity", "affine")
ALLOWED_ZOOM = 0.005
FRAMES, SAMPLE = 200, 60


def main() -> int:
    """Both parts; 1 where a claim fails."""
    parser = parser_of(__doc__)
    add_fit_and_align(parser)
    parser.add_argument("--skip", nargs="*", default=[], choices=["digits", "cells"])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    claims = Claims()
    folder = data_folder("rasl")
    if folder is not None and "digits" not in options.skip:
        digits(folder / DIGITS, claims)
    if "cells" not in options.skip:
        cells(options.fit, options.align, claims)
    return claims.exit_code()


def digits(folder: Path, claims: Claims) -> None:
    """The batch with each motion model; without the gauge, zooming pays."""
    rows = []
    for motion in DIGIT_MOTIONS:
        batch = load(folder, replace(SETS[DIGITS], motion=motion))
        contestants: dict[str, Callable[[], Aligned]] = {
            "start": lambda batch=batch: Aligned("start", batch.initial, "", 0.0),
            "holdstill": lambda batch=batch: run_holdstill(batch, "alm"),
            "holdstill, no gauge": lambda batch=batch: run_holdstill(batch, "alm", gauge=False),
            "rasl": lambda batch=batch, motion=motion: run_peer(batch, f"digits, {motion}", claims),
        }
        found = {}
        for name, run in contestants.items():
            try:
                with np.errstate(all="ignore"):
                    found[name] = judge(batch, run())
            except (RaslImageError, np.linalg.LinAlgError) as error:
                # It zoomed until an image was black, or outside of its frame.
                print(f"digits, {motion}: {name} breaks down: {error}", flush=True)
                rows.append([motion, name, "breaks down", "", "", "", ""])
                continue
            done = found[name].aligned
            scale = f"{mean_scale(done.frame_from_canonical, batch.initial) - 1.0:+.2%}"
            rows.append(
                [motion, name, f"{found[name].step.objective:.4f}", str(found[name].step.rank),
                 done.iterations, scale, f"{done.seconds:.1f}" if done.seconds else ""]
            )  # fmt: skip
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
        check_digits(motion, batch, found, claims)
    print_table(
        "Digits, 100 images, canonical 29x29. Least ‖A‖_* + λ‖D∘τ - A‖₁ at the transforms found, "
        "all brought to the\nstart's mean transform; mean scale before that",
        ("motion", "method", "objective", "rank", "iterations", "mean scale", "seconds"),
        rows,
        packages=("rasl",),
    )


def check_digits(motion: str, batch: Batch, found: Mapping[str, Judged], claims: Claims) -> None:
    """The claims, for one motion model."""
    ours = found["holdstill"]
    zoom = mean_scale(ours.aligned.frame_from_canonical, batch.initial) - 1.0
    claims.check(
        abs(zoom) <= ALLOWED_ZOOM,
        f"digits, {motion}: the mean scale changed by {zoom:+.2%}, at most 0.5 %",
    )
    if "rasl" in found:
        objective, theirs = ours.step.objective, found["rasl"].step.objective
        claims.check(
            objective <= theirs * (1 + 1e-6),
            f"digits, {motion}: objective {objective:.4f}, package rasl {theirs:.4f}",
        )


def cells(fit: Mapping[str, Any], align: Mapping[str, Any], claims: Claims) -> None:
    """Every method on the recording; the peers' template in three ways."""
    recording = microscopy.record(FRAMES)
    frames = list(recording.frames)
    order = np.random.default_rng(0).permutation(FRAMES)[:SAMPLE]
    still = Thing(
        microscopy.SHAPE,
        Rectangle.all_of(microscopy.SHAPE),
        100.0,  # errors in pixels
        [frames[index] for index in order],
        recording.truth[order],
        frames,
        recording.truth,
    )
    drifting = replace(still, sample_start=recording.initial[order])
    first = replace(still, sample=frames[:1], sample_start=recording.initial[:1])

    def ours(**options: Any) -> Method:
        return by_holdstill({"motion": "euclidean", "features": "grey", **options, **fit}, align)

    own = {"holdstill grey": ours(), "holdstill edges": ours(features="edges")}
    longer = {"holdstill grey, RASL to 1e-3": ours(objective_tolerance=1e-3)}
    plain, thrice = by_peers("euclidean"), by_peers("euclidean", rounds=3)
    ways: dict[str, list[tuple[str, Thing, Method]]] = {
        "still": [(name, still, method) for name, method in (own | plain).items()],
        "drifting": [
            *((name, drifting, method) for name, method in (own | longer).items()),
            *((f"{name}, first frame", first, method) for name, method in plain.items()),
            *((f"{name}, mean", drifting, method) for name, method in thrice.items()),
        ],
    }
    start, _ = score(still, None, recording.initial)
    rows = [["", "start", *summary(start), "–"]]
    for way, contestants in ways.items():
        medians = {}
        for name, thing, method in contestants:
            errors, milliseconds = score(thing, method, recording.initial)
            medians[name] = float(np.median(errors))
            rows.append([way, name, *summary(errors), f"{milliseconds:.1f}"])
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
        check_cells(way, medians, claims)
    print_table(
        f"Cells, {FRAMES} frames of {microscopy.SIZE[0]}x{microscopy.SIZE[1]}, canonical "
        f"{microscopy.SHAPE[0]}x{microscopy.SHAPE[1]}, euclidean. Error: farthest corner of the "
        "field from its\ntrue place, px; a method's common motion taken out",
        ("sample", "method", "median", "90 %", "most", "< 1 px", "ms/frame"),
        rows,
        packages=PACKAGES,
    )


def check_cells(way: str, medians: Mapping[str, float], claims: Claims) -> None:
    """The claim, for one way."""
    names = sorted(medians, key=medians.__getitem__)
    ours = "holdstill edges"  # the default feature
    best = next(name for name in names if not name.startswith("holdstill"))
    claims.check(
        medians[ours] < medians[best],
        f"cells, {way} sample: {ours}, median {medians[ours]:.3f} px, is below the best peer, "
        f"{best}, {medians[best]:.3f} px",
    )


def summary(errors: FloatArray) -> list[str]:
    """Median, 90th percentile, maximum, and the share below a pixel."""
    return [
        f"{np.median(errors):.3f}",
        f"{np.quantile(errors, 0.9):.3f}",
        f"{errors.max():.2f}",
        f"{(errors < 1.0).mean():.1%}",
    ]


def score(thing: Thing, method: Method | None, initial: FloatArray) -> tuple[FloatArray, float]:
    """Errors of all frames, ms a frame; who gives up leaves a frame where it was."""
    aligner = None if method is None else method(thing)
    found = initial.copy()
    started = time.thread_time()
    for index, frame in enumerate(thing.frames):
        end = None if aligner is None else aligner(frame, initial[index])
        if end is not None:
            found[index] = end
    milliseconds = (time.thread_time() - started) * 1e3 / len(found)
    # The common motion: the median, for a few frames that went astray are not common.
    common = np.median(np.linalg.inv(thing.truth) @ found, axis=0)
    settled = found @ np.linalg.inv(common)
    errors = [thing.error(F, truth) for F, truth in zip(settled, thing.truth, strict=True)]
    return np.array(errors), milliseconds


if __name__ == "__main__":
    sys.exit(main())
