"""Claim: a registration's quality tells a face in its place from anything else.

    python benchmarks/shr_verdicts.py [--splits 4]

IMM, half of the people train the model, whose quality is calibrated on them alone; the pictures of
the others are registered from the detector's boxes, and from places beside the face, where a search
comes to rest on hair, clothes and walls. At most 1 % of what rests more than 20 % of the
interocular distance from the face may be called good, and at most 2 % of what ends within 5 % may
not. Turned faces, which a model of frontal ones does not know, are reported.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import imm_faces as imm
import numpy as np
from common import Claims, data_folder, parser_of, print_table
from shr_trials import model_of, trials

from holdstill.registration.registering import register

SIZES = (50.0, 20.0, 10.0)
WITHIN, FAILED, BESIDE = 5.0, 10.0, 20.0
AWAY = 40.0
"""How far beside the face a search is started, canonical pixels of 64."""
STRAYS = 3
"""Such starts on each picture."""


@dataclass
class End:
    """Where a search came to rest."""

    kind: str
    error: float
    quality: float
    good: bool


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--splits", type=int, default=4, help="ways to divide the people")
    splits = parser.parse_args().splits
    folder = data_folder("imm")
    if folder is None:
        return 0
    claims, ends = Claims(), list[End]()
    rng = np.random.default_rng(0)
    kinds = {"frontal": imm.FRONTAL, "spot light": imm.LIT, "turned": imm.TURNED}
    for size in SIZES:
        for kind, numbers in kinds.items():
            for trial in trials(folder, splits, size, numbers):
                model = model_of(trial.train)
                for face, start in zip(trial.test, trial.found, strict=True):
                    starts = {kind: [] if start is None else [start]}
                    if kind == "frontal":
                        at = imm.truth(face, trial.corners)
                        starts["beside the face"] = [at @ aside(rng) for _ in range(STRAYS)]
                    for name, each in starts.items():
                        for initial in each:
                            found = register(face.picture, model, initial)
                            if found.converged:
                                error = imm.error(found.frame_from_canonical, face, trial.corners)
                                ends.append(End(name, error, found.quality, found.good))
    report(ends, claims)
    return claims.exit_code()


def aside(rng: np.random.Generator) -> np.ndarray:
    """A shift in the canonical frame, in a direction of its own."""
    angle, shift = rng.uniform(0.0, 2.0 * np.pi), np.eye(3)
    shift[:2, 2] = AWAY * np.array([np.cos(angle), np.sin(angle)])
    return shift


def report(ends: list[End], claims: Claims) -> None:
    known = [end for end in ends if end.kind != "turned"]
    right = [end.good for end in known if end.error <= WITHIN]
    wrong = [end.good for end in known if end.error > BESIDE]
    passed, rejected = 100 * np.mean(wrong), 100 * (1 - np.mean(right))
    claims.check(
        passed <= 1, f"{passed:.2f} % of {len(wrong)} searches that rest beside the face are good"
    )
    claims.check(rejected <= 2, f"{rejected:.2f} % of {len(right)} faces in their place are not")
    rows = []
    for kind in dict.fromkeys(end.kind for end in ends):
        for low, high in ((0, WITHIN), (WITHIN, FAILED), (FAILED, BESIDE), (BESIDE, np.inf)):
            some = [end for end in ends if end.kind == kind and low < end.error <= high]
            if some:
                quality = np.percentile([end.quality for end in some], [5, 50, 95])
                rows.append(
                    [kind, f"{low:.0f} to {high:.0f} %", len(some),
                     " ".join(f"{q:.2f}" for q in quality),
                     f"{100 * np.mean([end.good for end in some]):.1f} %"]
                )  # fmt: skip
    sizes = ", ".join(f"{size:.0f}" for size in SIZES)
    print_table(
        f"IMM, unseen people at {sizes} pixels interocular: quality by how far off a search ended",
        ["", "off by", "searches", "quality, 5 50 95 %", "good"],
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
