"""The published experiments, repeated: one by one against its start, against RASL, and against
what people use.

    python benchmarks/paper.py [--out docs/paper.md] [--only table1 ...]

On the Talking Face (and, for memory and time, GRID's speaker 1) where the real images are, else on
the synthetic head. "As published" is grey levels of the full square, λ_c = 1; the default is
holdstill's own. The initial transforms stand for the paper's 3D pose tracking.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import numpy.typing as npt
from common import OUT, Claims, FloatArray, Grey, data_folder, machine_line, parser_of
from peers import mean_picture, peers
from rasl_peers import Batch, Settings, run_peer
from talking_face import PUBLISHED, SHAPE, TalkingFace, mouth_variance

import holdstill
import holdstill.plot
from holdstill.evaluate import EyeCornerTable, eye_corner_table
from holdstill.synthetic import TalkingHead

VARIANTS: dict[str, dict[str, Any]] = {"holdstill, as published": PUBLISHED, "holdstill": {}}
N, BATCH, SEED = 100, 250, 0
SMALLER = (100, 100)
"""Canonical frame of the package `rasl`, which would take a quarter of an hour at 200x200."""
SIZES, MUS = (25, 50, 100, 200), (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
EYES = ((27, 28, 29, 30), (32, 33, 34, 35))
"""Outer or inner corner, upper lid, the other corner, lower lid, of both eyes."""
CLOSED = 0.85
"""Share of the median opening below which an eye is closed; the modes are 0.7 and 1."""
REAL = "Talking Face"
GRID_FRAMES = (1000, 3000, 9375)


@dataclass
class Page:
    """What is printed, and kept for the documentation."""

    images: Path
    """Where its pictures go; the page names them relative to the folder above."""
    lines: list[str] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        """A paragraph."""
        print(text, flush=True)
        self.lines += [text, ""]

    def remark(self, faces: Faces, text: str) -> None:
        """What was found on the real frames."""
        if faces.real:
            self.say(text)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A Markdown table."""
        lines = [headers, ["---"] * len(headers), *rows]
        text = "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
        self.say(text)


@dataclass(frozen=True)
class Faces:
    """Frames, starts, annotated points, and in which the eyes are open; real, or synthetic."""

    name: str
    frames: npt.NDArray[np.uint8]
    initial: FloatArray
    points: FloatArray
    corners: tuple[int, int, int, int]
    opened: npt.NDArray[np.bool_]

    @property
    def real(self) -> bool:
        """Whether what is said beside the tables was seen on these frames."""
        return self.name == REAL

    def table(self, transforms: FloatArray, opened: bool = True) -> EyeCornerTable:
        """Eye corners, of frames with open eyes or of all."""
        use = self.opened if opened else None
        return eye_corner_table(transforms, self.points, self.corners, SHAPE, use)

    def some(self, chosen: npt.NDArray[np.int64]) -> Faces:
        """These frames alone."""
        parts = {
            name: getattr(self, name)[chosen] for name in ("frames", "initial", "points", "opened")
        }
        return replace(self, **parts)


def load() -> Faces:
    """The Talking Face, or the synthetic head."""
    folder = data_folder("talking_face")
    if folder is None:
        head = TalkingHead(300, shape=SHAPE, occlusion=False, color=False)
        frames = np.stack([head[k] for k in range(len(head))])
        opened = np.ones(len(frames), dtype=bool)
        corners = (0, 1, 2, 3)
        return Faces("synthetic head", frames, head.initial(), head.points(), corners, opened)
    face = TalkingFace.load(folder)
    opening = np.ones(len(face.frames))
    for side, top, other_side, bottom in EYES:
        p = face.points
        width = np.linalg.norm(p[:, side] - p[:, other_side], axis=1)
        gap = np.linalg.norm(p[:, top] - p[:, bottom], axis=1) / width
        opening = np.minimum(opening, gap / np.median(gap))
    return Faces(REAL, face.frames, face.initial, face.points, (27, 29, 34, 32), opening > CLOSED)


def main() -> int:
    sections: dict[str, Callable[[Faces, Page, Claims], None]] = {
        "table1": table1, "figure1": figure1, "table2": table2, "iterations": iterations,
        "sample": sample, "n": by_n, "mu": by_mu, "scale": scale,
    }  # fmt: skip
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, help="Markdown page to write")
    parser.add_argument("--only", nargs="+", choices=list(sections), default=list(sections))
    options = parser.parse_args()
    images = OUT if options.out is None else options.out.parent / "images"
    faces, page, claims = load(), Page(images), Claims()
    page.say(
        f"{faces.name}: {len(faces.frames)} frames, {int(faces.opened.sum())} with open eyes; "
        f"affine, canonical frame {SHAPE[0]}×{SHAPE[1]}, n = {N}. {machine_line()}."
    )
    for name in options.only:
        sections[name](faces, page, claims)
    if options.out is not None:
        options.out.write_text("\n".join([*INTRODUCTION, *page.lines]), encoding="utf-8")
    return claims.exit_code()


