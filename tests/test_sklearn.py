"""`RaslAligner` among scikit-learn's estimators: its contract, and that images end up aligned."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from holdstill import warp
from holdstill.evaluate import eye_corner_table

sklearn = pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from holdstill.sklearn import RaslAligner  # noqa: E402

SHAPE = (64, 64)
CORNERS = range(4)

OF_FEW_FEATURES = (
    "check_fit_score_takes_y", "check_estimators_overwrite_params",
    "check_dont_overwrite_parameters", "check_estimators_fit_returns_self",
    "check_readonly_memmap_input", "check_n_features_in_after_fitting",
    "check_positive_only_tag_during_fit", "check_estimators_dtypes", "check_dtype_object",
    "check_pipeline_consistency", "check_estimators_nan_inf", "check_estimators_pickle",
    "check_f_contiguous_array_estimator", "check_transformer_data_not_an_array",
    "check_transformer_general", "check_transformer_preserve_dtypes",
    "check_methods_sample_order_invariance", "check_methods_subset_invariance",
    "check_dict_unchanged", "check_fit_idempotent", "check_fit_check_is_fitted",
    "check_n_features_in", "check_fit2d_predict1d",
)  # fmt: skip
"""Checks that fit tables of two to ten columns, which are no images: below they have images."""


@parametrize_with_checks(
    [RaslAligner()],
    expected_failed_checks=lambda _: dict.fromkeys(OF_FEW_FEATURES, "its rows are no images"),
)
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def crops(small_head):
    """The small head as a rough tracker crops it: rows of 64x64 pixels."""
    pairs = zip(small_head.frames, small_head.initial, strict=True)
    return np.stack([warp(frame, matrix, SHAPE).ravel() for frame, matrix in pairs]).astype(float)


@pytest.fixture(scope="module")
def aligner(crops):
    return RaslAligner(motion="similarity", random_state=0).fit(crops)


def spread(small_head, matrices):
    points = small_head.head.points()
    return eye_corner_table(matrices, points, CORNERS, SHAPE).average.mean


def test_crops_of_a_rough_tracker_come_to_lie_on_each_other(small_head, crops, aligner):
    found = aligner.align(crops)
    assert set(found.status) <= {"converged", "max_iterations"} and found.converged.sum() > 20
    before = spread(small_head, small_head.initial)
    after = spread(small_head, small_head.initial @ found.frame_from_canonical)
    assert after < 0.35 * before


def test_transform_returns_the_images_seen_through_these_transforms(crops, aligner):
    aligned, found = aligner.transform(crops), aligner.align(crops)
    assert aligned.shape == crops.shape
    expected = [
        warp(row.reshape(SHAPE), matrix, SHAPE)
        for row, matrix in zip(crops, found.frame_from_canonical, strict=True)
    ]
    np.testing.assert_array_equal(aligned, np.reshape(expected, crops.shape))
    # What lies on each other is simpler: fewer components hold more of it.
    shares = [PCA(3).fit(rows).explained_variance_ratio_.sum() for rows in (crops, aligned)]
    assert shares[1] > shares[0]


def test_starts_may_be_given(small_head, crops, aligner):
    """The inverse of what moved the crops by 8 pixels leads back to where they end otherwise."""
    there = np.array([[1.0, 0, 8], [0, 1, 0], [0, 0, 1]])
    moved = np.stack([warp(row.reshape(SHAPE), there, SHAPE).ravel() for row in crops])
    starts = np.tile(np.linalg.inv(there), (len(crops), 1, 1))
    expected = aligner.align(crops).frame_from_canonical
    found = there @ aligner.align(moved, initial=starts).frame_from_canonical
    assert np.median(np.abs(found - expected)[:, :2, 2]) < 0.1


def test_an_image_that_cannot_be_aligned_stays_as_it_is(crops, aligner):
    black = np.vstack([crops[:2], np.zeros((1, crops.shape[1]))])
    assert aligner.align(black).status[2] != "converged"
    np.testing.assert_array_equal(aligner.transform(black)[2], 0)


def test_it_is_a_step_of_a_pipeline_with_names(crops, aligner):
    pipeline = make_pipeline(clone(aligner), PCA(4))
    assert pipeline.fit_transform(crops).shape == (len(crops), 4)
    names = aligner.get_feature_names_out()
    assert len(names) == crops.shape[1] and names[0] == "raslaligner0"


def test_attributes_are_those_of_what_was_fitted(crops, aligner):
    assert aligner.n_features_in_ == crops.shape[1]
    assert aligner.shape_ == SHAPE == aligner.dictionary_.shape
    assert RaslAligner(shape=(32, 128)).get_params()["shape"] == (32, 128)


def test_fitting_again_gives_the_same_and_changes_no_argument(crops, aligner):
    untouched = crops.copy()
    again = clone(aligner).fit(crops)
    np.testing.assert_array_equal(again.dictionary_.atoms, aligner.dictionary_.atoms)
    np.testing.assert_array_equal(crops, untouched)
    assert again.get_params() == aligner.get_params()


def test_fit_transform_is_fit_then_transform(crops, aligner):
    np.testing.assert_array_equal(clone(aligner).fit_transform(crops), aligner.transform(crops))


def test_images_do_not_know_of_each_other(crops, aligner):
    """Neither their order nor their company changes a result."""
    aligned = aligner.transform(crops)
    np.testing.assert_array_equal(aligner.transform(crops[::-1])[::-1], aligned)
    one_by_one = np.vstack([aligner.transform(row[None]) for row in crops[:4]])
    np.testing.assert_array_equal(one_by_one, aligned[:4])


@pytest.mark.parametrize(("n_jobs", "threads"), [(None, 1), (3, 3), (-1, 4), (-2, 3), (-9, 1)])
def test_negative_jobs_are_counted_from_all_processors(
    crops, aligner, monkeypatch, n_jobs, threads
):
    used = []
    monkeypatch.setattr("holdstill.sklearn.thread_count", lambda asked: 4)
    monkeypatch.setattr(
        "holdstill.sklearn.fit", lambda *given, **options: used.append(options["threads"])
    )
    RaslAligner(n_jobs=n_jobs).fit(crops)
    assert used == [threads]


def test_a_fitted_aligner_survives_pickling(crops, aligner):
    kept = pickle.loads(pickle.dumps(aligner))
    np.testing.assert_array_equal(kept.transform(crops), aligner.transform(crops))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_kinds_of_numbers(crops, aligner, dtype):
    aligned = aligner.transform(crops.astype(dtype))
    assert aligned.dtype == (np.float32 if dtype is np.float32 else np.float64)
    assert np.abs(aligned - aligner.transform(crops)).mean() < 0.5


def test_memory_that_may_not_be_written_to_and_other_orders_do(crops, aligner):
    locked = np.asfortranarray(crops)
    locked.flags.writeable = False
    np.testing.assert_array_equal(aligner.transform(locked), aligner.transform(crops))


def test_bad_arguments_are_named(crops, aligner):
    with pytest.raises(NotFittedError):
        RaslAligner().transform(crops)
    with pytest.raises(ValueError, match=r"shape: .*no square"):
        RaslAligner().fit(crops[:, : 100 * 40 + 1])
    with pytest.raises(ValueError, match=r"shape: .*\(32x64\)"):
        RaslAligner((32, 64)).fit(crops)
    for n_jobs in (0, 1.5, "all"):
        with pytest.raises(ValueError, match="n_jobs: expected None or an integer other than 0"):
            RaslAligner(n_jobs=n_jobs).fit(crops)
    with pytest.raises(ValueError, match="n: expected an integer"):
        RaslAligner(n=1).fit(crops)
    with pytest.raises(ValueError, match=r"initial: expected shape \(24, 3, 3\)"):
        aligner.transform(crops, initial=np.eye(3))
    with pytest.raises(ValueError, match="4095 features"):
        aligner.transform(crops[:, 1:])
    with pytest.raises(ValueError, match="NaN"):
        aligner.transform(np.full_like(crops, np.nan))
