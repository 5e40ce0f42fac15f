"""Any transform: what is made of it and back is the same."""

from __future__ import annotations

import numpy as np
import pytest

import holdstill
from holdstill.decomposition import decompose as parts_of
from holdstill.motion import compose, decompose
from holdstill.reference.motion import (
    MOTIONS,
    map_points,
    matrix_from_parameters,
    parameters_from_matrix,
)
from holdstill.transforms import from_box, from_eye_corners

pytest.importorskip("hypothesis")
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import REFUSED, SHAPE, finite, many


@st.composite
def motions(draw):
    """Parameters of a motion model, of a size that images bear."""
    motion = draw(st.sampled_from(MOTIONS))
    bounds = {
        "translation": [40, 40],
        "euclidean": [3, 40, 40],
        "similarity": [2, 3, 40, 40],
        "affine": [2, 2, 2, 2, 40, 40],
        "homography": [2, 2, 2, 2, 40, 40, 0.01, 0.01],
    }[motion]
    return motion, np.array([draw(st.floats(-b, b)) for b in bounds])


@many
@given(motions())
def test_parameters_come_back_from_their_matrix(given_motion):
    motion, parameters = given_motion
    base = np.diag([1.5, 1.5, 1.0])
    matrix = matrix_from_parameters(parameters, base, motion, SHAPE)
    assume(np.linalg.cond(matrix) < 1e6)
    found = parameters_from_matrix(matrix, motion, SHAPE)
    back = matrix_from_parameters(found, matrix, motion, SHAPE)
    np.testing.assert_allclose(back, matrix, atol=1e-9 * np.abs(matrix).max())


@many
@given(
    place=st.tuples(finite, finite),
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.05, 20.0),
    rest=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
)
def test_a_transform_comes_back_from_its_parts(place, angle, scale, rest):
    values = np.array([*place, angle, np.log(scale), *rest])
    matrix = compose(values, shape=SHAPE)
    np.testing.assert_allclose(
        compose(decompose(matrix, shape=SHAPE), shape=SHAPE), matrix,
        atol=1e-9 * np.abs(matrix).max(),
    )  # fmt: skip
    assert np.isfinite(parts_of(matrix[None], SHAPE).scale).all()


@many
@given(left=st.tuples(finite, finite), right=st.tuples(finite, finite))
def test_eye_corners_go_where_they_were(left, right):
    matrix = from_eye_corners(left, right, SHAPE)
    corners = holdstill.canonical.eye_corners(SHAPE)
    np.testing.assert_allclose(map_points(matrix, corners), [left, right], atol=1e-6)


@many
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=4, max_size=4))
@example([10.0, 20.0, 100.0, 100.0])
def test_a_box_is_a_similarity_or_refused(box):
    try:
        with np.errstate(all="ignore"):
            matrix = from_box(box, SHAPE)
    except REFUSED as error:
        assert "box" in str(error)
        assert (np.array(box[2:]) < 0.0).any()
        return
    (a, b, _), (c, d, _), last = matrix
    np.testing.assert_array_equal([a, b, *last], [d, -c, 0.0, 0.0, 1.0])
