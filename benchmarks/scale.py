"""A million frames: as fast at the end as at the beginning, in flat memory, on threads or workers.

    python benchmarks/scale.py [--frames 1000000] [--repeats 3] [--only threads ...]

``threads`` and ``dask`` align the same long recording by the command line, from the same dictionary
and file of initial transforms, with two threads and with ``--dask local:2``; the outputs must be
equal, byte for byte. The speed of a tenth of the run is that of the blocks that ended in it; memory
is the resident memory of the command and all its processes, ten times a second. Of several repeats,
which take turns, the median counts. ``workers`` compares one worker with two. ``scheduler`` has a
cluster do the blocks of a billion frames, with nothing in them, and looks at what the scheduler
holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from common import Claims, parser_of, peer, print_table
from synthetic_video import SyntheticVideo

from holdstill import distributed
from holdstill.jobs.blocks import Versions, plan_blocks
from holdstill.sources import Stream

SHAPE, SIZE = (64, 64), (144, 180)
RENDERED, FILES = 250, 10
MOST_SLOWER, MOST_OVERHEAD, MOST_CPU, LEAST_GAIN, MOST_GROWTH_MB = 0.05, 0.05, 1.05, 1.6, 20.0
PARTS = ("threads", "dask", "workers", "scheduler")


@dataclass(frozen=True)
class Run:
    """What a run of the command took.

    Attributes
    ----------
    folder : Path
    wall, processor : float
        Seconds, of all processes.
    ended : ndarray, shape (b,)
        Seconds from the start at which each block had ended, ascending.
    frames : ndarray, shape (b,)
        Frames of these blocks.
    memory : ndarray, shape (t,)
        Resident memory of all processes, MB, over time.
    """

    folder: Path
    wall: float
    processor: float
    ended: np.ndarray
    frames: np.ndarray
    memory: np.ndarray

    def speeds(self) -> tuple[float, float]:
        """Frames per second in the first and last tenth, without the start of the processes."""
        tenth = max(2, len(self.ended) // 10)
        return tuple(
            float(self.frames[part][1:].sum() / (self.ended[part][-1] - self.ended[part][0]))
            for part in (slice(0, tenth), slice(-tenth, None))
        )

    def growth(self) -> float:
        """Memory of the last tenth less that of the second, MB, by their medians."""
        tenth = len(self.memory) // 10
        return float(np.median(self.memory[-tenth:]) - np.median(self.memory[tenth : 2 * tenth]))


def main() -> int:
    """Measure; 1 where a claim does not hold."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--worker-frames", type=int, default=100_000)
    parser.add_argument("--simulated", type=int, default=10**9)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    peer("distributed")
    claims = Claims()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"threads", "dask"} & set(options.only):
            long_run(folder, options.frames, options.repeats, options.only, claims)
        if "workers" in options.only:
            workers(folder, options.worker_frames, options.repeats, claims)
    if "scheduler" in options.only:
        scheduler(options.simulated, claims)
    return claims.exit_code()