INTRODUCTION = [
    "# The paper, repeated",
    "",
    "Made by `make paper`. *The paper* is the extension of RASL to one frame at a time by",
    "l1-regularised least squares, for photo-real talking heads (*paper A* in code and",
    "equations). These are its experiments (§4.1) on other pictures: its 9,116 frames are not",
    "public. Its figures stand beside ours to compare.",
    "",
]


def fitted(faces: Faces, **options: Any) -> holdstill.Dictionary:
    return holdstill.fit(
        faces.frames, faces.initial, **{"n": N, "seed": SEED, "shape": SHAPE, **options}
    )


def aligned(
    faces: Faces, dictionary: holdstill.Dictionary, **options: Any
) -> holdstill.AlignmentBatch:
    return holdstill.align_batch(faces.frames, dictionary, faces.initial, threads=1, **options)


def cells(table: EyeCornerTable) -> list[str]:
    """Mean ± sd (max) of the left eye, the right eye and both."""
    return [f"{e.mean:.2f} ± {e.std:.2f} ({e.max:.2f})"
            for e in (table.left, table.right, table.average)]  # fmt: skip


HEADERS = ("", "left eye", "right eye", "both", "both, closed eyes included")


def eye_row(name: str, faces: Faces, transforms: FloatArray) -> list[str]:
    return [name, *cells(faces.table(transforms)), cells(faces.table(transforms, False))[2]]


def table1(faces: Faces, page: Page, claims: Claims) -> None:
    """Eye corners: the start, one by one, and the peers."""
    page.say("## Table 1: eye corners before and after")
    results = by_holdstill(faces) | by_peers(faces)
    rows = [eye_row(name, faces, transforms) for name, transforms in results.items()]
    paper = [
        ["paper: 3D pose tracking", "–", "–", "1.67 ± 0.98 (8.35)", "–"],
        ["paper: one by one", "–", "–", "1.03 ± 0.57 (4.91)", "–"],
    ]
    page.say("Mean ± standard deviation (maximum), pixels at 100 between the outer eye corners.")
    page.table(HEADERS, [*rows, *paper])
    page.remark(
        faces,
        "What differs: another recording, whose tracker starts nearer and whose annotation alone "
        "leaves 0.63. The method as published takes a smaller share off here than there; edges "
        "about the eyes come near the paper's.",
    )
    means = {name: faces.table(found).average.mean for name, found in results.items()}
    for name in VARIANTS:
        share = means[name] / means["initial transforms"]
        claims.check(share < 1, f"{name}: {share:.2f} of the initial error (the paper's is 0.62)")
    best = min(
        mean for name, mean in means.items() if name not in {*VARIANTS, "initial transforms"}
    )
    claims.check(means["holdstill"] < best, f"holdstill: below the best peer's {best:.2f}")


def by_holdstill(faces: Faces) -> dict[str, FloatArray]:
    """The start, and what each variant makes of it."""
    results = {"initial transforms": faces.initial}
    for name, options in VARIANTS.items():
        results[name] = aligned(faces, fitted(faces, **options)).frame_from_canonical
    return results


def by_peers(faces: Faces) -> dict[str, FloatArray]:
    """ECC and StackReg to the mean of the sample, on crops by the initial transforms."""
    crops: list[Grey] = [
        holdstill.warp(frame, start, SHAPE)
        for frame, start in zip(faces.frames, faces.initial, strict=True)
    ]
    chosen = np.random.default_rng(SEED).permutation(len(crops))[:N]
    template = mean_picture([crops[k] for k in chosen])
    results = {}
    for name, method in peers().items():
        if name in {"ECC", "StackReg"}:
            found = [method(crop, template, np.eye(3)) for crop in crops]
            results[f"{name} to the mean"] = np.stack(
                [start if moved is None else start @ moved
                 for start, moved in zip(faces.initial, found, strict=True)]
            )  # fmt: skip
    return results


