"""Robust least squares, NumPy reference: optimality, other solvers, and frames that are hidden."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from holdstill.reference import (
    group_soft_threshold,
    huber,
    l1_least_squares,
    robust_least_squares,
    soft_threshold,
)
from holdstill.reference.robust import magnitudes

Problem = tuple[np.ndarray, np.ndarray, np.ndarray]


def problem(seed: int, samples: int = 60, atoms: int = 5, parameters: int = 2) -> Problem:
    """Ã, v, J of nearly collinear atoms; a fifth of v is hidden by something else."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(samples, 1)) + 0.4 * rng.normal(size=(samples, atoms))
    A /= np.linalg.norm(A, axis=0)
    v = A @ rng.normal(size=atoms) + 0.01 * rng.normal(size=samples)
    v[: samples // 5] += rng.normal(0.3, 0.3, samples // 5)
    v /= np.linalg.norm(v)
    return A, v, 0.1 * rng.normal(size=(samples, parameters))


def objective(at: Problem, x: np.ndarray, step: np.ndarray, mu: float, kappa: float) -> float:
    A, v, J = at
    return huber(v + J @ step - A @ x, kappa) + mu * np.abs(x).sum()


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("kappa", [1e-3, 0.02, 0.1])
@pytest.mark.parametrize("seed", range(4))
def test_optimality_conditions_hold(seed: int, kappa: float, planes: int) -> None:
    A, v, J = problem(seed)
    mu = 0.1 * kappa
    found = robust_least_squares(A, v, J, mu=mu, kappa=kappa, planes=planes)
    x, r = found.coefficients, found.residual
    np.testing.assert_allclose(r, v + J @ found.step - A @ x, atol=1e-12)
    # Where the residual is short it pulls as it is, elsewhere with the length kappa.
    lengths = np.tile(magnitudes(r, planes), planes)
    pull = np.where(lengths <= kappa, r, kappa * r / lengths)
    assert np.mean(lengths > kappa) > 0.02
    np.testing.assert_allclose(J.T @ pull, 0.0, atol=1e-4 * mu)
    correlation = A.T @ pull
    np.testing.assert_allclose(correlation[x != 0], mu * np.sign(x[x != 0]), atol=1e-4 * mu)
    assert np.abs(correlation).max() <= mu * (1 + 1e-4)
    np.testing.assert_allclose(r - found.occlusion, pull, atol=1e-12)
    assert 0.0 <= found.gap <= 1e-6 * found.objective


@pytest.mark.parametrize("seed", range(3))
def test_objective_is_that_of_a_generic_solver(seed: int) -> None:
    at, mu, kappa = problem(seed), 3e-3, 0.02
    A, v, J = at
    r, p = A.shape[1], J.shape[1]
    found = robust_least_squares(A, v, J, mu=mu, kappa=kappa)

    def smooth(y: np.ndarray) -> tuple[float, np.ndarray]:
        # x = positive part - negative part makes the l1 norm linear.
        x, step = y[:r] - y[r : 2 * r], y[2 * r :]
        residual = v + J @ step - A @ x
        pull = np.clip(residual, -kappa, kappa)
        gradient = np.concatenate([mu - A.T @ pull, mu + A.T @ pull, J.T @ pull])
        return huber(residual, kappa) + mu * y[: 2 * r].sum(), gradient

    bounds = [(0, None)] * (2 * r) + [(None, None)] * p
    generic = scipy.optimize.minimize(
        smooth, np.zeros(2 * r + p), jac=True, bounds=bounds, method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 20000, "maxfun": 40000},
    )  # fmt: skip
    assert found.objective <= generic.fun * (1 + 1e-9)
    assert found.objective == pytest.approx(generic.fun, rel=1e-6)
    assert found.objective == pytest.approx(objective(at, *found[:2], mu, kappa), rel=1e-12)