def recording(folder: Path, n_frames: int) -> list[str]:
    """Arguments that align a recording of so many frames: one video under several names."""
    each = max(RENDERED, n_frames // FILES)
    video = SyntheticVideo.render(RENDERED, SIZE, SHAPE)
    place = folder / f"recording-{n_frames}"
    if place.exists():
        return arguments_of(place)
    place.mkdir()
    video.fit(n=40).save(place / "dictionary.npz")
    video.write(place / "talk.mp4", each)
    names = [place / f"talk{k:02d}.mp4" for k in range(max(1, n_frames // each))]
    for link in names:
        link.symlink_to(place / "talk.mp4")
    shown = [video.position(k) for k in range(each)]
    rows = {
        "source": np.repeat([str(link) for link in names], each),
        "frame": np.tile(np.arange(each), len(names)),
    }
    matrices = np.tile(video.initial[shown].reshape(each, 9), (len(names), 1))
    rows |= {f"h{k // 3}{k % 3}": matrices[:, k] for k in range(9)}
    write_parquet(rows, place / "initial.parquet")
    return arguments_of(place)


def arguments_of(place: Path) -> list[str]:
    """Sources, dictionary and initial transforms of a recording."""
    names = sorted(place.glob("talk??.mp4"))
    return [
        *map(str, names), "--dictionary", str(place / "dictionary.npz"),
        "--initial", str(place / "initial.parquet"),
    ]  # fmt: skip


def write_parquet(columns: dict[str, Any], path: Path) -> None:
    """A table as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)


def timed(arguments: list[str], out: Path, *more: str) -> Run:
    """Run the command and watch it."""
    log = out.with_suffix(".jsonl")
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "holdstill", "align", *arguments, "--out", str(out)]
    command += ["--block-log", str(log), "--quiet", *more]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory: list[float] = []
    started = time.time()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        over = threading.Event()
        watcher = threading.Thread(target=watch, args=(process.pid, memory, over))
        watcher.start()
        code = process.wait()
        over.set()
        watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    wall = time.time() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    ended = np.array([datetime.fromisoformat(line["finished"]).timestamp() for line in lines])
    order = np.argsort(ended)
    return Run(
        folder=out,
        wall=wall,
        processor=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        ended=ended[order] - started,
        frames=np.array([line["rows"][1] - line["rows"][0] for line in lines])[order],
        memory=np.array(memory),
    )


def watch(root: int, memory: list[float], over: threading.Event) -> None:
    """Note the resident memory of a process and all below it, until it is over."""
    page = os.sysconf("SC_PAGE_SIZE") / 1e6
    while not over.wait(0.1):
        family, total = [root], 0.0
        while family:
            pid = family.pop()
            with contextlib.suppress(OSError, IndexError, ValueError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
                for task in Path(f"/proc/{pid}/task").iterdir():
                    family += map(int, (task / "children").read_text().split())
        memory.append(total)


def long_run(folder: Path, n_frames: int, repeats: int, only: list[str], claims: Claims) -> None:
    """The same recording on two threads, and on two workers of a cluster."""
    arguments = recording(folder, n_frames)
    ways = {"threads": ("--threads", "2"), "dask": ("--dask", "local:2")}
    runs: dict[str, list[Run]] = {way: [] for way in ways if way in only}
    for _ in range(repeats):
        for way, before in runs.items():
            shutil.rmtree(folder / way, ignore_errors=True)
            before.append(timed(arguments, folder / way, "--no-video", "--zarr", *ways[way]))
    rows = []
    for way, repeated in runs.items():
        for run in repeated:
            total = int(run.frames.sum())
            claims.check(total == n_frames, f"{way}: {total} of {n_frames} frames have a row")
        first, last = np.median([run.speeds() for run in repeated], axis=0)
        claims.check(
            last >= (1 - MOST_SLOWER) * first,
            f"{way}: {last:.0f} frames/s in the last tenth, {first:.0f} in the first "
            f"(at most {MOST_SLOWER:.0%} slower)",
        )
        growth = statistics.median(run.growth() for run in repeated)
        claims.check(
            growth <= MOST_GROWTH_MB,
            f"{way}: memory grows by {growth:+.1f} MB from the second tenth to the last "
            f"(at most {MOST_GROWTH_MB:.0f})",
            missed=growth <= 2 * MOST_GROWTH_MB if way == "dask" else None,
        )
        sizes = [size_mb(folder / way / name) for name in ("transforms.parquet", "aligned.zarr")]
        wall = statistics.median(run.wall for run in repeated)
        spent = statistics.median(run.processor for run in repeated)
        peak = statistics.median(run.memory.max() for run in repeated)
        rows.append(
            (
                " ".join(ways[way]), f"{wall:.1f}", f"{n_frames / wall:.0f}", f"{first:.0f}",
                f"{last:.0f}", f"{1e3 * spent / n_frames:.3f}", f"{peak:.0f}", f"{growth:+.1f}",
                *(f"{size:.0f}" for size in sizes),
            )
        )  # fmt: skip
    if len(runs) == 2:
        same = same_outputs(*(folder / way for way in runs))
        claims.check(same, "threads and workers write the same bytes")
        spent = [statistics.median(map(len_of_work, repeated)) for repeated in runs.values()]
        claims.check(
            spent[1] <= (1 + MOST_OVERHEAD) * spent[0],
            f"two workers take {spent[1] / spent[0] - 1:+.1%} beside two threads, from the first "
            f"block's end to the last's (at most {MOST_OVERHEAD:+.0%})",
        )
    print_table(
        f"{n_frames} frames of {SIZE[1]}x{SIZE[0]} from {FILES} videos, canonical frame "
        f"{SHAPE[0]}x{SHAPE[1]}, pictures written to aligned.zarr; medians of {repeats}",
        ("way", "s", "frames/s", "first tenth", "last tenth", "CPU ms/frame", "peak MB",
         "growth MB", "parquet MB", "zarr MB"),
        rows,
        packages=("distributed", "zarr"),
    )  # fmt: skip


def len_of_work(run: Run) -> float:
    """Seconds for a frame, between the ends of the first and the last block."""
    return float((run.ended[-1] - run.ended[0]) / run.frames[1:].sum())


def size_mb(path: Path) -> float:
    """What a folder takes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def same_outputs(one: Path, other: Path) -> bool:
    """Whether parts and pictures are equal to the byte."""
    names = [
        {p.relative_to(run) for n in ("transforms.parquet", "aligned.zarr")
         for p in (run / n).rglob("*") if p.is_file()}
        for run in (one, other)
    ]  # fmt: skip
    return names[0] == names[1] and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names[0]
    )


def workers(folder: Path, n_frames: int, repeats: int, claims: Claims) -> None:
    """One worker against two."""
    arguments = recording(folder, n_frames)
    runs: dict[int, list[Run]] = {1: [], 2: []}
    for _ in range(repeats):
        for n, before in runs.items():
            out = folder / f"workers-{n}"
            shutil.rmtree(out, ignore_errors=True)
            before.append(timed(arguments, out, "--no-video", "--dask", f"local:{n}"))
    speeds = [1 / statistics.median(map(len_of_work, some)) for some in runs.values()]
    spent = [statistics.median(run.processor for run in some) for some in runs.values()]
    gain, cost = speeds[1] / speeds[0], spent[1] / spent[0]
    claims.check(gain >= LEAST_GAIN, f"two workers are {gain:.2f} x one (at least {LEAST_GAIN})")
    claims.check(
        cost <= MOST_CPU, f"CPU time a frame of two workers is {cost:.3f} x one's ({MOST_CPU})"
    )
    print_table(
        f"{n_frames} frames on workers of one thread each; seconds of the whole command; medians "
        f"of {repeats}",
        ("workers", "s", "frames/s", "CPU ms/frame", "peak MB"),
        [
            (
                n, f"{statistics.median(run.wall for run in some):.1f}", f"{speed:.0f}",
                f"{1e3 * processor / n_frames:.3f}",
                f"{statistics.median(run.memory.max() for run in some):.0f}",
            )
            for (n, some), speed, processor in zip(runs.items(), speeds, spent, strict=True)
        ],
        packages=("distributed",),
    )  # fmt: skip


class Endless:
    """A source of so many frames of one stream, none of which is ever read."""

    def __init__(self, n_frames: int) -> None:
        self.numbers = (range(n_frames),)
        self.streams = (Stream("endless", n_frames),)
        self.versions = Versions({})

    def run_up(self, stream: int, number: int) -> int:
        return 0


def nothing(task: object, outputs: object, block: tuple[int, int]) -> dict[str, Any]:
    """The record of a block with nothing in it."""
    return {"block": block[0], "frames": block[1]}


class EmptyJob:
    """Blocks like those of `Job`, which cost nothing."""

    rows_done, outputs = 0, None

    def __init__(self, frames: Any, block_frames: int) -> None:
        self.frames, self.block_frames = frames, block_frames
        self.task = Task(int(frames.numbers[0].stop))

    def pending(self) -> Any:
        return plan_blocks(self.frames, self.block_frames)

    def portable(self, block: Any) -> tuple[int, int]:
        return block.index, len(block.rows)


@dataclass(frozen=True)
class Task:
    """What `on_dask` asks a task for."""

    n_rows: int


def scheduler(n_frames: int, claims: Claims) -> None:
    """What the scheduler holds in the course of a very long job."""
    distributed.align_block = nothing
    rows = []
    with distributed.connected("local:2") as client:
        for total, block_frames in ((10**6, 2000), (n_frames, 100_000)):
            before = scheduler_memory(client)
            tasks, memory, done = [], [], 0
            started = time.perf_counter()
            for k, record in enumerate(
                distributed.on_dask(EmptyJob(Endless(total), block_frames), client)
            ):
                done += record["frames"]
                if k % 500 == 0:
                    tasks.append(client.run_on_scheduler(n_tasks))
                    memory.append(scheduler_memory(client))
            seconds = time.perf_counter() - started
            claims.check(done == total, f"{done:.0e} of {total:.0e} frames passed the scheduler")
            claims.check(max(tasks) <= 20, f"at most {max(tasks)} tasks at a time (20)")
            blocks = -(-total // block_frames)
            rows.append(
                (
                    f"{total:.0e}", f"{blocks}", f"{max(tasks)}", f"{before:.0f}",
                    f"{statistics.median(memory[-5:]):.0f}", f"{1e3 * seconds / blocks:.1f}",
                )
            )  # fmt: skip
    print_table(
        "blocks with nothing in them, on two workers; memory of the scheduler's process, MB, which "
        "here is the client's, too",
        ("frames", "blocks", "tasks at most", "before", "at the end", "ms/block"),
        rows,
        packages=("distributed",),
    )


def n_tasks(dask_scheduler: Any) -> int:
    """Tasks that the scheduler knows."""
    return len(dask_scheduler.tasks)


def scheduler_memory(client: Any) -> float:
    """Resident memory of the scheduler's process, MB."""

    def resident(dask_scheduler: Any) -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    return float(client.run_on_scheduler(resident))


if __name__ == "__main__":
    sys.exit(main())
