"""Two threads against one: the same bytes, at least 1.9 times as many frames a second.

    python benchmarks/threads.py [--frames 500] [--repetitions 7]

A dictionary of the talking_face set with the defaults for faces, and the set's frames: decoded, by
one call of `align_batch` and one by one through `align`, from given transforms; and through `align`
from the folder, which reads and decodes. Equality to the last bit comes before timing. The runs
take turns. A yardstick tells what the machine itself had to give: hashing on two threads, which
share nothing, against hashing on one. Where other work leaves it below the bar, nothing can be
judged; the processor time that two threads take in the place of one is shown all the same.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from common import Claims, data_folder, parser_of, peer, print_table
from talking_face import TalkingFace

import holdstill

threadpool_limits = peer("threadpoolctl").threadpool_limits

BAR = 1.9
YARDSTICK = "yardstick: SHA-256"

Way = Callable[[int], npt.NDArray[np.float64]]


def main() -> int:
    """Check, measure, print; 1 where a claim does not hold."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    folder = data_folder("talking_face")
    if folder is None:
        return 0
    claims = Claims()
    face = TalkingFace.load(folder)
    frames, initial = face.frames[: options.frames], face.initial[: options.frames]
    with threadpool_limits(1):  # of BLAS
        dictionary = holdstill.fit(face.frames, face.initial, threads=1)
    print(repr(dictionary), flush=True)
    paths = sorted(folder.glob("*.jpg"))[: options.frames]

    def batch(threads: int) -> npt.NDArray[np.float64]:
        found = holdstill.align_batch(frames, dictionary, initial, threads=threads)
        return found.frame_from_canonical

    ways: dict[str, Way] = {
        "align_batch, decoded frames": batch,
        "align, decoded frames": lambda threads: transforms(
            holdstill.align(frames, dictionary, initial, threads=threads)
        ),
        "align, JPEG files": lambda threads: transforms(
            holdstill.align(paths, dictionary, initial, threads=threads)
        ),
        YARDSTICK: hashing(b"\0" * 150_000_000),
    }
    for name, way in ways.items():
        claims.check(np.array_equal(way(1), way(2)), f"{name}: two threads find what one finds")
    if claims.exit_code():
        return claims.exit_code()
    seconds, cpu = ({(name, n): [] for name in ways for n in (1, 2)} for _ in range(2))
    for _ in range(options.repetitions):
        for name, threads in seconds:
            started, used = time.perf_counter(), time.process_time()
            ways[name](threads)
            seconds[name, threads].append(time.perf_counter() - started)
            cpu[name, threads].append(time.process_time() - used)
    ratios = {name: ratio(seconds[name, 1], seconds[name, 2]) for name in ways}
    print_table(
        f"talking_face, {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}: medians of "
        f"{options.repetitions} runs in turn",
        ("way", "1 thread, s", "2 threads, s", "ratio", "CPU, 2 to 1"),
        [
            (
                name,
                *(f"{statistics.median(seconds[name, n]):.2f}" for n in (1, 2)),
                f"{ratios[name]:.2f}",
                f"{ratio(cpu[name, 2], cpu[name, 1]):.2f}",
            )
            for name in ways
        ],
    )
    if ratios[YARDSTICK] < BAR:
        print(f"not judged: the machine itself gave two threads {ratios[YARDSTICK]:.2f} times one")
        return claims.exit_code()
    for name in list(ways)[:2]:
        claims.check(
            ratios[name] >= BAR,
            f"{name}: {ratios[name]:.2f} times as fast on two threads, at least {BAR}",
        )
    return claims.exit_code()


def ratio(above: list[float], below: list[float]) -> float:
    """Median over the turns."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def transforms(results: Iterable[holdstill.Alignment]) -> npt.NDArray[np.float64]:
    """All results' transforms."""
    return np.stack([result.frame_from_canonical for result in results])


def hashing(block: bytes) -> Way:
    """Eight times the same work, which holds no lock and needs little memory bandwidth."""

    def way(threads: int) -> npt.NDArray[np.float64]:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda _: hashlib.sha256(block).digest()[0], range(8)))
        return np.array(found, dtype=np.float64)

    return way


if __name__ == "__main__":
    raise SystemExit(main())
