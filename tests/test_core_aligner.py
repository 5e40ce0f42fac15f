"""One frame against a dictionary in the compiled core: known motion, twin, statuses, threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from textures import SHAPE, corner_error, dictionary, displaced, mixed, start, texture

from holdstill import _core, reference
from holdstill.reference import FEATURES, MOTIONS


def aligner(n: int = 4, **options: object) -> _core.FrameAligner:
    motion, features = options.get("motion", "affine"), options.get("features", "grey")
    return _core.FrameAligner(
        dictionary(n, motion, features), shape=SHAPE, **({"motion": "affine"} | options)
    )


@pytest.mark.parametrize("mu", [1e-3, 0.0])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_known_motion_is_recovered(motion: str, features: str, mu: float) -> None:
    initial = displaced(start(), motion)
    assert corner_error(initial, start()) > 1.0
    found = aligner(motion=motion, features=features, mu=mu).align(texture(2), initial)
    assert found.status == "converged"
    assert found.step <= _core.DEFAULT_TOLERANCE
    assert found.iterations < 60
    assert found.outside == 0.0
    assert corner_error(found.frame_from_canonical, start()) < 0.02
    np.testing.assert_allclose(found.coefficients, [0, 0, 1, 0], atol=0.02)
    assert found.residual < 0.02


@pytest.mark.parametrize("scale", [0.8, 1.4, 2.6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_known_motion_is_recovered_at_any_scale_and_pixel_type(dtype: type, scale: float) -> None:
    truth = start(scale)
    atoms = dictionary(3, "similarity", F=truth)
    core = _core.FrameAligner(atoms, shape=SHAPE, motion="similarity")
    frame = (texture(1) * (200 if dtype == np.uint16 else 1)).astype(dtype)
    found = core.align(frame, displaced(truth, "similarity", scale))
    assert found.status == "converged"
    assert corner_error(found.frame_from_canonical, truth) < 0.02


@pytest.mark.parametrize("features", ["grey", "edges"])
@pytest.mark.parametrize("seed", range(4))
def test_verified_alignment_is_the_same_and_certified(seed: int, features: str) -> None:
    initial = displaced(start(), "affine")
    options = {"n": 40, "features": features}
    quick = aligner(**options).align(mixed(seed), initial)
    verified = aligner(**options, verify=True).align(mixed(seed), initial)
    assert quick.status == verified.status == "converged"
    assert corner_error(quick.frame_from_canonical, verified.frame_from_canonical) < 1e-4
    for found in (quick, verified):
        assert 0.0 <= found.worst_gap <= 1e-9
        assert found.gap <= 1e-9 * found.objective
        assert found.n_atoms == np.count_nonzero(found.coefficients)


@pytest.mark.parametrize("motion", ["similarity", "affine"])
@pytest.mark.parametrize("features", ["grey", "edges"])
@pytest.mark.parametrize("seed", range(3))
def test_alignment_is_that_of_the_numpy_twin(seed: int, features: str, motion: str) -> None:
    initial = displaced(start(), motion)
    atoms = dictionary(8, motion, features)
    options = {"shape": SHAPE, "motion": motion, "features": features}
    core = _core.FrameAligner(atoms, **options).align(mixed(seed), initial)
    twin = reference.align_frame(mixed(seed), atoms, initial, **options)
    assert core.status == twin.status == "converged"
    assert corner_error(core.frame_from_canonical, twin.frame_from_canonical) < 1e-3
    assert core.residual == pytest.approx(twin.residual, rel=1e-3)
    np.testing.assert_allclose(core.coefficients, twin.coefficients, atol=1e-3)


@pytest.mark.parametrize("features", FEATURES)
def test_converged_frame_is_a_fixed_point_with_optimal_coefficients(features: str) -> None:
    initial = displaced(start(), "affine")
    options = {"shape": SHAPE, "motion": "affine", "features": features}
    atoms = dictionary(8, "affine", features)
    found = _core.FrameAligner(atoms, **options).align(mixed(1), initial)
    assert found.status == "converged"
    now = _core.linearize(mixed(1), found.frame_from_canonical, lowpass_from=initial, **options)
    best = _core.l1_least_squares(atoms, now.vector, now.jacobian, mu=_core.DEFAULT_MU)
    assert np.linalg.norm(best.step) < 2e-5  # the atoms are float32 in the aligner
    np.testing.assert_allclose(found.coefficients, best.coefficients, atol=1e-4)
    assert found.objective == pytest.approx(best.objective, rel=1e-4)


def test_without_penalty_the_fixed_point_is_that_of_plain_least_squares() -> None:
    initial, atoms = displaced(start(), "affine"), dictionary(6)
    options = {"shape": SHAPE, "motion": "affine"}
    found = _core.FrameAligner(atoms, mu=0.0, **options).align(mixed(2), initial)
    assert found.status == "converged"
    F = initial
    for _ in range(60):
        now = reference.linearize(mixed(2), F, lowpass_from=initial, **options)
        x, step, _ = reference.least_squares(atoms, now.vector, now.jacobian)
        F = reference.update(F, step, "affine", SHAPE)
        if np.linalg.norm(step) < 1e-9:
            break
    assert corner_error(found.frame_from_canonical, F) < 1e-3
    np.testing.assert_allclose(found.coefficients, x, atol=1e-3)


def test_without_penalty_dependent_atoms_do_no_harm() -> None:
    atoms = dictionary(4)
    options = {"shape": SHAPE, "motion": "affine", "mu": 0.0}
    found = [
        _core.FrameAligner(each, **options).align(mixed(2), displaced(start(), "affine"))
        for each in (atoms, np.hstack([atoms, atoms[:, :2]]))
    ]
    assert found[1].status == "converged"
    assert found[1].coefficients.shape == (6,)
    np.testing.assert_allclose(
        found[1].frame_from_canonical, found[0].frame_from_canonical, atol=1e-5
    )
    fitted = [a @ f.coefficients for a, f in zip(
        (atoms, np.hstack([atoms, atoms[:, :2]])), found, strict=True)]  # fmt: skip
    np.testing.assert_allclose(fitted[1], fitted[0], atol=1e-5)


def test_region_of_interest_makes_what_lies_outside_of_it_irrelevant() -> None:
    roi = np.zeros(SHAPE, bool)
    roi[10:30, 10:34] = True
    options = {"shape": SHAPE, "motion": "similarity", "roi": roi}
    atoms = _core.linearize(texture(), start(), **options).vector[:, None]
    core = _core.FrameAligner(atoms, **options)
    spoilt = texture()
    spoilt[:20] = 0.0
    spoilt[:, -20:] = 255.0
    initial = displaced(start(), "similarity", 0.5)
    whole, part = (core.align(frame, initial) for frame in (texture(), spoilt))
    assert corner_error(whole.frame_from_canonical, start()) < 0.02
    np.testing.assert_array_equal(whole.frame_from_canonical, part.frame_from_canonical)


def test_start_that_is_already_right_stays() -> None:
    found = aligner(1).align(texture(), start())
    assert found.status == "converged"
    assert found.iterations <= 2
    assert corner_error(found.frame_from_canonical, start()) < 1e-4


def assert_refused(found: _core.FrameAlignment, status: str, initial: np.ndarray) -> None:
    """Ended before the first step: nothing but the start is claimed."""
    assert found.status == status
    assert found.iterations == 0
    np.testing.assert_array_equal(found.frame_from_canonical, initial)
    assert not found.coefficients.any()


@pytest.mark.parametrize("shift", [-90.0, 150.0, 1e4, -1e9, 1e300])
def test_start_outside_of_the_frame_is_out_of_frame(shift: float) -> None:
    away = start()
    away[0, 2] += shift
    found = aligner().align(texture(), away)
    assert_refused(found, "out_of_frame", away)
    assert 0.5 < found.outside <= 1.0


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("size", [(140, 150), (133, 147), (97, 200)])
def test_flat_frame_is_singular(size: tuple[int, int], dtype: type, features: str) -> None:
    core = aligner(features=features)
    for level in (0, 77, 128, 255):
        F = start(0.9)
        assert_refused(core.align(np.full(size, level, dtype), F), "singular", F)


@pytest.mark.parametrize("features", FEATURES)
def test_flat_region_of_a_textured_frame_is_singular(features: str) -> None:
    frame = texture()
    frame[30:110, 30:120] = 213.0
    F = start(0.9)
    assert_refused(aligner(features=features).align(frame, F), "singular", F)


def test_stripes_do_not_determine_an_affine_motion() -> None:
    stripes = 100 + 50 * np.sin(np.arange(150) / 5.0, dtype=np.float32) * np.ones((140, 1))
    straight = np.diag([1.4, 1.4, 1.0])
    straight[:2, 2] = 30.0
    assert_refused(aligner().align(stripes.astype(np.float32), straight), "singular", straight)


@pytest.mark.parametrize("motion", MOTIONS)
def test_matrix_that_cannot_be_inverted_is_singular(motion: str) -> None:
    for linear in (np.zeros((2, 2)), np.ones((2, 2)) if motion == "affine" else np.zeros((2, 2))):
        F = start()
        F[:2, :2] = linear
        assert_refused(aligner(motion=motion).align(texture(), F), "singular", F)
    nowhere = np.full((3, 3), np.nan)
    assert_refused(aligner(motion=motion).align(texture(), nowhere), "singular", nowhere)


def test_zoom_by_more_than_two_has_collapsed() -> None:
    y, x = np.mgrid[:240, :240] - 120.0
    wide, narrow = (np.exp(-(x**2 + y**2) / (2 * s**2)).astype(np.float32) for s in (60.0, 9.0))
    F = np.eye(3)
    F[:2, 2] = 98.0
    options = {"shape": SHAPE, "motion": "similarity"}
    atom = _core.linearize(narrow + 0.2 * np.roll(narrow, 6, 1), F, **options).vector
    frame = wide + np.float32(0.2) * np.roll(wide, 40, 1)
    found = _core.FrameAligner(atom[:, None], **options).align(frame, F)
    assert found.status == "collapsed"
    assert np.isfinite(found.frame_from_canonical).all()


@pytest.mark.parametrize("where", [(0, 0), (70, 80), (139, 149)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_frame_that_is_not_finite_is_unreadable(value: float, where: tuple[int, int]) -> None:
    frame = texture()
    frame[where] = value
    assert_refused(aligner().align(frame, start()), "unreadable", start())


@pytest.mark.parametrize("cap", [1, 3])
def test_cap_is_never_called_converged(cap: int) -> None:
    found = aligner(max_iterations=cap).align(texture(), displaced(start(), "affine"))
    assert (found.status, found.iterations) == ("max_iterations", cap)
    assert found.step > _core.DEFAULT_TOLERANCE


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 60), (60, 1), (3, 3)])
def test_smallest_frames_end_with_a_status(size: tuple[int, int], features: str) -> None:
    frame = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    for scale in (1e-3, 1.0):
        F = _core.matrix_from_parameters(
            np.array([scale, 0, 0, scale, 0.4 * size[1], 0.4 * size[0]]), np.eye(3), "affine", SHAPE
        )
        found = aligner(features=features).align(frame, F)
        assert found.status in {"singular", "out_of_frame", "collapsed", "max_iterations"}
        assert np.isfinite(found.frame_from_canonical).all()


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("scale", [1e-150, 1e-5, 1e-3, 60.0, 1e3, 1e9, 1e150])
def test_extreme_scales_end_with_a_status(scale: float, features: str) -> None:
    found = aligner(features=features, max_iterations=20).align(texture(), start(scale))
    assert found.status != "converged"
    assert np.isfinite(found.frame_from_canonical).all()


FIELDS = (
    "frame_from_canonical", "iterations", "n_atoms", "residual", "step", "objective", "gap",
    "worst_gap", "outside", "coefficients",
)  # fmt: skip


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Frames that end in different ways, and their starts."""
    frames = np.stack([mixed(0), mixed(1), np.zeros_like(mixed(0)), mixed(2), mixed(3), mixed(4)])
    frames[4, 3, 3] = np.nan
    starts = np.stack([displaced(start(), "affine", size) for size in (1, 0.5, 1, 1.2, 1, -1)])
    starts[3, 0, 2] += 500.0
    return frames, starts


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_batch_is_the_frames_one_by_one_to_the_last_bit(threads: int) -> None:
    frames, starts = batch()
    core = aligner(20)
    together = core.align_batch(frames, starts, threads=threads)
    assert set(together["status"]) == {"converged", "singular", "out_of_frame", "unreadable"}
    for i, (frame, initial) in enumerate(zip(frames, starts, strict=True)):
        alone = aligner(20).align(frame, initial)
        assert together["status"][i] == alone.status
        for field in FIELDS:
            np.testing.assert_array_equal(together[field][i], getattr(alone, field), field)


