"""The commands: each returns its results as an object and as text."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdstill.cli.animate_command import run_animate
from holdstill.cli.apply_command import run_apply
from holdstill.cli.face_commands import run_model, run_register
from holdstill.cli.mouth_command import run_mouth
from holdstill.cli.options import ALIGN_OPTIONS, FIT_OPTIONS
from holdstill.cli.parsing import facts_of, given, sources_of
from holdstill.cli.progress import progress_of
from holdstill.cli.texts import counted, listed, quoted, report_text
from holdstill.dictionary import Dictionary
from holdstill.evaluate import evaluate_run, write_evaluation
from holdstill.fitting import fit
from holdstill.outputs import refuse_missing_folder
from holdstill.recording import refuse_other_contents
from holdstill.report import write_report
from holdstill.run import align_to_folder
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source

Output = tuple[dict[str, Any], str]

log = logging.getLogger("holdstill")


def run_demo(options: argparse.Namespace) -> Output:
    """``holdstill demo``."""
    from holdstill.demo import run

    with progress_of(options, "demo", "frames") as progress:
        return run(options.out, progress=progress, **given(options, ("threads",)))


def run_fit(options: argparse.Namespace) -> Output:
    """``holdstill fit``."""
    started = time.perf_counter()
    refuse_missing_folder(options.out)
    with open_source(sources_of(options)) as frames:
        dictionary = _fit(frames, options)
    dictionary.save(options.out)
    result = {
        "dictionary": options.out,
        "summary": repr(dictionary),
        "sha256": dictionary.digest,
        "seconds": time.perf_counter() - started,
        "provenance": dict(dictionary.provenance),
    }
    return result, f"{dictionary!r} in {result['seconds']:.1f} s: {options.out}"


def run_align(options: argparse.Namespace) -> Output:
    """``holdstill align``."""
    selection = given(options, ("start", "stop", "every"))
    _refuse_contradictions(options)
    facts = facts_of(options)
    facts["selection"] = selection
    refuse_other_contents(Path(options.out))
    with open_source(sources_of(options), **selection) as frames:
        if hasattr(options, "dictionary"):
            dictionary = Dictionary.load(options.dictionary)
        else:
            started = time.perf_counter()
            dictionary = _fit(frames, options)
            facts["seconds_of_fit"] = time.perf_counter() - started
        facts["provenance"] = dict(dictionary.provenance)
        with progress_of(options, "align", "frames") as progress:
            summary = align_to_folder(
                frames,
                dictionary,
                options.out,
                getattr(options, "initial", None),
                video=not options.no_video,
                csv=options.csv,
                progress=progress,
                facts=facts,
                **given(options, ALIGN_OPTIONS),
            )
    return {"run": options.out, **summary}, _align_text(options.out, summary)


def run_evaluate(options: argparse.Namespace) -> Output:
    """``holdstill evaluate``."""
    keywords = given(options, ("points", "eye_corners", "region", "initial"))
    with progress_of(options, "evaluate", "frames") as progress:
        found = evaluate_run(
            options.run, frames=not options.no_frames, progress=progress, **keywords
        )
    write_evaluation(found, options.run)
    return found.to_dict(), str(found)


def run_report(options: argparse.Namespace) -> Output:
    """``holdstill report``."""
    with progress_of(options, "report", "pictures") as progress:
        result = write_report(
            options.run, progress=progress, **given(options, ("initial", "points", "eye_corners"))
        )
    return result, report_text(result)


COMMANDS: dict[str, Callable[[argparse.Namespace], Output]] = {
    "demo": run_demo,
    "fit": run_fit,
    "align": run_align,
    "apply": run_apply,
    "evaluate": run_evaluate,
    "report": run_report,
    "model": run_model,
    "register": run_register,
    "mouth": run_mouth,
    "animate": run_animate,
}


def _refuse_contradictions(options: argparse.Namespace) -> None:
    if hasattr(options, "dictionary"):
        of_fit = set(FIT_OPTIONS) - {"face", "threads"}
        extra = sorted(f"--{name}" for name in of_fit if hasattr(options, name))
        if extra:
            raise ValueError(
                f"--dictionary: it fixes {', '.join(extra)}; leave them away, or fit anew"
            )


def _fit(frames: FrameSource, options: argparse.Namespace) -> Dictionary:
    keywords = given(options, FIT_OPTIONS)
    if len(frames) < 2:
        raise ValueError(
            "a dictionary cannot be learnt from one frame; give more, or one by --dictionary"
        )
    if "n" not in keywords and len(frames) < _default_n():
        keywords["n"] = len(frames)
        log.info("the sample takes all %d frames: there are no more", len(frames))
    with progress_of(options, "RASL", "iterations", open_ended=True) as progress:
        return fit(frames, getattr(options, "initial", None), progress=progress, **keywords)


def _default_n() -> int:
    assert fit.__kwdefaults__ is not None
    return int(fit.__kwdefaults__["n"])


def _align_text(out: str, summary: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"{summary['frames']} frames: {counted(summary['status'])}; {summary['good']} good",
            f"{summary['frames_per_second']:.1f} frames/s, "
            f"{summary['mean_iterations'] or 0:.1f} iterations a frame, "
            f"{summary['detections']} detections",
            listed(out),
            f"to look at it: holdstill report {quoted(out)}",
        ]
    )
