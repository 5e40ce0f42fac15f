"""``holdstill model`` and ``holdstill register``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from holdstill.archive import refuse_foreign
from holdstill.cli.face_options import REGISTER_OPTIONS, TRAIN_OPTIONS
from holdstill.cli.parsing import Output, facts_of, given, sources_of
from holdstill.cli.progress import progress_of
from holdstill.cli.texts import counted, listed, without_start
from holdstill.face_run import register_to_folder
from holdstill.outputs import refuse_missing_folder
from holdstill.recording import refuse_other_contents
from holdstill.registration.learning import FACE_SHAPE
from holdstill.registration.model import FaceModel
from holdstill.run import NothingAlignedError
from holdstill.sources import open as open_source
from holdstill.stores import refuse_url
from holdstill.training import enrol_from, read_training


def run_model(options: argparse.Namespace) -> Output:
    """``holdstill model train`` and ``holdstill model enrol``."""
    refuse_missing_folder(options.out)
    refuse_foreign(options.out)
    return {"train": _train, "enrol": _enrol}[options.action](options)


def _train(options: argparse.Namespace) -> Output:
    started = time.perf_counter()
    if hasattr(options, "landmarks") and not hasattr(options, "points"):
        raise ValueError("--landmarks: they choose among --points, which are not given")
    keywords = given(options, TRAIN_OPTIONS)
    if not hasattr(options, "registered"):
        keywords.setdefault("shape", FACE_SHAPE)
    with open_source(sources_of(options)) as frames:
        training = read_training(
            frames,
            shape=keywords.get("shape", FACE_SHAPE),
            **given(options, ("points", "landmarks", "initial", "users")),
        )
    model = training.fit(**keywords)
    model.save(options.out)
    result = {
        "model": options.out,
        "summary": repr(model),
        "images": len(training.images),
        "left_out": training.left_out,
        "users": list(model.users),
        "seconds": time.perf_counter() - started,
    }
    text = f"{model!r} in {result['seconds']:.1f} s: {options.out}"
    if training.left_out:
        text += f"\n{len(training.left_out)} images left out"
    return result, text


def _enrol(options: argparse.Namespace) -> Output:
    model = FaceModel.load(options.model)
    with open_source(sources_of(options)) as frames:
        enrolled, found = enrol_from(
            model, options.user, frames, **given(options, ("initial", "minimum_size"))
        )
    enrolled.save(options.out)
    result = {
        "model": options.out,
        "summary": repr(enrolled),
        "user": options.user,
        "images": len(found),
        "log_likelihood": [end.log_likelihood for end in found],
        "frame_from_canonical": [end.frame_from_canonical for end in found],
        "users": list(enrolled.users),
    }
    return result, f"{enrolled!r} with {options.user}: {options.out}"


def run_register(options: argparse.Namespace) -> Output:
    """``holdstill register``."""
    refuse_url(options.out, "a run of registered faces")
    refuse_other_contents(Path(options.out), resumable=False)
    model = FaceModel.load(options.model)
    with (
        open_source(sources_of(options)) as frames,
        progress_of(options, "register", "frames") as progress,
    ):
        try:
            summary = register_to_folder(
                frames,
                model,
                options.out,
                getattr(options, "initial", None),
                pictures=not options.no_pictures,
                csv=options.csv,
                progress=progress,
                facts=facts_of(options),
                **given(options, REGISTER_OPTIONS),
            )
        except NothingAlignedError as error:
            lines = [str(error), *_suspicions(options, error.summary)]
            raise NothingAlignedError("\n".join(lines), error.summary) from None
    lines = [
        f"{summary['faces']} faces in {summary['frames']} frames: {counted(summary['status'])}; "
        f"{summary['good']} good",
        *_suspicions(options, summary),
        f"{summary['frames_per_second']:.1f} frames/s, "
        f"{summary['mean_evaluations'] or 0:.1f} evaluations a face, "
        f"{summary['detections']} detections",
        listed(options.out),
    ]
    return {"run": options.out, **summary}, "\n".join(lines)


def _suspicions(options: argparse.Namespace, summary: dict[str, Any]) -> list[str]:
    """Why a run may have come to little, and what to do."""
    not_found = summary["status"].get("not_found", 0)
    if hasattr(options, "initial") and not_found:
        return [without_start(not_found, options.initial)]
    if not summary["good"]:
        return ["no face is good: look at the contact sheet; was it a face that was detected?"]
    return []
