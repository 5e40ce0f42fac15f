"""Aligning a video against decoding it, in frames a second; the bar is 0.4 of decoding alone.

    python benchmarks/pipeline.py [--frames 5000] [--repetitions 3]

The talking_face set, to and fro, as one H.264 video; a dictionary with the defaults for faces.
Aligned from a detection where a track starts and the frame before after that; from given
transforms, as far off as those of a face tracker are; and into a run's folder, without and with the
aligned video. Beside it PyAV decodes the same file and looks at each grey plane, with the fastest
of its own ways of using as many threads.

Before anything is timed, two threads must find what one finds to the last bit, and given transforms
what one call of `align_batch` finds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
from common import Claims, data_folder, parser_of, print_table
from looped_video import write_loop
from talking_face import SHAPE

import holdstill
from holdstill.run import align_to_folder

BAR = 0.4
COMPARED = 400
DECODERS = {1: ("NONE",), 2: ("FRAME", "SLICE", "AUTO")}


def main() -> int:
    """Check, measure, print; 1 where a claim does not hold."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    folder = data_folder("talking_face")
    if folder is None:
        return 0
    claims = Claims()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "loop.mp4"
        loop = write_loop(sorted(folder.glob("*.jpg")), path, options.frames)
        table = holdstill.read_transforms(folder / "initial.csv", shape=SHAPE)
        given = table["frame_from_canonical"][[loop.position(k) for k in range(options.frames)]]
        started = time.perf_counter()
        dictionary = holdstill.fit(path)
        print(f"fit: {time.perf_counter() - started:.1f} s, {dictionary!r}", flush=True)
        agreement(path, dictionary, given, claims)
        measure(path, Path(name), dictionary, given, options.repetitions, claims)
    return claims.exit_code()


def agreement(
    path: Path, dictionary: holdstill.Dictionary, given: np.ndarray, claims: Claims
) -> None:
    """Two threads against one, and given transforms against one call of the core."""

    def found(initial: np.ndarray | None, threads: int) -> np.ndarray:
        source = holdstill.open(path, stop=2 * COMPARED)
        results = holdstill.align(source, dictionary, initial, threads=threads)
        return np.stack([result.frame_from_canonical for result in results])

    detected = found(None, 1)
    claims.check(
        np.array_equal(detected, found(None, 2)), f"{len(detected)} frames: 2 threads as 1"
    )
    starts = given[: 2 * COMPARED]
    frames = np.stack([frame.grey() for frame in holdstill.open(path, stop=COMPARED)])
    batch = holdstill.align_batch(frames, dictionary, starts[:COMPARED]).frame_from_canonical
    claims.check(
        np.array_equal(found(starts, 2)[:COMPARED], batch),
        f"{COMPARED} frames from given transforms: as align_batch",
    )


def measure(
    path: Path,
    folder: Path,
    dictionary: holdstill.Dictionary,
    given: np.ndarray,
    repetitions: int,
    claims: Claims,
) -> None:
    """Time all ways in turn, several times, and print the medians."""

    def align(initial: np.ndarray | None, threads: int) -> None:
        for _ in holdstill.align(path, dictionary, initial, threads=threads):
            pass

    def run(video: bool, threads: int) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            align_to_folder(holdstill.open(path), dictionary, name, threads=threads, video=video)

    ways: dict[tuple[str, int], Callable[[], None]] = {}
    for threads, kinds in DECODERS.items():
        for kind in kinds:
            ways[f"decode alone, {kind}", threads] = partial(decode, path, kind, threads)
        ways["align, tracks", threads] = partial(align, None, threads)
        ways["align, given transforms", threads] = partial(align, given, threads)
        ways["run, no video", threads] = partial(run, False, threads)
        ways["run with video", threads] = partial(run, True, threads)
    wall: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    processor: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    for _ in range(repetitions):
        for way, work in ways.items():
            started, used = time.perf_counter(), time.process_time()
            work()
            wall[way].append(time.perf_counter() - started)
            processor[way].append(time.process_time() - used)
    n = len(given)
    decoding = {
        threads: min(statistics.median(wall[f"decode alone, {kind}", threads]) for kind in kinds)
        for threads, kinds in DECODERS.items()
    }
    rows = []
    for (name, threads), seconds in wall.items():
        median = statistics.median(seconds)
        ratio = decoding[threads] / median
        rows.append(
            [name, str(threads), f"{n / median:.0f}", f"{1e3 * median / n:.2f}",
             f"{1e3 * statistics.median(processor[name, threads]) / n:.2f}", f"{ratio:.2f}"]
        )  # fmt: skip
        if name == "align, tracks" and threads == 2:
            claims.check(
                ratio >= BAR,
                f"{name}, {threads} threads: {ratio:.2f} of decoding alone, at least {BAR}",
                missed=ratio >= 0.28,
            )
    print_table(
        f"{path.name}, {n} frames of 720x576, H.264; affine, {SHAPE[0]}x{SHAPE[1]}; median of "
        f"{repetitions}",
        ("way", "threads", "frames/s", "ms a frame", "processor ms a frame", "of decoding alone"),
        rows,
        packages=("av",),
    )


def decode(path: Path, kind: str, threads: int) -> None:
    """Decode a video and look at every grey plane."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = kind
        stream.codec_context.thread_count = threads
        for frame in container.decode(stream):
            plane = frame.planes[0]
            grey = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            assert grey[: frame.height, : frame.width].shape == (frame.height, frame.width)


if __name__ == "__main__":
    sys.exit(main())