def figure1(faces: Faces, page: Page, claims: Claims) -> None:
    """PCA of the mouth."""
    page.say("## Figure 1: accumulated variance of the mouth")
    results = by_holdstill(faces)
    rows, variances = [], {}
    for name, transforms in results.items():
        found = variances[name] = mouth_variance(faces.frames, transforms)
        share = found.total / variances["initial transforms"].total
        rows.append([name, f"{found.total:.4g}", f"{share:.2f}",
                     *(f"{found.accumulated[k - 1]:.3f}" for k in (1, 5, 10, 20))])  # fmt: skip
    with matplotlib.style.context("default"):  # the package `rasl` sets another
        axes = holdstill.plot.accumulated_variance(variances)
        figure = axes.figure
        figure.set_size_inches(6.4, 4.0)
    page.images.mkdir(exist_ok=True)
    figure.savefig(page.images / "mouth_variance.png", dpi=100, facecolor="white")
    page.say(
        "![Share of the mouth's variance in its first principal components]"
        f"({page.images.name}/mouth_variance.png)"
    )
    page.table(("", "total variance", "of the initial", "first", "5", "10", "20"), rows)
    page.remark(
        faces,
        "The paper: a total of 0.80 of the tracker's, and larger shares in the first 20. As "
        "published the direction is confirmed, the size is not. The default looks at the eyes, and "
        "the mouth of a head that nods moves the more against them: for mouths take the region "
        "`face`, or `eyes-nose`.",
    )
    least = min(variances[name].total for name in VARIANTS) / variances["initial transforms"].total
    claims.check(least < 1, f"the mouth's variance falls to {least:.2f} of the initial one")


