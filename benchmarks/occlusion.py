"""How far what hides a part of the face moves its alignment, by loss, beside ECC and StackReg.

    python benchmarks/occlusion.py [--every N] [--fit NAME=VALUE] [--align NAME=VALUE]

Held-out frames of the synthetic head, of talking_face and of yaleb's faces under moved lights get
an occluder that covers 0 to 50 % of the region of interest: a flat block, a textured one, scattered
blocks, a scarf over the lower part, a hand. Every method starts a detector's error away. Its shift
is the root mean square, over the corners of the region, of the distance in canonical pixels from
where the same method ends, undisturbed, on the frame without the occluder. Where the truth is
known, the error against it stands beside. The oracle is huber that is told which pixels are hidden
and leaves them out: what the visible part of a face determines. Claimed of loss="geman-mcclure": at
30 % a shift of at most 0.1 px, root mean square over the frames, and a quality of at least 0.5
where the shift is below 1 px; at 0 % an error within 5 % of least squares'.

A recording in which a hand passes is shown last: aligned frames, and where geman-mcclure sees
the hand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from capture_range import Face, scenes
from common import (
    OUT,
    Claims,
    FloatArray,
    Grey,
    add_fit_and_align,
    data_folder,
    parser_of,
    peer,
    print_table,
)
from contest import disturbance
from matplotlib.figure import Figure
from occluders import OCCLUDERS, Hidden, hidden_pixels, occluded
from peers import PACKAGES, Rectangle, ecc, stackreg

import holdstill
from holdstill.reference.motion import map_points

cv2 = peer("cv2")

LOSSES = ("l2", "huber", "l1", "geman-mcclure")
RECOMMENDED = "geman-mcclure"
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
CLAIMED_SHARE, CLAIMED_PX, CLAIMED_RATIO = 0.3, 0.1, 1.05
LOST_PX, CLAIMED_QUALITY, CLAIMED_PASS = 1.0, 0.5, 0.95
KNOWN_PX, KNOWN_LOST = {"yaleb": 0.3, "talking_face": 0.7}, {"yaleb": 0.1, "talking_face": 0.4}
KNOWN_PASS = {"yaleb": 0.85, "talking_face": 0.7}
"""Where the claims are missed: rms of those kept and share lost, at most; share that passes."""


@dataclass(frozen=True)
class End:
    """Where a method ended; quality is NaN where it has none, iterations 0 where none are told."""

    transform: FloatArray | None
    quality: float = float("nan")
    iterations: int = 0


Aligner: TypeAlias = Callable[[Grey, FloatArray, Hidden], End]
"""(frame, initial, hidden pixels of the canonical frame); the last is for the oracle alone."""


def contestants(fit: Mapping[str, Any], align: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Each learns from a face's thing and returns an aligner."""

    def by_holdstill(features: str, loss: str, face: Face) -> Aligner:
        dictionary = learnt(face, features, fit)

        def run(frame: Grey, initial: FloatArray, _: Hidden) -> End:
            return end_of(frame, dictionary, initial, loss)

        return run

    def by_oracle(features: str, face: Face) -> Aligner:
        dictionary = learnt(face, features, fit)

        def run(frame: Grey, initial: FloatArray, hidden: Hidden) -> End:
            return end_of(frame, without(dictionary, hidden), initial, "huber")

        return run

    def end_of(
        frame: Grey, dictionary: holdstill.Dictionary, initial: FloatArray, loss: str
    ) -> End:
        found = holdstill.align_frame(frame, dictionary, initial, loss=loss, **align)
        return End(found.frame_from_canonical, found.quality, found.iterations)

    def by_peer(register: Any, face: Face) -> Aligner:
        template = face.thing.template(face.thing.sample_start)
        region = face.thing.region
        return lambda frame, initial, _: End(register(frame, template, initial, region=region))

    found: dict[str, Callable[..., Any]] = {}
    for features in ("grey", "edges"):
        for loss in LOSSES:
            found[f"{features} {loss}"] = partial(by_holdstill, features, loss)
        found[f"{features} oracle"] = partial(by_oracle, features)
    return found | {"ECC": partial(by_peer, ecc), "StackReg": partial(by_peer, stackreg)}


