"""Peak memory of aligning a short and a long video: it must not grow with the frames.

    python benchmarks/memory.py [--threads 1 2]

Each measurement is a process of its own that opens a video, aligns every frame and ends; the figure
is the most resident memory it ever had. Three ways: `holdstill.align`, whose results are looked at
and dropped; a run into a folder; and one that writes the aligned video, too. On one thread equal
runs take the same memory to within a few MB; on two, how many encoders are at work at once decides,
and runs with video differ by 20 MB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import Claims, print_table
from synthetic_video import SyntheticVideo

import holdstill
from holdstill.recording import peak_memory
from holdstill.run import align_to_folder

SHAPE = (64, 64)
SIZE = (144, 180)
RENDERED = 250
ALLOWED_MB = 5.0
WAYS = {"align": "holdstill.align", "run": "run, no video", "video": "run with video"}


def main() -> int:
    """Measure; 1 where the memory grows with the video."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, nargs=2, default=[1000, 9000])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way, folder, frames, threads = options.measure
        return measure(way, Path(folder), int(frames), int(threads))
    if peak_memory() is None:
        print("skipped: this system does not say how much memory a process has had")
        return 0
    claims = Claims()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = SyntheticVideo.render(RENDERED, SIZE, SHAPE)
        video.fit(n=40).save(folder / "dictionary.npz")
        np.save(folder / "initial.npy", video.initial)
        for frames in options.frames:
            video.write(folder / f"{frames}.mp4", frames)
        for way in WAYS:
            for threads in options.threads:
                peaks: dict[int, list[float]] = {frames: [] for frames in options.frames}
                for _ in range(options.repetitions):
                    for frames, values in peaks.items():
                        values.append(measured(way, folder, frames, threads))
                short, long = (statistics.median(peaks[frames]) for frames in options.frames)
                claims.check(
                    abs(long - short) < ALLOWED_MB,
                    f"{WAYS[way]}, threads {threads}: {options.frames[1]} frames take "
                    f"{long - short:+.2f} MB beside {options.frames[0]} (less than "
                    f"{ALLOWED_MB:.0f})",
                )
                rows.append(
                    [
                        WAYS[way],
                        str(threads),
                        *(f"{statistics.median(peaks[frames]):.1f}" for frames in options.frames),
                        f"{long - short:+.2f}",
                        *(f"{np.ptp(peaks[frames]):.1f}" for frames in options.frames),
                    ]
                )
    first, second = options.frames
    print_table(
        f"peak resident memory, MB (10^6 bytes), median of {options.repetitions} processes; video "
        f"{SIZE[1]}x{SIZE[0]}, canonical frame {SHAPE[0]}x{SHAPE[1]}, affine, grey",
        ("way", "threads", f"{first} frames", f"{second} frames", "difference",
         f"spread at {first}", f"spread at {second}"),
        rows,
    )  # fmt: skip
    return claims.exit_code()


def measured(way: str, folder: Path, frames: int, threads: int) -> float:
    """The peak memory of a process that aligns a video."""
    command = [sys.executable, __file__, "--measure", way, str(folder), str(frames), str(threads)]
    # Threads of BLAS have stacks and buffers of their own, which say nothing about the frames.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    output = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return float(output.splitlines()[-1])


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
