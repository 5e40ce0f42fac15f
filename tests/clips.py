"""What the tests of the command line share: clips of the synthetic head, and readers of runs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from holdstill.evaluate import eye_corner_table
from holdstill.synthetic import TalkingHead
from holdstill.transforms import MATRIX_COLUMNS

N_FRAMES = 260  # two tracks
TRACKER_ERROR = 2.0  # about 4 pixels of a frame of 720x576
SMALL = ("--n", "20", "--shape", "32x32", "--threads", "1")


@dataclass(frozen=True)
class Clip:
    """A video of the synthetic head, and a file of initial transforms."""

    video: Path
    initial: Path
    head: TalkingHead


def write_video(path, pictures, codec="libx264", options=None, *, times=None, container=None):
    """Encode RGB pictures, 25 a second or at `times` in units of 1/100 s."""
    av = pytest.importorskip("av")
    if options is None:
        options = {"crf": "14", "preset": "veryfast"} if codec == "libx264" else {}
    base = Fraction(1, 25) if times is None else Fraction(1, 100)
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", base
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number if times is None else times[number], base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def write_transforms(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *MATRIX_COLUMNS])
        writer.writerows([number, *np.ravel(matrix).tolist()] for number, matrix in rows)
    return path


def make_clip(folder, n_frames, size, shape):
    head = TalkingHead(n_frames, size=size, shape=shape, occlusion=False)
    write_video(folder / "head.mp4", head, container={"movflags": "faststart"})
    initial = write_transforms(folder / "initial.csv", enumerate(head.initial(TRACKER_ERROR)))
    return Clip(folder / "head.mp4", initial, head)


def texts(*arguments):
    return [str(argument) for argument in arguments]


def align_arguments(clip, dictionary, out, *more):
    return texts(
        "align",
        clip.video,
        "--initial",
        clip.initial,
        "--dictionary",
        dictionary,
        "--out",
        out,
        *more,
    )


def fresh_process(*arguments, timeout=120):
    return subprocess.run(
        [sys.executable, "-m", "holdstill", *texts(*arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def rows_of(folder):
    import pyarrow.parquet as pq

    return pq.read_table(folder / "transforms.parquet").to_pydict()


def part_bytes(folder):
    return {p.name: p.read_bytes() for p in sorted((folder / "transforms.parquet").iterdir())}


def run_json(folder):
    return json.loads((folder / "run.json").read_text())


def scaled_dispersion(clip, transforms):
    points = clip.head.points()[: len(transforms)]
    return eye_corner_table(transforms, points, (0, 1, 2, 3), clip.head.shape).average.mean


def wait_for(event, seconds=60):
    deadline = time.monotonic() + seconds
    while not event():
        assert time.monotonic() < deadline
        time.sleep(0.05)