def test_batch_of_any_memory_layout_is_read() -> None:
    frames, starts = batch()
    core = aligner()
    expected = core.align_batch(frames, starts)
    stacked_last = np.stack(list(frames), axis=-1).transpose(2, 0, 1)
    for layout in (stacked_last, np.repeat(frames, 2, axis=0)[::2]):
        found = core.align_batch(layout, np.asfortranarray(starts))
        np.testing.assert_array_equal(
            found["frame_from_canonical"], expected["frame_from_canonical"]
        )


def test_python_threads_share_an_aligner_and_find_the_same_bytes() -> None:
    core, (frames, starts) = aligner(20), batch()
    expected = [core.align(f, s) for f, s in zip(frames, starts, strict=True)]
    differing: list[tuple[int, str]] = []

    def work(first: int) -> None:
        for turn in range(12):
            i = (first + turn) % len(frames)
            found = core.align(frames[i], starts[i])
            differing.extend(
                (i, field)
                for field in FIELDS
                if np.asarray(getattr(found, field)).tobytes()
                != np.asarray(getattr(expected[i], field)).tobytes()
            )

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert differing == []


ATOMS = np.ones((SHAPE[0] * SHAPE[1], 2)) / np.sqrt(SHAPE[0] * SHAPE[1])
GOOD = {"shape": SHAPE, "motion": "affine"}


