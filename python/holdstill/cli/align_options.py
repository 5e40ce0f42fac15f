"""Options of ``align``."""

from __future__ import annotations

import argparse
from typing import Any

from holdstill.alignment import LOSSES
from holdstill.cli.fit_options import add_fit_options, add_shared_options
from holdstill.cli.parsing import add_run, add_sources, command, parse_index, parse_positive
from holdstill.learning.fitting import fit
from holdstill.run import align_to_folder

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
        fit,
        align_to_folder,
    )
    add_sources(parser)
    add_run(parser)
    parser.add_argument("--dictionary", metavar="FILE.npz", help="of 'holdstill fit'")
    add_fit_options(parser)
    add_shared_options(parser)
    parser.add_argument("--mu", type=float, help="weight of the l1 norm of the coefficients")
    parser.add_argument(
        "--loss",
        choices=LOSSES,
        help="what a pixel's residual costs; huber bears what hides a little, geman-mcclure "
        "ignores it",
    )
    parser.add_argument("--tolerance", type=float, help="stop at this norm of the last step")
    parser.add_argument("--start", type=parse_index, help="first frame of each stream (default: 0)")
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
