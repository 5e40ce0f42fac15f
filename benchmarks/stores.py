"""A run on an object store whose every answer takes 200 ms: at least 0.8 times a local run's speed.

    python benchmarks/stores.py [--frames 10000] [--blocks 500 2000 10000] [--latency 0.2]

A video is read from a server that speaks S3 (moto, a process of its own, which waits before each
answer), and a run is written there, in blocks of different sizes; beside it the same video and run
on this machine's disk. One thread aligns, as in a worker of a cluster: whatever has to be waited
for, the frames wait for. Frames are small and aligned fast, which makes waiting weigh more.

Both runs must have the same bytes. The claim is about the largest blocks; the table says from what
size on it holds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import Claims, parser_of, peer, print_table
from synthetic_video import SyntheticVideo

import holdstill
from holdstill.run import align_to_folder
from holdstill.stores import open_store

SIZE, SHAPE, RENDERED = (288, 360), (100, 100), 250
BAR = 0.8
KINDS = ("GET", "PUT", "HEAD")


def main() -> int:
    """Measure; 1 where the claim does not hold."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=10000)
    parser.add_argument("--blocks", type=int, nargs="+", default=[500, 2000, 10000])
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before each answer")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.latency)
    s3fs = peer("s3fs")
    peer("moto.server")
    claims = Claims()
    with tempfile.TemporaryDirectory() as name, served(options.latency) as counted:
        folder = Path(name)
        video = SyntheticVideo.render(RENDERED, SIZE, SHAPE)
        video.write(folder / "head.mp4", options.frames)
        dictionary = video.fit(n=40)
        files = s3fs.S3FileSystem()
        files.mkdir("bucket")
        megabytes = (folder / "head.mp4").stat().st_size / 1e6
        files.put_file(str(folder / "head.mp4"), "bucket/head.mp4")
        rows, shares = [], []
        for zarr in (False, True):
            for size in options.blocks:
                row, share = compare(folder, video, dictionary, size, zarr, counted, claims)
                rows.append([*row, f"{share:.2f}"])
                shares.append((zarr, size, share))
    print_table(
        f"{options.frames} frames {SIZE[1]}x{SIZE[0]} in a video of {megabytes:.0f} MB, canonical "
        f"frame {SHAPE[0]}x{SHAPE[1]}, one thread; {1000 * options.latency:.0f} ms to each answer",
        ("written", "frames of a block", "local, frames/s", "S3, frames/s", "requests a block",
         "share"),
        rows,
        packages=("s3fs", "moto"),
    )  # fmt: skip
    for zarr in (False, True):
        enough = [size for written, size, share in shares if written == zarr and share >= BAR]
        largest = next(share for *which, share in shares if which == [zarr, max(options.blocks)])
        what = "rows, video and pictures" if zarr else "rows and video"
        claims.check(
            largest >= BAR,
            f"{what}: at least {BAR} times the local speed with blocks of "
            f"{min(enough, default='no size of')} frames and more",
            missed=largest >= 0.45 if zarr else None,
        )
    return claims.exit_code()


def compare(
    folder: Path,
    video: SyntheticVideo,
    dictionary: holdstill.Dictionary,
    size: int,
    zarr: bool,
    counted: Callable[[], Counter[str]],
    claims: Claims,
) -> tuple[list[str], float]:
    """A run here and one there: the table's cells, and the share of the speed."""
    name = f"run-{size}-{zarr}"
    seconds, blocks = [], 0
    for source, out in (
        (str(folder / "head.mp4"), str(folder / name)),
        ("s3://bucket/head.mp4", f"s3://bucket/{name}"),
    ):
        counted()
        started = time.perf_counter()
        with holdstill.open(source) as frames:
            summary = align_to_folder(
                frames, dictionary, out, video.initial_of, threads=1, zarr=zarr, block_frames=size
            )
        seconds.append(time.perf_counter() - started)
        blocks = summary["blocks"]
    requests = counted()
    same_bytes(folder / name, f"s3://bucket/{name}", claims)
    n = summary["frames"]
    each = ", ".join(f"{requests[kind] / blocks:.1f} {kind}" for kind in KINDS)
    written = "Parquet, video, zarr" if zarr else "Parquet, video"
    cells = [written, str(size), *(f"{n / spent:.0f}" for spent in seconds), each]
    return cells, seconds[0] / seconds[1]


def same_bytes(here: Path, there: str, claims: Claims) -> None:
    """Both runs are the same, but for the address of the source."""
    a, b = open_store(here), open_store(there)
    rows = [holdstill.read_transforms(str(store.address)) for store in (a, b)]
    same = a.read("aligned.mp4") == b.read("aligned.mp4") and all(
        np.array_equal(rows[0][name], rows[1][name], equal_nan=rows[0][name].dtype.kind == "f")
        for name in rows[0]
        if name != "source"
    )
    if not same:
        claims.check(False, f"{here.name}: the same bytes here and there")


@contextmanager
def served(latency: float) -> Iterator[Callable[[], Counter[str]]]:
    """A server in a process of its own; yields what counts its requests since the last call."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "requests"
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", "--latency", str(latency)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "REQUESTS": str(log)},
        )
        assert server.stdout is not None
        os.environ.update(
            AWS_ENDPOINT_URL=server.stdout.readline().strip(),
            AWS_ACCESS_KEY_ID="name",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_DEFAULT_REGION="us-east-1",
        )
        read = 0

        def counted() -> Counter[str]:
            nonlocal read
            lines = log.read_text().splitlines()
            new, read = lines[read:], len(lines)
            return Counter(line.partition(" ")[0] for line in new)

        try:
            yield counted
        finally:
            server.kill()
            server.wait()


def serve(latency: float) -> int:
    """Answer S3's requests, late, and write down each."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    answer = DomainDispatcherApplication(create_backend_app)
    with open(os.environ["REQUESTS"], "a", buffering=1, encoding="utf-8") as log:

        def late(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            asked = environ.get("HTTP_RANGE", "")
            log.write(f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {asked}\n")
            time.sleep(latency)
            return answer(environ, start)  # type: ignore[no-any-return]

        server = make_server("127.0.0.1", 0, late, True, request_handler=MotoRequestHandler)
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
