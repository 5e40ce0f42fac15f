"""Whether a user's own template registers the user's pictures better than the mean face (here it
does not where the model is trained on frontal ones alone).

    python benchmarks/shr_users.py [--splits 4]

IMM at 50 pixels interocular. Half of the people train, from frontal pictures or from these and the
spot-lit ones; the others are enrolled by their neutral picture, and their smiling one is registered
from the detector's box. Enrolled where the manual corners are, and where registration to the mean
face finds the face. Intervals of the difference: people drawn with replacement.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import imm_faces as imm
import numpy as np
from common import Claims, data_folder, parser_of, print_table
from shr_trials import model_of, trials

from holdstill.landmarks import similarity_of
from holdstill.registration.registering import register

RESAMPLINGS = 2000
WAYS = ("mean face", "user, enrolled by hand", "user, enrolled by registration")


def interval(differences: np.ndarray, people: np.ndarray) -> tuple[float, float]:
    """95 % of the mean difference, people drawn with replacement."""
    each = np.array([differences[people == person].mean() for person in np.unique(people)])
    drawn = np.random.default_rng(0).integers(len(each), size=(RESAMPLINGS, len(each)))
    low, high = np.percentile(each[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--splits", type=int, default=4, help="ways to divide the people")
    arguments = parser.parse_args()
    claims = Claims()
    folder = data_folder("imm")
    if folder is None:
        return 0
    lit = [imm.reduced(face, 50.0) for face in imm.read_faces(folder, imm.LIT)]
    runs = trials(folder, arguments.splits, 50.0, imm.FRONTAL)
    rows = []
    for training in ("frontal", "frontal and spot-lit"):
        errors: dict[str, list[float]] = {way: [] for way in WAYS}
        people = []
        for trial in runs:
            known = {face.person for face in trial.train}
            more = [face for face in lit if face.person in known and training != "frontal"]
            trial = replace(trial, train=[*trial.train, *more])
            model = model_of(trial.train, users=[face.person for face in trial.train])
            pairs = list(zip(trial.test, trial.found, strict=True))
            neutral = {face.person: (face, start) for face, start in pairs if face.kind == 1}
            for face, start in pairs:
                shown, shown_start = neutral[face.person]
                if face.kind == 1 or start is None or shown_start is None:
                    continue
                people.append(face.person)
                found = register(shown.picture, model, shown_start).frame_from_canonical
                by_hand = model.enrol("user", shown.picture, imm.truth(shown, trial.corners))
                registered = model.enrol("user", shown.picture, found)
                for way, its, user in zip(
                    WAYS, (model, by_hand, registered), (None, "user", "user"), strict=True
                ):
                    end = register(face.picture, its, start, user=user).frame_from_canonical
                    errors[way].append(imm.error(end, face, trial.corners))
        mean = np.array(errors[WAYS[0]])
        for way in WAYS:
            error = np.array(errors[way])
            low, high = interval(error - mean, np.array(people))
            less = (
                ""
                if way == WAYS[0]
                else f"{(error - mean).mean():+.2f} ({low:+.2f} to {high:+.2f})"
            )
            rows.append([training, way, f"{error.mean():.2f}", f"{np.median(error):.2f}",
                         f"{np.percentile(error, 95):.1f}", less])  # fmt: skip
        own = float(np.mean(errors[WAYS[1]]))
        claims.check(
            own < mean.mean(),
            f"trained on {training}: the user's template by hand, {own:.2f} %, is better than the "
            f"mean face's {mean.mean():.2f} %",
            missed=own <= 1.15 * mean.mean() if training == "frontal" else None,
        )
    # What the truth itself is worth: a smile moves the mouth's corners.
    between = [
        imm.error(similarity_of(face.corners[:4], trial.corners[:4]), face, trial.corners)
        for trial in runs for face in trial.test
    ]  # fmt: skip
    print_table(
        "IMM at 50 pixels, smiling faces from the detector, % of the interocular distance; the "
        f"truth by the eyes' corners and by all six are {np.mean(between):.2f} % apart",
        ["trained on", "registered to", "mean", "median", "95 %", "less the mean face's"],
        rows,
    )
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
