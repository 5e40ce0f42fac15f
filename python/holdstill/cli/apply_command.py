"""``holdstill apply``."""

from __future__ import annotations

import argparse
import time
from typing import Any

from holdstill.applying import INTERPOLATIONS, apply
from holdstill.cli.parsing import Output, add_sources, command, given, parse_shape, sources_of
from holdstill.cli.progress import progress_of
from holdstill.outputs import refuse_input
from holdstill.picture_files import check_pictures_path, write_pictures
from holdstill.run_folder import read_run
from holdstill.run_frames import RunFrames
from holdstill.streaming import frame_rate

APPLY_OPTIONS = ("shape", "interpolation", "frame_size")
"""Options of the command line that are keywords of `holdstill.apply`."""


def add_apply(commands: Any) -> None:
    """``holdstill apply``."""
    parser = command(
        commands,
        "apply",
        "Apply the transforms of a run to another stream of the same frames, or undo them.",
        "holdstill apply master.mov --run aligned --shape 800x800 --out faces.mp4",
        apply,
    )
    add_sources(parser)
    parser.add_argument("--run", required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--out", required=True, metavar="FILE.mp4|DIR|FILE.zarr", help="video, images or array"
    )
    parser.add_argument(
        "--shape",
        type=parse_shape,
        metavar="HxW",
        help="size of the pictures, pixels (default: the run's; with --inverse its frames')",
    )
    parser.add_argument(
        "--inverse",
        action="store_true",
        default=False,
        help="the source is canonical pictures: put them back to where they are in the frames",
    )
    parser.add_argument(
        "--interpolation", choices=INTERPOLATIONS, help="nearest keeps the values of masks"
    )
    parser.add_argument(
        "--frame-size",
        type=parse_shape,
        metavar="HxW",
        help="of the frames that the run was made of, where they are gone",
    )


def run_apply(options: argparse.Namespace) -> Output:
    """``holdstill apply``."""
    started = time.perf_counter()
    out = check_pictures_path(options.out)
    run = read_run(options.run)
    frames = RunFrames(sources_of(options), run).frames
    refuse_input(out, [*(stream.name for stream in frames.streams), *run.files()])
    with frames, progress_of(options, "apply", "frames") as progress:
        pairs = apply(
            frames,
            run,
            inverse=options.inverse,
            progress=progress,
            **given(options, APPLY_OPTIONS),
        )
        pictures = (picture for _, picture in pairs)
        written = write_pictures(pictures, out, len(run), frame_rate(frames))
    result = {
        "out": options.out,
        "pictures": len(run),
        "written": written,
        "seconds": time.perf_counter() - started,
    }
    return result, f"{options.out}: {written}"
