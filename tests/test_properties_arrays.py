"""Any array, of any transforms: taken as a plain copy of it would be, or refused with a word."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import holdstill

pytest.importorskip("hypothesis")
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import REFUSED, SHAPE, any_input, few, finite, many, small_dictionary

NOISE = np.random.default_rng(0).integers(0, 256, (4, 48, 60), dtype=np.uint8)
NEAR = np.array([[1.0, 0, 8], [0, 1.0, 8], [0, 0, 1]])

DTYPES = (
    "u1", "u2", "f4", "f8", "i1", "i2", "i4", "i8", "u4", "u8", "f2", "b1", ">u2", ">f4", "c8", "O",
)  # fmt: skip


@st.composite
def arrays(draw, shapes):
    """Any array of one of these shapes: dtype, order, strides, flags and values as they come."""
    shape = draw(st.sampled_from(shapes))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    seed = draw(st.integers(0, 2**16))
    values = np.random.default_rng(seed).uniform(0, 255, shape)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        array = values.astype(dtype)
    if array.size and dtype.kind == "f":
        for bad in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1e30]), max_size=2)):
            with np.errstate(over="ignore"):
                array.reshape(-1)[draw(st.integers(0, array.size - 1))] = bad
    form = draw(st.sampled_from(["C", "F", "reversed", "sliced", "broadcast"]))
    if form == "F":
        array = np.asfortranarray(array)
    elif form == "reversed" and array.ndim:
        array = array[..., ::-1]
    elif form == "sliced" and array.ndim:
        wide = np.repeat(array, 2, axis=-1)
        array = wide[..., ::2]
    elif form == "broadcast" and array.ndim and array.shape[0]:
        array = np.broadcast_to(array[:1], array.shape)
    if draw(st.booleans()) and array.flags.writeable:
        array.flags.writeable = False
    return array


FRAME_SHAPES = [
    (48, 60), (48, 60, 3), (48, 60, 4), (48, 60, 1), (1, 1), (1, 60), (0, 60), (48, 0), (0, 0),
    (48,), (), (2, 48, 60, 3), (3, 3), (33, 32),
]  # fmt: skip


@st.composite
def matrices(draw):
    """Transforms: sensible, far away, singular, not finite, of another shape."""
    kind = draw(st.sampled_from(["near", "near", "any", "singular", "nan", "shape", "huge"]))
    near = NEAR.copy()
    if kind == "near":
        entries = draw(st.lists(st.floats(-0.05, 0.05), min_size=6, max_size=6))
        near[:2] += np.reshape(entries, (2, 3)) * [1, 1, 40]
        return near
    if kind == "any":
        return np.reshape(draw(st.lists(finite, min_size=9, max_size=9)), (3, 3))
    if kind == "singular":
        return np.array([[1.0, 2, 3], [2, 4, 6], [0, 0, 1]])
    if kind == "nan":
        near[0, draw(st.integers(0, 2))] = draw(st.sampled_from([np.nan, np.inf]))
        return near
    if kind == "huge":
        return near * draw(st.sampled_from([1e18, 1e-18, 1e300, -1.0]))
    return draw(st.sampled_from([np.eye(2), np.eye(4), np.zeros((3,)), np.zeros((0, 3, 3))]))


@pytest.fixture(scope="module")
def dictionary():
    return small_dictionary()


@many
@given(
    frame=arrays(FRAME_SHAPES),
    matrix=matrices(),
    size=st.sampled_from([SHAPE, (1, 1), (5, 3)]),
    good=any_input,
)
@example(frame=NOISE[0], matrix=NEAR, size=SHAPE, good=True)
def test_a_warp_is_that_of_a_plain_copy_or_refused(frame, matrix, size, good):
    before = frame.copy()
    try:
        warped = holdstill.warp(frame, matrix, size)
    except REFUSED as error:
        assert not good and str(error)
        return
    assert warped.shape[:2] == size and warped.dtype == frame.dtype.newbyteorder("=")
    np.testing.assert_array_equal(
        warped, holdstill.warp(np.array(frame, order="C"), np.array(matrix), size)
    )
    np.testing.assert_array_equal(frame, before)


@many
@given(frame=arrays(FRAME_SHAPES), matrix=matrices(), good=any_input)
@example(frame=NOISE[0], matrix=NEAR, good=True)
def test_a_frame_is_aligned_as_a_plain_copy_or_refused(dictionary, frame, matrix, good):
    before = frame.copy()
    try:
        found = holdstill.align_frame(frame, dictionary, matrix)
    except REFUSED as error:
        assert not good and str(error)
        return
    again = holdstill.align_frame(np.array(frame, order="C"), dictionary, np.array(matrix))
    assert found.status == again.status
    np.testing.assert_array_equal(found.frame_from_canonical, again.frame_from_canonical)
    if found.converged:
        assert np.isfinite(found.frame_from_canonical).all() and np.isfinite(found.residual)
        assert 0.0 <= found.quality <= 1.0 or np.isnan(found.quality)
    np.testing.assert_array_equal(frame, before)


@few
@given(
    frames=arrays([(3, 48, 60), (1, 48, 60), (0, 48, 60), (3, 48), (3, 48, 60, 3), (3, 1, 1)]),
    starts=st.lists(matrices(), min_size=0, max_size=3),
    good=any_input,
)
@example(frames=NOISE[:3], starts=[NEAR] * 3, good=True)
def test_a_batch_is_its_frames_one_by_one_or_refused(dictionary, frames, starts, good):
    assume(all(start.shape == (3, 3) for start in starts))
    initial = np.reshape(starts, (-1, 3, 3))
    try:
        batch = holdstill.align_batch(frames, dictionary, initial, threads=2)
    except REFUSED as error:
        assert not good and str(error)
        return
    for k in range(len(batch)):
        one = holdstill.align_frame(frames[k], dictionary, initial[k])
        assert batch.status[k] == one.status
        if one.frame_from_canonical is not None:
            np.testing.assert_array_equal(batch.frame_from_canonical[k], one.frame_from_canonical)


@few
@given(
    atoms=arrays([(40, 3), (40, 1), (40, 0), (0, 3), (3, 40), (40,)]),
    target=arrays([(40,), (40, 1), (39,), (0,), ()]),
    mu=st.sampled_from([1e-3, 0.0, 1.0, -1.0, np.nan, np.inf]),
    good=any_input,
)
@example(atoms=NOISE[0, :40, :3], target=NOISE[0, :40, 3], mu=1e-3, good=True)
def test_least_squares_is_certified_or_refused(atoms, target, mu, good):
    try:
        found = holdstill.l1_least_squares(atoms, target, mu=mu)
    except REFUSED as error:
        assert not good and str(error)
        return
    assert np.isfinite(found.coefficients).all()
    assert len(found.coefficients) == atoms.shape[1]
    A, v = atoms.astype(float), target.astype(float)
    # Correlations are exact to rounding, which is all there is where values are extreme.
    rounding = 1e-15 * np.linalg.norm(A) * np.linalg.norm(v) / mu
    assert found.converged or rounding >= 1.0
    objective, bound = primal_and_dual(A, v, found.coefficients, mu)
    assert objective - bound <= (1e-9 + rounding) * objective
    assert found.objective - found.gap <= objective + 1e-14 * (v @ v)


def primal_and_dual(A, v, x, mu):
    """Objective at x, and a lower bound of every objective from the residual, scaled (§3)."""
    residual = v - A @ x
    largest = np.abs(A.T @ residual).max()
    dual = residual * min(1.0, mu / largest if largest else 1.0)
    objective = 0.5 * residual @ residual + mu * np.abs(x).sum()
    return objective, dual @ v - 0.5 * dual @ dual


@few
@given(
    images=arrays([(4, 48, 60), (1, 48, 60), (0, 48, 60), (4, 48, 60, 3), (4, 8)]),
    start=matrices(),
    n=st.integers(0, 5),
    good=any_input,
)
@example(images=NOISE, start=NEAR, n=4, good=True)
def test_rasl_ends_or_refuses(images, start, n, good):
    assume(start.shape == (3, 3))
    try:
        found = holdstill.rasl(
            images, np.tile(start, (n, 1, 1)), shape=(16, 16), motion="similarity",
            features="grey", roi="full", max_iterations=3,
        )  # fmt: skip
    except REFUSED as error:
        assert not good and str(error)
        return
    assert found.frame_from_canonical.shape == (len(images), 3, 3)
