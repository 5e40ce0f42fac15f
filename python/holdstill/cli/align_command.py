"""``holdstill align``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from holdstill.canonical import DEFAULT_SHAPE
from holdstill.cli.align_options import ALIGN_OPTIONS
from holdstill.cli.fit_options import FIT_OPTIONS
from holdstill.cli.fitting import fit_dictionary
from holdstill.cli.parsing import Output, facts_of, given, sources_of
from holdstill.cli.progress import progress_of
from holdstill.cli.texts import counted, listed, quoted, without_start
from holdstill.dictionary import Dictionary
from holdstill.jobs.job import dictionary_of
from holdstill.jobs.records import as_line
from holdstill.outputs import output_errors, refuse_missing_folder, refuse_unwritable_folder
from holdstill.pictures import DARK, as_rgb8
from holdstill.recording import refuse_other_contents
from holdstill.run import NothingAlignedError, align_to_folder
from holdstill.run_folder import read_run
from holdstill.run_layout import SUMMARY
from holdstill.solver_options import SolverOptions
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source

MOST_TOLD = 10
"""Of the sources that cannot be opened, how many are named; the others are counted."""

log = logging.getLogger("holdstill")


def run_align(options: argparse.Namespace) -> Output:
    """Run ``holdstill align``."""
    selection = given(options, ("start", "stop", "every"))
    _refuse_contradictions(options)
    facts = facts_of(options)
    facts["selection"] = selection
    if not options.resume:
        refuse_other_contents(options.out)
    refuse_unwritable_folder(options.out)
    with (
        open_source(sources_of(options), **selection) as frames,
        _workers(options) as client,
    ):
        on_block = _block_log(options)
        SolverOptions(**given(options, ("mu", "tolerance", "loss")))  # refused before the learning
        facts["unreadable"] = _unreadable(frames)
        _suspect_levels(frames)
        dictionary = _dictionary(frames, options, facts)
        with progress_of(options, "align", "frames") as progress:
            try:
                summary = align_to_folder(
                    frames,
                    dictionary,
                    options.out,
                    getattr(options, "initial", None),
                    client=client,
                    video=not options.no_video,
                    zarr=options.zarr,
                    csv=options.csv,
                    resume=options.resume,
                    progress=progress,
                    on_block=on_block,
                    facts=facts,
                    **given(options, ALIGN_OPTIONS),
                )
            except NothingAlignedError as error:
                lines = [str(error), *_suspicions(options, error.summary)]
                raise NothingAlignedError("\n".join(lines), error.summary) from None
    return {"run": options.out, **summary}, _text(options, summary)


def _unreadable(frames: FrameSource) -> list[str]:
    """The sources that could not be opened, and why; they are told of before the work."""
    errors = [f"{s.name}: {s.error}" for s in frames.streams if s.error is not None]
    for error in errors[:MOST_TOLD]:
        log.warning("%s", error)
    if len(errors) > MOST_TOLD:
        log.warning("... and %d more sources that cannot be opened", len(errors) - MOST_TOLD)
    return errors


def _suspect_levels(frames: FrameSource) -> None:
    """Warn where pictures of the frames would be black or white; the alignment is the same."""
    image = frames[0].image if len(frames) else None
    if image is None or image.dtype == np.uint8:
        return
    levels = image[np.isfinite(image)]
    if not levels.size or levels.min() == levels.max():  # a frame of nothing says nothing
        return
    shown = as_rgb8(image)
    if shown.max() < DARK or shown.min() > 255 - DARK or (shown > 254).mean() > 0.9:
        log.warning(
            "frames of %s from %g to %g: their pictures show little, which are made for levels to "
            "65535 of uint16, to 255 or to 1 of floats; scale them to look at them",
            image.dtype,
            levels.min(),
            levels.max(),
        )


def _refuse_other_shape(options: argparse.Namespace, shape: tuple[int, int]) -> None:
    """Matrices of a run belong to its canonical frame."""
    initial = getattr(options, "initial", None)
    if initial is None or not os.path.exists(os.path.join(initial, SUMMARY)):
        return
    of_run = read_run(initial).shape
    if of_run != shape:
        raise ValueError(
            f"--initial: {initial} is a run of {of_run[0]}x{of_run[1]}, the dictionary's frame is "
            f"{shape[0]}x{shape[1]} (--shape); matrices belong to the shape they were made for"
        )


def _dictionary(
    frames: FrameSource, options: argparse.Namespace, facts: dict[str, Any]
) -> Dictionary:
    """The dictionary given, that of the run gone on with, or a new one; `facts` tell of it."""
    if hasattr(options, "dictionary"):
        dictionary = Dictionary.load(options.dictionary)
        _refuse_other_shape(options, dictionary.shape)
    else:
        _refuse_other_shape(options, getattr(options, "shape", DEFAULT_SHAPE))
        asked = given(options, tuple(name for name in FIT_OPTIONS if name != "threads"))
        facts["fit"] = {name: asked[name] for name in sorted(asked)}
        started = time.perf_counter()
        learnt = dictionary_of(options.out) if options.resume else None
        dictionary = learnt or fit_dictionary(frames, options)
        facts["seconds_of_fit"] = time.perf_counter() - started
    facts["provenance"] = dict(dictionary.provenance)
    return dictionary


@contextlib.contextmanager
def _workers(options: argparse.Namespace) -> Iterator[Any]:
    if not hasattr(options, "dask"):
        yield None
        return
    from holdstill.distributed import connected  # only where it is asked for

    with connected(options.dask) as client:
        yield client


def _block_log(options: argparse.Namespace) -> Callable[[Mapping[str, Any]], object] | None:
    if not hasattr(options, "block_log"):
        return None
    path = options.block_log
    refuse_missing_folder(path)

    def append(text: str) -> None:
        with output_errors(path), open(path, "a", encoding="utf-8") as file:
            file.write(text)

    append("")  # what cannot be written to is refused before the work
    return lambda record: append(as_line(record))


def _refuse_contradictions(options: argparse.Namespace) -> None:
    if hasattr(options, "dictionary"):
        of_fit = set(FIT_OPTIONS) - {"face", "threads"}
        extra = sorted(f"--{name}" for name in of_fit if hasattr(options, name))
        if extra:
            raise ValueError(
                f"--dictionary: it fixes {', '.join(extra)}; leave them away, or fit anew"
            )


def _suspicions(options: argparse.Namespace, summary: dict[str, Any]) -> list[str]:
    """Why a run may have come to nothing, and what to do."""
    found, not_found = [], summary["status"].get("not_found", 0)
    if hasattr(options, "initial") and not_found:
        found.append(without_start(not_found, options.initial))
    elif not summary["good"] and hasattr(options, "dictionary"):
        found.append(
            "no frame is good: the dictionary may be another face's; without --dictionary one is "
            "learnt from these frames"
        )
    elif not summary["good"]:
        found.append("no frame is good: is there a face, and where it was said to be?")
    return found


def _text(options: argparse.Namespace, summary: dict[str, Any]) -> str:
    out = options.out
    lines = [f"{summary['frames']} frames: {counted(summary['status'])}; {summary['good']} good"]
    lines += _suspicions(options, summary)
    if summary["frames_per_second"] is None:
        lines.append("nothing was left to do: every block is there, to the byte")
    else:
        lines.append(
            f"{summary['frames_per_second']:.1f} frames/s, "
            f"{summary['mean_iterations'] or 0:.1f} iterations a frame, "
            f"{summary['detections']} detections"
        )
    if summary["lost"]:
        lines += ["lost sources, whose frames are unreadable until --resume finds them back:"]
        lines += [f"  {what}" for what in summary["lost"]]
    return "\n".join([*lines, listed(out), f"to look at it: holdstill report {quoted(out)}"])
