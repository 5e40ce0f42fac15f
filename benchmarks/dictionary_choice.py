"""Which frames make a good dictionary: random, stratified, consecutive, and chosen by coverage.

    python benchmarks/dictionary_choice.py [--n 20 50 100] [--seeds 0 1]

The claims are paper A's (§3.1), that a sample of consecutive frames fails where one drawn over the
whole set converges, and that looking at the frames does better than chance at the same n. Residuals
and iterations are those of frames outside of the sample; the eye corners are those of all frames.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import OUT, Claims, FloatArray, data_folder, parser_of, print_table
from talking_face import TalkingFace

import holdstill
from holdstill.evaluate import eye_corner_table
from holdstill.initial import make_initial
from holdstill.learning.selection import SELECTIONS

SHAPE = (100, 100)
CLIPS, EVERY = 40, 5
"""Of GRID: the clips taken, evenly over the folder, and the step between their frames. Consecutive
frames are taken as they are, from the first clips on."""


@dataclass(frozen=True)
class Faces:
    """Grey frames with initial transforms, and points where there are any."""

    name: str
    frames: npt.NDArray[np.uint8]
    initial: FloatArray
    points: FloatArray | None = None
    beginning: tuple[npt.NDArray[np.uint8], FloatArray] | None = None
    """Frames and transforms at the full rate, where `frames` are every `EVERY`-th."""


@dataclass(frozen=True)
class Row:
    """What one dictionary does, means over the seeds."""

    selection: str
    n: int
    atoms: float
    eyes: float
    worst_eyes: float
    residual: float
    high_residual: float
    worst_residual: float
    iterations: float
    most_iterations: float
    failures: float
    explained: float
    advised: float
    seconds: float


def main() -> int:
    """Run everything; 1 where a claim fails."""
    parser = parser_of(__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    claims = Claims()
    measured: dict[str, list[Row]] = {}
    for faces in (talking_face(), grid()):
        if faces is None:
            continue
        rows = [
            row_of(faces, selection, n, options.seeds)
            for n in options.n
            for selection in SELECTIONS
        ]
        measured[faces.name] = rows
        check(faces, rows, claims)
        print_table(
            f"{faces.name}: {len(faces.frames)} frames, affine, grey, full, {SHAPE[0]}x{SHAPE[1]}; "
            f"means over {len(options.seeds)} samples (the consecutive one is always the same); "
            "eye corners in px at 100 px between the outer ones; s to learn, one thread",
            ("sample", "n", "atoms", "eye corners", "worst", "residual", "95 %", "worst",
             "iterations", "most", "failed", "explained", "advised n", "s"),
            [cells(row) for row in rows],
        )  # fmt: skip
    plot(measured)
    return claims.exit_code()


def talking_face() -> Faces | None:
    """All frames of the talking-face set."""
    folder = data_folder("talking_face")
    if folder is None:
        return None
    face = TalkingFace.load(folder)
    return Faces("talking_face", face.frames, face.initial_for(SHAPE), face.points)


def grid() -> Faces | None:
    """A part of the GRID speaker's frames, in which the detector finds a face."""
    folder = data_folder("grid_s1")
    if folder is None:
        return None
    clips = [str(clip) for clip in sorted(folder.glob("*.mpg"))]
    spread = detected(holdstill.open(clips[:: len(clips) // CLIPS], every=EVERY))
    return Faces("grid_s1", *spread, beginning=detected(holdstill.open(clips[:3])))


def detected(source: holdstill.FrameSource) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    """Grey frames in which the detector finds a face, and their initial transforms."""
    starts = make_initial(None, SHAPE, independent=True)
    found = [
        (frame.grey(), start)
        for frame in source
        if frame.readable and (start := starts.for_track().propose(frame, 0)) is not None
    ]
    frames, initial = zip(*found, strict=True)
    return np.stack(frames), np.stack(initial)


def row_of(faces: Faces, selection: str, n: int, seeds: Iterable[int]) -> Row:
    """Learn dictionaries, align everything by each."""
    results = []
    drawn_from, every = (faces.frames, faces.initial), 1
    if selection == "consecutive":
        seeds = [0]
        if faces.beginning is not None:
            drawn_from, every = faces.beginning, EVERY
    for seed in seeds:
        started = time.thread_time()
        dictionary = holdstill.fit(
            *drawn_from,
            n=n,
            selection=selection,
            seed=seed,
            shape=SHAPE,
            features="grey",
            roi="full",
            lambda_c=1.0,
            threads=1,
        )
        seconds = time.thread_time() - started
        found = holdstill.align_batch(faces.frames, dictionary, faces.initial, threads=1)
        # The frames are an array: its frame numbers are positions.
        sample = [number // every for _, number in dictionary.provenance["sample"]]
        others = np.setdiff1d(np.arange(len(faces.frames)), sample)
        residual = found.residual[others][found.converged[others]]
        eyes = (np.nan, np.nan)
        if faces.points is not None:
            table = eye_corner_table(found.frame_from_canonical, faces.points, shape=SHAPE)
            eyes = (table.average.mean, table.average.max)
        coverage = dictionary.coverage(faces.frames, faces.initial, seed=seed + 1)
        results.append(
            (
                dictionary.n_atoms, *eyes, *np.quantile(residual, (0.5, 0.95, 1.0)),
                found.iterations[others].mean(), found.iterations[others].max(),
                (~found.converged[others]).sum(), coverage.share_explained, coverage.advised_n,
                seconds,
            )
        )  # fmt: skip
    row = Row(selection, n, *np.mean(results, axis=0).tolist())
    print("  ".join(cells(row)), file=sys.stderr, flush=True)
    return row


def check(faces: Faces, rows: list[Row], claims: Claims) -> None:
    """At every n: consecutive fails, coverage beats chance."""
    at = {(row.selection, row.n): row for row in rows}
    for n in sorted({row.n for row in rows}):
        random, consecutive = at["random", n], at["consecutive", n]
        coverage = at["coverage", n]
        name = f"{faces.name}, n = {n}"
        claims.check(
            consecutive.residual > 1.5 * random.residual
            and consecutive.iterations > random.iterations,
            f"{name}: consecutive frames leave {consecutive.residual:.3f} of a frame and take "
            f"{consecutive.iterations:.1f} iterations, random ones {random.residual:.3f} and "
            f"{random.iterations:.1f}",
        )
        claims.check(
            consecutive.explained < 0.5 < random.explained,
            f"{name}: Dictionary.coverage says so: {consecutive.explained:.0%} explained, "
            f"{random.explained:.0%} by random ones",
        )
        claims.check(
            coverage.high_residual < random.high_residual
            and coverage.worst_residual < random.worst_residual,
            f"{name}: coverage leaves {coverage.high_residual:.3f} (95 %) and "
            f"{coverage.worst_residual:.3f} (worst), chance {random.high_residual:.3f} and "
            f"{random.worst_residual:.3f}",
        )
        if faces.points is not None:
            claims.check(
                coverage.eyes < random.eyes < consecutive.eyes,
                f"{name}: eye corners {coverage.eyes:.3f} by coverage, {random.eyes:.3f} by "
                f"chance, {consecutive.eyes:.3f} consecutive",
            )


def cells(row: Row) -> list[str]:
    """A row as text; a dash where there are no points."""
    eyes = [f"{row.eyes:.3f}", f"{row.worst_eyes:.2f}"] if row.eyes == row.eyes else ["–", "–"]
    return [
        row.selection, f"{row.n}", f"{row.atoms:.0f}", *eyes, f"{row.residual:.3f}",
        f"{row.high_residual:.3f}", f"{row.worst_residual:.3f}", f"{row.iterations:.1f}",
        f"{row.most_iterations:.0f}", f"{row.failures:.1f}", f"{row.explained:.0%}",
        f"{row.advised:.0f}", f"{row.seconds:.1f}",
    ]  # fmt: skip


def plot(measured: dict[str, list[Row]]) -> Path | None:
    """Residual and eye corners over n, where matplotlib is installed."""
    try:
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot
    except ImportError:
        return None
    panels = [
        (name, label, field)
        for name, rows in measured.items()
        for label, field in (
            ("eye corners, px", "eyes"),
            ("residual, 95 % of frames", "high_residual"),
        )
        if np.isfinite(getattr(rows[0], field))
    ]
    if not panels:
        return None
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4 * len(panels), 3.2), squeeze=False)
    for axis, (name, label, field) in zip(axes[0], panels, strict=True):
        for selection in SELECTIONS:
            rows = [row for row in measured[name] if row.selection == selection]
            axis.plot(
                [row.n for row in rows], [getattr(r, field) for r in rows], "o-", label=selection
            )
        axis.set(title=name, xlabel="n", ylabel=label, ylim=(0, None))
    axes[0, 0].legend()
    figure.tight_layout()
    OUT.mkdir(exist_ok=True)
    path = OUT / "dictionary_choice.png"
    figure.savefig(path, dpi=120)
    print(f"plotted to {path}")
    return path


if __name__ == "__main__":
    sys.exit(main())