def test_alternating_directions_end_at_the_same_point() -> None:
    """ADMM of equations §3: no exact inner solve, no momentum, another splitting."""
    (A, v, J), mu, kappa = problem(5), 2e-3, 0.02
    found = robust_least_squares(A, v, J, mu=mu, kappa=kappa, tolerance=1e-11)
    Q, R = np.linalg.qr(J)
    nu, eta = 1.0, 0.1
    PA = A - Q @ (Q.T @ A)
    factor = np.linalg.inv(A.T @ PA + eta * np.eye(A.shape[1]))
    e, y, d, b = (np.zeros(n) for n in (v.size, v.size, A.shape[1], A.shape[1]))
    for _ in range(6000):
        q = v - e + y
        x = factor @ (PA.T @ q + eta * (d - b))
        step = np.linalg.solve(R, Q.T @ (A @ x - q))
        z = v + J @ step - A @ x
        large = np.abs(z + y) > kappa * (1 + 1 / nu)
        e = np.where(large, soft_threshold(z + y, kappa / nu), nu * (z + y) / (1 + nu))
        d = soft_threshold(x + b, mu / (nu * eta))
        y, b = y + z - e, b + x - d
    np.testing.assert_allclose(step, found.step, atol=2e-6)
    np.testing.assert_allclose(d, found.coefficients, atol=2e-6)


def test_threshold_above_every_residual_is_plain_least_squares() -> None:
    A, v, J = problem(1)
    found = robust_least_squares(A, v, J, mu=2e-3, kappa=10.0)
    plain = l1_least_squares(A, v, J, mu=2e-3)
    assert found.iterations == 1
    assert not found.occlusion.any()
    np.testing.assert_allclose(found.coefficients, plain.coefficients, atol=1e-10)
    np.testing.assert_allclose(found.step, plain.step, atol=1e-10)
    assert found.objective == pytest.approx(plain.objective, rel=1e-12)


def test_warm_start_ends_at_the_same_point_sooner() -> None:
    A, v, J = problem(2)
    options = {"mu": 1e-4, "kappa": 1e-3}
    cold = robust_least_squares(A, v, J, **options)
    warm = robust_least_squares(
        A, v, J, initial=cold.coefficients, occlusion=cold.occlusion, **options
    )
    assert warm.iterations < 0.3 * cold.iterations
    np.testing.assert_allclose(warm.step, cold.step, atol=1e-6)


def test_planes_of_a_pixel_are_hidden_together() -> None:
    # Neither plane of the second pixel is past the threshold, both together are.
    A = np.full((80, 1), 1 / np.sqrt(80))
    v = A[:, 0].copy()
    v[[1, 41]] += 0.09
    assert robust_least_squares(A, v, mu=1e-6, kappa=0.1).occlusion.any() == np.False_
    hidden = robust_least_squares(A, v, mu=1e-6, kappa=0.1, planes=2).occlusion.reshape(2, 40)
    assert np.flatnonzero(hidden.any(axis=0)).tolist() == [1]
    np.testing.assert_allclose(hidden[0], hidden[1], atol=1e-12)


@pytest.mark.parametrize("planes", [1, 2, 3])
def test_group_threshold_minimises_its_proximal_problem(planes: int) -> None:
    rng = np.random.default_rng(planes)
    x, t = rng.normal(size=planes * 5), 0.7
    best = group_soft_threshold(x, t, planes)

    def value(y: np.ndarray) -> float:
        return 0.5 * np.sum((y - x) ** 2) + t * magnitudes(y, planes).sum()

    for size in (1e-4, 1e-2, 1.0):
        for _ in range(200):
            assert value(best) <= value(best + size * rng.normal(size=x.shape)) + 1e-15


GOOD = {"mu": 1e-3, "kappa": 0.02}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kappa": 0.0}, "kappa"),
        ({"kappa": np.nan}, "kappa"),
        ({"mu": 0.0}, "mu"),
        ({"planes": 7}, "planes"),
        ({"planes": 0}, "planes"),
        ({"occlusion": np.zeros(3)}, "occlusion"),
        ({"initial": np.zeros(3)}, "initial"),
        ({"target": np.full(60, np.nan)}, "target"),
        ({"jacobian": np.ones((60, 2))}, "jacobian"),
    ],
)
def test_wrong_argument_is_named(change: dict[str, object], named: str) -> None:
    A, v, J = problem(0)
    with pytest.raises(ValueError, match=named):
        robust_least_squares(**({"dictionary": A, "target": v, "jacobian": J} | GOOD | change))
