"""l1 least squares of the NumPy reference: scikit-learn, optimality conditions, duality gap."""

from __future__ import annotations

import numpy as np
import pytest

from holdstill.reference import l1_from_products, l1_least_squares, least_squares, soft_threshold


def problem(seed: int, m: int = 120, r: int = 25, p: int = 6) -> tuple[np.ndarray, ...]:
    """Unit-norm atoms that resemble each other as aligned faces do (cosines near 0.9), v and J."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((m, 1)) + 0.3 * rng.standard_normal((m, r))
    atoms /= np.linalg.norm(atoms, axis=0)
    J = rng.standard_normal((m, p))
    v = (
        atoms[:, :3] @ [0.5, 0.3, 0.2]
        + 0.02 * rng.standard_normal(m)
        + J @ (0.01 * rng.standard_normal(p))
    )
    return atoms, v / np.linalg.norm(v), J


def without_jacobian_part(J: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    Q, _ = np.linalg.qr(J)
    return [array - Q @ (Q.T @ array) for array in arrays]


@pytest.mark.parametrize("mu", [1e-4, 1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learns_lasso(seed: int, mu: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    atoms, v, J = problem(seed)
    found = l1_least_squares(atoms, v, J, mu=mu)
    projected, target = without_jacobian_part(J, atoms, v)
    lasso = linear_model.Lasso(alpha=mu / len(v), fit_intercept=False, tol=1e-14, max_iter=10**6)
    lasso.fit(projected, target)
    np.testing.assert_allclose(found.coefficients, lasso.coef_, atol=2e-6)
    objective = (
        0.5 * np.sum((target - projected @ lasso.coef_) ** 2) + mu * np.abs(lasso.coef_).sum()
    )
    assert found.objective <= objective * (1 + 1e-12)


@pytest.mark.parametrize("mu", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("seed", range(5))
def test_optimality_conditions_hold_at_the_returned_point(seed: int, mu: float) -> None:
    atoms, v, J = problem(seed)
    found = l1_least_squares(atoms, v, J, mu=mu)
    r = v + J @ found.step - atoms @ found.coefficients
    np.testing.assert_allclose(found.residual, r, atol=1e-15)
    assert np.abs(J.T @ r).max() < 1e-12
    correlation = atoms.T @ r
    on = found.coefficients != 0
    np.testing.assert_allclose(
        correlation[on], mu * np.sign(found.coefficients[on]), atol=1e-9 * mu
    )
    assert np.abs(correlation).max() <= mu * (1 + 1e-9)
    assert found.objective == pytest.approx(0.5 * r @ r + mu * np.abs(found.coefficients).sum())


@pytest.mark.parametrize("seed", range(5))
def test_duality_gap_certifies_the_solution(seed: int) -> None:
    atoms, v, J = problem(seed)
    found = l1_least_squares(atoms, v, J, mu=1e-3)
    assert found.converged
    assert 0 <= found.gap <= 1e-9 * found.objective


def test_gap_bounds_the_distance_to_the_optimum_at_any_point() -> None:
    atoms, v, J = problem(0)
    best = l1_least_squares(atoms, v, J, mu=1e-3).objective
    stopped = l1_least_squares(atoms, v, J, mu=1e-3, bregman_iterations=3, max_active_set_steps=0)
    assert not stopped.converged
    assert stopped.objective > best
    assert stopped.gap >= stopped.objective - best


@pytest.mark.parametrize("start", ["zeros", "optimum", "random", "opposite"])
@pytest.mark.parametrize("bregman", [0, 5, 40])
def test_solution_does_not_depend_on_the_start(start: str, bregman: int) -> None:
    atoms, v, J = problem(1)
    best = l1_least_squares(atoms, v, J, mu=1e-3).coefficients
    initial = {
        "zeros": np.zeros(25),
        "optimum": best,
        "random": np.random.default_rng(0).standard_normal(25),
        "opposite": -best,
    }[start]
    found = l1_least_squares(atoms, v, J, mu=1e-3, initial=initial, bregman_iterations=bregman)
    assert found.converged
    np.testing.assert_allclose(found.coefficients, best, atol=1e-9)


def test_warm_start_at_the_optimum_takes_one_step() -> None:
    atoms, v, J = problem(2)
    best = l1_least_squares(atoms, v, J, mu=1e-3)
    again = l1_least_squares(atoms, v, J, mu=1e-3, initial=best.coefficients, bregman_iterations=0)
    assert again.iterations == 1


def test_coefficients_vanish_from_the_largest_correlation_on() -> None:
    atoms, v, J = problem(3)
    projected, target = without_jacobian_part(J, atoms, v)
    limit = np.abs(projected.T @ target).max()
    assert not l1_least_squares(atoms, v, J, mu=limit * (1 + 1e-9)).coefficients.any()
    assert l1_least_squares(atoms, v, J, mu=limit * (1 - 1e-6)).coefficients.any()


def test_target_with_a_part_in_the_span_of_the_jacobian_only_changes_the_step() -> None:
    atoms, v, J = problem(4)
    shift = np.array([0.3, -0.2, 0.5, 0.0, 0.1, 0.2])
    plain, shifted = (l1_least_squares(atoms, t, J, mu=1e-3) for t in (v, v + J @ shift))
    np.testing.assert_allclose(shifted.coefficients, plain.coefficients, atol=1e-10)
    np.testing.assert_allclose(shifted.step, plain.step - shift, atol=1e-10)
    assert shifted.gap <= 1e-9 * shifted.objective


def test_without_a_jacobian_orthonormal_atoms_are_soft_thresholded() -> None:
    v = np.array([2.0, -0.3, 0.05, -1.0])
    found = l1_least_squares(np.eye(4), v, mu=0.1)
    np.testing.assert_allclose(found.coefficients, soft_threshold(v, 0.1), atol=1e-15)
    assert found.step.shape == (0,)


@pytest.mark.parametrize("copies", [(1.0, 1.0), (1.0, -1.0)])
def test_repeated_atoms_do_not_spoil_the_solution(copies: tuple[float, float]) -> None:
    atoms, v, J = problem(5)
    best = l1_least_squares(atoms, v, J, mu=1e-3)
    twice = l1_least_squares(np.hstack([c * atoms for c in copies]), v, J, mu=1e-3)
    assert twice.objective == pytest.approx(best.objective, rel=1e-9)
    np.testing.assert_allclose(twice.step, best.step, atol=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_dependent_atoms_do_not_spoil_the_solution(seed: int) -> None:
    """More atoms than the space has dimensions: the solution exists and the gap proves it."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((6, 3)) @ rng.standard_normal((3, 30))
    found = l1_least_squares(atoms / np.linalg.norm(atoms, axis=0), rng.standard_normal(6), mu=1e-3)
    assert found.gap <= 1e-9 * found.objective


