"""Faces of people that a model has not seen, registered to it: splits, ways, scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imm_faces as imm
import numpy as np

from holdstill.registration.model import FaceModel
from holdstill.registration.registering import register

SHAPE = (64, 64)
OFFSET = 7.8
"""% of the interocular distance by which given starts are displaced on average."""
FAILURE = 10.0
"""% of it: a larger error is one."""
COLUMNS = ("mean", "median", "95 %", "failures", "evaluations", "ms")


@dataclass
class Scores:
    """Errors of one way, % of the interocular distance, and what they cost."""

    errors: list[float] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    missed: int = 0

    def add(self, error: float, evaluations: int = 0, seconds: float = 0.0) -> None:
        self.errors.append(error)
        self.evaluations.append(evaluations)
        self.seconds.append(seconds)

    @property
    def mean(self) -> float:
        return float(np.mean(self.errors))

    @property
    def failures(self) -> float:
        return 100.0 * float(np.mean(np.array(self.errors) > FAILURE))

    def cells(self) -> list[str]:
        return [
            f"{self.mean:.2f}",
            f"{np.median(self.errors):.2f}",
            f"{np.percentile(self.errors, 95):.1f}",
            f"{self.failures:.1f} %",
            f"{np.mean(self.evaluations):.0f}",
            f"{1e3 * np.median(self.seconds):.0f}",
        ]


@dataclass(frozen=True)
class Trial:
    """One split: the training faces, the others at some size, and their starts."""

    train: list[imm.Face]
    test: list[imm.Face]
    corners: Any
    given: list[Any]
    found: list[Any]


def trials(folder: Path, splits: int, interocular: float, kinds: Sequence[int]) -> list[Trial]:
    """The same splits and given starts at every size."""
    faces = imm.read_faces(folder, imm.FRONTAL)
    others = faces if kinds == imm.FRONTAL else imm.read_faces(folder, kinds)
    at_fifty = [imm.reduced(face, 50.0) for face in faces]
    smaller = [imm.reduced(face, interocular) for face in others]
    boxes = [imm.detected(face, SHAPE) for face in smaller]
    made = []
    for seed in range(splits):
        train, test = imm.split([face.person for face in faces], seed)
        learnt = [face for face in at_fifty if face.person in train]
        corners = imm.shape_of(learnt, SHAPE)
        held = [k for k, face in enumerate(smaller) if face.person in test]
        rng = np.random.default_rng(seed)
        sizes = rng.rayleigh(OFFSET / np.sqrt(np.pi / 2), len(held))
        given = [imm.displaced(smaller[k], corners, size, rng)
                 for k, size in zip(held, sizes, strict=True)]  # fmt: skip
        made.append(
            Trial(learnt, [smaller[k] for k in held], corners, given, [boxes[k] for k in held])
        )
    return made


def model_of(faces: Sequence[imm.Face], **options: Any) -> FaceModel:
    """The model of these faces, by their manual corners."""
    return FaceModel.fit(
        [face.picture for face in faces], points=[face.corners for face in faces], shape=SHAPE,
        **options,
    )  # fmt: skip


Way = Callable[[FaceModel, imm.Face, Any], tuple[Any, int]]


def by(**options: Any) -> Way:
    """A way to register a face of a trial; octaves as far as the model has them."""

    def way(model: FaceModel, face: imm.Face, start: Any) -> tuple[Any, int]:
        levels = options.get("levels")
        capped = levels and min(levels, len(model.octaves))
        found = register(face.picture, model, start, **{**options, "levels": capped})
        return found.frame_from_canonical, found.evaluations

    return way


def unmoved(model: FaceModel, face: imm.Face, start: Any) -> tuple[Any, int]:
    return start, 0


def measure(runs: Sequence[Trial], way: Way, start: str = "found", **options: Any) -> Scores:
    """One way over all trials."""
    scores = Scores()
    for trial in runs:
        model = model_of(trial.train, **options)
        for face, initial in zip(trial.test, getattr(trial, start), strict=True):
            if initial is None:
                scores.missed += 1
                continue
            began = time.perf_counter()
            found, evaluations = way(model, face, initial)
            seconds = time.perf_counter() - began
            scores.add(imm.error(found, face, trial.corners), evaluations, seconds)
    return scores
