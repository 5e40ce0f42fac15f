"""Claim: faces of people that a model has never seen are registered to it within 3 % of the
interocular distance, from the detector's boxes, and within 4 % at 20 pixels.

    python benchmarks/shr_registration.py [--splits 4] [--only speed]

IMM: half of the people train the model, from frontal pictures at 50 pixels interocular; the frontal
pictures of the others are reduced, detected and registered. The error is the mean distance, over
the eye and mouth corners, between where the transform found and the truth put the mean face's
corners; the truth is the least-squares similarity from the mean corners to the manual ones. A
failure is an error above 10 %. Extended Yale B: features under lights from aside.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imm_faces as imm
import numpy as np
import yaleb
from common import Claims, data_folder, parser_of, print_table
from face_mesh import CORNERS as MESH_CORNERS
from face_mesh import meshes
from peers import ecc
from shr_trials import COLUMNS, FAILURE, OFFSET, Scores, by, measure, model_of, trials, unmoved

from holdstill.landmarks import similarity_of
from holdstill.reference.motion import map_points
from holdstill.reference.registration import register_frame
from holdstill.registration.model import FaceModel
from holdstill.registration.registering import register

SIZES = (50, 40, 30, 20, 15, 10, 8)


def by_ecc(model: FaceModel, face: imm.Face, start: Any) -> tuple[Any, int]:
    """OpenCV's ECC to the mean face; where it gives up, the start."""
    found = ecc(face.picture, model.face, start)
    return (start if found is None else found), 0


def sizes(folder: Path, splits: int, claims: Claims) -> None:
    rows = []
    for size in SIZES:
        runs = trials(folder, splits, size, imm.FRONTAL)
        boxes, found, given = (
            measure(runs, unmoved), measure(runs, by()), measure(runs, by(), "given")
        )  # fmt: skip
        rows.append([f"{size} px", f"{boxes.mean:.2f}", boxes.missed, *found.cells()[:4],
                     f"{given.mean:.2f}", f"{given.failures:.1f} %"])  # fmt: skip
        bar = {50: 3.0, 20: 4.0}.get(size)
        if bar is not None:
            claims.check(
                found.mean <= bar,
                f"{found.mean:.2f} % from the detector at {size} px, at most {bar:.0f} %",
            )
            claims.check(found.mean <= boxes.mean / 2,
                         f"at most half of the detector's own {boxes.mean:.2f} %")  # fmt: skip
    print_table(
        f"IMM, unseen people, % of the interocular distance; given starts {OFFSET} % away",
        ["interocular", "detector", "missed", "mean", "median", "95 %", "failures", "given: mean",
         "failures"],
        rows, packages=["opencv-python-headless"],
    )  # fmt: skip


def variants(folder: Path, splits: int, claims: Claims) -> None:
    runs = trials(folder, splits, 50.0, imm.FRONTAL)
    scores = {
        "detector alone": measure(runs, unmoved),
        "edges, gradient": measure(runs, by()),
        "edges, gradient, finest octave alone": measure(runs, by(levels=1)),
        "edges, gradient, always all octaves": measure(runs, by(levels=3)),
        "edges, simplex": measure(runs, by(search="simplex")),
        "DIFS alone": measure(runs, by(distance="difs")),
        "DFFS alone": measure(runs, by(distance="dffs")),
        "rho over all D - M": measure(runs, by(), rho="all"),
        "magnitude": measure(runs, by(), features="magnitude"),
        "grey": measure(runs, by(), features="grey"),
        "upper face": measure(runs, by(), roi="upper-face"),
        "affine": measure(runs, by(motion="affine")),
        "ECC to the mean face, affine": measure(runs, by_ecc),
    }
    for name, kinds in (("edges, 30 degrees turned", imm.TURNED), ("edges, spot light", imm.LIT)):
        scores[name] = measure(trials(folder, splits, 50.0, kinds), by())
    for feature in ("magnitude", "grey"):
        scores[f"{feature}, spot light"] = measure(
            trials(folder, splits, 50.0, imm.LIT), by(), features=feature
        )
    print_table(
        "IMM at 50 pixels interocular, from the detector, % of the interocular distance",
        ["", *COLUMNS],
        [[name, *found.cells()] for name, found in scores.items()],
        packages=["opencv-python-headless"],
    )
    edges, simplex = scores["edges, gradient"], scores["edges, simplex"]
    claims.check(edges.mean < scores["DIFS alone"].mean / 2, "DIFS + DFFS is better than DIFS")
    claims.check(edges.mean < scores["grey"].mean, "edges are better than grey")
    claims.check(
        60 < np.mean(simplex.evaluations) < 150,
        f"the simplex takes about 100 evaluations: {np.mean(simplex.evaluations):.0f}",
    )
    claims.check(
        edges.mean <= simplex.mean,
        f"the gradient's error, {edges.mean:.2f} %, is no larger than the simplex's "
        f"{simplex.mean:.2f} %",
    )


