"""The commands: each returns its results as an object and as text."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from holdstill.archive import refuse_foreign
from holdstill.cli.align_command import run_align
from holdstill.cli.animate_command import run_animate
from holdstill.cli.apply_command import run_apply
from holdstill.cli.face_commands import run_model, run_register
from holdstill.cli.fitting import fit_dictionary
from holdstill.cli.mouth_command import run_mouth
from holdstill.cli.parsing import Output, given, sources_of
from holdstill.cli.progress import progress_of
from holdstill.cli.status_command import run_status
from holdstill.cli.texts import report_text
from holdstill.evaluate import evaluate_run, write_evaluation
from holdstill.outputs import refuse_missing_folder
from holdstill.report import write_report
from holdstill.sources import open as open_source
from holdstill.stores import refuse_url


def run_demo(options: argparse.Namespace) -> Output:
    """``holdstill demo``."""
    from holdstill.demo import run

    with progress_of(options, "demo", "frames") as progress:
        return run(options.out, progress=progress, **given(options, ("threads",)))


def run_fit(options: argparse.Namespace) -> Output:
    """``holdstill fit``."""
    started = time.perf_counter()
    refuse_missing_folder(options.out)
    refuse_foreign(options.out)
    with open_source(sources_of(options)) as frames:
        dictionary = fit_dictionary(frames, options)
    dictionary.save(options.out)
    result = {
        "dictionary": options.out,
        "summary": repr(dictionary),
        "sha256": dictionary.digest,
        "seconds": time.perf_counter() - started,
        "provenance": dict(dictionary.provenance),
    }
    return result, f"{dictionary!r} in {result['seconds']:.1f} s: {options.out}"


def run_evaluate(options: argparse.Namespace) -> Output:
    """``holdstill evaluate``."""
    refuse_url(options.run, "an evaluation")
    keywords = given(options, ("points", "eye_corners", "region", "initial"))
    with progress_of(options, "evaluate", "frames") as progress:
        found = evaluate_run(
            options.run, frames=not options.no_frames, progress=progress, **keywords
        )
    write_evaluation(found, options.run)
    return found.to_dict(), str(found)


def run_report(options: argparse.Namespace) -> Output:
    """``holdstill report``."""
    refuse_url(options.run, "a report")
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
    "status": run_status,
}
