"""How well the model of head movement knows heads, and how natural what it draws is.

    python benchmarks/head_motion.py [--clips 125]

Claimed, on the Talking Face and on the clips of a GRID speaker, each divided into five parts that
are left out in turn: what is left out is likelier under the model than under white noise or a
random walk, a random walk with the model's own Student-t innovations included, in every part. And
of ten minutes drawn no frame leaves the observed range, while the spread, speed and acceleration
of every parameter, in pieces as long as the recording's, are within a factor of 1.5 of those.

Power spectra and autocorrelations of what is drawn, cut into pieces as long as the recording's,
stand beside the recording's in out/head_motion_*.png.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import OUT, Claims, FloatArray, data_folder, parser_of, peer, print_table

import holdstill
from holdstill.motion import PARAMETERS, MotionModel, decompose
from holdstill.motion.autoregression import (
    DEGREES_OF_FREEDOM,
    Autoregression,
    log_densities,
    student_t_scatter,
)
from holdstill.motion.recorded import stretches_of
from holdstill.motion.spectra import equal_pieces
from holdstill.run import align_to_folder

peer("matplotlib")
from holdstill import plot  # noqa: E402  (it needs matplotlib)

FPS, MINUTES, PARTS = 25.0, 10, 5
FACTOR = 1.5
UNCOUNTED = 10
"""Frames at the beginning of a stretch that no model is asked for: the largest order."""


def main() -> int:
    """Run everything; 1 where a claim fails."""
    parser = parser_of(__doc__)
    parser.add_argument("--clips", type=int, default=125, help="of grid_s1")
    n_clips = parser.parse_args().clips
    claims = Claims()
    likelihoods, sizes = [], []
    for name in ("talking_face", "grid_s1"):
        folder = data_folder(name)
        if folder is None:
            continue
        stretches = talking_face(folder) if name == "talking_face" else grid(folder, n_clips)
        frames = sum(map(len, stretches))
        title = f"{name}, {frames} good frames in {len(stretches)} stretches"
        likelihoods += likelihood_rows(title, stretches, claims)
        model = MotionModel.fit(stretches, FPS)
        generated = model.sample(round(MINUTES * 60 * FPS), seed=0)
        sizes += size_rows(title, stretches, generated, claims)
        draw_figure(f"{title}: {model!r}", stretches, generated, OUT / f"head_motion_{name}.png")
    print_table(
        f"log density of what was left out, nats per frame (six parameters: px, radians, "
        f"logarithms), smallest to largest of {PARTS} parts",
        ("recording", "white noise", "random walk", "random walk, Student-t", "model"),
        likelihoods,
        packages=("statsmodels",),
    )
    print_table(
        f"{MINUTES} minutes drawn over the recording: ratios of spread, speed, acceleration "
        "(standard deviations of values, first and second differences in pieces of equal length)",
        ("recording", *PARAMETERS),
        sizes,
        packages=("statsmodels",),
    )
    return claims.exit_code()


def talking_face(folder: Path) -> list[FloatArray]:
    """Good frames of the Talking Face, one stretch."""
    return aligned(folder, folder / "initial.csv", 100)


def grid(folder: Path, n_clips: int) -> list[FloatArray]:
    """Good frames of a speaker's clips, a stretch or more each."""
    return aligned(sorted(map(str, folder.glob("*.mpg")))[:n_clips], None, 100)


def aligned(source: Any, initial: Path | None, n: int) -> list[FloatArray]:
    """Align by the defaults."""
    with holdstill.open(source) as frames, tempfile.TemporaryDirectory() as folder:
        dictionary = holdstill.fit(frames, initial, n=n)
        align_to_folder(frames, dictionary, Path(folder, "run"), initial, video=False)
        return stretches_of(holdstill.read_run(Path(folder, "run")))


def parts_of(stretches: Sequence[FloatArray]) -> list[tuple[list[FloatArray], list[FloatArray]]]:
    """What is fitted to and what is left out: stretches, or pieces of a single one."""
    if len(stretches) >= PARTS:
        shares = [list(stretches[part::PARTS]) for part in range(PARTS)]
        rest = [
            [s for other, share in enumerate(shares) if other != part for s in share]
            for part in range(PARTS)
        ]
        return list(zip(rest, shares, strict=True))
    found = []
    for part in range(PARTS):
        inside, outside = [], []
        for stretch in stretches:
            a, b = len(stretch) * part // PARTS, len(stretch) * (part + 1) // PARTS
            inside.append(stretch[a:b])
            outside += [piece for piece in (stretch[:a], stretch[b:]) if len(piece)]
        found.append((outside, inside))
    return found


