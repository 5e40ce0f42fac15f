"""What the tests of the command line share: clips of the synthetic head, and readers of runs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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


def write_video(path, frames, size, **options):
    import av

    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"crf": "14", "preset": "veryfast"}
        )
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def write_transforms(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *MATRIX_COLUMNS])
        writer.writerows([number, *np.ravel(matrix).tolist()] for number, matrix in rows)
    return path


def make_clip(folder, n_frames, size, shape):
    head = TalkingHead(n_frames, size=size, shape=shape, occlusion=False)
    write_video(folder / "head.mp4", head, size, movflags="faststart")
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


def fresh_process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "holdstill", *texts(*arguments)],
        capture_output=True,
        text=True,
        timeout=120,
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
