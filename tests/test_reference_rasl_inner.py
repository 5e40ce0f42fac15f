"""RASL's inner solvers of the NumPy reference: against each other, the certificate, known parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rasl_problems import IMAGES, LAM, PIXELS, low_rank, moved, problem

from holdstill.reference import RaslStep, rasl_alm, rasl_apg, upper_bound
from holdstill.reference.rasl_inner import singular_value_threshold


@pytest.mark.parametrize("solver", [rasl_alm, rasl_apg])
@pytest.mark.parametrize("gauged", [False, True])
def test_known_step_is_recovered(solver: Callable[..., RaslStep], gauged: bool) -> None:
    D, Q, B, step = problem()
    found = solver(D, Q, B if gauged else None, lam=LAM)
    assert found.converged
    assert found.rank <= 3
    np.testing.assert_allclose(found.delta, step, atol=2e-3)


@pytest.mark.parametrize("gauged", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_both_solvers_reach_the_same_objective_and_step(seed: int, gauged: bool) -> None:
    D, Q, B, _ = problem(seed)
    gauge = B if gauged else None
    alm, apg = rasl_alm(D, Q, gauge, lam=LAM, rho=1.05), rasl_apg(D, Q, gauge, lam=LAM)
    assert apg.objective == pytest.approx(alm.objective, rel=1e-4)
    np.testing.assert_allclose(apg.delta, alm.delta, atol=1e-3)


@pytest.mark.parametrize("gauged", [False, True])
def test_certificate_encloses_the_optimum_and_closes_with_rho(gauged: bool) -> None:
    D, Q, B, _ = problem(1)
    gauge = B if gauged else None
    gaps = []
    for rho in (1.25, 1.05, 1.02):
        found = rasl_alm(D, Q, gauge, lam=LAM, rho=rho)
        assert found.lower_bound < found.objective
        gaps.append(1 - found.lower_bound / found.objective)
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.01
    best = rasl_alm(D, Q, gauge, lam=LAM, rho=1.02)
    other = rasl_apg(D, Q, gauge, lam=LAM)
    assert other.lower_bound < best.objective
    assert best.lower_bound < other.objective


@pytest.mark.parametrize("solver", [rasl_alm, rasl_apg])
def test_gauge_constraint_holds(solver: Callable[..., RaslStep]) -> None:
    D, Q, B, _ = problem(2)
    found = solver(D, Q, B, lam=LAM)
    assert np.abs(np.einsum("iqp,ip->q", B, found.delta)).max() < 1e-12


def test_singular_gauge_constraint_is_taken_by_its_pseudo_inverse() -> None:
    D, Q, B, _ = problem(2)
    repeated = np.concatenate([B, B[:, :1]], axis=1)
    plain, doubled = rasl_alm(D, Q, B, lam=LAM), rasl_alm(D, Q, repeated, lam=LAM)
    np.testing.assert_allclose(doubled.delta, plain.delta, atol=1e-9)


def test_parts_add_up_to_the_linearised_images() -> None:
    D, Q, B, _ = problem(3)
    found = rasl_alm(D, Q, B, lam=LAM)
    gap = moved(D, Q, found.delta) - found.low_rank - found.sparse
    assert np.linalg.norm(gap) <= 1e-7 * np.linalg.norm(D)
    assert found.objective == upper_bound(D, found.delta, Q, found.low_rank, LAM)


def test_objective_is_no_higher_than_at_the_truth() -> None:
    D, Q, _, step = problem(4)
    truth = low_rank(np.random.default_rng(4))
    found = rasl_alm(D, Q, lam=LAM, rho=1.05)
    assert found.objective <= upper_bound(D, step, Q, truth, LAM) * (1 + 1e-6)


def test_singular_value_threshold_is_that_of_a_full_decomposition() -> None:
    rng = np.random.default_rng(0)
    for shape in ((40, 9), (9, 40)):
        X = rng.standard_normal(shape)
        U, sigma, Vt = np.linalg.svd(X, full_matrices=False)
        t = sigma[4]
        A, rank = singular_value_threshold(X, t * (1 - 1e-9))
        np.testing.assert_allclose(A, (U * np.maximum(sigma - t, 0)) @ Vt, atol=1e-7)
        assert rank == 5


def test_threshold_above_every_singular_value_leaves_nothing() -> None:
    A, rank = singular_value_threshold(np.ones((5, 3)), 10.0)
    assert rank == 0 and A.shape == (5, 3) and not A.any()


@pytest.mark.parametrize("solver", [rasl_alm, rasl_apg])
def test_identical_images_are_of_rank_one_and_stay_where_they_are(
    solver: Callable[..., RaslStep],
) -> None:
    image = np.random.default_rng(0).standard_normal(200)
    D = np.tile(image[:, None] / np.linalg.norm(image), (1, 5))
    Q = np.tile(np.linalg.qr(np.random.default_rng(1).standard_normal((200, 4)))[0], (5, 1, 1))
    found = solver(D, Q, np.tile(np.eye(4), (5, 1, 1)), lam=1 / np.sqrt(200))
    assert found.rank == 1
    np.testing.assert_allclose(found.delta, 0, atol=1e-8)


def test_cap_is_not_called_converged() -> None:
    D, Q, B, _ = problem()
    for solver in (rasl_alm, rasl_apg):
        found = solver(D, Q, B, lam=LAM, max_iterations=3)
        assert not found.converged and found.iterations == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"D": np.zeros((PIXELS, IMAGES))}, "D"),
        ({"D": np.zeros(5)}, "D"),
        ({"Q": np.zeros((IMAGES, PIXELS - 1, 4))}, "Q"),
        ({"B": np.zeros((IMAGES - 1, 4, 4))}, "B"),
        ({"lam": 0.0}, "lam"),
        ({"Q": np.full((IMAGES, PIXELS, 4), np.inf)}, "Q"),
        ({"rho": 1.0}, "rho"),
        ({"max_iterations": 0}, "max_iterations"),
    ],
)
def test_wrong_argument_is_named(change: dict[str, object], named: str) -> None:
    D, Q, B, _ = problem()
    arguments: dict[str, object] = {"D": D, "Q": Q, "B": B, "lam": LAM}
    with pytest.raises(ValueError, match=named):
        rasl_alm(**(arguments | change))  # type: ignore[arg-type]