def likelihood_rows(
    title: str, stretches: Sequence[FloatArray], claims: Claims
) -> list[tuple[str, ...]]:
    """Mean log densities of the parts left out."""
    columns: list[list[float]] = [[], [], [], []]
    for seen, left_out in parts_of(stretches):
        model = MotionModel.fit(seen, FPS)
        scores = [*rivals(seen, left_out), model.log_likelihood(left_out, skip=UNCOUNTED)]
        for column, score in zip(columns, scores, strict=True):
            column.append(score)
    worst = min(m - max(r) for *r, m in zip(*columns, strict=True))
    claims.check(
        worst > 0,
        f"{title}: the model is ahead of the best rival by {worst:.2f} nats per frame or more",
    )
    return [(title, *(f"{min(c):.1f} to {max(c):.1f}" for c in columns))]


def rivals(seen: Sequence[FloatArray], left_out: Sequence[FloatArray]) -> list[float]:
    """White noise, a random walk, and one with Student-t steps, each fitted to what was seen."""
    known, unknown = ([decompose(s) for s in some] for some in (seen, left_out))
    mean, spread = np.concatenate(known).mean(axis=0), np.concatenate(known).std(axis=0)
    known, unknown = ([(s - mean) / spread for s in some] for some in (known, unknown))
    k = len(mean)
    values, steps = np.concatenate(known), np.concatenate([np.diff(s, axis=0) for s in known])
    nearly_gauss = 1e9
    white = Autoregression(np.zeros((k, 1)), values.T @ values / len(values), nearly_gauss, values)
    walk = Autoregression(np.ones((k, 1)), steps.T @ steps / len(steps), nearly_gauss, steps)
    bursts = [
        Autoregression(walk.coefficients, student_t_scatter(steps, nu), nu, steps)
        for nu in DEGREES_OF_FREEDOM
    ]
    bursty = max(bursts, key=lambda process: mean_density(process, known))
    return [
        mean_density(process, unknown) - float(np.log(spread).sum())
        for process in (white, walk, bursty)
    ]


def mean_density(process: Autoregression, stretches: Sequence[FloatArray]) -> float:
    """Mean over the frames that every model is asked for."""
    counted = np.concatenate([log_densities(process, s)[UNCOUNTED:] for s in stretches])
    return float(counted.mean())


def size_rows(
    title: str, stretches: Sequence[FloatArray], generated: FloatArray, claims: Claims
) -> list[tuple[str, ...]]:
    """Ratios of what was drawn to what was recorded, and whether it stayed within the range."""
    recorded, drawn = [decompose(s) for s in stretches], decompose(generated)
    everything = np.concatenate(recorded)
    slack = 1e-9 * (1.0 + np.abs(everything).max(axis=0))
    outside = (drawn < everything.min(axis=0) - slack) | (drawn > everything.max(axis=0) + slack)
    claims.check(
        not outside.any(), f"{title}: {int(outside.sum())} values outside of the observed range"
    )
    length = int(np.median([len(r) for r in recorded]))
    pieces, whole = equal_pieces([drawn], length), equal_pieces(recorded, length)
    ratios = [deviation(pieces, order) / deviation(whole, order) for order in range(3)]
    low, high = np.min(ratios), np.max(ratios)
    claims.check(
        low > 1 / FACTOR and high < FACTOR,
        f"{title}: spread, speed and acceleration are {low:.2f} to {high:.2f} of the recording's",
    )
    cells = [", ".join(f"{ratio[j]:.2f}" for ratio in ratios) for j in range(len(PARAMETERS))]
    return [(title, *cells)]


def deviation(pieces: FloatArray, order: int) -> FloatArray:
    """Standard deviation of differences of an order, about the mean of each piece."""
    return np.sqrt(np.diff(pieces, n=order, axis=1).var(axis=1).mean(axis=0))


def draw_figure(
    title: str, stretches: Sequence[FloatArray], generated: FloatArray, path: Path
) -> None:
    """Spectra and autocorrelations, the recording's over the range of equal pieces drawn."""
    axes = plot.head_spectra(stretches, generated, fps=FPS)
    figure = axes[0, 0].figure
    figure.suptitle(title)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=100, facecolor="white")
    print(f"{path.name}: spectra and autocorrelations")


if __name__ == "__main__":
    sys.exit(main())