def without(dictionary: holdstill.Dictionary, hidden: Hidden) -> holdstill.Dictionary:
    """The dictionary of the visible pixels alone."""
    if not hidden.any():
        return dictionary
    visible = dictionary.mask & ~hidden
    planes = len(dictionary.atoms) // int(dictionary.mask.sum())
    atoms = dictionary.atoms[np.tile(visible[dictionary.mask], planes)]
    thinning = np.sqrt(len(dictionary.atoms) / len(atoms))
    return replace(
        dictionary,
        atoms=atoms / np.linalg.norm(atoms, axis=0),
        roi=visible,
        # A unit norm is shared by fewer pixels.
        pixel_residual=float(dictionary.pixel_residual * thinning),
    )


_learnt: dict[tuple[int, str], holdstill.Dictionary] = {}


def learnt(face: Face, features: str, options: Mapping[str, Any]) -> holdstill.Dictionary:
    """The dictionary of a face's sample; the losses share it."""
    key = (id(face), features)
    if key not in _learnt:
        thing = face.thing
        _learnt[key] = holdstill.fit(
            np.stack(list(thing.sample)),
            thing.sample_start,
            **{"n": len(thing.sample), "shape": thing.shape, "roi": thing.mask(),
               "features": features, **options},
        )  # fmt: skip
    return _learnt[key]


@dataclass(frozen=True)
class Outcome:
    """One frame under one occluder; lengths in canonical pixels, infinite where there is no end."""

    share: float
    kind: str
    shift: float
    error: float
    quality: float
    iterations: int


def measured(
    faces: Sequence[Face], learn: Callable[..., Aligner], shares: Sequence[float], step: int
) -> list[Outcome]:
    """One method on one set: every held-out frame under every occluder."""
    outcomes = []
    for face in faces:
        thing, aligner = face.thing, learn(face)
        for index in range(0, len(thing.frames), step):
            frame, truth = thing.frames[index], thing.truth[index]
            reference = aligner(frame, truth, np.zeros(thing.shape, bool)).transform
            for number, (kind, (cover, textured)) in enumerate(OCCLUDERS.items()):
                for share in shares:
                    if share == 0.0 and number:
                        continue
                    random = np.random.default_rng([index, number, round(100 * share)])
                    start = truth @ disturbance(face.eyes, thing.unit, random)
                    hidden = cover(thing.region, share, random)
                    seen = occluded(frame, truth, thing.region, hidden, textured, random)
                    end = aligner(seen, start, hidden_pixels(thing.region, thing.shape, hidden))
                    outcomes.append(
                        Outcome(
                            share,
                            kind,
                            distance(end.transform, reference, thing.region),
                            distance(end.transform, truth, thing.region),
                            end.quality,
                            end.iterations,
                        )
                    )
    return outcomes


def distance(found: FloatArray | None, truth: FloatArray | None, region: Rectangle) -> float:
    """Root mean square over the region's corners, canonical pixels."""
    if found is None or truth is None:
        return float("inf")
    corners = region.corners()
    moved = map_points(np.linalg.inv(truth), map_points(found, corners)) - corners
    return float(np.sqrt(np.square(moved).sum(axis=1).mean()))


# Tables


