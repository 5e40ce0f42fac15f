"""``holdstill animate``."""

from __future__ import annotations

import argparse
from typing import Any

from holdstill.cli.parsing import Output, command, given, parse_index, parse_shape
from holdstill.cli.progress import progress_of

ANIMATE_OPTIONS = ("seconds", "seed", "fps", "size", "initial")
"""Options of the command line that are keywords of `holdstill.animation.animate`."""


def add_animate(commands: Any) -> None:
    """The parser of ``animate``."""
    parser = command(
        commands,
        "animate",
        "Give a still image or an aligned talking sequence a natural head movement.",
        "holdstill animate portrait.jpg --motion aligned --out portrait.mp4 --seconds 20",
    )
    parser.add_argument(
        "subject",
        metavar="STILL|ALIGNED_VIDEO|DIR",
        help="a picture, a video in the canonical frame, or a run's folder",
    )
    parser.add_argument(
        "--motion",
        required=True,
        metavar="DIR|MODEL.npz",
        help="run to learn the movement from, or a model of it",
    )
    parser.add_argument("--out", required=True, metavar="FILE.mp4", help="the video, without sound")
    parser.add_argument(
        "--seconds", type=float, help="length (default: 10 of a still, all of a video)"
    )
    parser.add_argument("--seed", type=parse_index, help="of the movement (default: 0)")
    parser.add_argument(
        "--fps", type=float, help="frames per second (default: the video's, else the movement's)"
    )
    parser.add_argument(
        "--size",
        type=parse_shape,
        metavar="HxW",
        help="of the video, pixels; what sticks out is cut off (default: the subject's)",
    )
    parser.add_argument(
        "--initial",
        metavar="FILE|DIR",
        help="where the head is: a file, or a run of the same frames; a still's face is detected "
        "otherwise",
    )


def run_animate(options: argparse.Namespace) -> Output:
    """Run ``holdstill animate``."""
    from holdstill.animation import animate

    with progress_of(options, "animate", "frames") as progress:
        result = animate(
            options.subject,
            options.motion,
            options.out,
            progress=progress,
            **given(options, ANIMATE_OPTIONS),
        )
    height, width = result["size"]
    text = f"{result['frames']} frames of {width}x{height} by {result['motion']}: {options.out}"
    return result, text
