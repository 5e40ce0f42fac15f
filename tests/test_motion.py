"""Head movement: transforms taken apart, a model of them, and what is drawn from it."""

from __future__ import annotations

import dataclasses
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from holdstill import read_run
from holdstill.evaluate import second_differences
from holdstill.motion import PARAMETERS, MotionModel, compose, decompose
from holdstill.motion.autoregression import (
    Autoregression,
    _of_order,
    fit,
    history,
    log_densities,
    with_variance_at_most,
)
from holdstill.motion.bounds import STRAIGHT, fold, unfold
from holdstill.motion.recorded import frame_rate_of, stretches_of
from holdstill.run_folder import Run

needs_statsmodels = pytest.mark.skipif(
    find_spec("statsmodels") is None, reason="statsmodels is not installed"
)
SHAPE = (80, 60)


def some_parameters(n, rng, count=6):
    spread = np.array([40.0, 30.0, 0.5, 0.3, 0.1, 0.1])[:count]
    middle = np.array([300.0, 200.0, 0.2, 0.7, 0.0, 0.0])[:count]
    return middle + spread * rng.uniform(-1.0, 1.0, size=(n, count))


def a_process(coefficients, scatter, nu, n=100_000, seed=0):
    """A process whose observed innovations are n of its Student-t distribution."""
    rng = np.random.default_rng(seed)
    scatter = np.asarray(scatter)
    normal = rng.normal(size=(n, len(scatter))) @ np.linalg.cholesky(scatter).T
    innovations = normal * np.sqrt(nu / rng.chisquare(nu, size=(n, 1)))
    return Autoregression(np.asarray(coefficients, dtype=float), scatter, nu, innovations)


