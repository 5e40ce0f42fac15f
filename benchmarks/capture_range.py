"""From how far a start each method still finds the face, beside the ECCs and StackReg.

    python benchmarks/capture_range.py [--fit lambda_c=0.5] [--align mu=1e-4] [--quick]

Starts are the true transforms of held-out frames, shifted by up to 40 % of the distance between
the outer eye corners, turned by up to 40°, scaled by 0.7 to 1.4: along each of these alone, and on
their product grid. A start succeeds where the method ends with all four corners of the region
within 1 px (at 100 px between the eyes) of where the same method ends from the true transform: a
method's bias is no failure, but that end must be within 10 px of the truth. The strict share counts
ends within 1 px of the truth itself, where it is known. Claimed: a share of at least 95 % of the
product grid, or twice that of the best peer.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaleb
from common import (
    OUT,
    Claims,
    FloatArray,
    add_fit_and_align,
    data_folder,
    parser_of,
    peer,
    print_table,
)
from contest import Aligner, Method, Thing, by_holdstill, by_peers, face_among, similarity
from matplotlib.figure import Figure
from peers import PACKAGES
from talking_face import TalkingFace

from holdstill.canonical import eye_corners
from holdstill.synthetic import TalkingHead

cv2 = peer("cv2")

SHAPE = (100, 100)
SUCCESS_PX, VERIFIED_PX = 1.0, 10.0
SAMPLE = 100
HELD_OUT = 12
SHIFTS = (0.0, 0.1, 0.2, 0.3, 0.4)
DIRECTIONS = (45.0, 135.0, 225.0, 315.0)
DEGREES = (-40.0, -20.0, 0.0, 20.0, 40.0)
SCALES = (0.7, 0.85, 1.0, 1.2, 1.4)
CLAIMED_SHARE, CLAIMED_RATIO = 0.95, 2.0


@dataclass(frozen=True)
class Start:
    """Offset of a start; the shift in eye distances, its direction in degrees."""

    shift: float = 0.0
    direction: float = 0.0
    degrees: float = 0.0
    scale: float = 1.0


AXES: dict[str, list[Start]] = {
    "shift": [
        Start(shift=shift, direction=direction)
        for shift in np.linspace(0.05, 0.4, 8)
        for direction in np.arange(0.0, 360.0, 45.0)
    ],
    "turn": [
        Start(degrees=sign * degrees)
        for degrees in np.linspace(5.0, 40.0, 8)
        for sign in (-1.0, 1.0)
    ],
    "scale": [Start(scale=scale) for scale in np.linspace(0.7, 1.4, 15)],
}
GRID = [
    # Where there is no shift its direction says nothing.
    Start(shift, direction, degrees, scale)
    for shift, direction, degrees, scale in itertools.product(SHIFTS, DIRECTIONS, DEGREES, SCALES)
    if shift > 0.0 or direction == DIRECTIONS[0]
]


@dataclass(frozen=True)
class Face:
    """A thing with the middle of its eyes, about which starts are turned and scaled.

    Where the truth is not exact, no strict share is counted.
    """

    name: str
    thing: Thing
    eyes: tuple[float, float]
    exact: bool = True

    def start(self, offset: Start, frame: int) -> FloatArray:
        """The frame's true transform, put off."""
        length = offset.shift * self.thing.unit
        angle = np.deg2rad(offset.direction)
        moved = similarity(
            self.eyes,
            shift=(length * np.cos(angle), length * np.sin(angle)),
            degrees=offset.degrees,
            scale=offset.scale,
        )
        return np.asarray(self.thing.truth[frame] @ moved)


@dataclass(frozen=True)
class Tally:
    """Of each start whether it succeeded, and whether strictly; on the axes and on the grid."""

    axes: Mapping[str, npt.NDArray[np.bool_]]
    grid: npt.NDArray[np.bool_]
    strict: npt.NDArray[np.bool_] | None
    verified: float
    milliseconds: float


def main() -> int:
    """Run every method on every set; 1 where the claim fails."""
    parser = parser_of(__doc__)
    add_fit_and_align(parser)
    parser.add_argument("--motion", default="affine")
    parser.add_argument("--quick", action="store_true", help="every third start only")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    methods = contestants(options.motion, options.fit, options.align)
    step = 3 if options.quick else 1
    tallies: dict[str, dict[str, Tally]] = {}
    for faces in scenes():
        name = faces[0].name
        tallies[name] = {}
        for method, learn in methods.items():
            tallies[name][method] = tally(faces, learn, step)
            shown = f"{share(tallies[name][method].grid, GRID[::step]):.1%}"
            print(f"{name}: {method}: {shown} of the grid", file=sys.stderr, flush=True)
    pooled = {method: pool([of[method] for of in tallies.values()]) for method in methods}
    tallies["all"] = pooled
    print_table(
        f"Share of starts, in per cent, that end within {SUCCESS_PX:g} px (at 100 px between the "
        "outer eye corners) of where\nthe method ends from the true transform; strict: of the "
        f"truth itself. {options.motion}; shift up to 40 %, turn up to 40°, scale 0.7 to 1.4",
        ("set", "method", "shift", "turn", "scale", "product grid", "strict", "verified",
         "ms/start"),
        [
            [name, method, *cells(tally, step)]
            for name, of in tallies.items()
            for method, tally in of.items()
        ],
        packages=PACKAGES,
    )  # fmt: skip
    plot(OUT / "capture_range.png", pooled, GRID[::step])
    claims = Claims()
    check(pooled, claims, GRID[::step])
    return claims.exit_code()


