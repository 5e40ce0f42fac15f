"""The inner problem on its products: ten times as fast as scikit-learn's Lasso at the same gap.

    python benchmarks/l1_speed.py

One hundred atoms and the linearisations of other frames of one recording; dictionary and target
come as Γ = ÃᵀPÃ, β = ÃᵀPv and vᵀPv, for every solver alike. Cold is from zero; warm from the
solution of the frame's last linearisation. Agreement comes first: every solution's duality gap,
worked out here, is at most 1e-9, and all find the same Δτ. Beside the estimator, whose call has a
cost of its own, stands the compiled routine under it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Claims, FloatArray, data_folder, peer, print_table
from talking_face import SHAPE, TalkingFace

from holdstill import _core

MU, GAP, N_ATOMS, N_FRAMES, REPEATS = 1e-3, 1e-9, 100, 30, 5
LEAST = 10
OPTIONS: dict[str, Any] = {"shape": SHAPE, "motion": "affine", "features": "edges", "roi": None}


@dataclass(frozen=True)
class Products:
    """One linearisation: N = ÃᵀQ, Γ = ÃᵀPÃ, β = ÃᵀPv, vᵀPv, and the last one's solution."""

    n: FloatArray
    gamma: FloatArray
    beta: FloatArray
    energy: float
    root: FloatArray
    before: FloatArray

    def gap(self, x: FloatArray) -> float:
        """Duality gap (equations §3), by the products."""
        correlation = self.beta - self.gamma @ x
        rr = self.energy - x @ (self.beta + correlation)
        vr = self.energy - self.beta @ x
        omega = MU / np.abs(correlation).max()
        k = np.clip(vr / rr, -omega, omega)
        return float(0.5 * rr + MU * np.abs(x).sum() - k * vr + 0.5 * k * k * rr)


Solve = Callable[[Products, FloatArray | None], FloatArray]


def main() -> int:
    """Print the table and the claims."""
    linear_model = peer("sklearn.linear_model")
    routine = peer("sklearn.linear_model._cd_fast").enet_coordinate_descent_gram
    folder = data_folder("talking_face")
    if folder is None:
        return 0
    atoms, problems = linearisations(TalkingFace.load(folder))
    core = _core.L1Solver(atoms.T @ atoms, mu=MU)

    def ours(at: Products, start: FloatArray | None) -> FloatArray:
        found: FloatArray = core.solve(at.n, at.beta, at.energy, start)[0]
        return found

    def lasso(at: Products, start: FloatArray | None) -> FloatArray:
        model = linear_model.Lasso(
            alpha=MU / N_ATOMS, fit_intercept=False, precompute=at.gamma, tol=GAP,
            max_iter=1_000_000, warm_start=start is not None,
        )  # fmt: skip
        if start is not None:
            model.coef_ = start.copy()
        model.fit(*factor(at))
        return np.asarray(model.coef_)

    random = np.random.RandomState(0)

    def descent(at: Products, start: FloatArray | None) -> FloatArray:
        x = np.zeros(N_ATOMS) if start is None else start.copy()
        y = np.array([np.sqrt(at.energy)])
        routine(
            x, MU, 0.0, at.gamma, at.beta, y, 1_000_000, GAP / at.energy, random, False, False, True
        )
        return x

    solvers: dict[str, Solve] = {
        "holdstill": ours, "scikit-learn Lasso": lasso, "its compiled routine": descent
    }  # fmt: skip
    claims = Claims()
    rows: list[list[str]] = []
    for name, warm in (("cold", False), ("warm", True)):
        check_agreement(solvers, problems, warm, claims)
        rows += compare(solvers, problems, warm, name, claims)
    nonzero = np.median([np.count_nonzero(ours(at, None)) for at in problems])
    print_table(
        f"l1 least squares on products, r = {N_ATOMS}, μ = {MU:g}, gap at most {GAP:g}: µs per "
        f"problem, median of {len(problems)}\n(a median of {nonzero:.0f} atoms take part), each "
        f"the best of {REPEATS}, one thread",
        ("start", "solver", "µs", "times as long"),
        rows,
        packages=("scikit-learn",),
    )
    return claims.exit_code()