def a_head(n=600, seed=0, count=6):
    """Transforms of a process that is known: AR(2) in every parameter, tied together, bursty."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(count) + 0.3 * rng.normal(size=(count, count))
    process = a_process(np.tile([1.6, -0.65], (count, 1)), mixing @ mixing.T, 5.0, n=10_000)
    scale = np.array([1.0, 0.8, 0.003, 0.002, 0.001, 0.001])[:count]
    middle = np.array([300.0, 200.0, 0.1, 0.5, 0.0, 0.0])[:count]
    return compose(middle + scale * process.draw(n, rng), shape=SHAPE)


@pytest.mark.parametrize(("motion", "count"), [("affine", 6), ("similarity", 4)])
def test_parameters_come_back_from_their_transforms(motion, count):
    values = some_parameters(200, np.random.default_rng(1), count)
    transforms = compose(values, shape=SHAPE)
    np.testing.assert_allclose(
        decompose(transforms, shape=SHAPE, motion=motion), values, atol=1e-11
    )


def test_transforms_come_back_from_their_parameters():
    rng = np.random.default_rng(2)
    transforms = np.tile(np.eye(3), (100, 1, 1))
    transforms[:, :2] += rng.normal(size=(100, 2, 3)) * [0.3, 0.3, 50.0]
    found = compose(decompose(transforms, shape=SHAPE), shape=SHAPE)
    np.testing.assert_allclose(found, transforms, atol=1e-11)


def test_parameters_are_what_they_are_called():
    (x, y, rotation, scale, stretch, shear) = some_parameters(1, np.random.default_rng(3))[0]
    turn = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    shape_change = np.array([[np.exp(stretch), shear], [0.0, np.exp(-stretch)]])
    transform = compose([x, y, rotation, scale, stretch, shear], shape=SHAPE)
    np.testing.assert_allclose(transform[:2, :2], turn @ (np.exp(scale) * shape_change), atol=1e-12)
    np.testing.assert_allclose(transform @ [29.5, 39.5, 1.0], [x, y, 1.0], atol=1e-12)
    assert np.linalg.det(transform) == pytest.approx(np.exp(2 * scale))


def test_a_frame_without_transform_has_no_parameters():
    transforms = np.stack([np.eye(3), np.full((3, 3), np.nan)])
    values = decompose(transforms, shape=SHAPE)
    assert np.isnan(values[1]).all()
    assert np.isfinite(values[0]).all()
    assert np.isnan(compose(values, shape=SHAPE)[1]).all()


@pytest.mark.parametrize(
    ("transform", "options", "says"),
    [
        (np.diag([-1.0, 1.0, 1.0]), {}, "mirror"),
        (np.zeros((3, 3)) + np.diag([0.0, 0.0, 1.0]), {}, "mirror"),
        (np.array([[1.0, 0, 0], [0, 1, 0], [1e-4, 0, 1]]), {}, "homographies"),
        (np.diag([1.1, 1.0, 1.0]), {"motion": "similarity"}, "similarities"),
        (np.eye(3), {"motion": "homography"}, "motion: expected one of"),
        (np.eye(2), {}, r"shape \(\.\.\., 3, 3\)"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused(transform, options, says):
    with pytest.raises(ValueError, match=says):
        decompose(transform, **options)


def test_the_fold_stays_in_the_range_and_has_no_kink():
    low, high = np.array([-3.0]), np.array([5.0])
    values = np.linspace(-15, 15, 300_001)[:, None]
    folded = fold(values, low, high)
    assert (low - 1e-15 <= folded).all()
    assert (folded <= high).all()
    inside = np.abs(values - 1.0) <= 4.0 * STRAIGHT
    np.testing.assert_array_equal(folded[inside], values[inside])
    step = values[1, 0] - values[0, 0]
    # A kink of the slope by d would be a second difference of d / step: thousands.
    slopes = np.diff(folded[:, 0]) / step
    assert np.abs(slopes).max() < 1.0 + 1e-6
    assert np.abs(np.diff(slopes) / step).max() < 1.1 / (4.0 * (1 - STRAIGHT))


def test_unfolding_is_undone_by_folding_up_to_the_ends_of_the_range():
    low, high = np.array([-3.0]), np.array([5.0])
    values = np.linspace(-3.0, 5.0, 1001)[:, None]
    np.testing.assert_allclose(fold(unfold(values, low, high), low, high), values, atol=1e-7)


@needs_statsmodels
def test_gaussian_coefficients_are_those_of_statsmodels():
    from statsmodels.tsa.ar_model import AutoReg

    series = a_process([[1.2, -0.5, 0.1]], np.eye(1), 100.0).draw(400, np.random.default_rng(4))
    theirs = AutoReg(series[:, 0], 3, trend="n").fit()
    ours = _of_order(*history([series], 3), degrees=(1e12,))
    np.testing.assert_allclose(ours.coefficients[0], theirs.params, rtol=1e-6)
    np.testing.assert_allclose(ours.scatter[0, 0], theirs.sigma2, rtol=1e-6)


def test_densities_are_the_multivariate_student_distributions():
    from scipy.stats import multivariate_t

    process = a_process([[0.5], [0.9]], [[2.0, 0.3], [0.3, 1.0]], 4.0)
    series = np.random.default_rng(5).normal(size=(20, 2))
    expected = multivariate_t(shape=process.scatter, df=4.0).logpdf(
        series[1:] - series[:-1] * [0.5, 0.9]
    )
    found = log_densities(process, series)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], expected, rtol=1e-12)


@needs_statsmodels
def test_a_known_process_is_found_again():
    coefficients = np.array([[1.5, -0.6], [1.0, -0.3]])
    scatter = np.array([[1.0, 0.5], [0.5, 2.0]])
    truth = a_process(coefficients, scatter, 5.0)
    found = fit([truth.draw(20_000, np.random.default_rng(6))], max_order=5)
    assert found.order == 2
    # Standard errors of the coefficients are about 0.006.
    np.testing.assert_allclose(found.coefficients, coefficients, atol=0.03)
    np.testing.assert_allclose(found.scatter, scatter, rtol=0.1)
    assert found.degrees_of_freedom in (4.0, 5.0, 7.0)


@needs_statsmodels
def test_draws_have_the_autocovariances_of_the_process():
    process = a_process([[1.5, -0.6], [0.9, 0.0]], [[1.0, 0.5], [0.5, 2.0]], 30.0)
    drawn = process.draw(200_000, np.random.default_rng(7))
    expected = process.autocovariances(20)
    for lag in (0, 1, 5, 19):
        found = (drawn[lag:] * drawn[: len(drawn) - lag]).mean(axis=0)
        np.testing.assert_allclose(found, expected[:, lag], atol=0.05 * expected[:, 0].max())


@needs_statsmodels
def test_draws_between_given_values_have_the_conditional_mean_and_variance():
    process = a_process([[0.95]], np.eye(1), 1e9)
    given, n = np.array([[4.0], [-2.0]]), 31
    draws = np.stack(
        [
            process.draw_between(n, np.random.default_rng(seed), [0, n - 1], given)[:, 0]
            for seed in range(2000)
        ]
    )
    # Closed form for a Gaussian AR(1), by its covariance matrix.
    covariance = 0.95 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (1 - 0.95**2)
    known = [0, n - 1]
    weights = covariance[:, known] @ np.linalg.inv(covariance[np.ix_(known, known)])
    variance = np.diag(covariance - weights @ covariance[known])
    errors = np.sqrt(np.maximum(variance, 0.0) / len(draws))
    assert (np.abs(draws.mean(axis=0) - weights @ given[:, 0]) <= 5 * errors + 1e-12).all()
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.2, atol=1e-12)


@needs_statsmodels
def test_a_process_that_would_wander_off_is_held_to_the_observed_variance():
    innovations = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    wandering = Autoregression(np.array([[1.0], [1.9], [0.5]]), np.eye(3), 5.0, innovations)
    held = with_variance_at_most(wandering, np.array([9.0, 9.0, 9.0]))
    variances = 1.0 / (1.0 - held.coefficients[:, 0] ** 2)  # of an AR(1)
    np.testing.assert_allclose(variances[:2], 9.0, rtol=1e-3)
    assert held.coefficients[2, 0] == 0.5


@needs_statsmodels
def test_a_head_that_drifts_gets_a_model_that_does_not_drift_away():
    values = decompose(a_head(), shape=SHAPE)
    values[:, 0] += 0.2 * np.arange(len(values))
    model = MotionModel.fit(compose(values, shape=SHAPE), 25.0, shape=SHAPE)
    assert (model.process.autocovariances(1) <= 1.0 + 1e-6).all()


def test_gaps_bad_frames_and_sources_divide_the_movement(run_folder):
    run = read_run(run_folder)
    good = run.good
    assert len(stretches_of(run)) == 1 + np.count_nonzero(np.diff(good.astype(int)) == 1) + (
        0 if good[0] else -1
    )
    status, number = run.status.copy(), run.rows["frame"].copy()
    status[10] = "collapsed"
    number[100:] -= 100  # another video
    number[200:] += 5
    rows = {**run.rows, "status": status, "frame": number}
    changed = dataclasses.replace(run, rows=rows)
    assert len(stretches_of(changed)) == len(stretches_of(run)) + 3
    assert sum(map(len, stretches_of(changed))) == good.sum() - good[10]
    photographs = dataclasses.replace(run, facts={"options": {"independent": True}})
    with pytest.raises(ValueError, match="unrelated photographs"):
        stretches_of(photographs)


@pytest.mark.parametrize(
    ("numbers", "faces", "lengths"),
    [
        ([0, 5, 10, 20, 30, 35], [0] * 6, [3, 1, 2]),  # of every fifth frame
        ([0, 3, 6, 7, 10, 13, 14], [0] * 7, [1, 1, 2, 1, 2]),  # most of them left out
        ([0, 1, 1, 2, 3], [0, 0, 1, 0, 0], [2, 3]),
        ([4], [0], [1]),
    ],
)
def test_jitter_and_movement_agree_on_what_follows(run_folder, numbers, faces, lengths):
    n = len(numbers)
    rows = {
        "frame": np.array(numbers),
        "face": np.array(faces),
        "frame_from_canonical": np.tile(np.eye(3), (n, 1, 1)),
        "status": np.array(["converged"] * n, dtype=object),
    }
    run = dataclasses.replace(read_run(run_folder), rows=rows)
    assert [len(stretch) for stretch in stretches_of(run)] == lengths
    moves = second_differences(np.zeros((n, 1, 2)), rows["frame"], run.stream)
    inner = [k for length in lengths for k in [False, *[True] * (length - 2), False][:length]]
    np.testing.assert_array_equal(np.isfinite(moves).all(axis=(1, 2)), inner)


@needs_statsmodels
def test_a_gap_in_an_array_is_two_stretches():
    transforms = a_head()
    gap = transforms.copy()
    gap[200:203] = np.nan
    one = MotionModel.fit(gap, 25.0, shape=SHAPE)
    two = MotionModel.fit([transforms[:200], transforms[203:]], 25.0, shape=SHAPE)
    np.testing.assert_array_equal(one.process.coefficients, two.process.coefficients)
    assert one.n_frames == len(transforms) - 3


@needs_statsmodels
@pytest.mark.parametrize("seed", range(3))
def test_ten_minutes_stay_within_the_observed_range(seed):
    recorded = a_head()
    model = MotionModel.fit(recorded, 25.0, shape=SHAPE)
    seen = decompose(recorded, shape=SHAPE)
    drawn = decompose(model.sample(15_000, seed=seed), shape=SHAPE)
    assert (drawn >= seen.min(axis=0) - 1e-9).all()
    assert (drawn <= seen.max(axis=0) + 1e-9).all()
    # And it is a movement of the same size and speed, not a rest in the middle.
    for order in (0, 1, 2):
        ratio = np.diff(drawn, n=order, axis=0).std(axis=0)
        ratio /= np.diff(seen, n=order, axis=0).std(axis=0)
        assert (ratio > 0.7).all(), order
        assert (ratio < 1.4).all(), order


@needs_statsmodels
def test_movement_begins_and_ends_where_it_is_told_to():
    recorded = a_head()
    model = MotionModel.fit(recorded, 25.0, shape=SHAPE)
    values = decompose(recorded, shape=SHAPE)
    extreme = recorded[np.argmax(values[:, 0])]
    found = model.sample(120, seed=1, start=recorded[:3], end=extreme)
    np.testing.assert_allclose(found[:3], recorded[:3], atol=1e-6)
    np.testing.assert_allclose(found[-1], extreme, atol=1e-6)
    # No jump on the way in or out.
    steps = np.abs(np.diff(decompose(found, shape=SHAPE), axis=0))
    largest = np.abs(np.diff(values, axis=0)).max(axis=0)
    assert (steps[[2, -1]] < 2 * largest).all()
    one = model.sample(1, seed=0, start=recorded[5])
    np.testing.assert_allclose(one[0], recorded[5], atol=1e-6)


@needs_statsmodels
def test_equal_seeds_give_equal_movement_and_a_saved_model_the_same(tmp_path):
    model = MotionModel.fit(a_head(count=4), 25.0, shape=SHAPE, motion="similarity")
    model.save(tmp_path / "model.npz")
    again = MotionModel.load(tmp_path / "model.npz")
    drawn = model.sample(50, seed=9)
    np.testing.assert_array_equal(again.sample(50, seed=9), drawn)
    assert not np.array_equal(model.sample(50, seed=10), drawn)
    assert (again.fps, again.shape, repr(again)) == (25.0, SHAPE, repr(model))


@needs_statsmodels
def test_log_likelihood_is_in_the_parameters_own_units():
    recorded = a_head(count=4)
    model = MotionModel.fit(recorded, 25.0, shape=SHAPE, motion="similarity")
    other = a_head(seed=8, count=4)
    seen = decompose(recorded, shape=SHAPE, motion="similarity")
    held_out = (decompose(other, shape=SHAPE, motion="similarity") - seen.mean(0)) / seen.std(0)
    expected = np.nanmean(log_densities(model.process, held_out)) - np.log(seen.std(0)).sum()
    assert model.log_likelihood(other) == pytest.approx(expected)
    assert model.log_likelihood(other) > model.log_likelihood(
        np.random.default_rng(0).permutation(other)
    )


@needs_statsmodels
def test_a_parameter_that_does_not_move_stays_what_it_is():
    values = decompose(a_head(), shape=SHAPE)
    values[:, 2:] = [0.3, 0.5, 0.0, 0.0]
    model = MotionModel.fit(compose(values, shape=SHAPE), 25.0, shape=SHAPE)
    drawn = decompose(model.sample(100, seed=0), shape=SHAPE)
    np.testing.assert_allclose(drawn[:, 2:], values[:100, 2:], atol=1e-9)
    assert (drawn[:, :2].std(axis=0) > 0.1).all()


@needs_statsmodels
def test_movement_without_noise_and_parameters_in_step_can_be_fitted():
    phase = np.sin(np.arange(300) / 7.0)[:, None]
    swaying = compose([300.0, 200.0, 0.1, 0.5] + phase * [9.0, 6.0, 0.1, 0.02], shape=SHAPE)
    model = MotionModel.fit(swaying, 25.0, shape=SHAPE)
    drawn = decompose(model.sample(300, seed=0), shape=SHAPE)
    assert np.isfinite(drawn).all()


@needs_statsmodels
def test_a_head_near_upside_down_turns_no_somersault():
    values = decompose(a_head(), shape=SHAPE)
    values[:, 2] += np.pi - 0.1
    model = MotionModel.fit(compose(values, shape=SHAPE), 25.0, shape=SHAPE)
    assert model.high[2] - model.low[2] < 0.5


def a_timed_run(frame, time):
    rows = {"frame": np.asarray(frame), "time": np.asarray(time, dtype=float)}
    return Run(Path("run"), rows, {})


@pytest.mark.parametrize("rate", [24000 / 1001, 25.0, 30000 / 1001, 50.0, 60000 / 1001])
def test_the_rate_is_found_from_times_that_are_rounded_to_milliseconds(rate):
    frame = np.arange(1, 3001)
    found = frame_rate_of(a_timed_run(frame, np.round(frame / rate, 3)))
    assert found == pytest.approx(rate, rel=1.0e-3 * rate / len(frame))


def test_the_rate_is_found_from_times_in_whole_seconds():
    frame = np.arange(2501)
    assert frame_rate_of(a_timed_run(frame, frame // 25)) == pytest.approx(25.0)


def test_neither_missing_rows_nor_missing_times_change_the_rate():
    frame = np.arange(400)
    kept = np.random.default_rng(0).random(400) < 0.3
    kept[100:300], kept[[0, 1, -1]] = False, True
    time = np.round(frame / 25.0, 3)
    assert frame_rate_of(a_timed_run(frame[kept], time[kept])) == pytest.approx(25.0)
    assert frame_rate_of(a_timed_run(frame, np.where(kept, time, np.nan))) == pytest.approx(25.0)


def test_the_rate_of_every_third_frame_is_that_of_its_rows():
    frame = np.delete(np.arange(0, 600, 3), [50, 51, 90])
    assert frame_rate_of(a_timed_run(frame, frame / 30.0)) == pytest.approx(10.0)


def test_a_rate_that_varies_is_the_mean_and_a_pause_none_of_it():
    steps = np.tile([1 / 30, 1 / 15], 50)
    assert frame_rate_of(a_timed_run(range(100), np.cumsum(steps))) == pytest.approx(20, rel=0.01)
    time = np.arange(100) / 25.0
    time[40:] += 3600.0
    assert frame_rate_of(a_timed_run(range(100), time)) == pytest.approx(25.0)


def test_the_time_between_two_videos_is_none_of_either():
    frame, time = np.tile(np.arange(50), 2), np.tile(np.arange(50) / 25.0, 2)
    time[50:] += 0.2
    assert frame_rate_of(a_timed_run(frame, time)) == pytest.approx(25.0)
    assert frame_rate_of(a_timed_run(frame, time[::-1])) is None


@pytest.mark.parametrize("time", [[2.0], [np.nan] * 3, [4.0, 4.0, np.nan]])
def test_one_time_tells_no_rate(time):
    assert frame_rate_of(a_timed_run(range(len(time)), time)) is None


@needs_statsmodels
def test_a_run_is_fitted_by_its_own_shape_rate_and_motion_model(run_folder):
    run = read_run(run_folder)
    model = MotionModel.fit(run)
    assert model.shape == run.shape
    assert model.fps == pytest.approx(25.0)
    assert model.motion == "affine"
    assert model.n_frames == run.good.sum()


@needs_statsmodels
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fps": None}, "fps"),
        ({"fps": -1.0}, "fps"),
        ({"motion": "homography"}, "motion"),
        ({"shape": (1, 1)}, "shape"),
        ({"recorded": a_head()[:5]}, "recorded: expected at least"),
        ({"recorded": np.tile(np.eye(3), (100, 1, 1))}, "a head that moves"),
        ({"recorded": np.full((100, 3, 3), np.nan)}, "at least one good frame"),
        ({"recorded": np.zeros((100, 3))}, r"\(n, 3, 3\)"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, says):
    given = {"recorded": a_head(), "fps": 25.0, "shape": SHAPE, **change}
    recorded = given.pop("recorded")
    with pytest.raises(ValueError, match=says):
        MotionModel.fit(recorded, given.pop("fps"), **given)


@needs_statsmodels
def test_what_cannot_be_drawn_is_refused():
    recorded = a_head()
    model = MotionModel.fit(recorded, 25.0, shape=SHAPE)
    with pytest.raises(ValueError, match="n: expected an integer of at least 2"):
        model.sample(1, seed=0, start=recorded[0], end=recorded[1])
    with pytest.raises(ValueError, match="start: expected a transform within the observed range"):
        model.sample(9, seed=0, start=np.eye(3))
    with pytest.raises(ValueError, match="end: expected shape"):
        model.sample(9, seed=0, end=np.eye(2))
    with pytest.raises(ValueError, match="held_out"):
        model.log_likelihood(recorded[:2])


def test_another_file_is_no_model(tmp_path, dictionary):
    with pytest.raises(ValueError, match="no model of head movement"):
        MotionModel.load(dictionary)
    with pytest.raises(FileNotFoundError):
        MotionModel.load(tmp_path / "none.npz")


def test_without_statsmodels_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.tsa.arima_process", None)
    with pytest.raises(ImportError, match=r'pip install "holdstill\[motion\]"'):
        MotionModel.fit(a_head(), 25.0, shape=SHAPE)


def test_there_is_a_name_for_every_parameter():
    assert len(PARAMETERS) == decompose(np.eye(3)).size
