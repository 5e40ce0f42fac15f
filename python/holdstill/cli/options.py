"""What the command line accepts. Options not given are not passed on: defaults are Python's."""

from __future__ import annotations

import argparse
from typing import Any

from holdstill import __version__
from holdstill.alignment import LOSSES
from holdstill.canonical import ROIS
from holdstill.cli.animate_command import add_animate
from holdstill.cli.apply_command import add_apply
from holdstill.cli.face_options import add_model, add_register
from holdstill.cli.mouth_command import add_mouth
from holdstill.cli.parsing import (
    add_initial,
    add_run,
    add_sampling,
    add_sources,
    command,
    parse_four_indices,
    parse_index,
    parse_positive,
)
from holdstill.reference.motion import MOTIONS
from holdstill.selection import SELECTIONS

FIT_OPTIONS = (
    "n", "selection", "seed", "shape", "motion", "features", "sigma", "roi", "face", "threads",
)  # fmt: skip
"""Options of the command line that are keywords of `holdstill.fit`."""

ALIGN_OPTIONS = ("threads", "independent", "face", "mu", "tolerance", "loss")
"""Options of the command line that are keywords of `holdstill.run.align_to_folder`."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="holdstill",
        description="Align the face in every frame of a video to sub-pixel precision.",
    )
    parser.add_argument("--version", action="version", version=f"holdstill {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_fit(commands)
    _add_align(commands)
    add_apply(commands)
    _add_evaluate(commands)
    _add_report(commands)
    add_model(commands)
    add_register(commands)
    add_mouth(commands)
    add_animate(commands)
    return parser


def _add_demo(commands: Any) -> None:
    parser = command(
        commands,
        "demo",
        "Align an embedded synthetic talking head whose true motion is known.",
        "holdstill demo --out holdstill-demo",
    )
    parser.add_argument("--out", default="holdstill-demo", help="folder (default: holdstill-demo)")
    parser.add_argument("--threads", type=parse_positive, help="threads")


def _add_fit(commands: Any) -> None:
    parser = command(
        commands,
        "fit",
        "Learn a dictionary from a sample of the frames, by RASL.",
        "holdstill fit interview.mp4 --out interview.npz --n 100 --roi upper-face",
    )
    add_sources(parser)
    parser.add_argument("--out", required=True, metavar="FILE.npz", help="the dictionary")
    _add_fit_options(parser)
    _add_shared_options(parser)


def _add_align(commands: Any) -> None:
    parser = command(
        commands,
        "align",
        "Align every frame; learn the dictionary first unless one is given.",
        "holdstill align interview.mp4 --out aligned --roi upper-face",
    )
    add_sources(parser)
    add_run(parser)
    parser.add_argument("--dictionary", metavar="FILE.npz", help="of 'holdstill fit'")
    _add_fit_options(parser)
    _add_shared_options(parser)
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


def _add_evaluate(commands: Any) -> None:
    parser = command(
        commands,
        "evaluate",
        "Measure a run before and after alignment; its folder gets the figures, too.",
        "holdstill evaluate aligned --points landmarks.npy --eye-corners 36,39,42,45",
    )
    parser.add_argument("run", metavar="DIR", help="folder of the run")
    _add_points(parser)
    parser.add_argument(
        "--region", help=f"where variance is measured: {', '.join(ROIS)}, or a mask image"
    )
    _add_compared(parser)
    parser.add_argument(
        "--no-frames",
        action="store_true",
        default=False,
        help="do not look at the frames: no variance, no sharpness",
    )


def _add_report(commands: Any) -> None:
    parser = command(
        commands,
        "report",
        "Write a run as one page to look at: DIR/report.html.",
        "holdstill report aligned",
    )
    parser.add_argument("run", metavar="DIR", help="folder of the run")
    _add_points(parser)
    _add_compared(parser)


def _add_points(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--points",
        metavar="FILE",
        help=".npy (n, k, 2) in the order of the rows, or CSV frame,point,x,y",
    )
    parser.add_argument(
        "--eye-corners",
        type=parse_four_indices,
        metavar="OUTER_L,INNER_L,INNER_R,OUTER_R",
        help="point indices, from image left to image right",
    )


def _add_compared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--initial",
        metavar="FILE",
        help="transforms to compare with; else the run's own",
    )


def _add_shared_options(parser: argparse.ArgumentParser) -> None:
    add_initial(parser)
    parser.add_argument("--face", choices=("largest", "center"), help="which face of several")
    parser.add_argument("--threads", type=parse_positive, help="threads")


def _add_fit_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("dictionary")
    group.add_argument("--n", type=parse_positive, help="frames in the sample")
    group.add_argument("--selection", choices=SELECTIONS, help="how the sample is drawn")
    group.add_argument("--seed", type=parse_index, help="of the random choice")
    group.add_argument("--motion", choices=MOTIONS, help="motion model")
    add_sampling(group)
