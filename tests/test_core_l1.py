"""l1-regularised least squares of the compiled core: optimality, scikit-learn, NumPy twin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from holdstill import _core, reference

Problem = tuple[np.ndarray, np.ndarray, np.ndarray]


def problem(seed: int, m: int = 80, r: int = 30, p: int = 6) -> Problem:
    """Atoms close to each other, as images of one face are, a target among them, and a Jacobian."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((m, r)) + 3 * rng.standard_normal((m, 1))
    atoms /= np.linalg.norm(atoms, axis=0)
    target = atoms[:, :3].sum(axis=1) + 0.1 * rng.standard_normal(m)
    return atoms, target / np.linalg.norm(target), rng.standard_normal((m, p))


def project(J: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    """P x, P = I - QQᵀ."""
    if J is None:
        return x
    Q = np.linalg.qr(J)[0]
    return x - Q @ (Q.T @ x)


def largest_mu(atoms: np.ndarray, v: np.ndarray, J: np.ndarray | None) -> float:
    """max|ÃᵀPv|, from which on x = 0."""
    return float(np.abs(atoms.T @ project(J, v)).max())


SHARES = [0.5, 0.05, 1e-3, 1e-5]


@pytest.mark.parametrize("with_jacobian", [True, False])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("seed", range(6))
def test_solution_fulfils_the_optimality_conditions(
    seed: int, share: float, with_jacobian: bool
) -> None:
    atoms, v, J = problem(seed)
    jacobian = J if with_jacobian else None
    mu = share * largest_mu(atoms, v, jacobian)
    found = _core.l1_least_squares(atoms, v, jacobian, mu=mu)
    assert found.converged
    moved = v + J @ found.step if with_jacobian else v
    residual = moved - atoms @ found.coefficients
    np.testing.assert_allclose(found.residual, residual, atol=1e-12)
    objective = 0.5 * residual @ residual + mu * np.abs(found.coefficients).sum()
    assert found.objective == pytest.approx(objective, rel=1e-10)
    assert 0.0 <= found.gap <= 1e-9 * found.objective
    if with_jacobian:
        assert np.abs(J.T @ residual).max() < 1e-11
    correlation, on = atoms.T @ residual, found.coefficients != 0
    np.testing.assert_allclose(
        correlation[on], mu * np.sign(found.coefficients[on]), rtol=0, atol=1e-10 * mu + 1e-13
    )
    assert (np.abs(correlation[~on]) <= mu * (1 + 1e-10) + 1e-13).all()


@pytest.mark.parametrize("with_jacobian", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.03, 3e-3])
@pytest.mark.parametrize("seed", range(4))
def test_coefficients_are_those_of_scikit_learn(
    seed: int, share: float, with_jacobian: bool
) -> None:
    atoms, v, J = problem(seed)
    jacobian = J if with_jacobian else None
    mu = share * largest_mu(atoms, v, jacobian)
    found = _core.l1_least_squares(atoms, v, jacobian, mu=mu)
    lasso = Lasso(alpha=mu / len(v), fit_intercept=False, tol=1e-12, max_iter=200_000)
    lasso.fit(project(jacobian, atoms), project(jacobian, v))
    np.testing.assert_allclose(found.coefficients, lasso.coef_, rtol=0, atol=1e-6)
    assert ((found.coefficients != 0) == (np.abs(lasso.coef_) > 1e-9)).all()


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("seed", range(4))
def test_solution_is_that_of_the_numpy_twin(seed: int, share: float) -> None:
    atoms, v, J = problem(seed)
    for jacobian in (J, J[:, :2], None):
        mu = share * largest_mu(atoms, v, jacobian)
        core, twin = (k.l1_least_squares(atoms, v, jacobian, mu=mu) for k in (_core, reference))
        assert core.objective == pytest.approx(twin.objective, rel=1e-10)
        np.testing.assert_allclose(core.coefficients, twin.coefficients, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(core.step, twin.step, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(core.residual, twin.residual, rtol=1e-10, atol=1e-10)


def test_gap_bounds_the_distance_to_the_optimum_where_the_solver_is_cut_short() -> None:
    atoms, v, J = problem(1)
    mu = 1e-3 * largest_mu(atoms, v, J)
    best = _core.l1_least_squares(atoms, v, J, mu=mu)
    short = [
        _core.l1_least_squares(atoms, v, J, mu=mu, bregman_iterations=0, max_active_set_steps=steps)
        for steps in (1, 2, 4)
    ]
    for found in short:
        assert not found.converged
        assert found.gap >= found.objective - best.objective > 0.0
    assert short[0].objective > short[1].objective > short[2].objective


def test_objective_does_not_depend_on_the_start_or_the_penalty() -> None:
    atoms, v, J = problem(2)
    mu = 0.01 * largest_mu(atoms, v, J)
    best = _core.l1_least_squares(atoms, v, J, mu=mu)
    start = np.random.default_rng(0).standard_normal(atoms.shape[1])
    for options in (
        {"initial": start}, {"initial": best.coefficients}, {"nu": 10.0}, {"nu": 1e-4},
        {"bregman_iterations": 0}, {"bregman_iterations": 100},
    ):  # fmt: skip
        found = _core.l1_least_squares(atoms, v, J, mu=mu, **options)
        np.testing.assert_allclose(found.coefficients, best.coefficients, atol=1e-9)


@pytest.mark.parametrize("with_jacobian", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_solution_is_zero_exactly_from_the_largest_correlation_on(
    seed: int, with_jacobian: bool
) -> None:
    atoms, v, J = problem(seed)
    jacobian = J if with_jacobian else None
    limit = largest_mu(atoms, v, jacobian)
    above = _core.l1_least_squares(atoms, v, jacobian, mu=limit * (1 + 1e-9))
    below = _core.l1_least_squares(atoms, v, jacobian, mu=limit * (1 - 1e-6))
    assert not above.coefficients.any()
    assert below.coefficients.any()
    assert above.converged
    assert below.converged


@pytest.mark.parametrize("copies", [2, 5])
def test_atoms_given_several_times_change_nothing_but_how_they_share(copies: int) -> None:
    atoms, v, J = problem(3)
    for share in (0.3, 0.01, 1e-4):
        mu = share * largest_mu(atoms, v, J)
        once = _core.l1_least_squares(atoms, v, J, mu=mu)
        several = _core.l1_least_squares(np.tile(atoms, copies), v, J, mu=mu)
        assert several.objective == pytest.approx(once.objective, rel=1e-9)
        assert several.gap <= 1e-9 * several.objective
        np.testing.assert_allclose(several.step, once.step, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_dictionary_of_low_rank_is_solved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((50, 4)) @ rng.standard_normal((4, 20))
    atoms /= np.linalg.norm(atoms, axis=0)
    v, J = rng.standard_normal(50), rng.standard_normal((50, 2))
    for share in (0.3, 0.01):
        mu = share * largest_mu(atoms, v, J)
        found = _core.l1_least_squares(atoms, v, J, mu=mu)
        assert found.gap <= 1e-9 * found.objective
        assert found.objective == pytest.approx(
            reference.l1_least_squares(atoms, v, J, mu=mu).objective, rel=1e-8
        )


@pytest.mark.parametrize("lengths", [(4, 237, 47), (237, 4, 47), (1e-3, 1e3, 1.0)])
def test_dependent_atoms_of_any_length_are_solved(lengths: tuple[float, ...]) -> None:
    """Along one direction the longest atom costs least: |x_k| = (l·v - μ/l)/l of it alone."""
    direction = np.array([0.6, 0.8, 0.0])
    atoms, target, mu = np.outer(direction, lengths), np.array([1.0, 0.5, 0.3]), 1e-3
    found = _core.l1_least_squares(atoms, target, mu=mu)
    assert found.converged
    longest = max(lengths)
    along = direction @ target - mu / longest
    assert np.abs(found.coefficients) @ lengths == pytest.approx(along, rel=1e-9)
    assert found.objective == pytest.approx(
        0.5 * (target @ target - (direction @ target) ** 2 + (mu / longest) ** 2)
        + mu * along / longest,
        rel=1e-9,
    )


def test_more_atoms_than_samples_are_solved() -> None:
    atoms, v, J = problem(0, m=12, r=40, p=2)
    found = _core.l1_least_squares(atoms, v, J, mu=0.01 * largest_mu(atoms, v, J))
    assert found.converged
    assert found.gap <= 1e-9 * found.objective


def test_zero_atoms_and_a_zero_target_give_zero() -> None:
    atoms, v, J = problem(0)
    nothing = _core.l1_least_squares(np.zeros_like(atoms), v, J, mu=1e-3)
    assert not nothing.coefficients.any()
    still = _core.l1_least_squares(atoms, np.zeros_like(v), J, mu=1e-3)
    assert not still.coefficients.any()
    assert not still.step.any()
    assert still.objective == still.gap == 0.0


def test_any_memory_layout_and_number_type_is_taken() -> None:
    atoms, v, J = problem(5)
    expected = _core.l1_least_squares(atoms, v, J, mu=1e-3)
    for dictionary, target, jacobian in (
        (np.asfortranarray(atoms), v, np.asfortranarray(J)),
        (np.repeat(atoms, 2, axis=1)[:, ::2], np.repeat(v, 2)[::2], J[::-1][::-1]),
        (atoms.tolist(), v.tolist(), J.tolist()),
    ):
        found = _core.l1_least_squares(dictionary, target, jacobian, mu=1e-3)
        np.testing.assert_array_equal(found.coefficients, expected.coefficients)


A, V, J = problem(0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: _core.l1_least_squares(A[:, 0], V, J, mu=1.0), "dictionary"),
        (lambda: _core.l1_least_squares(A[:, :0], V, J, mu=1.0), "dictionary"),
        (lambda: _core.l1_least_squares(np.array([["a"]]), V, J, mu=1.0), "dictionary"),
        (lambda: _core.l1_least_squares(A * np.nan, V, J, mu=1.0), "dictionary"),
        (lambda: _core.l1_least_squares(A, V[:-1], J, mu=1.0), "target"),
        (lambda: _core.l1_least_squares(A, V * np.inf, J, mu=1.0), "target"),
        (lambda: _core.l1_least_squares(A, V, J[:-1], mu=1.0), "jacobian"),
        (lambda: _core.l1_least_squares(A, V, J * np.nan, mu=1.0), "jacobian"),
        (lambda: _core.l1_least_squares(A, V, J[:, [0, 0]], mu=1.0), "jacobian"),
        (lambda: _core.l1_least_squares(A, V, np.ones((80, 9)), mu=1.0), "jacobian"),
        (lambda: _core.l1_least_squares(A[:2], V[:2], J[:2], mu=1.0), "jacobian"),
        (lambda: _core.l1_least_squares(A, V, J, mu=0.0), "mu"),
        (lambda: _core.l1_least_squares(A, V, J, mu=np.nan), "mu"),
        (lambda: _core.l1_least_squares(A, V, J, mu=1.0, nu=-1.0), "nu"),
        (lambda: _core.l1_least_squares(A, V, J, mu=1.0, initial=np.zeros(3)), "initial"),
        (lambda: _core.l1_least_squares(A, V, J, mu=1.0, initial=A[0] * np.nan), "initial"),
    ],
)
def test_wrong_argument_is_named(call: Callable[[], object], named: str) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        call()
