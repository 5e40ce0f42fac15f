"""What a dictionary leaves unexplained of its own images, and the quality that is read from it."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SmallHead

from holdstill import Dictionary, _core, align_batch, align_frame, reference
from holdstill.learning.residuals import DISPLACEMENT, leave_one_out

SHAPE = (24, 26)
MU = 1e-3


def batch(n: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Images of one thing under changing light, and where they are seen from."""
    y, x = np.mgrid[:80, :90]
    bumps = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 90.0) for cx, cy in
             ((40, 40), (52, 46), (38, 52), (50, 34), (44, 44))]  # fmt: skip
    rng = np.random.default_rng(2)
    images = np.stack([60 + 90 * np.tensordot(rng.uniform(0.3, 1, 5), bumps, 1) for _ in range(n)])
    F = np.array([[1.3, 0.1, 28.0], [-0.1, 1.3, 30.0], [0, 0, 1.0]])
    return (images + rng.normal(0, 1, images.shape)).astype(np.float32), np.stack([F] * n)


def lasso_residual(atoms: np.ndarray, v: np.ndarray, J: np.ndarray | None) -> np.ndarray:
    """v + JΔτ - Ãx by coordinate descent (scikit-learn) with the step projected out."""
    from sklearn.linear_model import Lasso

    Q = np.zeros((v.size, 1)) if J is None else np.linalg.qr(J)[0]
    PA, Pv = atoms - Q @ (Q.T @ atoms), v - Q @ (Q.T @ v)
    model = Lasso(alpha=MU / v.size, fit_intercept=False, tol=1e-14, max_iter=200_000)
    model.fit(PA, Pv)
    return Pv - PA @ model.coef_


@pytest.mark.parametrize("features", ["grey", "edges"])
@pytest.mark.parametrize("kernels", [None, reference])
def test_leave_one_out_is_a_lasso_on_the_other_images(kernels: object, features: str) -> None:
    images, F = batch()
    options = {"shape": SHAPE, "motion": "similarity", "features": features}
    lowpass_from = F.copy()
    lowpass_from[:, :2, :2] *= 1.2
    vectors = [
        reference.linearize(image, f, lowpass_from=low, **options)
        for image, f, low in zip(images, F, lowpass_from, strict=True)
    ]
    columns = np.array([5, 0, 3, 2])
    atoms = np.stack([vectors[k].vector for k in columns], axis=1)
    own = leave_one_out(images, lowpass_from, F, atoms, columns, mu=MU, kernels=kernels, **options)
    assert own.norms.shape == own.displaced.shape == (7,)
    planes = 2 if features == "edges" else 1
    pixels, fits = [], []
    for i, now in enumerate(vectors):
        others = atoms[:, columns != i]
        assert others.shape[1] == (3 if i in columns else 4)
        residual = lasso_residual(others, now.vector, now.jacobian)
        assert own.norms[i] == pytest.approx(np.linalg.norm(residual), rel=1e-3)
        pixels.append(np.linalg.norm(residual.reshape(planes, -1), axis=0))
        shift = np.eye(3)
        angle = np.pi * (3 - np.sqrt(5)) * i
        shift[:2, 2] = DISPLACEMENT * SHAPE[1] * np.array([np.cos(angle), np.sin(angle)])
        moved = reference.linearize(
            images[i], F[i] @ shift, lowpass_from=lowpass_from[i], **options
        )
        off = lasso_residual(others, moved.vector, None)
        assert own.displaced[i] == pytest.approx(np.linalg.norm(off), rel=1e-3)
        fits.append((now.vector, residual, moved.vector, off))
    assert own.pixel == pytest.approx(np.median(pixels), rel=1e-2)
    # Geman and McClure's weights at four standard deviations, a median of 1.4826 of which is one.
    scale = 4 * 1.4826 * np.median(pixels)
    for i, (v, e, v_off, e_off) in enumerate(fits):
        g, g_off = (
            np.tile(1 / (1 + np.square(r.reshape(planes, -1)).sum(axis=0) / scale**2) ** 2, planes)
            for r in (e, e_off)
        )
        seen = np.sum(g * (v - e) ** 2) / np.sum((v - e) ** 2)
        robust = np.sqrt(np.sum(g * e**2) / np.sum(g * v**2))
        displaced = np.sqrt(np.sum(g_off * e_off**2) / np.sum(g_off * v_off**2))
        assert own.robust[i] == pytest.approx([robust, displaced, seen], rel=2e-2)


