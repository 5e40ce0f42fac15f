"""Verification and identification against scikit-learn and against counting."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

from holdstill.recognition import equal_error_rate, rank_one, verification_roc


def test_rates_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    # Rounded: with ties between and within both.
    genuine, impostor = rng.normal(1.0, 1.0, 80).round(1), rng.normal(0.0, 1.0, 300).round(1)
    roc = verification_roc(genuine, impostor)
    labels = np.repeat([1, 0], [len(genuine), len(impostor)])
    false_accept, true_accept, thresholds = roc_curve(
        labels, np.concatenate([genuine, impostor]), drop_intermediate=False
    )
    np.testing.assert_array_equal(roc.thresholds, thresholds)
    np.testing.assert_allclose(roc.false_accept, false_accept, atol=1e-12)
    np.testing.assert_allclose(roc.false_reject, 1.0 - true_accept, atol=1e-12)


def test_the_equal_error_rate_of_two_gaussians():
    quantiles = norm.ppf((np.arange(20000) + 0.5) / 20000)
    assert equal_error_rate(quantiles + 2.0, quantiles) == pytest.approx(norm.cdf(-1.0), abs=1e-4)


def test_the_ends_of_the_equal_error_rate():
    assert equal_error_rate([2.0, 3.0], [0.0, 1.0]) == 0.0
    assert equal_error_rate([0.0, 1.0], [2.0, 3.0]) == 1.0
    assert equal_error_rate([1.0, 1.0], [1.0]) == 0.5


def test_rank_one_takes_the_best_entry_of_anybody():
    gallery = ["a", "b", "a"]
    scores = [[0.0, 1.0, 2.0], [5.0, 1.0, 0.0], [np.nan, -9.0, np.nan], [np.nan] * 3]
    assert rank_one(scores, ["a", "b", "b", "a"], gallery).tolist() == [True, False, True, False]


@pytest.mark.parametrize("genuine, impostor, named", [
    ([], [1.0], "genuine"), ([1.0], [], "impostor"), ([1.0], [np.nan], "impostor"),
    ([np.inf], [1.0], "genuine"),
])  # fmt: skip
def test_scores_that_say_nothing_are_refused(genuine, impostor, named):
    with pytest.raises(ValueError, match=named):
        equal_error_rate(genuine, impostor)


def test_a_table_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="scores"):
        rank_one(np.zeros((2, 3)), ["a", "b"], ["a", "b"])
