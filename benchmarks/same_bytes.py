"""Runs of the command line with 1, 2 and 4 threads: the parts must be the same bytes.

    python benchmarks/same_bytes.py [--threads 1 2 4] [--frames 2600] [--clips 30]

On a synthetic video with a file of initial transforms, and, where the real images are, on clips in
which a face detector finds each track's first frame and the previous frame starts the next.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Claims, data_folder, parser_of, print_table
from synthetic_video import SyntheticVideo

import holdstill

SHAPE = (80, 80)
SIZE = (216, 270)
RENDERED = 300


def main() -> int:
    """Run everything; 1 where bytes differ."""
    parser = parser_of(__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--frames", type=int, default=2600, help="of the synthetic video")
    parser.add_argument("--clips", type=int, default=30, help="of the real ones")
    options = parser.parse_args()
    claims = Claims()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = synthetic(folder, options.frames)
        compare("synthetic video", folder / "synthetic", arguments, options.threads, claims, rows)
        grid = data_folder("grid_s1")
        if grid is not None:
            clips = sorted(grid.glob("*.mpg"))[: options.clips]
            compare(
                f"{len(clips)} clips of grid_s1, detector",
                folder / "clips",
                detected(folder, clips),
                options.threads,
                claims,
                rows,
            )
    print_table(
        "transforms.parquet of the same run with several numbers of threads",
        ("source", "threads", "rows", "parts", "sha256", "seconds", "same"),
        rows,
        packages=("av", "pyarrow"),
    )
    return claims.exit_code()


def synthetic(folder: Path, frames: int) -> list[str]:
    """Arguments of a run on a synthetic video with given initial transforms."""
    video = SyntheticVideo.render(RENDERED, SIZE, SHAPE)
    video.write(folder / "head.mp4", frames)
    video.write_initial(folder / "initial.csv", frames)
    video.fit(n=40).save(folder / "head.npz")
    return [
        str(folder / "head.mp4"),
        "--dictionary", str(folder / "head.npz"),
        "--initial", str(folder / "initial.csv"),
    ]  # fmt: skip


def detected(folder: Path, clips: list[Path]) -> list[str]:
    """Arguments of a run on clips without initial transforms."""
    dictionary = holdstill.fit(clips, n=40, shape=SHAPE, features="edges", roi="upper-face")
    dictionary.save(folder / "clips.npz")
    return [*map(str, clips), "--dictionary", str(folder / "clips.npz")]


def compare(
    source: str,
    folder: Path,
    arguments: list[str],
    threads: list[int],
    claims: Claims,
    rows: list[list[str]],
) -> None:
    """One run for each number of threads; their parts against those of the first."""
    first: dict[str, str] = {}
    for count in threads:
        run = folder.with_name(f"{folder.name}-{count}")
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "holdstill", "align", *arguments, "--out", str(run),
             "--threads", str(count), "--quiet"],
            check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        digests = {
            part.name: hashlib.sha256(part.read_bytes()).hexdigest()
            for part in sorted((run / "transforms.parquet").iterdir())
        }
        first = first or digests
        n_rows = len(holdstill.read_transforms(run)["frame"])
        whole = hashlib.sha256("".join(digests.values()).encode()).hexdigest()
        same = bool(digests) and digests == first
        rows.append(
            [source, str(count), str(n_rows), str(len(digests)), whole[:16], f"{seconds:.1f}",
             "yes" if same else "NO"]
        )  # fmt: skip
        claims.check(same, f"{source}, {count} threads: {len(digests)} parts as with {threads[0]}")


if __name__ == "__main__":
    sys.exit(main())