def linearisations(face: TalkingFace) -> tuple[FloatArray, list[Products]]:
    """Every fifth frame is an atom; of frames between them, three linearisations each."""
    atoms = np.stack(
        [
            linearize(face.frames[i], face.initial[i], face.initial[i]).vector
            for i in range(0, 5 * N_ATOMS, 5)
        ],
        axis=1,
    ).astype(np.float64)
    gram = atoms.T @ atoms
    solver = _core.L1Solver(gram, mu=MU)
    problems = []
    for index in np.linspace(2, len(face.frames) - 3, N_FRAMES).astype(int) // 5 * 5 + 2:
        transform, before = face.initial[index], None
        for _ in range(4):
            now = linearize(face.frames[index], transform, face.initial[index])
            Q, R = np.linalg.qr(np.asarray(now.jacobian, dtype=np.float64))
            vector = np.asarray(now.vector, dtype=np.float64)
            vector -= Q @ (Q.T @ vector)
            n = np.asfortranarray(atoms.T @ Q)
            gamma, beta = gram - n @ n.T, atoms.T @ vector
            energy = float(vector @ vector)
            x = solver.solve(n, beta, energy)[0]
            if before is not None:
                root = np.linalg.cholesky(gamma + 1e-15 * N_ATOMS * np.eye(N_ATOMS)).T
                problems.append(Products(n, gamma, beta, energy, root, before))
            step = np.linalg.solve(R, n.T @ x)
            transform, before = _core.update(transform, step, "affine", SHAPE), x
    return atoms, problems


def linearize(frame: npt.NDArray[np.uint8], transform: FloatArray, start: FloatArray) -> Any:
    """Unit-norm edges and their Jacobian."""
    return _core.linearize(frame, transform, lowpass_from=start, sigma=0.8, **OPTIONS)


def factor(at: Products) -> tuple[FloatArray, FloatArray]:
    """X and y with XᵀX = Γ and Xᵀy = β, for an interface that asks for them."""
    return at.root, np.linalg.solve(at.root.T, at.beta)


def check_agreement(
    solvers: dict[str, Solve], problems: list[Products], warm: bool, claims: Claims
) -> None:
    """Every gap, and how far the steps are apart; nothing is timed before."""
    worst, apart = 0.0, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at in problems:
            found = [solve(at, at.before if warm else None) for solve in solvers.values()]
            worst = max(worst, *(at.gap(x) for x in found))
            apart = max(apart, *(float(np.linalg.norm(at.n.T @ (x - found[0]))) for x in found))
    claims.check(worst <= 1.01 * GAP, f"all duality gaps are at most {worst:.1e}")
    claims.check(apart <= 1e-3, f"steps QᵀÃx are within {apart:.1e} of each other")


def compare(
    solvers: dict[str, Solve], problems: list[Products], warm: bool, name: str, claims: Claims
) -> list[list[str]]:
    """Rows of the table: the solvers take turns on every problem."""
    best = np.full((len(problems), len(solvers)), np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, at in zip(best, problems, strict=True):
            for _ in range(REPEATS):
                for k, solve in enumerate(solvers.values()):
                    started = time.perf_counter()
                    solve(at, at.before if warm else None)
                    row[k] = min(row[k], time.perf_counter() - started)
    medians = np.median(best, axis=0) * 1e6
    ratios = np.median(best / best[:, :1], axis=0)
    _, lasso, routine = ratios
    claims.check(lasso >= LEAST, f"{name}: {lasso:.1f} times as fast as Lasso, at least {LEAST}")
    claims.check(
        routine >= LEAST,
        f"{name}: {routine:.1f} times as fast as its compiled routine, at least {LEAST}",
        missed=routine >= 4,
    )
    return [
        [name, solver, f"{microseconds:.1f}", f"{ratio:.1f}"]
        for solver, microseconds, ratio in zip(solvers, medians, ratios, strict=True)
    ]


if __name__ == "__main__":
    raise SystemExit(main())