def main() -> int:
    """Measure everything; 1 where a claim fails."""
    parser = parser_of(__doc__)
    add_fit_and_align(parser)
    parser.add_argument("--every", type=int, default=3, help="of the held-out frames")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    methods = contestants(options.fit, options.align)
    claims = Claims()
    for faces in scenes():
        name, exact = faces[0].name, faces[0].exact
        found = {}
        for method, learn in methods.items():
            started = time.thread_time()
            found[method] = measured(faces, learn, SHARES, options.every)
            seconds = time.thread_time() - started
            print(f"{name}: {method}, {seconds:.0f} s", file=sys.stderr, flush=True)
        shape = faces[0].thing.shape
        print_table(
            f"{name}, affine, {shape[0]}x{shape[1]}, five kinds of occluders: "
            "shift in canonical px by the share hidden, median / root mean square of those kept / "
            f"share of frames lost, shifted by more than {LOST_PX:g} px / iterations, median",
            ("method", *(f"{100 * share:.0f} %" for share in SHARES)),
            [[method, *by_share(of)] for method, of in found.items()],
            packages=PACKAGES,
        )
        print_table(
            f"{name}, {100 * CLAIMED_SHARE:.0f} % hidden: shift, px, root mean square of all, of "
            f"those below {LOST_PX:g} px, median by occluder; quality, median and share of at "
            f"least {CLAIMED_QUALITY:g} where below {LOST_PX:g} px;\nmedian error against the "
            f"truth at 0 and {100 * CLAIMED_SHARE:.0f} %, px",
            ("method", "rms", "rms kept", *OCCLUDERS, "quality", "passed", "error 0 %", "30 %"),
            [[method, *at_claimed(of, exact)] for method, of in found.items()],
        )
        for features in ("grey", "edges"):
            check(name, features, found, exact, claims)
    picture(OUT / "occlusion_map.png")
    return claims.exit_code()


def at(outcomes: Sequence[Outcome], share: float) -> list[Outcome]:
    """Those with this share hidden."""
    return [outcome for outcome in outcomes if outcome.share == share]


def rms(values: Sequence[float]) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")


