"""Properties over arrays, transforms and files that nobody would think of.

The number of examples is bounded here; HOLDSTILL_FUZZ_EXAMPLES sets it for longer runs
(``make fuzz``).
"""

from __future__ import annotations

import io
import json
import os
import warnings

import numpy as np
import pytest

import holdstill
from holdstill.decomposition import decompose as parts_of
from holdstill.jobs.manifest import JobChangedError, read_manifest
from holdstill.motion import compose, decompose
from holdstill.reference.motion import (
    MOTIONS,
    map_points,
    matrix_from_parameters,
    parameters_from_matrix,
)
from holdstill.stores import LocalStore
from holdstill.transforms import from_box, from_eye_corners, read_transforms

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, assume, example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

EXAMPLES = int(os.environ.get("HOLDSTILL_FUZZ_EXAMPLES", 0))
REFUSED = (ValueError, TypeError)

few, many = (
    settings(
        max_examples=EXAMPLES or n,
        deadline=None,
        derandomize=not EXAMPLES,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    for n in (40, 150)
)

SHAPE = (32, 32)
NOISE = np.random.default_rng(0).integers(0, 256, (4, 48, 60), dtype=np.uint8)
NEAR = np.array([[1.0, 0, 8], [0, 1.0, 8], [0, 0, 1]])
any_input = st.just(False)
"""Whether an input is known to be good, and must not be refused: the examples are."""

finite = st.floats(-1e3, 1e3, allow_nan=False)


# --- arrays ---------------------------------------------------------------------------------------


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
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    atoms = np.stack([np.sin(x / a) * np.cos(y / b) for a, b in ((3, 4), (5, 3), (4, 7))], axis=-1)
    atoms = np.linalg.qr(atoms.reshape(-1, 3))[0].astype(np.float32)
    return holdstill.Dictionary(atoms, shape=SHAPE, motion="affine")


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


# --- transforms -----------------------------------------------------------------------------------


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


# --- files ----------------------------------------------------------------------------------------


@st.composite
def damages(draw):
    """What becomes of a file: bytes changed, cut, repeated, or made extreme."""
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["flip", "cut", "drop", "repeat", "ones", "zeros"]))
        steps.append((kind, draw(st.floats(0, 1)), draw(st.integers(1, 64))))
    return steps


def damaged(content: bytes, steps) -> bytes:
    data = bytearray(content)
    for kind, where, length in steps:
        at = int(where * max(0, len(data) - 1))
        if kind == "flip" and data:
            data[at] ^= 1 << (length % 8)
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length]
        else:
            data[at : at + min(8, length)] = (b"\xff" if kind == "ones" else b"\0") * min(8, length)
    return bytes(data)


@pytest.fixture(scope="module")
def files(tmp_path_factory, dictionary):
    """Small good files of each kind that is read."""
    folder = tmp_path_factory.mktemp("good")
    dictionary.save(folder / "d.npz")
    rows = ["frame,h00,h01,h02,h10,h11,h12,h20,h21,h22"]
    rows += [f"{k},1,0,{k}.5,0,1,2,0,0,1" for k in range(5)]
    (folder / "initial.csv").write_text("\n".join(rows) + "\n")
    points = [f"{k + 1.0} {2 * k + 1.0}" for k in range(68)]
    (folder / "a.pts").write_text("\n".join(["version: 1", "n_points: 68", "{", *points, "}"]))
    (folder / "job.json").write_text(
        '{"format": 1, "rows": 3, "inputs": [["a", "1 bytes"]], "options": {"mu": 0.1}}'
    )
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = {f"h{i}{j}": [float(i == j)] * 5 for i in range(3) for j in range(3)}
    pq.write_table(pa.table({"frame": list(range(5)), **columns}), folder / "initial.parquet")
    noise = np.random.default_rng(0).integers(0, 255, (4, 24, 32, 3), dtype=np.uint8)
    np.save(folder / "stack.npy", noise)
    image = pytest.importorskip("PIL.Image")
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp"):
        image.fromarray(noise[0]).save(folder / name)
    from clips import write_video

    pytest.importorskip("av")
    write_video(folder / "a.mp4", np.repeat(noise, 3, axis=0))
    write_video(folder / "a.mkv", np.repeat(noise, 3, axis=0))
    write_video(folder / "a.avi", np.repeat(noise, 3, axis=0), "mpeg4")
    return Files({path.name: path.read_bytes() for path in folder.iterdir()})