def test_products_give_the_same_solution_as_arrays() -> None:
    atoms, v, J = problem(6)
    Q, _ = np.linalg.qr(J)
    found = l1_from_products(
        atoms.T @ atoms, atoms.T @ Q, atoms.T @ v, Q.T @ v, float(v @ v), mu=1e-3
    )
    expected = l1_least_squares(atoms, v, J, mu=1e-3)
    np.testing.assert_array_equal(found.coefficients, expected.coefficients)


def test_least_squares_is_the_limit_of_vanishing_mu() -> None:
    atoms, v, J = problem(7)
    x, step, residual = least_squares(atoms, v, J)
    np.testing.assert_allclose(residual, v + J @ step - atoms @ x, atol=1e-14)
    assert np.abs(np.hstack([atoms, J]).T @ residual).max() < 1e-12
    limit = l1_least_squares(atoms, v, J, mu=1e-9)
    np.testing.assert_allclose(limit.step, step, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mu": 0.0}, "mu"),
        ({"mu": np.nan}, "mu"),
        ({"target": np.zeros(5)}, "target"),
        ({"dictionary": np.zeros((120, 0))}, "dictionary"),
        ({"jacobian": np.zeros((7, 6))}, "jacobian"),
        ({"jacobian": np.ones((120, 2))}, "jacobian"),
        ({"target": np.full(120, np.nan)}, "target"),
        ({"initial": np.zeros(3)}, "initial"),
    ],
)
def test_wrong_argument_is_named(change: dict[str, object], named: str) -> None:
    atoms, v, J = problem(8)
    arguments: dict[str, object] = {"dictionary": atoms, "target": v, "jacobian": J, "mu": 1e-3}
    with pytest.raises(ValueError, match=named):
        l1_least_squares(**(arguments | change))  # type: ignore[arg-type]
