"""``holdstill mouth``."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.cli.parsing import Output, command, given, parse_shape
from holdstill.cli.progress import progress_of
from holdstill.outputs import OutputError, refuse_input, refuse_missing_folder
from holdstill.run_folder import read_run
from holdstill.run_frames import RunFrames
from holdstill.streaming import frame_rate
from holdstill.talking.blending import BLENDS
from holdstill.talking.replacing import MouthReplacement, replace_mouth
from holdstill.talking.sound import has_sound, write_video

MOUTH_OPTIONS = ("blend", "frame_size")
"""Options of the command line that are keywords of `holdstill.replace_mouth`."""

log = logging.getLogger("holdstill")


def add_mouth(commands: Any) -> None:
    """``holdstill mouth``."""
    parser = command(
        commands,
        "mouth",
        "Put other lips on the face of every frame; the head keeps its own motion.",
        "holdstill mouth interview.mp4 --run aligned --lips 100:200 --out dubbed.mp4",
        replace_mouth,
    )
    parser.add_argument("video", metavar="VIDEO", help="the run's frames, in any resolution")
    parser.add_argument("--run", required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--lips",
        required=True,
        metavar="A:B|DIR@A:B|FILE",
        help="frames A to B - 1, again and again; those of another run; or .npy, targets (n, k) in "
        "the mouth space, which lips are chosen for",
    )
    parser.add_argument("--out", required=True, metavar="FILE.mp4", help="the video")
    parser.add_argument(
        "--audio", metavar="keep|none|FILE", default="keep", help="sound (default: keep)"
    )
    parser.add_argument("--blend", choices=BLENDS, help="how lips are stitched in")
    parser.add_argument(
        "--frame-size",
        type=parse_shape,
        metavar="HxW",
        help="of the frames that the run was made of, where they are gone",
    )


def run_mouth(options: argparse.Namespace) -> Output:
    """``holdstill mouth``."""
    started = time.perf_counter()
    _check_out(options.out)
    if options.audio not in ("keep", "none") and not has_sound(options.audio):
        raise ValueError(f"--audio: {options.audio} has no sound track")
    run = read_run(options.run)
    frames = RunFrames(options.video, run).frames
    read = [options.video, options.audio, *(stream.name for stream in frames.streams)]
    refuse_input(options.out, [*read, *run.files()])
    with (
        frames,
        progress_of(options, "mouth", "frames") as progress,
        replace_mouth(
            frames, run, options.lips, progress=progress, **given(options, MOUTH_OPTIONS)
        ) as replacement,
    ):
        first = frames[0].time if len(frames.streams) == 1 else None
        sound, said = _sound(options.audio, frames.streams)
        fps = frame_rate(frames)
        count = write_video(
            _timed(replacement, first, fps),
            options.out,
            fps,
            sound=sound,
            begin=first or 0.0 if options.audio == "keep" else 0.0,
        )
    untouched = np.flatnonzero(~replacement.replaced)
    result = {
        "out": options.out,
        "frames": count,
        "replaced": int(replacement.replaced.sum()),
        "untouched": untouched.tolist(),
        "lips": replacement.lips.tolist(),
        "audio": said,
        "seconds": time.perf_counter() - started,
    }
    text = f"{options.out}: {count} frames, {result['replaced']} with other lips; sound: {said}"
    if len(untouched):
        text += f"\nuntouched, not good or without a mouth: rows {_listed(untouched)}"
    return result, text


def _check_out(out: str) -> None:
    path = Path(out)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"--out: expected FILE.mp4, got {out!r}")
    refuse_missing_folder(path)
    if path.is_dir():
        raise OutputError(f"cannot write {out}: it is a folder")


def _sound(audio: str, streams: Any) -> tuple[str | None, str]:
    """The file that the sound is from, and what is said about it."""
    if audio == "none":
        return None, "none"
    if audio != "keep":
        return audio, f"that of {audio}"
    name = streams[0].name
    if len(streams) == 1 and os.path.isfile(name) and Path(name).suffix != ".npy":
        if has_sound(name):
            return name, "kept"
        said = f"none, for {name} has none"
    else:
        said = "none, for there is not one video that it could be kept of"
    log.info("sound: %s", said)
    return None, said


def _timed(
    replacement: MouthReplacement, first: float | None, fps: float
) -> Iterator[tuple[npt.NDArray[Any], float]]:
    for row, (frame, picture) in enumerate(replacement):
        known = first is not None and frame.time is not None
        yield picture, frame.time - first if known else row / fps  # type: ignore[operator]


def _listed(rows: npt.NDArray[np.int64], most: int = 10) -> str:
    shown = ", ".join(str(row) for row in rows[:most])
    return shown + (f" and {len(rows) - most} more" if len(rows) > most else "")
