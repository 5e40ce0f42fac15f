"""RASL beside the PyPI package ``rasl`` on the method's own image sets, one objective for both.

    python benchmarks/rasl_peers.py [--sets Dummy_59_59 ...] [--apg Dummy_59_59 ...]

Both start from the same transforms, with the published settings. Both results are brought to the
same mean transform (a batch left to itself zooms or drifts, which moves the objective without
aligning anything) and judged by one convex program: the least ‖A‖_* + λ‖D∘τ - A‖₁ over A at fixed
τ.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import OUT, Claims, FloatArray, data_folder, parser_of, peer, print_table
from matplotlib.figure import Figure
from PIL import Image
from scipy.io import loadmat

import holdstill
from holdstill import _core, reference
from holdstill.learning.gauge import compose_gauge

package, toolbox = peer("rasl"), peer("rasl.toolbox")


PEER_TRANSFORMS = {
    "euclidean": package.EuclideanTransform,
    "similarity": package.SimilarityTransform,
    "affine": package.AffineTransform,
}
STOP_DELTA, MAX_ITERATIONS = 0.01, 25
"""Stopping rule of the published settings: the objective falls by less, or that many iterations."""


@dataclass(frozen=True)
class Settings:
    """Published settings of a set: size, motion and two points of the canonical frame (0-based)."""

    shape: tuple[int, int]
    motion: str
    points: tuple[tuple[float, float], tuple[float, float]]


SETS = {
    "Dummy_59_59": Settings((49, 49), "similarity", ((3.15, 18.6), (44.68, 18.6))),
    "Al_Gore": Settings((68, 44), "affine", ((3.0, 33.0), (43.0, 33.0))),
    "Digits_3": Settings((29, 29), "euclidean", ((4.0, 14.0), (23.0, 14.0))),
}


@dataclass(frozen=True)
class Batch:
    """Images of a set and where they start from."""

    images: list[npt.NDArray[np.uint8]]
    initial: FloatArray
    settings: Settings


@dataclass(frozen=True)
class Aligned:
    """What one method made of a batch."""

    method: str
    frame_from_canonical: FloatArray
    iterations: str
    seconds: float


@dataclass(frozen=True)
class Judged:
    """An aligned batch at the common mean transform, and its objective there.

    ``step.lower_bound`` is a certificate: no A has an objective below it at these transforms.
    """

    aligned: Aligned
    frame_from_canonical: FloatArray
    step: reference.RaslStep
    objective_cubic: float


def main() -> int:
    """Print the table and the claims; write a picture for each set."""
    parser = parser_of(__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument(
        "--apg", nargs="*", choices=SETS, default=["Dummy_59_59"],
        help="sets to solve by APG as well: minutes each (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args()
    folder = data_folder("rasl")
    if folder is None:
        return 0
    claims = Claims()
    rows = []
    for name in options.sets:
        rows += compare(name, folder / name, name in options.apg, claims)
    print_table(
        "RASL: least ‖A‖_* + λ‖D∘τ - A‖₁ at the transforms found, all brought to the start's mean "
        "transform; mean scale\nbefore that; wall seconds, all cores; cubic: the same on vectors "
        "sampled as the package rasl does",
        ("set", "method", "objective", "at least", "rank", "iterations", "mean scale", "seconds",
         "cubic"),
        rows,
        packages=("rasl", "scikit-image"),
    )  # fmt: skip
    return claims.exit_code()


def compare(name: str, folder: Path, with_apg: bool, claims: Claims) -> list[list[str]]:
    """Rows of one set: the start, the solvers of holdstill, the package rasl."""
    batch = load(folder, SETS[name])
    start = judge(batch, Aligned("start", batch.initial, "", 0.0))
    ours = judge(batch, run_holdstill(batch, "alm"))
    judged = [start, ours]
    if with_apg:
        apg = judge(batch, run_holdstill(batch, "apg"))
        apart = abs(apg.step.objective / ours.step.objective - 1.0)
        claims.check(apart <= 1e-4, f"{name}: objectives of ALM and APG are {apart:.1e} apart")
        judged.append(apg)
    theirs = judge(batch, run_peer(batch, name, claims))
    judged.append(theirs)
    check_claims(name, batch, ours, theirs, claims)
    save_picture(OUT / f"rasl_{name}.png", batch, ours)
    return [row(name, batch, result) for result in judged]


def check_claims(name: str, batch: Batch, ours: Judged, theirs: Judged, claims: Claims) -> None:
    """The objective is no higher, by numbers and by certificate; the batch did not zoom."""
    claims.check(
        ours.step.objective <= theirs.step.objective * (1 + 1e-6),
        f"{name}: objective {ours.step.objective:.4f}, package rasl {theirs.step.objective:.4f}",
    )
    claims.check(
        ours.step.objective <= theirs.step.lower_bound,
        f"{name}: which cannot go below {theirs.step.lower_bound:.4f} at the package's transforms",
    )
    scale = mean_scale(ours.aligned.frame_from_canonical, batch.initial)
    claims.check(
        abs(scale - 1) <= 0.005,
        f"{name}: the mean scale changed by {scale - 1:+.2%}, at most 0.5 %",
    )


def row(name: str, batch: Batch, result: Judged) -> list[str]:
    """Cells of the table."""
    done = result.aligned
    return [
        name, done.method, f"{result.step.objective:.4f}", f"{result.step.lower_bound:.4f}",
        str(result.step.rank), done.iterations,
        f"{mean_scale(done.frame_from_canonical, batch.initial) - 1:+.2%}",
        f"{done.seconds:.1f}" if done.seconds else "", f"{result.objective_cubic:.4f}",
    ]  # fmt: skip


def load(folder: Path, settings: Settings) -> Batch:
    """Images and initial similarities from ``*-points.mat`` (row x, row y; MATLAB's 1-based)."""
    paths = sorted(folder.glob("*.bmp"))
    images = [np.asarray(Image.open(path)) for path in paths]
    found = [loadmat(str(path.with_suffix("")) + "-points.mat")["points"] - 1.0 for path in paths]
    # As complex numbers a similarity is z -> a z + b.
    first, second = (np.array([complex(*points[:, k]) for points in found]) for k in (0, 1))
    canonical = [complex(*point) for point in settings.points]
    a = (second - first) / (canonical[1] - canonical[0])
    b = first - a * canonical[0]
    initial = np.zeros((len(paths), 3, 3))
    initial[:, 0, 0] = initial[:, 1, 1] = a.real
    initial[:, 1, 0], initial[:, 0, 1] = a.imag, -a.imag
    initial[:, 0, 2], initial[:, 1, 2] = b.real, b.imag
    initial[:, 2, 2] = 1.0
    return Batch(images, initial, settings)


def run_holdstill(batch: Batch, solver: str, **options: Any) -> Aligned:
    """holdstill.rasl with its defaults, but for these."""
    result = holdstill.rasl(
        batch.images,
        batch.initial,
        shape=batch.settings.shape,
        motion=batch.settings.motion,
        solver=solver,
        **options,
    )
    iterations = f"{result.iterations}{'' if result.status == 'converged' else ' (cap)'}"
    return Aligned(
        f"holdstill, {solver.upper()}", result.frame_from_canonical, iterations, result.seconds
    )


def run_peer(batch: Batch, name: str, claims: Claims) -> Aligned:
    """The package rasl from the same start, and that its transforms mean what ours do.

    Its transforms map output to input pixels (x right, y down, centres on integers), which is
    frame_from_canonical. The start goes in as parameters: a rotated or scaled ``frame`` would
    enter its Jacobian untransposed.
    """
    kind = PEER_TRANSFORMS[batch.settings.motion]
    start = []
    for matrix in batch.initial:
        transform = kind(paramv=toolbox.projective_matrix_to_parameters(kind.ttype, matrix))
        transform.output_shape = batch.settings.shape
        start.append(transform)
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        _, _, found, iterations = package.rasl(
            batch.images, start, maxiter=MAX_ITERATIONS, stop_delta=STOP_DELTA
        )
    seconds = time.perf_counter() - started
    matrices = np.stack([transform.params for transform in found])
    worst = max(map(warps_apart, batch.images, found, matrices))
    claims.check(worst < 1e-6, f"{name}: warps of both packages differ by {worst:.0e} grey levels")
    capped = iterations == MAX_ITERATIONS
    return Aligned("rasl", matrices, f"{iterations}{' (cap)' if capped else ''}", seconds)


def warps_apart(image: npt.NDArray[np.uint8], transform: Any, matrix: FloatArray) -> float:
    """Largest difference between the peer's own bilinear warp and ours, inside the frame."""
    frame = image.astype(np.float64)
    theirs = transform.imtransform(frame, order=1, cval=np.nan)
    ours = holdstill.warp(frame, matrix, theirs.shape)
    inside = np.isfinite(theirs)
    if inside.mean() < 0.5:
        return float("inf")
    return float(np.abs(theirs - ours)[inside].max())


def judge(batch: Batch, aligned: Aligned) -> Judged:
    """Bring a result to the mean transform of the start and solve for A there."""
    settings = batch.settings
    transforms = compose_gauge(
        aligned.frame_from_canonical, batch.initial, settings.motion, settings.shape
    )
    vectors = [lined.vector for lined in linearizations(batch, transforms)]
    cubic = [
        cubic_vector(image, matrix, settings.shape)
        for image, matrix in zip(batch.images, transforms, strict=True)
    ]
    return Judged(aligned, transforms, decompose(vectors), decompose(cubic).objective)


def linearizations(batch: Batch, transforms: FloatArray) -> list[Any]:
    """D∘τ of low-passed, bilinearly sampled images, and its norms."""
    return [
        _core.linearize(
            image, matrix, shape=batch.settings.shape, motion=batch.settings.motion,
            lowpass_from=start,
        )
        for image, matrix, start in zip(batch.images, transforms, batch.initial, strict=True)
    ]  # fmt: skip


def cubic_vector(
    image: npt.NDArray[np.uint8], matrix: FloatArray, shape: tuple[int, int]
) -> FloatArray:
    """A unit-norm vector sampled as the package rasl does: cubic, no low-pass, 0 outside."""
    transform = package.AffineTransform(paramv=matrix[:2].ravel())
    transform.output_shape = shape
    vector = transform.imtransform(image / 255.0).ravel()
    return np.asarray(vector / np.linalg.norm(vector))


def decompose(vectors: Sequence[npt.ArrayLike]) -> reference.RaslStep:
    """The convex program: no motion (p = 0), ρ = 1.05, by the NumPy reference."""
    D = np.stack([np.asarray(vector, dtype=np.float64) for vector in vectors], axis=1)
    no_motion = np.zeros((D.shape[1], len(D), 0))
    return reference.rasl_alm(D, no_motion, lam=1.0 / np.sqrt(len(D)), rho=1.05)


def mean_scale(transforms: FloatArray, initial: FloatArray) -> float:
    """Mean over the batch of √(det L / det L⁰)."""
    determinants = [np.linalg.det(matrices[:, :2, :2]) for matrices in (transforms, initial)]
    return float(np.sqrt(determinants[0] / determinants[1]).mean())


def save_picture(path: Path, batch: Batch, ours: Judged, columns: int = 10) -> None:
    """Ten images in four rows: at the start, aligned, A, E; at the right the means."""
    shape = batch.settings.shape
    norms = [lined.norm for lined in linearizations(batch, ours.frame_from_canonical)]
    before, after = (
        np.stack(
            [holdstill.warp(image, F, shape) for image, F in zip(batch.images, Fs, strict=True)]
        )
        for Fs in (batch.initial, ours.frame_from_canonical)
    )
    A, E = ((part * norms).T.reshape(-1, *shape) for part in (ours.step.low_rank, ours.step.sparse))
    chosen = np.linspace(0, len(before) - 1, columns).astype(int)
    whites = np.percentile(after[chosen], 99, axis=(1, 2))
    figure = Figure(figsize=(columns + 1.4, 4 * shape[0] / shape[1] + 0.5), layout="constrained")
    axes = figure.subplots(4, columns + 1)
    last = (before.mean(axis=0), after.mean(axis=0), A.mean(axis=0), np.abs(E).mean(axis=0))
    for line, (name, stack, mean) in enumerate(
        zip(
            ("start", "aligned", "low rank A", "sparse E"), (before, after, A, E), last, strict=True
        )
    ):
        # E has both signs: zero is mid-grey, but for its mean magnitude.
        low, high = (-0.5, 0.5) if name == "sparse E" else (0.0, 1.0)
        for axis, image, white in zip(axes[line], stack[chosen], whites, strict=False):
            axis.imshow(image, cmap="gray", vmin=low * white, vmax=high * white)
        axes[line, columns].imshow(mean, cmap="gray", vmin=0.0)
        axes[line, 0].set_ylabel(name)
        axes[line, columns].set_title("mean |E|" if name == "sparse E" else "mean", fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    print(f"picture: {path}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