def table2(faces: Faces, page: Page, claims: Claims) -> None:
    """RASL on 250 frames at once against one by one."""
    page.say(f"## Table 2: {BATCH} frames with open eyes, all at once and one by one")
    rng = np.random.default_rng(SEED)
    some = faces.some(np.sort(rng.permutation(np.flatnonzero(faces.opened))[:BATCH]))
    rows = [eye_row("initial transforms", some, some.initial)[:4]]
    means = {}
    for name, options in VARIANTS.items():
        dictionary = fitted(faces, **options)
        lambda_c = options.get("lambda_c", 5.0 / np.sqrt(len(some.frames)))
        began = time.perf_counter()
        batch = holdstill.rasl(
            list(some.frames), some.initial, shape=SHAPE, features=dictionary.features,
            roi=dictionary.weights, lambda_c=lambda_c, objective_tolerance=1e-2,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        single = aligned(some, dictionary).frame_from_canonical
        for way, transforms in (
            ("RASL on all", batch.frame_from_canonical),
            ("one by one", single),
        ):
            means[name, way] = some.table(transforms).average.mean
            rows.append(eye_row(f"{name}: {way}", some, transforms)[:4])
        page.say(f"{name}: RASL on all took {seconds:.0f} s.")
    few = Batch(
        list(some.frames), some.initial @ shrink(), Settings(SMALLER, "affine", ((0, 0),) * 2)
    )
    peer = run_peer(few, "package rasl", claims)
    rows.append(
        eye_row(f"package `rasl`, {SMALLER[0]}×{SMALLER[1]}, {peer.seconds:.0f} s", some,
                peer.frame_from_canonical @ np.linalg.inv(shrink()))[:4]
    )  # fmt: skip
    rows += [
        ["paper: RASL", "0.94 ± 0.56 (2.30)", "0.90 ± 0.46 (2.40)", "0.92 ± 0.51 (2.35)"],
        ["paper: one by one", "0.94 ± 0.53 (2.40)", "0.86 ± 0.43 (2.29)", "0.90 ± 0.48 (2.35)"],
    ]
    page.table(HEADERS[:4], rows)
    page.remark(faces, "Confirmed: one by one is as good as RASL on all at once, or better.")
    for name in VARIANTS:
        apart = means[name, "one by one"] - means[name, "RASL on all"]
        claims.check(apart <= 0.05, f"{name}: one by one is {apart:+.2f} px beside RASL on all")


def shrink() -> FloatArray:
    """canonical_from_smaller, pixel centres on integers."""
    scale = SHAPE[1] / SMALLER[1]
    matrix = np.diag([scale, scale, 1.0])
    matrix[:2, 2] = (scale - 1.0) / 2.0
    return matrix


def iterations(faces: Faces, page: Page, claims: Claims) -> None:
    page.say("## Iterations and time of a frame")
    rows = []
    for name, options in VARIANTS.items():
        dictionary = fitted(faces, **options)
        began = time.perf_counter()
        found = aligned(faces, dictionary)
        ms = 1e3 * (time.perf_counter() - began) / len(faces.frames)
        rows.append([name, f"{found.iterations.mean():.1f}", int(found.iterations.max()),
                     f"{found.evaluations.mean():.1f}", f"{100 * found.converged.mean():.1f} %",
                     f"{ms:.1f} ms"])  # fmt: skip
        most = int(found.iterations.max())
        claims.check(most <= 140, f"{name}: at most {most} iterations (the paper: 140)")
    rows.append(["paper, MATLAB on a Core 2 Duo", "13.5", "140", "–", "100 %", "4 s"])
    page.table(("", "mean", "most", "on all levels", "converged", "a frame, one thread"), rows)


def sample(faces: Faces, page: Page, claims: Claims) -> None:
    page.say("## The sample: random against consecutive frames")
    rows, failed = [], {}
    for selection in ("random", "consecutive", "coverage"):
        for name, options in VARIANTS.items():
            dictionary = fitted(faces, selection=selection, **options)
            found = aligned(faces, dictionary)
            # Less than the drop of a fixed point is no difference: what counts is coming to rest.
            failed[selection, name] = 1.0 - found.converged.mean()
            table = faces.table(found.frame_from_canonical).average
            rows.append([f"{selection}, {name}", f"{found.iterations.mean():.1f}",
                         int(found.iterations.max()), f"{100 * failed[selection, name]:.1f} %",
                         f"{np.median(found.residual):.3f}",
                         f"{np.percentile(found.residual, 95):.3f}",
                         f"{table.mean:.2f}"])  # fmt: skip
    page.table(
        ("sample", "iterations", "most", "not converged", "residual", "95 %", "eye corners"), rows
    )
    page.remark(
        faces,
        "The paper: with the first 100 frames some do not converge within 300 iterations. That is "
        "so as published; edges converge all the same, but leave more of the frames unexplained.",
    )


def by_n(faces: Faces, page: Page, claims: Claims) -> None:
    page.say("## The size of the sample, n")
    rows = []
    for n in SIZES:
        for name, options in VARIANTS.items():
            began = time.perf_counter()
            dictionary = fitted(faces, n=n, **options)
            learnt = time.perf_counter() - began
            began = time.perf_counter()
            found = aligned(faces, dictionary)
            ms = 1e3 * (time.perf_counter() - began) / len(faces.frames)
            table = faces.table(found.frame_from_canonical).average
            rows.append([n, name, dictionary.n_atoms, f"{learnt:.1f} s", f"{ms:.1f} ms",
                         f"{np.median(found.residual):.3f}",
                         f"{table.mean:.2f} ± {table.std:.2f} ({table.max:.2f})"])  # fmt: skip
    page.table(("n", "", "atoms", "learning", "a frame", "residual", "eye corners"), rows)


def by_mu(faces: Faces, page: Page, claims: Claims) -> None:
    page.say("## The weight of the coefficients, μ")
    rows = []
    for name, options in VARIANTS.items():
        dictionary = fitted(faces, **options)
        for mu in MUS:
            found = aligned(faces, dictionary, mu=mu)
            table = faces.table(found.frame_from_canonical).average
            rows.append([name, f"{mu:g}", f"{(found.coefficients != 0).sum(axis=1).mean():.1f}",
                         f"{found.iterations.mean():.1f}", f"{np.median(found.residual):.3f}",
                         f"{table.mean:.2f} ± {table.std:.2f} ({table.max:.2f})"])  # fmt: skip
    page.table(("", "μ", "atoms that take part", "iterations", "residual", "eye corners"), rows)


def scale(faces: Faces, page: Page, claims: Claims) -> None:
    """Memory and time against the number of frames, each run a process of its own."""
    page.say("## Memory and time against the number of frames")
    folder, rows = data_folder("grid_s1"), []
    if folder is None:
        page.say("GRID is absent: not measured.")
        return
    clips = sorted(folder.glob("*.mpg"))
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        dictionary = Path(name) / "grid.npz"
        holdstill.fit(list(map(str, clips)), threads=1).save(dictionary)
        for number in GRID_FRAMES:
            some = clips[: -(-number // 75)]
            run = Path(name) / f"run-{number}"
            subprocess.run(
                [sys.executable, "-m", "holdstill", "align", *map(str, some), "--out", str(run),
                 "--dictionary", str(dictionary), "--no-video", "--threads", "1", "--quiet"],
                check=True,
            )  # fmt: skip
            facts = json.loads((run / "run.json").read_text())
            peaks.append(facts["peak_memory_mb"])
            rows.append([facts["frames"], f"{facts['seconds']['align']:.1f} s",
                         f"{facts['frames_per_second']:.0f}", f"{peaks[-1]:.0f} MB"])  # fmt: skip
    page.table(("frames", "seconds", "frames a second", "peak memory"), rows)
    pixels = SHAPE[0] * SHAPE[1] * 8 / 1e6
    page.say(
        f"RASL on all frames at once would keep the aligned images alone in {pixels:.2f} MB each: "
        f"{pixels * GRID_FRAMES[-1] / 1e3:.1f} GB for the last row, and several times that."
    )
    claims.check(peaks[-1] - peaks[0] < 25, f"memory grows by {peaks[-1] - peaks[0]:+.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
