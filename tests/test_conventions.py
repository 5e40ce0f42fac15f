"""Transforms in the conventions of other libraries: each library warps what `warp` warps."""

from __future__ import annotations

import numpy as np
import pytest

import holdstill
from holdstill import conventions
from holdstill.synthetic import TalkingHead

SHAPE = (90, 110)
TURN, MORE = np.deg2rad(11), 1.23
AFFINE = np.array(
    [
        [MORE * np.cos(TURN), -MORE * np.sin(TURN) + 0.05, 87.3],
        [MORE * np.sin(TURN), MORE * np.cos(TURN), 31.7],
        [0, 0, 1],
    ]
)
HOMOGRAPHY = np.array([*AFFINE[:2], [4e-4, -3e-4, 1]])


@pytest.fixture(scope="module")
def frame():
    """A real-valued picture of the head: no library rounds its results."""
    return TalkingHead(1, size=(240, 320), color=False)[0].astype(np.float64)


def expected(frame, matrix=AFFINE):
    return holdstill.warp(frame, matrix, SHAPE)


def test_a_wrong_convention_would_be_seen(frame):
    """Half a pixel, exchanged axes and the inverse differ by more than any test here allows."""
    wrong = [AFFINE.copy(), np.linalg.inv(AFFINE), AFFINE[[1, 0, 2]][:, [1, 0, 2]]]
    wrong[0][:2, 2] += 0.5
    for matrix in wrong:
        assert np.abs(expected(frame, matrix) - expected(frame)).mean() > 0.5


@pytest.mark.parametrize("inverse_map", [True, False])
@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY], ids=["affine", "homography"])
def test_opencv_warps_the_same_picture(frame, matrix, inverse_map):
    cv2 = pytest.importorskip("cv2")
    theirs = conventions.to_opencv(matrix, inverse_map=inverse_map)
    warp = cv2.warpAffine if len(theirs) == 2 else cv2.warpPerspective
    flags = cv2.INTER_LINEAR | (cv2.WARP_INVERSE_MAP if inverse_map else 0)
    warped = warp(frame, theirs, SHAPE[::-1], flags=flags)
    # OpenCV rounds positions to 1/32 pixel.
    assert np.abs(warped - expected(frame, matrix)).mean() < 0.2
    back = conventions.from_opencv(theirs, inverse_map=inverse_map)
    np.testing.assert_allclose(back, matrix, atol=1e-12)


def test_opencv_finds_a_matrix_that_means_the_same(frame):
    cv2 = pytest.importorskip("cv2")
    template = expected(frame).astype(np.float32)
    start = conventions.to_opencv(AFFINE).astype(np.float32) + np.float32([[0, 0, 1], [0, 0, -1]])
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-8)
    picture = frame.astype(np.float32)
    found = cv2.findTransformECC(template, picture, start, cv2.MOTION_AFFINE, criteria, None, 1)[1]
    np.testing.assert_allclose(conventions.from_opencv(found)[:2, 2], AFFINE[:2, 2], atol=0.05)


def test_stacks_go_to_opencv_as_stacks():
    stack = np.stack([AFFINE, np.eye(3)])
    assert conventions.to_opencv(stack).shape == (2, 2, 3)
    np.testing.assert_array_equal(conventions.from_opencv(conventions.to_opencv(stack)), stack)


@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY], ids=["affine", "homography"])
def test_scikit_image_warps_the_same_picture(frame, matrix):
    transform = pytest.importorskip("skimage.transform")
    theirs = conventions.to_skimage(matrix)
    warped = transform.warp(frame, theirs, output_shape=SHAPE, order=1, preserve_range=True)
    np.testing.assert_allclose(warped, expected(frame, matrix), atol=1e-3)
    np.testing.assert_array_equal(conventions.from_skimage(theirs), matrix)


def test_scikit_image_estimates_a_matrix_that_means_the_same():
    transform = pytest.importorskip("skimage.transform")
    canonical = np.array([[10.0, 20], [90, 25], [50, 70]])
    in_frame = canonical @ AFFINE[:2, :2].T + AFFINE[:2, 2]
    found = transform.estimate_transform("affine", canonical, in_frame)
    np.testing.assert_allclose(conventions.from_skimage(found), AFFINE, atol=1e-9)


