"""Peak memory: it does not grow with the video, and learning a dictionary fits in 600 MB.

    python benchmarks/memory.py [--frames N N] [--repetitions 3] [--threads 1 2] [--ways align ...]

Each measurement is a process of its own; the figure is the most resident memory it ever had. Three
ways open a short and a long video and align every frame: `holdstill.align`, whose results are
looked at and dropped; a run into a folder; and one that writes the aligned video, too. The first
is taken once more on longer videos, whose index grows with them. Their frames are small, so that
50,000 take minutes. On one thread equal runs take the same memory to within a few MB; on two, how
many encoders are at work at once decides, and runs with video differ by 20 MB. The fourth is the
command `holdstill align` with its defaults, which learns a dictionary of 100 frames first: on the
synthetic head in 720x576, and, where the real images are, on clips of grid_s1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import Claims, data_folder, parser_of, print_table
from synthetic_video import SyntheticVideo

import holdstill
from holdstill.memory import peak_memory
from holdstill.run import align_to_folder

SHAPE = (64, 64)
SIZE, COMMAND_SIZE = (144, 180), (576, 720)
RENDERED = 250
ALLOWED_MB = 5.0
LENGTHS = (1000, 9000)
"""Frames of the short and the long video."""
FAR_WAY, FAR_LENGTHS = "align", (5000, 50000)
"""Longer ones, for one way."""
COMMAND_MB = 600.0
COMMAND_FRAMES, COMMAND_CLIPS = 500, 20
WAYS = {"align": "holdstill.align", "run": "run, no video", "video": "run with video"}


def main() -> int:
    """Measure; 1 where the memory grows with the video."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, nargs=2, help="of both videos")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--ways", nargs="+", choices=[*WAYS, "command"], default=[*WAYS, "command"])
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way, folder, frames, threads = options.measure
        return measure(way, Path(folder), int(frames), int(threads))
    if peak_memory() is None:
        print("skipped: this system does not say how much memory a process has had")
        return 0
    claims = Claims()
    ways = [way for way in WAYS if way in options.ways]
    if options.frames:
        lengths = {tuple(options.frames): ways}
    else:
        lengths = {LENGTHS: ways, FAR_LENGTHS: [way for way in ways if way == FAR_WAY]}
    for frames, some in lengths.items():
        if some:
            growth(some, frames, options.repetitions, options.threads, claims)
    if "command" in options.ways:
        command(options.threads, claims)
    return claims.exit_code()


def growth(
    ways: list[str], frames: tuple[int, int], repetitions: int, threads: list[int], claims: Claims
) -> None:
    """A short and a long video, each way."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = SyntheticVideo.render(RENDERED, SIZE, SHAPE)
        video.fit(n=40).save(folder / "dictionary.npz")
        np.save(folder / "initial.npy", video.initial)
        for n in frames:
            video.write(folder / f"{n}.mp4", n)
        for way in ways:
            for count in threads:
                peaks: dict[int, list[float]] = {n: [] for n in frames}
                for _ in range(repetitions):
                    for n, values in peaks.items():
                        values.append(measured(way, folder, n, count))
                short, long = (statistics.median(peaks[n]) for n in frames)
                claims.check(
                    abs(long - short) < ALLOWED_MB,
                    f"{WAYS[way]}, threads {count}: {frames[1]} frames take "
                    f"{long - short:+.2f} MB beside {frames[0]} (less than {ALLOWED_MB:.0f})",
                    missed=long - short < 8.0 if (way, frames) == (FAR_WAY, FAR_LENGTHS) else None,
                )
                rows.append(
                    [
                        WAYS[way],
                        str(count),
                        *(f"{statistics.median(peaks[n]):.1f}" for n in frames),
                        f"{long - short:+.2f}",
                        *(f"{np.ptp(peaks[n]):.1f}" for n in frames),
                    ]
                )
    first, second = frames
    print_table(
        f"peak resident memory, MB (10^6 bytes), median of {repetitions} processes; video "
        f"{SIZE[1]}x{SIZE[0]}, canonical frame {SHAPE[0]}x{SHAPE[1]}, affine, grey, full",
        ("way", "threads", f"{first} frames", f"{second} frames", "difference",
         f"spread at {first}", f"spread at {second}"),
        rows,
    )  # fmt: skip


def command(threads: list[int], claims: Claims) -> None:
    """`holdstill align` with its defaults, learning included."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = SyntheticVideo.render(RENDERED, COMMAND_SIZE, (200, 200))
        video.write(folder / "head.mp4", COMMAND_FRAMES)
        video.write_initial(folder / "initial.csv", COMMAND_FRAMES)
        sources = {
            "synthetic head, 720x576": [
                str(folder / "head.mp4"), "--initial", str(folder / "initial.csv")
            ]
        }  # fmt: skip
        grid = data_folder("grid_s1")
        if grid is not None:
            clips = sorted(grid.glob("*.mpg"))[:COMMAND_CLIPS]
            sources[f"{len(clips)} clips of grid_s1, 360x288"] = list(map(str, clips))
        for source, arguments in sources.items():
            for count in threads:
                run = folder / f"run-{len(rows)}"
                subprocess.run(
                    [sys.executable, "-m", "holdstill", "align", *arguments, "--out", str(run),
                     "--threads", str(count), "--quiet"],
                    env=_one_blas_thread(),
                    check=True,
                )  # fmt: skip
                facts = json.loads((run / "run.json").read_text())
                peak = facts["peak_memory_mb"]
                rows.append([source, str(count), str(facts["frames"]), f"{peak:.0f}"])
                claims.check(
                    peak < COMMAND_MB,
                    f"holdstill align, {source}, threads {count}: {peak:.0f} MB (less than "
                    f"{COMMAND_MB:.0f})",
                )
    print_table(
        "peak resident memory of `holdstill align` with its defaults, MB (10^6 bytes)",
        ("source", "threads", "frames", "MB"),
        rows,
    )


def measured(way: str, folder: Path, frames: int, threads: int) -> float:
    """The peak memory of a process that aligns a video."""
    command = [sys.executable, __file__, "--measure", way, str(folder), str(frames), str(threads)]
    output = subprocess.run(
        command, env=_one_blas_thread(), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return float(output.splitlines()[-1])


def _one_blas_thread() -> dict[str, str]:
    # Threads of BLAS have stacks and buffers of their own, which say nothing about the frames.
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def measure(way: str, folder: Path, frames: int, threads: int) -> int:
    """Align a video of this many frames in this process, and print its peak memory."""
    rendered = np.load(folder / "initial.npy")
    video = SyntheticVideo(np.empty((len(rendered), 1, 1, 3), np.uint8), rendered, SHAPE)
    dictionary = holdstill.Dictionary.load(folder / "dictionary.npz")
    path = folder / f"{frames}.mp4"
    if way == "align":
        seen, converged = 0, 0
        found = holdstill.align(path, dictionary, video.initial_of, threads=threads)
        for seen, alignment in enumerate(found, start=1):  # noqa: B007  (the last is the number)
            converged += alignment.converged
    else:
        with tempfile.TemporaryDirectory(dir=folder) as run:
            facts = align_to_folder(
                holdstill.open(path),
                dictionary,
                run,
                video.initial_of,
                threads=threads,
                video=way == "video",
            )
        seen, converged = facts["frames"], facts["status"]["converged"]
    if seen != frames or converged < 0.9 * frames:
        print(f"{converged} of {seen} frames converged, of {frames}", file=sys.stderr)
        return 1
    print(peak_memory())
    return 0


if __name__ == "__main__":
    sys.exit(main())