def contestants(motion: str, fit: Mapping[str, Any], align: Mapping[str, Any]) -> dict[str, Method]:
    """holdstill with grey and edges, and the peers; ECC with its fair stop only."""
    ours = {
        f"holdstill {features}": by_holdstill(
            {"motion": motion, "features": features, **fit}, align
        )
        for features in ("grey", "edges")
    }
    theirs = by_peers(motion)
    theirs.pop("ECC, defaults")
    return ours | theirs


def scenes() -> list[list[Face]]:
    """The synthetic head; a real one; people under several lights, of each a dictionary."""
    found = [[synthetic_head()]]
    folder = data_folder("talking_face")
    if folder is not None:
        found.append([talking_face(folder)])
    folder = data_folder("yaleb")
    if folder is not None:
        people = sorted(path for path in folder.iterdir() if path.is_dir())
        found.append([lit_face(person) for person in people[::4]])
    return found


def synthetic_head() -> Face:
    """The head, its frames rendered with known transforms, in a frame of 288×360."""
    head = TalkingHead(480, size=(288, 360), shape=SHAPE, occlusion=False, color=False)
    return face_of("synthetic head", list(head), head.frame_from_canonical)


def talking_face(folder: Path) -> Face:
    """The real head; what stands for the truth is a tracker's, to a pixel or two."""
    face = TalkingFace.load(folder)
    found = face_of("talking_face", list(face.frames), face.initial_for(SHAPE))
    return replace(found, exact=False)


def face_of(name: str, frames: list[Any], truth: FloatArray) -> Face:
    """A face whose middle of the eyes is the canonical frame's."""
    x, y = eye_corners(SHAPE).mean(axis=0)
    thing = face_among(frames, truth, SHAPE, sample=SAMPLE, held_out=HELD_OUT)
    return Face(name, thing, (float(x), float(y)))


def lit_face(folder: Path) -> Face:
    """A person under lights up to 50° from the axis, moved by known transforms."""
    rng = np.random.default_rng(int(folder.name[-2:]))
    pictures = [lit.picture for lit in yaleb.read_person(folder) if lit.light <= 50.0]
    moved = [yaleb.moved(pictures[index], rng) for index in rng.permutation(len(pictures))]
    frames, truth = [frame for frame, _ in moved], np.stack([matrix for _, matrix in moved])
    half = len(frames) - HELD_OUT
    thing = Thing(
        yaleb.SHAPE,
        yaleb.REGION,
        yaleb.EYE_DISTANCE,
        frames[:half],
        truth[:half],
        frames[half:],
        truth[half:],
    )
    return Face("yaleb", thing, yaleb.EYES)


def tally(faces: Sequence[Face], learn: Method, step: int) -> Tally:
    """One method on one set; starts take turns on the held-out frames of all faces."""
    aligners = [learn(face.thing) for face in faces]
    cases = [
        Case(face, aligner, index, aligner(frame, face.thing.truth[index]))
        for face, aligner in zip(faces, aligners, strict=True)
        for index, frame in enumerate(face.thing.frames)
    ]
    # Neighbours on the grid go to different frames, and to other ones for every method alike.
    order = np.random.default_rng(1)
    started, count = time.thread_time(), 0

    def run(starts: Sequence[Start]) -> npt.NDArray[np.bool_]:
        nonlocal count
        count += len(starts)
        picks = order.integers(len(cases), size=len(starts))
        return np.array(
            [cases[pick].outcome(start) for pick, start in zip(picks, starts, strict=True)]
        )

    axes = {name: run(starts)[:, 0] for name, starts in AXES.items()}
    grid = run(GRID[::step])
    return Tally(
        axes,
        grid[:, 0],
        grid[:, 1] if all(face.exact for face in faces) else None,
        float(np.mean([case.verified for case in cases])),
        (time.thread_time() - started) * 1e3 / count,
    )


