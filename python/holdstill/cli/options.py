"""What the command line accepts. Options not given are not passed on: defaults are Python's."""

from __future__ import annotations

import argparse
from typing import Any

from holdstill import __version__
from holdstill.canonical import ROIS
from holdstill.cli.align_options import add_align
from holdstill.cli.animate_command import add_animate
from holdstill.cli.apply_command import add_apply
from holdstill.cli.face_options import add_model, add_register
from holdstill.cli.fit_options import add_fit_options, add_shared_options
from holdstill.cli.mouth_command import add_mouth
from holdstill.cli.parsing import (
    Parser,
    add_sources,
    add_threads,
    command,
    parse_four_indices,
    parse_npz,
)
from holdstill.cli.status_command import add_status
from holdstill.learning.fitting import fit


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="holdstill",
        description="Align the face in every frame of a video to sub-pixel precision.",
    )
    parser.add_argument("--version", action="version", version=f"holdstill {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_fit(commands)
    add_align(commands)
    add_apply(commands)
    _add_evaluate(commands)
    _add_report(commands)
    add_model(commands)
    add_register(commands)
    add_mouth(commands)
    add_animate(commands)
    add_status(commands)
    return parser


def _add_demo(commands: Any) -> None:
    parser = command(
        commands,
        "demo",
        "Align an embedded synthetic talking head whose true motion is known.",
        "holdstill demo --out demo",
    )
    parser.add_argument("--out", default="holdstill-demo", help="folder (default: holdstill-demo)")
    add_threads(parser)


def _add_fit(commands: Any) -> None:
    parser = command(
        commands,
        "fit",
        "Learn a dictionary from a sample of the frames, by RASL.",
        "holdstill fit interview.mp4 --out interview.npz --n 100 --roi upper-face",
        fit,
    )
    add_sources(parser)
    parser.add_argument(
        "--out",
        required=True,
        type=parse_npz,
        metavar="FILE.npz",
        help="the dictionary; an older one is replaced",
    )
    add_fit_options(parser)
    add_shared_options(parser)


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
        "--region",
        help=f"where variance is measured: {', '.join(ROIS)}, or a mask image (default: a face's "
        "mouth; of other things the run's region of interest)",
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
        help=".npy (n, k, 2) in the order of the rows; or by frame a CSV frame,point,x,y or "
        "frame,x_0,...,y_0,..., or a folder of .pts files",
    )
    parser.add_argument(
        "--eye-corners",
        type=parse_four_indices,
        metavar="OUTER_L,INNER_L,INNER_R,OUTER_R",
        help="point indices, from image left to image right (default: 27,29,34,32, FGNET's; of "
        "dlib's 68 points 36,39,42,45)",
    )


def _add_compared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--initial",
        metavar="FILE",
        help="transforms to compare with; else the run's own",
    )
