"""``holdstill align``."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from holdstill.alignment import LOSSES
from holdstill.cli.fit_options import (
    FIT_OPTIONS,
    add_fit_options,
    add_shared_options,
    fit_dictionary,
)
from holdstill.cli.parsing import (
    add_run,
    add_sources,
    command,
    facts_of,
    given,
    parse_index,
    parse_positive,
    sources_of,
)
from holdstill.cli.progress import progress_of
from holdstill.cli.texts import counted, listed, quoted
from holdstill.dictionary import Dictionary
from holdstill.jobs.job import dictionary_of
from holdstill.jobs.records import as_line
from holdstill.outputs import output_errors, refuse_missing_folder
from holdstill.recording import refuse_other_contents
from holdstill.run import align_to_folder
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source

ALIGN_OPTIONS = (
    "threads", "independent", "face", "mu", "tolerance", "loss", "block_frames",
)  # fmt: skip
"""Options of the command line that are keywords of `holdstill.run.align_to_folder`."""


def add_align(commands: Any) -> None:
    """The parser of ``align``."""
    parser = command(
        commands,
        "align",
        "Align every frame; learn the dictionary first unless one is given.",
        "holdstill align interview.mp4 --out aligned --roi upper-face",
    )
    add_sources(parser)
    add_run(parser)
    parser.add_argument("--dictionary", metavar="FILE.npz", help="of 'holdstill fit'")
    add_fit_options(parser)
    add_shared_options(parser)
    parser.add_argument("--mu", type=float, help="weight of the l1 norm of the coefficients")
    parser.add_argument(
        "--loss", choices=LOSSES, help="what a pixel's residual costs; huber ignores what hides it"
    )
    parser.add_argument("--tolerance", type=float, help="stop at this norm of the last step")
    parser.add_argument("--start", type=parse_index, help="first frame of each stream")
    parser.add_argument("--stop", type=parse_index, help="frame before which to stop")
    parser.add_argument("--every", type=parse_positive, help="take every n-th frame")
    parser.add_argument(
        "--independent", action="store_true", help="unrelated photographs: a detection on each"
    )
    parser.add_argument("--no-video", action="store_true", default=False, help="no aligned.mp4")
    parser.add_argument(
        "--zarr", action="store_true", default=False, help="aligned.zarr: the aligned pictures"
    )
    _add_job_options(parser)


def _add_job_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("long runs")
    group.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with the same run where it was interrupted, or begin",
    )
    group.add_argument(
        "--dask", metavar="ADDRESS|local:N", help="align on the workers of a Dask cluster"
    )
    group.add_argument("--block-frames", type=parse_positive, help="frames of a block, at least")
    group.add_argument(
        "--block-log", metavar="FILE", help="append a line of JSON for every block that is done"
    )


def run_align(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Run ``holdstill align``."""
    selection = given(options, ("start", "stop", "every"))
    _refuse_contradictions(options)
    facts = facts_of(options)
    facts["selection"] = selection
    if not options.resume:
        refuse_other_contents(options.out)
    with (
        open_source(sources_of(options), **selection) as frames,
        _workers(options) as client,
        _block_log(options) as on_block,
    ):
        dictionary = _dictionary(frames, options, facts)
        with progress_of(options, "align", "frames") as progress:
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
    return {"run": options.out, **summary}, _text(options.out, summary)


def _dictionary(
    frames: FrameSource, options: argparse.Namespace, facts: dict[str, Any]
) -> Dictionary:
    """The dictionary given, that of the run gone on with, or a new one; `facts` tell of it."""
    if hasattr(options, "dictionary"):
        dictionary = Dictionary.load(options.dictionary)
    else:
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


@contextlib.contextmanager
def _block_log(
    options: argparse.Namespace,
) -> Iterator[Callable[[Mapping[str, Any]], object] | None]:
    if not hasattr(options, "block_log"):
        yield None
        return
    refuse_missing_folder(options.block_log)
    with (
        output_errors(options.block_log),
        open(options.block_log, "a", encoding="utf-8", buffering=1) as file,
    ):
        yield lambda record: file.write(as_line(record))


def _refuse_contradictions(options: argparse.Namespace) -> None:
    if hasattr(options, "dictionary"):
        of_fit = set(FIT_OPTIONS) - {"face", "threads"}
        extra = sorted(f"--{name}" for name in of_fit if hasattr(options, name))
        if extra:
            raise ValueError(
                f"--dictionary: it fixes {', '.join(extra)}; leave them away, or fit anew"
            )


def _text(out: str, summary: dict[str, Any]) -> str:
    lines = [f"{summary['frames']} frames: {counted(summary['status'])}; {summary['good']} good"]
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
