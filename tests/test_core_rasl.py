"""RASL's inner solvers of the compiled core: NumPy twin, each other, certificate, gauge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rasl_problems import IMAGES, LAM, PIXELS, moved, problem

from holdstill import _core, reference

SOLVERS = ("rasl_alm", "rasl_apg")


@pytest.mark.parametrize("gauged", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("seed", range(2))
def test_solution_is_that_of_the_numpy_twin(seed: int, solver: str, gauged: bool) -> None:
    D, Q, B, _ = problem(seed)
    # Cut short as well: the iterates must be the same to rounding, not only the end.
    for iterations in (7, 3000):
        core, twin = (
            getattr(k, solver)(D, Q, B if gauged else None, lam=LAM, max_iterations=iterations)
            for k in (_core, reference)
        )
        assert core.iterations == twin.iterations
        assert core.rank == twin.rank
        assert core.converged == twin.converged
        assert core.objective == pytest.approx(twin.objective, rel=1e-10)
        assert core.lower_bound == pytest.approx(twin.lower_bound, rel=1e-6)
        for name in ("low_rank", "sparse", "delta"):
            a, b = getattr(core, name), getattr(twin, name)
            assert a.shape == b.shape
            assert np.linalg.norm(a - b) <= 1e-10 * np.linalg.norm(D), name


@pytest.mark.parametrize("gauged", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_known_step_is_recovered(solver: str, gauged: bool) -> None:
    D, Q, B, step = problem(5)
    found = getattr(_core, solver)(D, Q, B if gauged else None, lam=LAM)
    assert found.converged
    assert found.rank <= 3
    np.testing.assert_allclose(found.delta, step, atol=2e-3)


@pytest.mark.parametrize("gauged", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_both_solvers_reach_the_same_objective(seed: int, gauged: bool) -> None:
    D, Q, B, _ = problem(seed)
    gauge = B if gauged else None
    alm = _core.rasl_alm(D, Q, gauge, lam=LAM, rho=1.05)
    apg = _core.rasl_apg(D, Q, gauge, lam=LAM)
    assert apg.objective == pytest.approx(alm.objective, rel=1e-4)
    np.testing.assert_allclose(apg.delta, alm.delta, atol=1e-3)
    for bound in (alm.lower_bound, apg.lower_bound):
        assert bound <= min(alm.objective, apg.objective)


@pytest.mark.parametrize("gauged", [False, True])
def test_certificate_closes_with_rho(gauged: bool) -> None:
    D, Q, B, _ = problem(1)
    found = [
        _core.rasl_alm(D, Q, B if gauged else None, lam=LAM, rho=rho) for rho in (1.25, 1.05, 1.02)
    ]
    gaps = [1 - each.lower_bound / each.objective for each in found]
    assert gaps[0] > gaps[1] > gaps[2] > 0.0
    assert gaps[2] < 0.01


@pytest.mark.parametrize("solver", SOLVERS)
def test_objective_is_that_of_the_returned_parts(solver: str) -> None:
    D, Q, B, _ = problem(2)
    found = getattr(_core, solver)(D, Q, B, lam=LAM)
    error = moved(D, Q, found.delta) - found.low_rank
    expected = np.linalg.norm(found.low_rank, "nuc") + LAM * np.abs(error).sum()
    assert found.objective == pytest.approx(expected, rel=1e-9)
    assert found.rank == np.linalg.matrix_rank(found.low_rank, tol=1e-6)


def test_parts_of_the_alm_add_up_to_the_moved_images() -> None:
    D, Q, B, _ = problem(3)
    found = _core.rasl_alm(D, Q, B, lam=LAM)
    gap = moved(D, Q, found.delta) - found.low_rank - found.sparse
    assert np.linalg.norm(gap) <= 1e-7 * np.linalg.norm(D)


@pytest.mark.parametrize("solver", SOLVERS)
def test_gauge_constraint_holds_and_costs(solver: str) -> None:
    D, Q, B, _ = problem(2)
    free = getattr(_core, solver)(D, Q, lam=LAM)
    gauged = getattr(_core, solver)(D, Q, B, lam=LAM)
    assert np.abs(np.einsum("iqp,ip->q", B, gauged.delta)).max() < 1e-12
    assert np.abs(np.einsum("iqp,ip->q", B, free.delta)).max() > 1e-4
    assert gauged.objective >= free.objective * (1 - 1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_singular_gauge_constraint_is_taken_by_its_pseudo_inverse(solver: str) -> None:
    D, Q, B, _ = problem(2)
    plain, doubled = (
        getattr(_core, solver)(D, Q, each, lam=LAM)
        for each in (B, np.concatenate([B, B[:, :1]], axis=1))
    )
    np.testing.assert_allclose(doubled.delta, plain.delta, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_identical_images_are_of_rank_one_and_do_not_move(solver: str) -> None:
    _, Q, B, _ = problem(4)
    # Jacobians of unit-norm images are orthogonal to them.
    image = np.random.default_rng(0).standard_normal(PIXELS)
    image /= np.linalg.norm(image)
    Q = np.stack([np.linalg.qr(q - np.outer(image, image @ q))[0] for q in Q])
    D = np.repeat(image[:, None], IMAGES, axis=1)
    found = getattr(_core, solver)(D, Q, B, lam=LAM)
    assert found.converged
    assert found.rank == 1
    assert found.objective == pytest.approx(np.sqrt(IMAGES), rel=1e-3)
    assert np.abs(found.delta).max() < 1e-6


@pytest.mark.parametrize("shape", [(240, 1), (5, 12), (1, 1)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_one_image_and_more_images_than_pixels_are_solved(
    solver: str, shape: tuple[int, int]
) -> None:
    D = np.random.default_rng(0).standard_normal(shape)
    Q = np.stack(
        [np.linalg.qr(np.random.default_rng(i).standard_normal((shape[0], 1)))[0]
         for i in range(shape[1])]
    )  # fmt: skip
    lam = 1 / np.sqrt(shape[0])
    core, twin = (getattr(k, solver)(D, Q, lam=lam) for k in (_core, reference))
    assert np.isfinite(core.low_rank).all()
    assert core.objective == pytest.approx(twin.objective, rel=1e-6)
    assert core.lower_bound <= core.objective * (1 + 1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_number_of_threads_does_not_matter(solver: str) -> None:
    D, Q, B, _ = problem(6)
    found = [getattr(_core, solver)(D, Q, B, lam=LAM, threads=k) for k in (1, 2, 5)]
    for other in found[1:]:
        np.testing.assert_array_equal(other.delta, found[0].delta)
        np.testing.assert_array_equal(other.low_rank, found[0].low_rank)


@pytest.mark.parametrize("solver", SOLVERS)
def test_any_memory_layout_is_taken(solver: str) -> None:
    D, Q, B, _ = problem(6)
    expected = getattr(_core, solver)(D, Q, B, lam=LAM)
    other = getattr(_core, solver)(
        np.asfortranarray(D), np.repeat(Q, 2, axis=1)[:, ::2], B[:, :, ::-1][:, :, ::-1], lam=LAM
    )
    np.testing.assert_array_equal(other.delta, expected.delta)


def test_cap_is_never_called_converged() -> None:
    D, Q, B, _ = problem(0)
    found = _core.rasl_alm(D, Q, B, lam=LAM, max_iterations=3)
    assert not found.converged
    assert found.iterations == 3


D0, Q0, B0, _ = problem(0)


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        ((D0[:, 0], Q0), {}, "D"),
        ((D0[:0], Q0[:, :0]), {}, "D"),
        ((D0 * np.nan, Q0), {}, "D"),
        ((0.0 * D0, Q0), {}, "D"),
        ((D0, Q0[1:]), {}, "Q"),
        ((D0, Q0[0]), {}, "Q"),
        ((D0, np.full(Q0.shape, None)), {}, "Q"),
        ((D0, Q0 * np.nan), {}, "Q"),
        ((D0, Q0, B0[1:]), {}, "B"),
        ((D0, Q0, B0[:, :, 1:]), {}, "B"),
        ((D0, Q0, "gauge"), {}, "B"),
        ((D0, Q0, np.full(B0.shape, "a")), {}, "B"),
        ((D0, Q0, B0 * np.nan), {}, "B"),
        ((D0, Q0), {"lam": 0.0}, "lam"),
        ((D0, Q0), {"lam": np.inf}, "lam"),
        ((D0, Q0), {"max_iterations": 0}, "max_iterations"),
        ((D0, Q0), {"tol": np.nan}, "tol"),
        ((D0, Q0), {"threads": -1}, "threads"),
    ],
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_wrong_argument_is_named(
    solver: str, arguments: tuple[object, ...], options: dict[str, float], named: str
) -> None:
    call: Callable[..., object] = getattr(_core, solver)
    with pytest.raises((ValueError, TypeError), match=named):
        call(*arguments, **({"lam": LAM} | options))


def test_growth_of_the_penalty_must_exceed_one() -> None:
    with pytest.raises(ValueError, match="rho"):
        _core.rasl_alm(D0, Q0, lam=LAM, rho=1.0)