def test_an_image_that_alone_makes_the_dictionary_is_no_yardstick() -> None:
    images, F = batch(1)
    atoms = reference.linearize(images[0], F[0], shape=SHAPE, motion="affine").vector[:, None]
    own = leave_one_out(images, F, F, atoms, np.array([0]), shape=SHAPE, motion="affine")
    assert (own.norms.size, own.displaced.size, own.robust.shape) == (0, 0, (0, 3))
    assert np.isnan(own.pixel)


def test_yardstick_lies_between_the_own_images_and_displaced_ones(small_head: SmallHead) -> None:
    d = small_head.dictionary
    assert len(d.residuals) == len(d.displaced_residuals) == 12
    assert d.misfits is not None
    typical, poor = d.misfits
    assert typical == pytest.approx(np.median(d.residuals))
    assert np.quantile(d.residuals, 0.95) < poor < np.median(d.displaced_residuals)
    robust, displaced, seen = d.robust_residuals.T
    assert len(robust) == 12
    assert d.robust_misfits is not None
    typical, poor = d.robust_misfits
    assert typical == pytest.approx(np.median(robust))
    assert np.quantile(robust, 0.95) < poor < np.median(displaced)
    assert 0.5 < np.median(seen) < 1.0
    assert d.kappa == pytest.approx(1.345 * 1.4826 * d.pixel_residual)


def misaligned(F: np.ndarray, pixels: float) -> np.ndarray:
    shift = np.eye(3)
    shift[0, 2] = pixels
    return F @ shift


def test_quality_falls_with_misalignment(small_head: SmallHead) -> None:
    d = small_head.dictionary
    settled = align_batch(small_head.frames, d, small_head.initial)
    assert settled.good.all()
    means = []
    for pixels in (0.0, 1.0, 2.0, 4.0):
        # The cap of one iteration judges a frame where it is put.
        found = [
            align_frame(frame, d, misaligned(F, pixels), max_iterations=1, levels=1, search=False)
            for frame, F in zip(small_head.frames, settled.frame_from_canonical, strict=True)
        ]
        assert {a.status for a in found} <= {"max_iterations", "converged"}
        means.append(np.mean([a.quality for a in found]))
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.9
    assert means[-1] < 0.5


def aligner_with(misfits: tuple[float, float] | None, **options: object) -> _core.FrameAligner:
    images, F = batch()
    atoms = np.stack(
        [
            reference.linearize(image, f, shape=SHAPE, motion="similarity").vector
            for image, f in zip(images[:3], F, strict=False)
        ],
        axis=1,
    )
    return _core.FrameAligner(atoms, shape=SHAPE, motion="similarity", misfits=misfits, **options)


def test_quality_is_095_and_a_half_where_the_yardstick_says_so() -> None:
    images, F = batch()
    misfit = aligner_with(None).align(images[5], F[5]).residual
    for typical, poor, expected in (
        (misfit, 4 * misfit, 0.95),
        (misfit / 4, misfit, 0.5),
        (misfit / 9, misfit / 3, 0.05),
        (misfit / 2, 2 * misfit, 1 / (1 + 19**-0.5)),
    ):
        found = aligner_with((typical, poor)).align(images[5], F[5])
        assert found.status == "converged"
        assert found.quality == pytest.approx(expected, abs=1e-3)


def test_quality_is_0_where_nothing_came_of_it_and_nan_without_a_yardstick() -> None:
    images, F = batch()
    black, nan = np.zeros_like(images[0]), images[0].copy()
    nan[3, 3] = np.nan
    away = F[0].copy()
    away[0, 2] = 1e4
    judge, blind = aligner_with((0.02, 0.1)), aligner_with(None)
    for frame, initial in ((black, F[0]), (nan, F[0]), (images[0], away)):
        assert judge.align(frame, initial).quality == 0.0
        assert np.isnan(blind.align(frame, initial).quality)
    assert np.isnan(blind.align(images[0], F[0]).quality)


