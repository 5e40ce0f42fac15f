"""Claim: what registers faces best is chosen without the people that it is tested on.

    python benchmarks/shr_choice.py [--splits 6]

IMM at 50 pixels interocular, frontal, from the detector's boxes. Half of the people are the test.
Among the others, halves train and measure one another under every candidate: feature, sigma,
region, octaves. The candidate of the least mean error is fitted to all of them and tested once,
beside the defaults and the downhill simplex with the chosen model.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import imm_faces as imm
import numpy as np
from common import Claims, data_folder, parser_of, print_table
from shr_trials import SHAPE, Scores, Trial, by, measure, trials, unmoved

INNER = 2
"""Ways to halve the training people, each in both directions."""


@dataclass(frozen=True)
class Candidate:
    """A model's options and the number of octaves that are searched."""

    features: str
    sigma: float
    roi: str
    levels: int | None

    @property
    def model(self) -> dict[str, Any]:
        return {"features": self.features, "sigma": self.sigma, "roi": self.roi}

    def __str__(self) -> str:
        sigma = "" if self.features == "grey" else f" {self.sigma}"
        octaves = {None: "octaves as needed", 1: "finest octave", 3: "all octaves"}[self.levels]
        return f"{self.features}{sigma}, {self.roi}, {octaves}"


CANDIDATES = [
    Candidate(features, sigma, roi, levels)
    for features in ("edges", "magnitude", "grey")
    for sigma in ((0.8, 1.2, 2.0) if features != "grey" else (0.8,))
    for roi in ("face", "upper-face")
    for levels in (None, 1, 3)
]
DEFAULT = Candidate("edges", 0.8, "face", None)


def inner_trials(train: list[imm.Face], starts: dict[int, Any], seed: int) -> list[Trial]:
    """Halves of the training people that train and measure one another."""
    made = []
    for inner in range(INNER):
        halves = imm.split([face.person for face in train], 1000 * seed + inner)
        for learn, held in (halves, halves[::-1]):
            learnt = [face for face in train if face.person in learn]
            measured = [face for face in train if face.person in held]
            made.append(Trial(learnt, measured, imm.shape_of(learnt, SHAPE), [],
                              [starts[id(face)] for face in measured]))  # fmt: skip
    return made


def choose(runs: list[Trial]) -> Candidate:
    """The candidate of the least mean error."""
    return min(
        CANDIDATES, key=lambda each: measure(runs, by(levels=each.levels), **each.model).mean
    )


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--splits", type=int, default=6, help="ways to divide the people")
    arguments = parser.parse_args()
    claims = Claims()
    folder = data_folder("imm")
    if folder is None:
        return 0
    rows, boxes, simplex = [], Scores(), Scores()
    chosen, default = Scores(), Scores()
    for seed, trial in enumerate(trials(folder, arguments.splits, 50.0, imm.FRONTAL)):
        starts = {id(face): imm.detected(face, SHAPE) for face in trial.train}
        best = choose(inner_trials(trial.train, starts, seed))
        tested = {
            "chosen": (chosen, measure([trial], by(levels=best.levels), **best.model)),
            "default": (default, measure([trial], by())),
            "simplex": (simplex, measure([trial], by(search="simplex"), **best.model)),
            "detector": (boxes, measure([trial], unmoved)),
        }
        for total, scores in tested.values():
            total.errors += scores.errors
        rows.append([seed, str(best), *(f"{scores.mean:.2f}" for _, scores in tested.values())])
    totals = [chosen, default, simplex, boxes]
    rows.append(["all", "", *(f"{scores.mean:.2f}" for scores in totals)])
    rows.append(["failures", "", *(f"{scores.failures:.1f} %" for scores in totals)])
    print_table(
        "IMM at 50 pixels, unseen people, from the detector, mean error in % of the interocular "
        "distance; chosen among the training people alone",
        ["split", "chosen", "chosen's error", "defaults", "chosen, simplex", "detector"],
        rows, packages=["opencv-python-headless"],
    )  # fmt: skip
    claims.check(chosen.mean <= 3.0, f"chosen without the test people: {chosen.mean:.2f} %")
    claims.check(
        abs(chosen.mean - default.mean) <= 0.1 * np.mean([chosen.mean, default.mean]),
        f"the defaults, {default.mean:.2f} %, are within a tenth of that",
    )
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
