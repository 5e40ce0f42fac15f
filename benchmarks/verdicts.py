"""Whether the verdict on a frame can be trusted: which wrong ones pass as good, which right ones do
not.

    python benchmarks/verdicts.py [--starts 2] [--fit NAME=VALUE] [--align NAME=VALUE]

Held-out frames of the synthetic head, of talking_face and of a speaker of the GRID corpus start a
detector's error away, or far, or anywhere; or they are replaced: by black, by noise, by another
scene, by another person's face at its place. An error is the farthest corner of the region from its
true place, px at 100 px between the outer eye corners; the truth is known (synthetic head), or is
where the same method ends from a tracker's transform, or a detector's. Claimed, of all features and
regions together: of the frames that are off by more than 5 px, or that do not show the thing, at
most 1 % are good; of the frames within 1 px at most 2 % are not. Another person's face has no true
place: the share that passes is shown, and how far its eyes then are from the dictionary's.

Then a whole recording, through the face detector, is cut to another person, to black and back. A
face that stays lost is looked for every 8th frame: claimed is that the track is good again by then,
and that nothing else passes.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from common import (
    Claims,
    FloatArray,
    Grey,
    add_fit_and_align,
    data_folder,
    parser_of,
    peer,
    print_table,
)
from contest import Thing
from peers import Rectangle
from shown import (
    EYES,
    SHAPE,
    STARTS,
    UNIT,
    Subject,
    fitted,
    noise,
    other_people,
    other_scenes,
    start_of,
    subjects,
)
from talking_face import TalkingFace

import holdstill
from holdstill.evaluate import map_to_canonical
from holdstill.initial import LONGEST_WAIT

cv2 = peer("cv2")

FEATURES = ("grey", "edges")
ROIS = ("full", "upper-face", "eyes")
WITHIN_PX, OFF_PX, LOST_PX = 1.0, 5.0, 10.0
CLAIMED_PASSED, CLAIMED_REJECTED = 0.01, 0.02
BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
NOTHING = ("black", "noise", "cut")


@dataclass(frozen=True)
class Verdict:
    """What became of one frame; the error is infinite where the thing is not shown."""

    subject: str
    features: str
    roi: str
    kind: str
    error: float
    quality: float
    good: bool

    @property
    def off(self) -> bool:
        """Whether it ought not to pass."""
        return self.kind != "other person" and self.error > OFF_PX

    @property
    def within(self) -> bool:
        """Whether it ought to pass."""
        return self.kind != "other person" and self.error < WITHIN_PX


# Verdicts


def verdicts(
    one: Subject,
    features: str,
    roi: str,
    fit: Mapping[str, Any],
    align: Mapping[str, Any],
    per_frame: int = 1,
) -> Iterator[Verdict]:
    """Every kind of frame against one dictionary; `per_frame` starts of each kind a frame."""
    thing = replace(one.thing, region=Rectangle.of(roi, SHAPE))
    dictionary = holdstill.fit(
        np.stack(list(thing.sample)),
        thing.sample_start,
        **{"n": len(thing.sample), "shape": SHAPE, "features": features, "roi": roi, **fit},
    )

    def judged(kind: str, frame: Grey, start: FloatArray, truth: FloatArray | None) -> Verdict:
        found = holdstill.align_frame(frame, dictionary, start, **align)
        place = found.frame_from_canonical
        if kind in NOTHING:
            error = float("inf")
        elif kind == "other person":
            error = eyes_off(place, truth)
        else:
            error = thing.error(place, truth)
        return Verdict(one.name, features, roi, kind, error, found.quality, found.good)

    people, scenes = other_people(), other_scenes()
    for index, (frame, tracked) in enumerate(zip(thing.frames, thing.truth, strict=True)):
        random = np.random.default_rng([1, index])
        truth = tracked
        if not one.exact:
            clean = holdstill.align_frame(frame, dictionary, tracked, **align)
            truth = clean.frame_from_canonical
            if thing.error(truth, tracked) > LOST_PX:
                print(f"{one.name} {features} {roi}: a frame without a truth", file=sys.stderr)
                continue
        for _ in range(per_frame):
            for kind in STARTS:
                yield judged(kind, frame, truth @ start_of(kind, random), truth)
            near = tracked @ start_of("near start", random)
            yield judged("noise", noise(frame.shape, random), near, None)
            scene = scenes[random.integers(len(scenes))]
            yield judged("cut", fitted(scene, frame.shape), near, None)
            if people:
                picture, eyes = people[random.integers(len(people))]
                start = eyes @ start_of("near start", random)
                yield judged("other person", picture, start, eyes)
        yield judged("black", np.zeros_like(frame), tracked, None)


def eyes_off(found: FloatArray | None, eyes: FloatArray | None) -> float:
    """How far the farther outer eye corner of another person is from where eyes belong."""
    if found is None or eyes is None:
        return float("inf")
    seen = map_to_canonical(found[None], map_to_frame(eyes)[None])[0]
    return float(np.linalg.norm(seen - EYES, axis=1).max()) * 100.0 / UNIT


def map_to_frame(frame_from_canonical: FloatArray) -> FloatArray:
    """The canonical eye corners in the frame, (2, 2)."""
    points = np.column_stack([EYES, np.ones(2)]) @ frame_from_canonical.T
    return np.asarray(points[:, :2] / points[:, 2:])


# Tables


def main() -> int:
    """Judge everything; 1 where a claim fails."""
    parser = parser_of(__doc__)
    add_fit_and_align(parser)
    parser.add_argument("--starts", type=int, default=2, help="of each kind, a frame")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    fit, align = options.fit, options.align
    found: list[Verdict] = []
    for one in subjects():
        for features in FEATURES:
            for roi in ROIS:
                found += verdicts(one, features, roi, fit, align, options.starts)
                print(one.name, features, roi, file=sys.stderr, flush=True)
    loss = align.get("loss", "l2")
    print_table(
        f"Verdicts, affine, {SHAPE[0]}x{SHAPE[1]}, loss {loss}: frames that are off by more than "
        f"{OFF_PX:g} px or show something else, and how many pass as good; frames within "
        f"{WITHIN_PX:g} px,\nand how many are rejected; frames in between, and how many pass; "
        "other people's faces, and how many pass",
        ("set", "features", "region", "off", "passed", "within", "rejected", "between", "passed",
         "other people", "passed"),
        counts(found),
    )  # fmt: skip
    print_table(
        "Quality by what the frame is, all regions: quantiles",
        ("frame", "features", "number", "1 %", "5 %", "25 %", "50 %", "75 %", "95 %", "99 %"),
        quantiles(found),
    )
    print_table(
        f"Reliability: converged frames of the thing by their quality; share within "
        f"{WITHIN_PX:g} px, and within {OFF_PX:g} px, of the truth",
        ("quality", "frames", f"< {WITHIN_PX:g} px", f"< {OFF_PX:g} px"),
        reliability(found),
    )
    claims = Claims()
    passed = share(v.good for v in found if v.off)
    rejected = share(not v.good for v in found if v.within)
    claims.check(
        passed <= CLAIMED_PASSED,
        f"{passed:.2%} of the frames that are off pass as good, at most {CLAIMED_PASSED:.0%}",
    )
    claims.check(
        rejected <= CLAIMED_REJECTED,
        f"{rejected:.2%} of the frames within {WITHIN_PX:g} px are rejected, at most "
        f"{CLAIMED_REJECTED:.0%}",
    )
    cuts(fit, align, claims)
    return claims.exit_code()


def share(outcomes: Any) -> float:
    """Share of true ones; 0 of nothing."""
    return float(np.mean([*outcomes] or [False]))


def counts(found: Sequence[Verdict]) -> list[list[str]]:
    """A row for each dictionary, and one for all."""

    def cells(some: Sequence[Verdict]) -> list[str]:
        others = [v.good for v in some if v.kind == "other person"]
        off, within = [v.good for v in some if v.off], [not v.good for v in some if v.within]
        rest = [v.good for v in some if not v.off and not v.within and v.kind in STARTS]
        return [str(n) for part in (off, within, rest, others) for n in (len(part), sum(part))]

    keys = dict.fromkeys((v.subject, v.features, v.roi) for v in found)
    rows = [
        [*key, *cells([v for v in found if (v.subject, v.features, v.roi) == key])] for key in keys
    ]
    for features in FEATURES:
        rows.append(["all", features, "all", *cells([v for v in found if v.features == features])])
    return rows


def quantiles(found: Sequence[Verdict]) -> list[list[str]]:
    """Of each kind of frame; starts by where they led."""
    groups = {
        "within 1 px": lambda v: v.within,
        "1 to 5 px": lambda v: v.kind in STARTS and not v.within and not v.off,
        "off by more": lambda v: v.kind in STARTS and v.off,
        **{kind: (lambda v, kind=kind: v.kind == kind) for kind in (*NOTHING, "other person")},
    }
    rows = []
    for name, belongs in groups.items():
        for features in FEATURES:
            of = [v.quality for v in found if v.features == features and belongs(v)]
            if not of:
                continue
            values = np.quantile(of, (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99))
            rows.append([name, features, str(len(of)), *(f"{value:.2f}" for value in values)])
    return rows


def reliability(found: Sequence[Verdict]) -> list[list[str]]:
    """By bins of the quality."""
    of = [v for v in found if v.kind in STARTS]
    rows = []
    for low, high in itertools.pairwise(BINS):
        part = [v for v in of if low <= v.quality < high or v.quality == high == 1.0]
        if part:
            near, near_by = (share(v.error < px for v in part) for px in (WITHIN_PX, OFF_PX))
            rows.append([f"{low:g} to {high:g}", str(len(part)), f"{near:.1%}", f"{near_by:.1%}"])
    return rows


# Recordings with cuts


@dataclass(frozen=True)
class Scene:
    """Frames between two cuts, and their true transforms where the thing is shown."""

    name: str
    frames: Sequence[Grey]
    truth: FloatArray | None = None


def cuts(fit: Mapping[str, Any], align: Mapping[str, Any], claims: Claims) -> None:
    """One person, another, the first elsewhere, black, the first again."""
    folder, clip = data_folder("talking_face"), data_folder("clips")
    if folder is None or clip is None:
        return
    face = TalkingFace.load(folder)
    truth = face.initial_for(SHAPE)
    other = holdstill.open(clip / "weekly_address.mp4")
    size = face.frames[0].shape
    strangers = [fitted(other[i].grey(), size) for i in range(30)]
    smaller = np.array([[0.7, 0.0, 150.0], [0.0, 0.7, 20.0], [0.0, 0.0, 1.0]])
    elsewhere = [
        cv2.warpAffine(frame, smaller[:2], size[::-1], flags=cv2.INTER_AREA)
        for frame in face.frames[300:325]
    ]
    black = np.zeros(size, np.uint8)
    recording = [
        Scene("the person", face.frames[100:125], truth[100:125]),
        Scene("another person", strangers),
        Scene("the person, smaller and elsewhere", elsewhere, smaller @ truth[300:325]),
        Scene("black", [black] * 4),
        Scene("the person again", face.frames[400:425], truth[400:425]),
        Scene("another person again", strangers[:12]),
        Scene("the person at last", face.frames[200:225], truth[200:225]),
    ]
    rows = []
    for features, roi in (("grey", "full"), ("edges", "upper-face"), ("edges", "eyes")):
        dictionary = holdstill.fit(
            face.frames[::5],
            truth[::5],
            **{"n": 100, "shape": SHAPE, "features": features, "roi": roi, **fit},
        )
        ends = tracked(recording, dictionary, align)
        for scene, (first, good, farthest) in zip(recording, ends, strict=True):
            shown = scene.truth is not None
            rows.append(
                [features, roi, scene.name, str(len(scene.frames)),
                 "never" if first is None else str(first), f"{good:.0%}",
                 f"{farthest:.1f}" if shown else "–"]
            )  # fmt: skip
            claims.check(
                first is not None and first < LONGEST_WAIT and farthest < LOST_PX
                if shown
                else good <= 0.05,
                f"{features}, {roi}: {scene.name}: {good:.0%} good, the first "
                f"{'never' if first is None else f'after {first} frames'}",
            )
    print_table(
        "A recording with cuts, initial transforms by the face detector: frames from a cut until "
        "one is good, share of the good, and farthest a good one is from the tracker's transform "
        "(px at 100 px between the eyes)",
        ("features", "region", "scene", "frames", "until good", "good", "farthest"),
        rows,
    )


def tracked(
    recording: Sequence[Scene], dictionary: holdstill.Dictionary, align: Mapping[str, Any]
) -> list[tuple[int | None, float, float]]:
    """Of each scene: frames until one is good, share of the good, farthest of them; one thread."""
    frames = np.stack([frame for scene in recording for frame in scene.frames])
    found = list(holdstill.align(frames, dictionary, threads=1, **align))
    ends: list[tuple[int | None, float, float]] = []
    corners = Thing(SHAPE, Rectangle.all_of(SHAPE), UNIT, [], np.empty(0), [], np.empty(0))
    for scene in recording:
        part, found = found[: len(scene.frames)], found[len(scene.frames) :]
        good = [index for index, alignment in enumerate(part) if alignment.good]
        farthest = float("nan")
        if scene.truth is not None and good:
            farthest = max(
                corners.error(part[index].frame_from_canonical, scene.truth[index])
                for index in good
            )
        ends.append((good[0] if good else None, len(good) / len(part), farthest))
    return ends


if __name__ == "__main__":
    sys.exit(main())