def test_robust_quality_falls_with_what_is_seen() -> None:
    images, F = batch()
    # The misfit earns nearly 1, whatever is seen.
    options = {"loss": "huber", "kappa": 1e-3}
    low, third, two_thirds = (
        aligner_with((1e2, 1e3), visible=visible, **options).align(images[5], F[5]).quality
        for visible in (1.0, 0.9, 0.8)
    )
    assert low < third < two_thirds
    # Log-odds are linear in the share seen: 0.5 at a third of the typical one, 0.95 at two thirds.
    odds = [np.log(q / (1 - q)) / np.log(19) for q in (low, third, two_thirds)]
    seen = (odds[0] + 1) / 3
    assert 0 < seen < 1
    assert odds == pytest.approx([3 * seen / visible - 1 for visible in (1.0, 0.9, 0.8)])


@pytest.mark.parametrize("visible", [0.0, -0.5, 1.1, np.nan])
def test_wrong_visible_share_is_named(visible: float) -> None:
    with pytest.raises(ValueError, match="visible: expected"):
        aligner_with((0.02, 0.1), visible=visible)


@pytest.mark.parametrize(
    "misfits", [(0.0, 0.1), (0.1, 0.1), (0.2, 0.1), (-1.0, 1.0), (np.nan, 0.1), (0.1, np.nan)]
)
def test_wrong_misfits_are_named(misfits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="misfits: expected"):
        aligner_with(misfits)


def test_good_means_converged_and_at_least_a_half(small_head: SmallHead) -> None:
    frames, d, initial = small_head.frames, small_head.dictionary, small_head.initial.copy()
    initial[4, :2, 2] += 1e5
    found = align_batch(frames, d, initial)
    expected = (found.status == "converged") & (found.quality >= 0.5)
    np.testing.assert_array_equal(found.good, expected)
    assert not found.good[4]
    one = align_frame(frames[4], d, initial[4])
    assert (one.good, one.quality) == (False, 0.0)


@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_robust_losses_need_a_dictionary_that_knows_its_pixels(loss: str) -> None:
    blind = Dictionary(np.eye(16, 2), shape=(4, 4), motion="translation")
    with pytest.raises(ValueError, match=r"loss: .*pixel_residual"):
        blind.aligner(loss=loss)
    with pytest.raises(ValueError, match="loss: expected"):
        Dictionary(np.eye(16, 2), shape=(4, 4), motion="translation", pixel_residual=0.1).aligner(
            loss="cauchy"
        )


def test_weights_belong_to_the_end_that_is_returned(small_head: SmallHead) -> None:
    """A search that finds nothing better leaves no trace of what it tried."""
    d, same = small_head.dictionary, 0
    rng = np.random.default_rng(1)
    for i in range(0, 24, 4):
        frame = small_head.frames[i].copy()
        frame[60:110, 60:140] = rng.integers(0, 255, (50, 80))
        plain, searched = (
            align_frame(frame, d, small_head.initial[i], loss="huber", search=search)
            for search in (False, True)
        )
        if searched.evaluations == plain.evaluations:
            continue
        if not np.array_equal(searched.frame_from_canonical, plain.frame_from_canonical):
            continue
        same += 1
        np.testing.assert_array_equal(searched.weights, plain.weights)
    assert same > 0


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("loss", ["l2", "huber"])
def test_batch_single_and_threads_agree_with_levels_and_search(
    small_head: SmallHead, loss: str, threads: int
) -> None:
    frames, d = small_head.frames, small_head.dictionary
    initial = small_head.initial.copy()
    initial[::4, 0, 2] += 14.0
    batch_found = align_batch(frames, d, initial, threads=threads, loss=loss)
    for i in range(0, 24, 3):
        alone = align_frame(frames[i], d, initial[i], loss=loss)
        for name in ("frame_from_canonical", "status", "iterations", "evaluations", "residual",
                     "step", "coefficients", "gap", "objective", "quality"):  # fmt: skip
            np.testing.assert_array_equal(getattr(batch_found, name)[i], getattr(alone, name), name)
    # An aligner that has seen other frames gives the same.
    again = align_frame(frames[0], d, initial[0], loss=loss)
    np.testing.assert_array_equal(again.frame_from_canonical, batch_found.frame_from_canonical[0])
