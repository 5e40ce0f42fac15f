"""What registering to a thousand users' templates costs, beside one, and where it ends.

    python benchmarks/shr_templates.py [--probes 8]

IMM at 50 pixels interocular. Half of the people train; the templates are the frontal and spot-lit
pictures of all, and mixtures of two of them up to a thousand. Probes are frontal pictures of the
others, from the detector. Both ways start where the mean face is found, on the finest octave; the
time of one template is its registration from the detector's box.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import imm_faces as imm
import numpy as np
from common import Claims, data_folder, parser_of, print_table
from peers import Rectangle, corner_distance
from shr_trials import SHAPE, model_of

from holdstill.registration.images import vectors_of
from holdstill.registration.model import FaceModel
from holdstill.registration.registering import register

USERS = 1000
KINDS = (*imm.FRONTAL, *imm.LIT)
CORNERS = Rectangle.all_of(SHAPE).corners()


def crowd(folder: Path) -> tuple[FaceModel, list[imm.Face]]:
    """A model with a thousand users, and the faces of people that did not train it."""
    faces = [imm.reduced(face, 50.0) for face in imm.read_faces(folder, KINDS)]
    people, _ = imm.split([face.person for face in faces], 0)
    train = [face for face in faces if face.person in people]
    corners = imm.shape_of(train, SHAPE)
    model = model_of(train, users=[face.person for face in train])
    rng = np.random.default_rng(0)
    first, second = rng.integers(len(faces), size=(2, USERS))
    first[: len(faces)] = np.arange(len(faces))
    share = rng.uniform(0.6, 1.0, (USERS, 1))
    share[: len(faces)] = 1.0
    pictures = [face.picture for face in faces]
    truths = np.stack([imm.truth(face, corners) for face in faces])
    octaves = []
    for level, octave in enumerate(model.octaves):
        seen = vectors_of(pictures, truths, octave.roi, level, model.features, model.sigma)
        mixed = share * seen[first] + (1.0 - share) * seen[second]
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        octaves.append(replace(octave, templates=mixed.astype(np.float32)))
    names = tuple(f"user {k}" for k in range(USERS))
    pictures_of = np.zeros((USERS, *SHAPE), np.uint8)
    big = replace(model, octaves=tuple(octaves), users=names, thumbnails=pictures_of)
    return big, [face for face in faces if face.person not in people and face.kind in imm.FRONTAL]


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--probes", type=int, default=8)
    arguments = parser.parse_args()
    claims = Claims()
    folder = data_folder("imm")
    if folder is None:
        return 0
    model, faces = crowd(folder)
    registrar = model.registrar(users=True)
    rows, ratios, distances = [], [], []
    for face in faces[:: max(1, len(faces) // arguments.probes)][: arguments.probes]:
        start = imm.detected(face, SHAPE)
        if start is None:
            continue
        general = register(face.picture, model, start).frame_from_canonical
        alone = [registrar.register(face.picture, general, template=k) for k in range(USERS)]
        together: Any = {}
        one, every = [], []
        for k in range(0, USERS, USERS // 10):
            began = time.perf_counter()
            register(face.picture, model, start, user=model.users[k])
            one.append(time.perf_counter() - began)
            began = time.perf_counter()
            together = registrar.register_all(face.picture, general, lowpass_from=general)
            every.append(time.perf_counter() - began)
        ends = together["frame_from_canonical"]
        off = np.array([
            corner_distance(one.frame_from_canonical, end, CORNERS)
            for one, end in zip(alone, ends, strict=True)
        ])  # fmt: skip
        distances.append(off)
        ratios.append(float(np.median(every) / np.median(one)))
        rows.append([face.person, f"{1e3 * np.median(one):.2f}", f"{1e3 * np.median(every):.0f}",
                     f"{ratios[-1]:.0f}", together["evaluations"],
                     *(f"{np.percentile(off, p):.3f}" for p in (50, 90, 99)),
                     f"{100 * (off < 0.1).mean():.1f} %"])  # fmt: skip
    print_table(
        f"IMM at 50 pixels, {USERS} templates, one thread: time, and canonical pixels between a "
        "template's end and its end alone",
        ["probe", "one, ms", "all, ms", "ratio", "warps", "median", "90 %", "99 %", "within 0.1"],
        rows,
    )
    ratio, near = float(np.median(ratios)), 100.0 * float((np.concatenate(distances) < 0.1).mean())
    claims.check(
        ratio <= 50.0,
        f"{USERS} templates cost {ratio:.0f} times one, at most 50",
        missed=ratio <= 350.0,
    )
    claims.check(
        near == 100.0,
        f"all end within 0.1 px of where they do alone: {near:.1f} % of them",
        missed=near >= 80.0,
    )
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
