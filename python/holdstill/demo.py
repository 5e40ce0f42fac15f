"""The demo: the whole main job on a synthetic talking head whose true motion is known."""

from __future__ import annotations

import csv
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from holdstill import __version__
from holdstill._typing import FloatArray
from holdstill.alignment import warp
from holdstill.evaluate import EyeCornerTable, eye_corner_table
from holdstill.learning.fitting import fit
from holdstill.outputs import output_errors
from holdstill.report import write_report
from holdstill.run import align_to_folder
from holdstill.segments import Segment
from holdstill.sources import FrameSource
from holdstill.sources import open as open_source
from holdstill.synthetic import TalkingHead
from holdstill.transforms import MATRIX_COLUMNS, read_transforms

N_FRAMES = 320
N_SAMPLE = 60
LOSS = "huber"
"""A hand passes over the face."""
VIDEO, INITIAL = "talking_head.mp4", "initial.csv"
OUTER_INNER_INNER_OUTER = (0, 1, 2, 3)
"""Eye corners among the head's landmarks, from image left to image right."""


def run(
    out: str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """Render the head, learn a dictionary, align every frame, compare with the truth.

    Parameters
    ----------
    out : str or path
        Folder for ``talking_head.mp4``, ``initial.csv``, ``before_after.png`` and the run
        ``aligned``; new, or a demo's.
    threads : int, optional
        As in :func:`holdstill.align`.
    progress : callable (done, total), optional
        Called after every aligned frame.

    Returns
    -------
    dict, str
        Figures, and the same as text.

    Raises
    ------
    FileExistsError
        If the folder holds the run of an earlier demo.
    holdstill.outputs.OutputError
        If something cannot be written.
    """
    folder = Path(out)
    if (folder / "aligned").exists():
        raise FileExistsError(f"{folder}: holds a demo already; remove it or choose another --out")
    head = TalkingHead(N_FRAMES)
    initial = head.initial()
    started = time.perf_counter()
    video = _write_inputs(folder, head, initial)
    rendered = time.perf_counter() - started

    with open_source(video) as frames:
        summary = _learn_and_align(frames, folder, initial, threads, progress)
        rows = read_transforms(folder / "aligned")
        picture = folder / "before_after.png"
        _write_picture(picture, frames, initial, rows["frame_from_canonical"], head.shape)

    points = head.points()
    page = write_report(folder / "aligned", points=points, eye_corners=OUTER_INNER_INNER_OUTER)
    before = eye_corner_table(initial, points, OUTER_INNER_INNER_OUTER, head.shape)
    after = eye_corner_table(
        rows["frame_from_canonical"], points, OUTER_INNER_INNER_OUTER, head.shape
    )
    hidden = eye_corner_table(
        rows["frame_from_canonical"], points, OUTER_INNER_INNER_OUTER, head.shape, use=head.occluded
    )
    result = {
        "folder": str(folder),
        "report": page["report"],
        "seconds": {"render": rendered, "fit": summary["seconds_of_fit"], **summary["seconds"]},
        "frames": summary["frames"],
        "status": summary["status"],
        "good": summary["good"],
        "mean_iterations": summary["mean_iterations"],
        "frames_per_second": summary["frames_per_second"],
        "before": before.to_dict(),
        "after": after.to_dict(),
        "after_with_a_hand_over_the_face": hidden.to_dict(),
    }
    return result, _text(folder, result, before, after, hidden)


def _learn_and_align(
    frames: FrameSource,
    folder: Path,
    initial: FloatArray,
    threads: int | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """The run as ``run.json`` has it, with the seconds that the dictionary took."""
    started = time.perf_counter()
    dictionary = fit(frames, initial, n=N_SAMPLE, threads=threads)
    facts = {
        **_facts(folder),
        "seconds_of_fit": time.perf_counter() - started,
        "provenance": dict(dictionary.provenance),
    }
    return align_to_folder(
        frames,
        dictionary,
        folder / "aligned",
        initial,
        threads=threads,
        loss=LOSS,
        progress=progress,
        facts=facts,
    )


def _command(folder: Path) -> str:
    """The run as the command line would make it."""
    video, initial = (shlex.quote(str(folder / name)) for name in (VIDEO, INITIAL))
    return (
        f"holdstill align {video} --initial {initial} --n {N_SAMPLE} --loss {LOSS} "
        "--out OTHER_FOLDER"
    )


def _facts(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says about how the run was made."""
    return {
        "holdstill": __version__,
        "command": _command(folder),
        "sources": str(folder / VIDEO),
        "initial": str(folder / INITIAL),
    }


def _write_inputs(folder: Path, head: TalkingHead, initial: FloatArray) -> Path:
    """The video, and the initial transforms as a tracker would hand them over."""
    video = folder / VIDEO
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        segment = Segment(video, head.fps)
        for frame in head:
            segment.write(frame)
        segment.close()
        with (folder / INITIAL).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["frame", *MATRIX_COLUMNS])
            for number, matrix in enumerate(initial):
                writer.writerow([number, *matrix.ravel().tolist()])
    return video


def _write_picture(
    path: Path,
    frames: Any,
    before: FloatArray,
    after: FloatArray,
    shape: tuple[int, int],
) -> None:
    """Three frames and the mean of all, with the initial transforms above and the aligned below.

    Only the mean shows how well frames lie on each other: it is sharp where they do.
    """
    from PIL import Image

    shown = np.linspace(0, len(before) - 1, 5).astype(int)[1:4].tolist()
    rows = []
    for transforms in (before, after):
        total = np.zeros((*shape, 3))
        examples = []
        for number, frame in enumerate(frames):
            canonical = warp(frame.image, transforms[number], shape)
            total += canonical
            if number in shown:
                examples.append(canonical)
        mean = np.clip(total / len(before) + 0.5, 0, 255).astype(np.uint8)
        rows.append(np.concatenate([*examples, mean], axis=1))
    gap = np.full((6, rows[0].shape[1], 3), 255, dtype=np.uint8)
    Image.fromarray(np.concatenate([rows[0], gap, rows[1]])).save(path, optimize=True)


def _text(
    folder: Path,
    result: dict[str, Any],
    before: EyeCornerTable,
    after: EyeCornerTable,
    hidden: EyeCornerTable,
) -> str:
    def line(name: str, table: EyeCornerTable) -> str:
        error = table.average
        return f"  {name:22} {error.mean:6.3f} {error.std:6.3f} {error.max:6.2f}"

    statuses = ", ".join(f"{count} {status}" for status, count in result["status"].items())
    statuses += f", {result['good']} good"
    return "\n".join(
        [
            f"{result['frames']} frames: {statuses}; "
            f"{result['mean_iterations']:.1f} iterations a frame, "
            f"{result['frames_per_second']:.0f} frames/s",
            "true eye corners in the canonical frame, distance to their mean position,",
            "pixels at 100 between the outer corners",
            f"  {'':22}   mean    std    max",
            line("initial transforms", before),
            line("aligned", after),
            line("  under a passing hand", hidden),
            f"look at   {result['report']}",
            f"and at    {folder / 'before_after.png'}, {folder / 'aligned' / 'aligned.mp4'}",
            "the same by hand:",
            f"  {_command(folder)}",
        ]
    )