def kept(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those not lost."""
    return [outcome for outcome in outcomes if outcome.shift < LOST_PX]


def by_share(outcomes: Sequence[Outcome]) -> list[str]:
    """A row of the first table."""
    cells = []
    for share in SHARES:
        of = at(outcomes, share)
        lost = 1.0 - len(kept(of)) / len(of)
        cells.append(
            f"{np.median([o.shift for o in of]):.3f} / {rms([o.shift for o in kept(of)]):.3f} / "
            f"{100 * lost:.0f} % / {np.median([o.iterations for o in of]):.0f}"
        )
    return cells


def at_claimed(outcomes: Sequence[Outcome], exact: bool) -> list[str]:
    """A row of the second table."""
    of = at(outcomes, CLAIMED_SHARE)
    near = [o.quality for o in kept(of)]
    cells = [f"{rms([o.shift for o in of]):.2f}", f"{rms([o.shift for o in kept(of)]):.3f}"]
    cells += [f"{np.median([o.shift for o in of if o.kind == kind]):.3f}" for kind in OCCLUDERS]
    if np.isnan(near).any() or not near:
        cells += ["–", "–"]
    else:
        cells += [f"{np.median(near):.2f}", f"{passing(near):.0%}"]
    for share in (0.0, CLAIMED_SHARE):
        error = np.median([o.error for o in at(outcomes, share)])
        cells.append(f"{error:.3f}" if exact else "–")
    return cells


def passing(qualities: Sequence[float]) -> float:
    """Share of at least the claimed quality."""
    return float(np.mean([quality >= CLAIMED_QUALITY for quality in qualities]))


def check(
    name: str,
    features: str,
    found: Mapping[str, Sequence[Outcome]],
    exact: bool,
    claims: Claims,
) -> None:
    """The claims of the recommended loss."""
    robust, l2 = found[f"{features} {RECOMMENDED}"], found[f"{features} l2"]
    hidden = at(robust, CLAIMED_SHARE)
    shift, near = rms([o.shift for o in hidden]), [o.quality for o in kept(hidden)]
    told = at(found[f"{features} oracle"], CLAIMED_SHARE)
    claims.check(
        shift <= CLAIMED_PX,
        f"{name}, {features}, {RECOMMENDED}, 30 % hidden: shift {shift:.3f} px rms, at most "
        f"{CLAIMED_PX:g}; {len(hidden) - len(near)} of {len(hidden)} lost; of the oracle "
        f"{rms([o.shift for o in told]):.3f}, {len(told) - len(kept(told))} lost",
        missed=rms([o.shift for o in kept(hidden)]) <= KNOWN_PX[name]
        and len(hidden) - len(near) <= KNOWN_LOST[name] * len(hidden)
        if name in KNOWN_PX
        else None,
    )
    claims.check(
        passing(near) >= CLAIMED_PASS,
        f"{name}, {features}, {RECOMMENDED}, 30 % hidden: {passing(near):.0%} of the frames that "
        f"keep their place have a quality of {CLAIMED_QUALITY:g}, at least {CLAIMED_PASS:.0%}",
        missed=passing(near) >= KNOWN_PASS[name] if name in KNOWN_PASS else None,
    )
    if exact:
        errors = [rms([o.error for o in at(of, 0.0)]) for of in (robust, l2)]
        claims.check(
            errors[0] <= CLAIMED_RATIO * errors[1],
            f"{name}, {features}, nothing hidden: error {errors[0]:.3f} px rms, of l2 "
            f"{errors[1]:.3f}: at most {CLAIMED_RATIO:g} of it",
        )


# A recording


RECORDING_SHAPE, RECORDING_ROI, RECORDING_SAMPLE = (120, 120), "full", 60
HAND_COMES = 1090
"""Frame before which no hand is seen; the dictionary is learnt there."""
SHOWN = (1109, 1118, 1165, 1181, 1195, 1210, 1240, 1295)


def picture(path: Path) -> None:
    """Frames of a recording with a hand over the chin, aligned with both losses, and the map."""
    folder = data_folder("clips")
    if folder is None:
        return
    frames = np.stack([frame.grey() for frame in holdstill.open(folder / "webcam_occlusion.mp4")])
    dictionary = holdstill.fit(
        frames[:HAND_COMES],
        n=RECORDING_SAMPLE,
        shape=RECORDING_SHAPE,
        roi=RECORDING_ROI,
        features="edges",
    )
    rows, shown = [], {}
    for loss in ("l2", RECOMMENDED):
        run = list(holdstill.align(frames[HAND_COMES:], dictionary, loss=loss, threads=1))
        shown[loss] = [run[index - HAND_COMES] for index in SHOWN]
        rows.append(
            [loss, f"{np.mean([a.converged for a in run]):.1%}",
             f"{np.mean([a.good for a in run]):.1%}",
             *(f"{q:.2f}" for q in np.quantile([a.quality for a in run], (0.05, 0.5)))]
        )  # fmt: skip
    print_table(
        f"webcam_occlusion, {len(frames) - HAND_COMES} frames in which a hand comes and goes, "
        f"edges, {RECORDING_ROI}, a dictionary that has not seen it",
        ("loss", "converged", "good", "quality 5 %", "50 %"),
        rows,
    )
    show(path, [frames[index] for index in SHOWN], shown)
    print(f"picture: {path}", flush=True)


def show(
    path: Path, frames: Sequence[Grey], runs: Mapping[str, Sequence[holdstill.Alignment]]
) -> None:
    """One column a frame: as it is, aligned by each loss, and the weights."""
    figure = Figure(figsize=(1.9 * len(frames), 7.4), layout="constrained")
    axes = figure.subplots(2 + len(runs), len(frames), squeeze=False)
    for place, frame in enumerate(frames):
        axes[0, place].imshow(frame, cmap="gray", vmin=0, vmax=255)
        axes[0, place].set_title(f"frame {SHOWN[place]}", fontsize=9)
        for row, (loss, run) in enumerate(runs.items(), start=1):
            found = run[place]
            axes[row, place].set_title(f"{loss}: {found.quality:.2f}", fontsize=9)
            if found.frame_from_canonical is not None:
                crop = holdstill.warp(frame, found.frame_from_canonical, RECORDING_SHAPE)
                axes[row, place].imshow(crop, cmap="gray", vmin=0, vmax=255)
        weights = runs[RECOMMENDED][place].weights
        if weights is not None:
            axes[-1, place].imshow(weights, cmap="magma", vmin=0, vmax=1)
        axes[-1, place].set_title("weights", fontsize=9)
    for axis in axes.ravel():
        axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    sys.exit(main())
