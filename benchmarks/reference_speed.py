"""The core beside its NumPy twin, and one outer iteration beside a bare warp.

    python benchmarks/reference_speed.py [--frames 10]

One thread. ``holdstill.reference`` and the core run the same algorithm, one scale and no
acceleration, on the same frames of the Talking Face; they end at the same transforms before they
are timed. Beside that the core as it is used, with octaves and acceleration. An outer iteration is
timed as the difference between caps of 5 and 25 iterations of alignments that never stop, on a
dictionary of 30 atoms of which at most 5 take part.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from common import Claims, FloatArray, data_folder, parser_of, peer, print_table
from peers import corner_distance
from talking_face import CORNERS, SHAPE, TalkingFace

import holdstill
from holdstill import _core, reference

cv2 = peer("cv2")
threadpool_limits = peer("threadpoolctl").threadpool_limits

CAPS = 5, 25
N_ATOMS, MOST_ACTIVE, MU = 30, 5, 1e-2
REPEATS = 3


def main() -> int:
    """Check that the twins agree, then time them; 1 where a claim does not hold."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=10, help="spread over the set")
    options = parser.parse_args()
    folder = data_folder("talking_face")
    if folder is None:
        return 0
    face, claims = TalkingFace.load(folder), Claims()
    cv2.setNumThreads(1)
    numbers = np.linspace(0, len(face.frames) - 1, options.frames).astype(int).tolist()
    grey = holdstill.fit(face.frames, face.initial, shape=SHAPE, features="grey", roi="full")
    edges = holdstill.fit(face.frames, face.initial, shape=SHAPE)
    with threadpool_limits(1):  # of the twin's BLAS
        rows = [
            row
            for name, dictionary in (("grey, full", grey), ("edges, eyes-first", edges))
            for row in beside_the_twin(face, numbers, name, dictionary, claims)
        ]
    print_table(
        f"talking_face, affine, {SHAPE[0]}x{SHAPE[1]}, one thread: mean of {len(numbers)} frames, "
        f"each the best of {REPEATS}",
        ("features, region", "solver", "ms", "linearisations", "ms each", "times as fast"),
        rows,
    )
    one_iteration(face, numbers, claims)
    return claims.exit_code()


def beside_the_twin(
    face: TalkingFace,
    numbers: list[int],
    name: str,
    dictionary: holdstill.Dictionary,
    claims: Claims,
) -> list[list[str]]:
    """Rows of the twin, of the core running the same, and of the core as it is used."""
    model = {
        "shape": SHAPE, "motion": dictionary.motion, "features": dictionary.features,
        "sigma": dictionary.sigma, "roi": dictionary.weights,
    }  # fmt: skip
    plain = _core.FrameAligner(dictionary.atoms, acceleration=0, **model)
    solvers: dict[str, Callable[[int], tuple[FloatArray, str, int]]] = {
        "NumPy": lambda k: ended(
            reference.align_frame(face.frames[k], dictionary.atoms, face.initial[k], **model)
        ),
        "core, the same": lambda k: ended(plain.align(face.frames[k], face.initial[k])),
        "core, as used": lambda k: ended(
            holdstill.align_frame(face.frames[k], dictionary, face.initial[k])
        ),
    }
    ends = {who: [solve(k) for k in numbers] for who, solve in solvers.items()}
    twins = zip(ends["NumPy"], ends["core, the same"], strict=True)
    apart = max(corner_distance(a[0], b[0], CORNERS) for a, b in twins)
    claims.check(
        apart <= 1e-3 and all(end[1] == "converged" for who in ends.values() for end in who),
        f"{name}: core and twin converge at most {apart:.1e} px apart",
    )
    seconds = {who: np.full(len(numbers), np.inf) for who in solvers}
    for _ in range(REPEATS):
        for row, k in enumerate(numbers):
            for who, solve in solvers.items():
                started = time.perf_counter()
                solve(k)
                taken = time.perf_counter() - started
                seconds[who][row] = min(seconds[who][row], taken)
    ratios = {who: seconds["NumPy"].sum() / each.sum() for who, each in seconds.items()}
    for who in ("core, the same", "core, as used"):
        claims.check(ratios[who] >= 20, f"{name}: {who}: {ratios[who]:.0f} times as fast as NumPy")
    rows = []
    for who, each in seconds.items():
        count, ms = np.mean([end[2] for end in ends[who]]), each.mean() * 1e3
        rows.append(
            [name, who, f"{ms:.2f}", f"{count:.1f}", f"{ms / count:.3f}", f"{ratios[who]:.1f}"]
        )
    return rows


def ended(found: object) -> tuple[FloatArray, str, int]:
    """Transform, status and linearisations, on all levels where there are several."""
    count = getattr(found, "evaluations", None) or found.iterations  # type: ignore[attr-defined]
    return found.frame_from_canonical, found.status, count  # type: ignore[attr-defined]


def one_iteration(face: TalkingFace, numbers: list[int], claims: Claims) -> None:
    """Warp, both gradients, normal equations, products and the inner solve, in warps."""
    sample = holdstill.fit(
        face.frames, face.initial, shape=SHAPE, features="grey", roi="full", lambda_c=1.0
    ).atoms[:, :N_ATOMS]
    aligners = [
        _core.FrameAligner(
            sample, shape=SHAPE, motion="affine", mu=MU, tolerance=1e-300, max_iterations=cap
        )
        for cap in CAPS
    ]
    frames = [face.frames[k].astype(np.float32) for k in numbers]
    active = max(
        aligners[1].align(frame, face.initial[k]).n_atoms
        for frame, k in zip(frames, numbers, strict=True)
    )
    claims.check(
        sample.shape[1] == N_ATOMS and active <= MOST_ACTIVE,
        f"{sample.shape[1]} atoms, at most {active} of them take part",
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    runs: list[Callable[[int], object]] = [
        lambda row: cv2.warpAffine(
            frames[row], face.initial[numbers[row]][:2], SHAPE[::-1], flags=flags
        ),
        *(
            lambda row, aligner=aligner: aligner.align(frames[row], face.initial[numbers[row]])
            for aligner in aligners
        ),
    ]
    best = np.full((len(frames), len(runs)), np.inf)
    for _ in range(20):
        for row in range(len(frames)):
            for column, run in enumerate(runs):
                started = time.perf_counter()
                run(row)
                best[row, column] = min(best[row, column], time.perf_counter() - started)
    warp = best[:, 0].mean() * 1e3
    each = (best[:, 2] - best[:, 1]).mean() * 1e3 / (CAPS[1] - CAPS[0])
    claims.check(each <= 3.0 * warp, f"an outer iteration takes {each / warp:.2f} warps")
    print_table(
        f"an outer iteration, {SHAPE[0]}x{SHAPE[1]}, full square, affine, grey, {N_ATOMS} atoms: "
        "best of 20",
        ("what", "ms", "warps"),
        [["warpAffine, float32", f"{warp:.3f}", "1"],
         ["outer iteration", f"{each:.3f}", f"{each / warp:.2f}"]],
        packages=("opencv-python-headless",),
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