@dataclass(frozen=True)
class Case:
    """A held-out frame, a method, and where that ends from the truth."""

    face: Face
    aligner: Aligner
    index: int
    end: FloatArray | None

    @property
    def verified(self) -> bool:
        """Whether from the truth the method stays near it."""
        return self.face.thing.error(self.end, self.face.thing.truth[self.index]) < VERIFIED_PX

    def outcome(self, offset: Start) -> tuple[bool, bool]:
        """Success from this start, and strict success."""
        thing = self.face.thing
        found = self.aligner(thing.frames[self.index], self.face.start(offset, self.index))
        strict = thing.error(found, thing.truth[self.index]) < SUCCESS_PX
        if self.end is None or not self.verified:
            return False, strict
        return thing.error(found, self.end) < SUCCESS_PX, strict


def share(outcomes: npt.NDArray[np.bool_], starts: Sequence[Start]) -> float:
    """Share of the product grid, each length of shift counting alike."""
    shifts = np.array([start.shift for start in starts])
    return float(np.mean([outcomes[shifts == shift].mean() for shift in SHIFTS]))


def pool(tallies: Sequence[Tally]) -> Tally:
    """Several sets as one: shares of starts, so that every set counts alike."""

    def mean(arrays: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[Any]:
        return np.mean(arrays, axis=0)

    return Tally(
        {name: mean([tally.axes[name] for tally in tallies]) for name in AXES},
        mean([tally.grid for tally in tallies]),
        mean([tally.strict for tally in tallies if tally.strict is not None]),
        float(np.mean([tally.verified for tally in tallies])),
        float(np.mean([tally.milliseconds for tally in tallies])),
    )


def cells(tally: Tally, step: int) -> list[str]:
    """A row as text."""
    starts = GRID[::step]
    shares = [outcomes.mean() for outcomes in tally.axes.values()]
    shares += [share(tally.grid, starts)]
    strict = "–" if tally.strict is None else f"{100 * share(tally.strict, starts):.1f}"
    return [
        *(f"{100 * value:.1f}" for value in shares),
        strict,
        f"{100 * tally.verified:.0f}",
        f"{tally.milliseconds:.1f}",
    ]


def check(pooled: Mapping[str, Tally], claims: Claims, starts: Sequence[Start]) -> None:
    """The claim, over all sets."""
    shares = {method: share(tally.grid, starts) for method, tally in pooled.items()}
    ours = max((name for name in shares if name.startswith("holdstill")), key=shares.__getitem__)
    best = max((name for name in shares if not name.startswith("holdstill")), key=shares.get)
    claims.check(
        shares[ours] >= min(CLAIMED_SHARE, CLAIMED_RATIO * shares[best]),
        f"{ours} finds the face from {shares[ours]:.1%} of the product grid, {best} from "
        f"{shares[best]:.1%}: at least {CLAIMED_SHARE:.0%} or {CLAIMED_RATIO:g} times as much",
    )


def plot(path: Path, pooled: Mapping[str, Tally], starts: Sequence[Start]) -> None:
    """Heat maps of the product grid, seen along scale and along turn; one column a method."""
    figure = Figure(figsize=(2.6 * len(pooled) + 1.2, 6.2), layout="constrained")
    axes = figure.subplots(2, len(pooled), squeeze=False, sharex=True)
    picture = None
    for column, (method, tally) in zip(axes.T, pooled.items(), strict=True):
        column[0].set_title(f"{method}\n{share(tally.grid, starts):.0%} of all starts")
        for axis, field, values in zip(
            column, ("degrees", "scale"), (DEGREES, SCALES), strict=True
        ):
            shares = marginal(tally.grid, starts, field, values)
            picture = axis.imshow(shares, vmin=0, vmax=1, cmap="YlGn", origin="lower")
            for row, line in enumerate(shares):
                for place, value in enumerate(line):
                    text = axis.text(place, row, f"{100 * value:.0f}", ha="center", va="center")
                    text.set(size=8, color="white" if value > 0.6 else "black")
            axis.set_xticks(range(len(SHIFTS)), [f"{100 * shift:.0f}" for shift in SHIFTS])
            axis.set_yticks(range(len(values)), [f"{value:g}" for value in values])
        column[1].set_xlabel("start shifted by, % of eye distance")
    axes[0, 0].set_ylabel("start turned by, degrees")
    axes[1, 0].set_ylabel("start scaled by")
    figure.suptitle("From how far off is the face still found? Share of starts, per cent")
    assert picture is not None
    figure.colorbar(picture, ax=axes, shrink=0.6, format=lambda value, _: f"{100 * value:.0f} %")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"picture: {path}", flush=True)


def marginal(
    outcomes: npt.NDArray[Any], starts: Sequence[Start], field: str, values: Sequence[float]
) -> FloatArray:
    """Mean outcome by a start's field (rows) and its shift (columns)."""
    shifts = np.array([start.shift for start in starts])
    of = np.array([getattr(start, field) for start in starts])
    return np.array(
        [
            [outcomes[(of == value) & (shifts == shift)].mean() for shift in SHIFTS]
            for value in values
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