def offsets(folder: Path, splits: int) -> None:
    """From manual eyes, displaced by known amounts."""
    rng, rows = np.random.default_rng(0), []
    runs = trials(folder, splits, 50.0, imm.FRONTAL)
    for percent in (0, 5, 10, 15, 20, 25):
        moved = []
        for trial in runs:
            starts = []
            for face in trial.test:
                # The truth of the eyes' four corners alone.
                eyes = similarity_of(face.corners[:4], trial.corners[:4])
                offset = imm.displaced(face, trial.corners, percent, rng) if percent else None
                away = (
                    np.eye(3)
                    if offset is None
                    else offset @ np.linalg.inv(imm.truth(face, trial.corners))
                )
                starts.append(away @ eyes)
            moved.append(replace(trial, given=starts))
        before, after = measure(moved, unmoved, "given"), measure(moved, by(), "given")
        rows.append([f"{percent} %", f"{before.mean:.2f}", *after.cells()[:5]])
    print_table(
        "IMM at 50 pixels, from the manual eyes displaced by a share of the interocular distance",
        ["displaced by", "start", *COLUMNS[:5]],
        rows,
    )


def beside_mesh(folder: Path, splits: int) -> None:
    """MediaPipe's landmarks: their corners taken for the manual ones, and their own mean corners,
    learnt on the training people, in the place of the annotation's."""
    rows = []
    for size in (50.0, 20.0, 10.0):
        runs = trials(folder, splits, size, imm.FRONTAL)
        smaller = [imm.reduced(face, size) for face in imm.read_faces(folder, imm.FRONTAL)]
        found = meshes([face.picture for face in smaller])
        if found is None:
            return
        points, ms = found[0][:, list(MESH_CORNERS), :2], found[1]
        seen = np.isfinite(points).all(axis=(1, 2))
        ours, plain, learnt = measure(runs, by()), Scores(), Scores()
        for trial in runs:
            tested = {face.person for face in trial.test}
            own = np.mean(
                [
                    map_points(np.linalg.inv(imm.truth(face, trial.corners)), at)
                    for face, at, there in zip(smaller, points, seen, strict=True)
                    if there and face.person not in tested
                ],
                axis=0,
            )
            for face, at, there in zip(smaller, points, seen, strict=True):
                if there and face.person in tested:
                    for scores, mean in ((plain, trial.corners), (learnt, own)):
                        scores.add(imm.error(similarity_of(at, mean), face, trial.corners))
        rows.append([f"{size:.0f} px", f"{ours.mean:.2f}", f"{plain.mean:.2f}",
                     f"{learnt.mean:.2f}", f"{100 * seen.mean():.0f} %",
                     f"{1e3 * np.median(ours.seconds):.1f}", f"{np.median(ms):.1f}"])  # fmt: skip
    print_table(
        "IMM beside MediaPipe's face mesh, % of the interocular distance",
        ["interocular", "registered", "MediaPipe", "with its own mean corners", "found", "ms",
         "MediaPipe, ms"],
        rows,
    )  # fmt: skip


def lights(folder: Path, claims: Claims) -> None:
    """Half of the people train each feature's model. The others are registered under every light,
    from displaced starts: to where the model puts them when lit from the front. (The pictures of a
    person are aligned with each other, those of two people by the eyes only.)"""
    rng = np.random.default_rng(0)
    people = [yaleb.read_person(each) for each in sorted(folder.iterdir()) if each.is_dir()]
    order = rng.permutation(len(people))
    half = len(order) // 2
    canonical = yaleb.PICTURE_FROM_CANONICAL
    roi = np.zeros(yaleb.SHAPE, dtype=bool)
    x, y, width, height = yaleb.REGION
    roi[y : y + height, x : x + width] = True
    train = [lit for k in order[:half] for lit in people[k] if lit.light < 50.0][::2]
    reach = yaleb.EYE_DISTANCE / 2
    # Nominal: eye corners, and a mouth below them.
    offsets = np.array([[-1, 0], [1, 0], [-0.35, 0], [0.35, 0], [-0.5, 1.3], [0.5, 1.3]])
    corners = np.array(yaleb.EYES) + reach * offsets
    tests, fronts = [], {}
    for k in order[half:]:
        fronts[int(k)] = min(people[k], key=lambda lit: lit.light)
        for lit in people[k][::3]:
            face = imm.Face(int(k), 0, lit.picture, 2.0 * corners + 0.5)
            size = rng.rayleigh(OFFSET / np.sqrt(np.pi / 2))
            tests.append((face, lit.light, imm.displaced(face, corners, size, rng)))
    light = np.array([test[1] for test in tests])
    limits = {"below 25": (0, 25), "25 to 50": (25, 50), "above": (50, 180)}
    groups = {name: (light >= low) & (light < high) for name, (low, high) in limits.items()}
    rows, means = [], {}
    for feature in ("grey", "magnitude", "edges"):
        model = FaceModel.fit(
            [lit.picture for lit in train], np.stack([canonical] * len(train)), shape=yaleb.SHAPE,
            roi=roi, features=feature,
        )  # fmt: skip
        homes = {
            person: register(front.picture, model, canonical).frame_from_canonical
            for person, front in fronts.items()
        }
        errors = []
        for face, _, start in tests:
            there = replace(face, corners=map_points(homes[face.person], corners))
            found = register(face.picture, model, start)
            errors.append(imm.error(found.frame_from_canonical, there, corners))
        found_errors = np.array(errors)
        means[feature] = found_errors.mean()
        rows.append([feature, *(f"{found_errors[which].mean():.2f}" for which in groups.values()),
                     f"{100 * (found_errors > FAILURE).mean():.1f} %"])  # fmt: skip
    print_table(
        f"Extended Yale B, {len(tests)} pictures of unseen people, starts {OFFSET} % away: mean "
        "distance from the same face lit from the front, % of the interocular distance, by the "
        "light's angle from the axis in degrees",
        ["", *groups, "failures"],
        rows,
    )
    claims.check(
        means["edges"] < min(means["grey"], means["magnitude"]),
        "over all lights together edges are best",
    )


