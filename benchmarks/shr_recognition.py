"""Claim: faces that SHR registered are recognised as well as those registered by hand.

    python benchmarks/shr_recognition.py [--splits 4]

IMM at 50 pixels interocular. Half of the people train the face model, the classifier and nothing
else; of each of the others the neutral frontal picture is the gallery, and the smiling and the
spot-lit one are probes. Each picture is registered, gallery and probes alike, (a) from the
detector's box alone, (b) by SHR from there, (c) by the manual corners of eyes and mouth. Scores:
eigenfaces (correlation of whitened components), LDA on components, and the log-likelihood ratio of
a probe under the user's Gaussian and under everybody's. Intervals: people drawn with replacement.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imm_faces as imm
import numpy as np
from common import Claims, data_folder, parser_of, peer, print_table
from shr_trials import SHAPE, model_of

from holdstill import _core
from holdstill.recognition import equal_error_rate, rank_one
from holdstill.reference.subspace import log_likelihood
from holdstill.registration.model import FaceModel
from holdstill.registration.registering import register

GALLERY, PROBES = 1, (2, 5)
WAYS = ("detector alone", "SHR", "manual corners")
SCORES = ("eigenfaces", "LDA", "log-likelihood ratio")
RESAMPLINGS = 1000

Table = Any
"""Scores (probes, gallery), who the probes are, who the gallery."""


def transforms(
    way: str, faces: Sequence[imm.Face], starts: Sequence[Any], model: FaceModel, corners: Any
) -> list[Any]:
    """Where each face is, by one of the ways."""
    if way == "manual corners":
        return [imm.truth(face, corners) for face in faces]
    if way == "detector alone":
        return list(starts)
    return [
        register(face.picture, model, start).frame_from_canonical
        for face, start in zip(faces, starts, strict=True)
    ]


def vectors(model: FaceModel, faces: Sequence[imm.Face], found: Sequence[Any]) -> Any:
    """Unit-norm vectors of registered faces, (n, D)."""
    return np.stack([
        _core.linearize(
            face.picture, F, shape=SHAPE, motion="similarity", features=model.features,
            sigma=model.sigma, roi=model.octaves[0].roi,
        ).vector
        for face, F in zip(faces, found, strict=True)
    ])  # fmt: skip


def score_tables(model: FaceModel, train: Any, people: Any, gallery: Any, probes: Any) -> Any:
    """Scores (probes, gallery) by each of `SCORES`; all vectors come from the same way."""
    decomposition, discriminant = (
        peer("sklearn.decomposition"),
        peer("sklearn.discriminant_analysis"),
    )

    def cosine(of_probes: Any, of_gallery: Any) -> Any:
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (of_probes, of_gallery)]
        return unit[0] @ unit[1].T

    pca = decomposition.PCA(model.n_components, whiten=True, svd_solver="full").fit(train)
    lda = discriminant.LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    lda.fit(pca.transform(train), people)
    general = model.gaussians()[0].subspace
    within = model.gaussians(model.users[0])[0].subspace
    everybody = np.array([log_likelihood(v, general) for v in probes])
    own = [[log_likelihood(v, within._replace(mean=t)) for t in gallery] for v in probes]
    return {
        "eigenfaces": cosine(pca.transform(probes), pca.transform(gallery)),
        "LDA": cosine(lda.transform(pca.transform(probes)), lda.transform(pca.transform(gallery))),
        "log-likelihood ratio": np.array(own) - everybody[:, None],
    }


def of_split(folder: Path, seed: int) -> Any:
    """Of each way and score the table of one split, and who its rows and columns are."""
    faces = [imm.reduced(face, 50.0) for face in imm.read_faces(folder, (GALLERY, *PROBES))]
    starts = {id(face): imm.detected(face, SHAPE) for face in faces}
    missed = {face.person for face in faces if starts[id(face)] is None}
    train_people, test_people = imm.split([face.person for face in faces], seed)
    train = [f for f in faces if f.person in train_people - missed]
    test = [f for f in faces if f.person in test_people - missed]
    corners = imm.shape_of(train, SHAPE)
    model = model_of(train, users=[face.person for face in train])
    people = np.array([face.person for face in train])
    manual = vectors(model, train, transforms(WAYS[2], train, [], model, corners))
    of_gallery = np.array([face.kind == GALLERY for face in test])
    who = np.array([face.person for face in test])
    tables = {}
    for way in WAYS:
        found = transforms(way, test, [starts[id(face)] for face in test], model, corners)
        seen = vectors(model, test, found)
        tables[way] = score_tables(model, manual, people, seen[of_gallery], seen[~of_gallery])
    return tables, who[~of_gallery], who[of_gallery]


def rates(table: Any, probes: Any, gallery: Any) -> tuple[float, float]:
    """Equal error rate and share recognised first, %."""
    same = probes[:, None] == gallery
    return (
        100.0 * equal_error_rate(table[same], table[~same]),
        100.0 * float(rank_one(table, probes, gallery).mean()),
    )


def resampled(runs: Sequence[Any], score: str, rng: np.random.Generator) -> Any:
    """Differences of SHR and manual, (RESAMPLINGS, 2): people drawn anew in every split."""
    differences = []
    for _ in range(RESAMPLINGS):
        each = []
        for tables, probes, gallery in runs:
            drawn = rng.choice(len(gallery), len(gallery))
            # Whoever is drawn twice counts twice as a probe, and is never an impostor of himself.
            rows = np.concatenate([np.flatnonzero(probes == gallery[k]) for k in drawn])
            columns = np.unique(drawn)
            pair = [
                rates(tables[way][score][rows][:, columns], probes[rows], gallery[columns])
                for way in WAYS[1:]
            ]
            each.append(np.subtract(*pair))
        differences.append(np.mean(each, axis=0))
    return np.array(differences)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--splits", type=int, default=4, help="ways to divide the people")
    arguments = parser.parse_args()
    claims = Claims()
    folder = data_folder("imm")
    if folder is None:
        return 0
    runs = [of_split(folder, seed) for seed in range(arguments.splits)]
    rng = np.random.default_rng(0)
    rows = []
    for score in SCORES:
        means = {
            way: np.mean([rates(tables[way][score], *who) for tables, *who in runs], axis=0)
            for way in WAYS
        }
        low, high = np.percentile(resampled(runs, score, rng), [2.5, 97.5], axis=0)
        ends = [f"{a:+.1f} to {b:+.1f}" for a, b in zip(low, high, strict=True)]
        for way in WAYS:
            rows.append([score, way, *(f"{rate:.1f}" for rate in means[way]),
                         *(ends if way == "SHR" else ["", ""])])  # fmt: skip
        for k, (what, worse) in enumerate((("equal error rate", 1.0), ("rank-1", -1.0))):
            lost = worse * (means["SHR"][k] - means["manual corners"][k])
            claims.check(
                lost < 1.0 or low[k] <= 0.0 <= high[k],
                f"{score}, {what}: SHR is {lost:.1f} points behind manual corners "
                f"({ends[k]}), below 1 or no more than chance",
            )
    count = f"{len(runs[0][2])} people enrolled by one picture, {len(runs[0][1])} probes"
    print_table(
        f"IMM at 50 pixels, {count}, {len(runs)} splits, %; SHR less manual: 95 % interval over "
        "people",
        ["score", "registered by", "equal error", "rank-1", "less manual: equal error", "rank-1"],
        rows, packages=["scikit-learn"],
    )  # fmt: skip
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