@pytest.mark.parametrize(
    ("atoms", "options", "named"),
    [
        (ATOMS[1:], {}, "atoms"),
        (ATOMS[:, 0], {}, "atoms"),
        (ATOMS[:, :0], {}, "atoms"),
        (ATOMS * np.nan, {}, "atoms"),
        (np.full(ATOMS.shape, "a"), {}, "atoms"),
        (ATOMS, {"features": "edges"}, "atoms"),
        (ATOMS, {"features": "sobel"}, "features"),
        (ATOMS, {"motion": "rigid"}, "motion"),
        (ATOMS, {"shape": (0, 5)}, "shape"),
        (ATOMS, {"shape": 40}, "shape"),
        (ATOMS, {"roi": np.zeros(SHAPE, bool)}, "roi"),
        (ATOMS, {"roi": np.ones((2, 2), bool)}, "roi"),
        (ATOMS, {"sigma": -0.1}, "sigma"),
        (ATOMS, {"sigma": np.nan}, "sigma"),
        (ATOMS, {"mu": -1.0}, "mu"),
        (ATOMS, {"mu": np.inf}, "mu"),
        (ATOMS, {"tolerance": 0.0}, "tolerance"),
        (ATOMS, {"tolerance": np.nan}, "tolerance"),
        (ATOMS, {"max_iterations": 0}, "max_iterations"),
        (ATOMS, {"verfy": True}, "verfy"),
    ],
)
def test_wrong_argument_of_the_aligner_is_named(
    atoms: np.ndarray, options: dict[str, object], named: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        _core.FrameAligner(atoms, **(GOOD | options))


SHEAR = np.array([[1.0, 0.1, 30.0], [0.0, 1.0, 30.0], [0.0, 0.0, 1.0]])
STACK = np.stack([texture()] * 2)
STARTS = np.stack([np.eye(3)] * 2)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda core: core.align(texture()[0], np.eye(3)), "frame"),
        (lambda core: core.align(texture()[:0], np.eye(3)), "frame"),
        (lambda core: core.align(texture().astype(np.float64), np.eye(3)), "frame"),
        (lambda core: core.align(texture().astype(np.int16), np.eye(3)), "frame"),
        (lambda core: core.align(STACK, np.eye(3)), "frame"),
        (lambda core: core.align("frame", np.eye(3)), "frame"),
        (lambda core: core.align(texture(), np.eye(2)), "initial"),
        (lambda core: core.align(texture(), np.full((3, 3), "a")), "initial"),
        (lambda core: core.align(texture(), SHEAR), "initial"),
        (lambda core: core.align(texture(), np.diag([1.0, -1.0, 1.0])), "initial"),
        (lambda core: core.align_batch(texture(), STARTS), "frames"),
        (lambda core: core.align_batch(STACK[:0], STARTS[:0]), "frames"),
        (lambda core: core.align_batch(STACK.astype(np.float64), STARTS), "frames"),
        (lambda core: core.align_batch(STACK, STARTS[:1]), "initial"),
        (lambda core: core.align_batch(STACK, np.stack([np.eye(3), SHEAR])), r"initial\[1\]"),
        (lambda core: core.align_batch(STACK, STARTS, threads=-1), "threads"),
    ],
)
def test_wrong_argument_of_a_frame_is_named(
    call: Callable[[_core.FrameAligner], object], named: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        call(aligner(motion="similarity"))