class Files(dict):
    """Contents by name, which a message about a failure does not repeat."""

    def __repr__(self) -> str:
        return "the good files"


@many
@given(steps=damages())
@example(steps=[])
def test_a_damaged_dictionary_is_read_or_refused(files, tmp_path, steps):
    path = tmp_path / "d.npz"
    path.write_bytes(damaged(files["d.npz"], steps))
    try:
        found = holdstill.Dictionary.load(path)
    except REFUSED as error:
        assert steps and str(path) in str(error)
        return
    assert found.shape == SHAPE and np.isfinite(found.atoms).all()


@pytest.mark.parametrize("name", ["initial.csv", "initial.parquet", "a.pts"])
@many
@given(steps=damages())
@example(steps=[])
def test_damaged_transforms_are_read_or_refused(files, tmp_path, name, steps):
    path = tmp_path / name
    path.write_bytes(damaged(files[name], steps))
    try:
        found = read_transforms(path)
    except REFUSED as error:
        assert steps and str(error)
        return
    matrices = found["frame_from_canonical"]
    assert matrices.shape == (len(found["frame"]), 3, 3)
    assert np.isfinite(matrices[~np.isnan(matrices).all(axis=(1, 2))]).all()


@many
@given(text=st.text(max_size=200), good=any_input)
@example(text="h00,h01,h02,h10,h11,h12,h20,h21,h22\n0,1,0,5,0,1,7,0,0,1\n", good=True)
def test_any_text_as_transforms_is_read_or_refused(tmp_path, text, good):
    path = tmp_path / "any.csv"
    path.write_text("frame," + text, encoding="utf-8")
    try:
        found = read_transforms(path)
    except REFUSED as error:
        assert not good and str(error)
        return
    assert found["frame_from_canonical"].shape == (len(found["frame"]), 3, 3)


@many
@given(steps=damages())
@example(steps=[])
def test_a_damaged_manifest_is_refused(files, tmp_path, steps):
    (tmp_path / "job.json").write_bytes(damaged(files["job.json"], steps))
    try:
        found = read_manifest(LocalStore(tmp_path))
    except JobChangedError as error:
        assert steps and "job.json" in str(error)
        return
    assert found is None or found["format"] == 1
    assert steps or found == json.loads(files["job.json"])


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp", "stack.npy", "a.mp4", "a.mkv",
             "a.avi"]
)  # fmt: skip
@few
@given(steps=damages())
@example(steps=[])
def test_damaged_pictures_are_read_as_far_as_they_go(files, tmp_path, name, steps):
    path = tmp_path / name
    path.write_bytes(damaged(files[name], steps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames = holdstill.open(path)
        except (OSError, ValueError) as error:
            assert steps and str(error)
            return
        with frames:
            assert len(frames) < 1000
            for frame in frames:
                assert frame.readable or (steps and frame.error)
                if frame.readable:
                    assert frame.grey().ndim == 2


def test_what_claims_to_be_huge_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    import zipfile

    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("meta.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"claims 4000000000000 bytes"):
        holdstill.Dictionary.load(tmp_path / "d.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.npy", b"\0" * 10**7)
    monkeypatch.setenv("HOLDSTILL_MAX_ARCHIVE_BYTES", "1000000")
    with pytest.raises(ValueError, match="HOLDSTILL_MAX_ARCHIVE_BYTES"):
        holdstill.Dictionary.load(tmp_path / "d.npz")


@pytest.mark.parametrize("name", ["a.png", "a.mp4", "stack.npy"])
def test_a_picture_above_the_limit_is_unreadable(files, tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(files[name])
    monkeypatch.setenv("HOLDSTILL_MAX_PIXELS", "700")
    try:
        with holdstill.open(tmp_path / name) as frames:
            assert not any(frame.readable for frame in frames)
    except ValueError as error:
        assert "HOLDSTILL_MAX_PIXELS" in str(error)
    monkeypatch.setenv("HOLDSTILL_MAX_PIXELS", "4096")  # a decoder makes its rows longer
    with holdstill.open(tmp_path / name) as frames:
        assert all(frame.readable for frame in frames)
    monkeypatch.setenv("HOLDSTILL_MAX_PIXELS", "many")
    with pytest.raises((ValueError, OSError), match="HOLDSTILL_MAX_PIXELS"):
        next(iter(holdstill.open(tmp_path / name))).grey()