def test_scipy_warps_the_same_picture(frame):
    ndimage = pytest.importorskip("scipy.ndimage")
    theirs = conventions.to_scipy(AFFINE)
    warped = ndimage.affine_transform(frame, theirs, output_shape=SHAPE, order=1)
    np.testing.assert_allclose(warped, expected(frame), atol=1e-3)
    split = ndimage.affine_transform(frame, theirs[:2, :2], theirs[:2, 2], SHAPE, order=1)
    np.testing.assert_allclose(split, warped, atol=1e-9)
    np.testing.assert_allclose(conventions.from_scipy(theirs), AFFINE)
    np.testing.assert_allclose(conventions.from_scipy(theirs[:2]), AFFINE)
    np.testing.assert_allclose(conventions.from_scipy(theirs[:2, :2], theirs[:2, 2]), AFFINE)


@pytest.mark.parametrize("in_space", [False, True], ids=["pixels", "millimetres"])
def test_simpleitk_warps_the_same_picture(frame, in_space):
    sitk = pytest.importorskip("SimpleITK")
    moving = sitk.GetImageFromArray(frame)
    grid = sitk.GetImageFromArray(np.zeros(SHAPE))
    if in_space:
        moving.SetSpacing((0.7, 0.4))
        moving.SetOrigin((-20.0, 33.0))
        moving.SetDirection((np.cos(0.3), -np.sin(0.3), np.sin(0.3), np.cos(0.3)))
        grid.SetSpacing((2.0, 1.5))
        grid.SetOrigin((5.0, -8.0))
    theirs = conventions.to_simpleitk(AFFINE, moving, grid)
    warped = sitk.GetArrayFromImage(sitk.Resample(moving, grid, theirs, sitk.sitkLinear))
    np.testing.assert_allclose(warped, expected(frame), atol=1e-3)
    np.testing.assert_allclose(conventions.from_simpleitk(theirs, moving, grid), AFFINE, atol=1e-9)


def test_transforms_of_simpleitk_about_a_centre_are_read():
    sitk = pytest.importorskip("SimpleITK")
    turned = sitk.Similarity2DTransform(1.1, 0.2, (3.0, -4.0), (50.0, 40.0))
    matrix = conventions.from_simpleitk(turned)
    point = np.array([12.0, 90.0])
    np.testing.assert_allclose(
        matrix[:2, :2] @ point + matrix[:2, 2], turned.TransformPoint(point.tolist())
    )
    bent = sitk.BSplineTransform(2)
    with pytest.raises(ValueError, match="transform: expected a linear"):
        conventions.from_simpleitk(bent)


@pytest.mark.parametrize(
    "function", ["to_opencv", "from_opencv", "to_scipy", "from_scipy", "to_skimage", "to_simpleitk"]
)
@pytest.mark.parametrize("given", [np.eye(4), np.full((3, 3), np.nan), 7.0])
def test_what_is_no_matrix_is_refused(function, given):
    pytest.importorskip(
        {"to_skimage": "skimage", "to_simpleitk": "SimpleITK"}.get(function, "numpy")
    )
    with pytest.raises(ValueError, match=r"frame_from_canonical|matrix"):
        getattr(conventions, function)(given)


@pytest.mark.parametrize("function", ["to_scipy", "to_simpleitk"])
def test_homographies_are_refused_where_a_library_has_none(function):
    if function == "to_simpleitk":
        pytest.importorskip("SimpleITK")
    with pytest.raises(ValueError, match="affine"):
        getattr(conventions, function)(HOMOGRAPHY)


def test_a_singular_matrix_has_no_other_direction():
    with pytest.raises(ValueError, match=r"frame_from_canonical: .* inverted"):
        conventions.to_opencv(np.diag([0.0, 1, 1]), inverse_map=False)
    with pytest.raises(ValueError, match=r"matrix: .* inverted"):
        conventions.from_opencv(np.diag([0.0, 1, 1]), inverse_map=False)