def speed(folder: Path, claims: Claims) -> None:
    """One thread, 50 pixels interocular, 64x64, edges, M = 50; ratios of medians in one run."""
    kinds = (*imm.FRONTAL, *imm.LIT)
    trial = trials(folder, 1, 50.0, imm.FRONTAL)[0]
    train = [imm.reduced(face, 50.0) for face in imm.read_faces(folder, kinds)]
    people = {face.person for face in trial.train}
    model = model_of([face for face in train if face.person in people], components=50)
    octaves = model.gaussians()
    ways: dict[str, Callable[[imm.Face, Any], Any]] = {
        "gradient": lambda face, start: register(face.picture, model, start),
        "gradient, all octaves": lambda f, s: register(f.picture, model, s, levels=len(octaves)),
        "gradient, finest octave": lambda f, start: register(f.picture, model, start, levels=1),
        "simplex, finest octave": lambda f, s: register(f.picture, model, s, search="simplex"),
        "NumPy twin, gradient, all octaves": lambda f, s: register_frame(f.picture, octaves, s),
        "ECC to the mean face, affine": lambda face, start: ecc(face.picture, model.face, start),
    }
    ways["gradient, finest octave"](trial.test[0], trial.found[0])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    errors: dict[str, list[float]] = {name: [] for name in ways}
    rng = np.random.default_rng(0)
    for face, start in zip(trial.test, trial.found, strict=True):
        # None always after the one that leaves the caches cold.
        for name in rng.permutation(list(ways)).tolist():
            way = ways[name]
            began = time.perf_counter()
            found = way(face, start)
            seconds[name].append(time.perf_counter() - began)
            end = getattr(found, "frame_from_canonical", start if found is None else found)
            errors[name].append(imm.error(end, face, trial.corners))
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    base = medians["gradient"]
    print_table(
        "IMM at 50 pixels, 64x64, edges, 50 components, one thread",
        ["", "ms", "times the gradient's", "mean error"],
        [[name, f"{1e3 * median:.2f}", f"{median / base:.1f}", f"{np.mean(errors[name]):.2f}"]
         for name, median in medians.items()],
        packages=["opencv-python-headless"],
    )  # fmt: skip
    ratio = base / medians["simplex, finest octave"]
    claims.check(ratio <= 1 / 3, f"a gradient costs {ratio:.2f} of a simplex")
    twin = medians["NumPy twin, gradient, all octaves"] / medians["gradient, all octaves"]
    claims.check(twin >= 10, f"the NumPy twin is {twin:.1f} times slower, at least 10")
    peer = medians["ECC to the mean face, affine"] / base
    claims.check(peer >= 5, f"ECC is {peer:.1f} times slower, at least 5", missed=peer >= 3.2)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--splits", type=int, default=4, help="ways to divide the people")
    parser.add_argument(
        "--only", choices=["sizes", "offsets", "variants", "mesh", "lights", "speed"]
    )
    arguments = parser.parse_args()
    claims = Claims()
    faces, lit = data_folder("imm"), data_folder("yaleb")
    parts = {
        "sizes": (faces, lambda: sizes(faces, arguments.splits, claims)),
        "offsets": (faces, lambda: offsets(faces, arguments.splits)),
        "variants": (faces, lambda: variants(faces, arguments.splits, claims)),
        "mesh": (faces, lambda: beside_mesh(faces, arguments.splits)),
        "lights": (lit, lambda: lights(lit, claims)),
        "speed": (faces, lambda: speed(faces, claims)),
    }
    for name, (folder, run) in parts.items():
        if folder is not None and arguments.only in (None, name):
            run()
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
