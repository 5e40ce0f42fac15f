"""The synthetic talking head: its truth is true, and it looks like a face to others."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from holdstill.synthetic import LANDMARKS, TalkingHead, trajectories

Image = npt.NDArray[np.float64]
SHAPE = (200, 200)


@pytest.fixture(scope="module")
def head() -> TalkingHead:
    return TalkingHead(seed=3)


@pytest.fixture(scope="module")
def quiet_head() -> TalkingHead:
    return TalkingHead(seed=3, noise=0.0, occlusion=False, beyond_affine=False)


@pytest.fixture(scope="module")
def steadily_lit_head() -> TalkingHead:
    """The quiet head under the light of its first frame."""

    def still(time: Image, seed: int) -> trajectories.Lights:
        lights = wandering(time, seed)
        return trajectories.Lights(
            *(np.broadcast_to(a[:1], a.shape) for a in vars(lights).values())
        )

    wandering = trajectories.lights
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "lights", still)
        return TalkingHead(seed=3, noise=0.0, occlusion=False, beyond_affine=False)


def grey(frame: npt.NDArray[np.uint8]) -> Image:
    return frame @ np.array([0.299, 0.587, 0.114])


@lru_cache(maxsize=64)
def aligned(head: TalkingHead, i: int) -> Image:
    """Frame i, warped back by its truth with cubic B-splines."""
    height, width = head.shape
    v, u = np.mgrid[:height, :width]
    canonical = np.stack([u.ravel(), v.ravel(), np.ones(u.size)])
    x, y, _ = head.frame_from_canonical[i] @ canonical
    left, top = max(0, int(x.min()) - 20), max(0, int(y.min()) - 20)
    face = grey(head[i][top : int(y.max()) + 20, left : int(x.max()) + 20])
    return ndimage.map_coordinates(face, [y - top, x - left], order=3).reshape(head.shape)


def rigid_region() -> npt.NDArray[np.bool_]:
    """Forehead and cheeks of the canonical frame: what neither talks, blinks nor casts shadows."""
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    eyes = (np.abs(np.abs(u - 100) - 35) < 25) & (np.abs(v - 88) < 20)
    nose = (np.abs(u - 100) < 30) & (v > 70)
    return (np.abs(u - 100) < 62) & (v > 35) & (v < 140) & ~eyes & ~nose


def without_light(image: Image) -> Image:
    """The image over its own low-pass, so that slow shading cancels."""
    return image / ndimage.gaussian_filter(image, 2.0) - 1.0


def offset_at_rigid_points(image: Image, reference: Image) -> Image:
    """Displacement of each rigid point by the affine map that best registers the images.

    Gauss-Newton on the sum of squares.
    """
    mask = rigid_region()
    v, u = np.nonzero(mask)
    design = np.stack([np.ones(u.size), (u - 100) / 100, (v - 100) / 100], axis=1)
    parameters = np.zeros((2, 3))
    target = without_light(reference)[mask]
    picture = without_light(image)
    dy, dx = np.gradient(picture)
    for _ in range(15):
        shift = design @ parameters.T
        at = [v + shift[:, 1], u + shift[:, 0]]
        value, gx, gy = (ndimage.map_coordinates(p, at, order=3) for p in (picture, dx, dy))
        columns = np.concatenate([design * gx[:, None], design * gy[:, None]], axis=1)
        step = np.linalg.lstsq(columns, target - value, rcond=None)[0]
        parameters += step.reshape(2, 3)
    assert np.abs(step).max() < 1e-3
    return np.hypot(*(design @ parameters.T).T)


def test_frames_warped_back_by_the_truth_coincide_to_a_hundredth_of_a_pixel(
    steadily_lit_head: TalkingHead,
) -> None:
    reference = aligned(steadily_lit_head, 0)
    for i in (40, 97, 150, 211, 310):
        offset = offset_at_rigid_points(aligned(steadily_lit_head, i), reference)
        assert np.sqrt((offset**2).mean()) < 0.01
        assert offset.max() < 0.02


def test_truth_holds_to_a_twentieth_of_a_pixel_under_wandering_light(
    quiet_head: TalkingHead,
) -> None:
    reference = aligned(quiet_head, 0)
    for i in (40, 97, 211, 310):
        assert offset_at_rigid_points(aligned(quiet_head, i), reference).max() < 0.05


def test_truth_holds_to_a_twentieth_of_a_pixel_under_noise_and_parallax(head: TalkingHead) -> None:
    reference = aligned(head, 0)
    for i in (40, 97, 211):
        offset = offset_at_rigid_points(aligned(head, i), reference)
        assert np.sqrt((offset**2).mean()) < 0.05


def test_rigid_parts_agree_in_grey_level_once_the_light_is_divided_out(
    quiet_head: TalkingHead,
) -> None:
    mask = rigid_region()
    stack = np.array([without_light(aligned(quiet_head, i))[mask] for i in (0, 97, 211)])
    assert np.corrcoef(stack)[np.triu_indices(3, 1)].min() > 0.95


def test_wrong_truth_is_noticed_by_the_same_measure(quiet_head: TalkingHead) -> None:
    reference = aligned(quiet_head, 0)
    moved = ndimage.shift(aligned(quiet_head, 97), (0.0, 0.2), order=3)
    offset = offset_at_rigid_points(moved, reference)
    assert abs(offset.mean() - 0.2) < 0.04


def test_frames_are_the_same_again_and_in_any_order(head: TalkingHead) -> None:
    again = TalkingHead(seed=3)
    backwards = {i: again[i] for i in (4, 2, 0)}
    for i, frame in zip(range(5), islice(head, 5), strict=True):
        assert frame.shape == (576, 720, 3)
        assert frame.dtype == np.uint8
        if i in backwards:
            np.testing.assert_array_equal(frame, backwards[i])
    np.testing.assert_array_equal(head[-1], head[len(head) - 1])


def test_a_shorter_recording_is_the_beginning_of_a_longer_one(head: TalkingHead) -> None:
    short = TalkingHead(70, seed=3)
    assert len(short) == 70
    np.testing.assert_array_equal(short.frame_from_canonical, head.frame_from_canonical[:70])
    np.testing.assert_array_equal(short.occluded, head.occluded[:70])
    np.testing.assert_array_equal(short[60], head[60])


def test_another_seed_is_another_recording(head: TalkingHead) -> None:
    other = TalkingHead(3, seed=4)
    assert np.abs(other.frame_from_canonical[0] - head.frame_from_canonical[0]).max() > 1.0
    assert not np.array_equal(other[0], head[0])


@pytest.mark.parametrize("shape", [(200, 200), (120, 90)])
def test_eye_corners_of_the_canonical_frame_map_to_those_of_the_frame(
    shape: tuple[int, int],
) -> None:
    head = TalkingHead(30, shape=shape, size=(288, 360))
    height, width = shape
    corners = np.array([[0.25 * width, 0.45 * height, 1], [0.75 * width, 0.45 * height, 1]])
    mapped = (head.frame_from_canonical @ corners.T)[:, :2].swapaxes(1, 2)
    np.testing.assert_allclose(mapped, head.points()[:, [0, 3]], atol=1e-9)
    assert head.points().shape == (30, len(LANDMARKS), 2)


def test_points_lie_on_one_face_whatever_the_motion(head: TalkingHead) -> None:
    points = head.points()
    homogeneous = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2)
    canonical = homogeneous @ np.linalg.inv(head.frame_from_canonical).swapaxes(1, 2)
    np.testing.assert_allclose(canonical, np.broadcast_to(canonical[0], canonical.shape), atol=1e-9)
    assert canonical[0, 4, 1] > canonical[0, 0, 1]


def test_pupils_are_dark_and_lie_between_the_eye_corners(quiet_head: TalkingHead) -> None:
    points = quiet_head.points()
    for i in (0, 97, 150, 211):
        picture = ndimage.gaussian_filter(grey(quiet_head[i]), 2.0)
        for outer, inner in ((0, 1), (3, 2)):
            x, y = points[i, [outer, inner]].mean(axis=0).round().astype(int)
            eye = picture[y - 12 : y + 13, x - 14 : x + 15]
            assert eye.min() < 0.45 * picture[y + 35 : y + 60, x - 14 : x + 15].mean()


def test_motion_covers_the_stated_range(head: TalkingHead) -> None:
    transforms = head.frame_from_canonical
    scale = np.sqrt(np.linalg.det(transforms[:, :2, :2]))
    angle = np.rad2deg(np.arctan2(transforms[:, 1, 0], transforms[:, 0, 0]))
    middle = head.points()[:, [0, 3]].mean(axis=1)
    assert 1.2 < scale.min() < 1.45
    assert 1.55 < scale.max() < 1.75
    assert np.abs(angle).max() < 12
    assert np.ptp(angle) > 9
    assert np.ptp(middle, axis=0).min() > 20
    step = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    assert step.max() < 8
    canonical_frame = np.array([[0, 199, 199, 0], [0, 0, 199, 199], [1, 1, 1, 1]])
    corners = (transforms @ canonical_frame)[:, :2]
    assert corners.min() > 0
    assert corners[:, 0].max() < 719
    assert corners[:, 1].max() < 575


def test_truth_is_affine_and_the_turn_is_more_than_a_similarity(head: TalkingHead) -> None:
    np.testing.assert_array_equal(head.frame_from_canonical[:, 2], np.tile([0, 0, 1], (320, 1)))
    singular = np.linalg.svd(head.frame_from_canonical[:, :2, :2], compute_uv=False)
    assert 1.03 < (singular[:, 0] / singular[:, 1]).max() < 1.2


def test_parallax_moves_the_nose_and_leaves_the_eyes() -> None:
    flat = TalkingHead(60, seed=3, noise=0.0, beyond_affine=False)
    deep = TalkingHead(60, seed=3, noise=0.0)
    changes = [np.abs(aligned(deep, i) - aligned(flat, i)) for i in range(0, 60, 12)]
    change = np.mean(changes, axis=0)
    nose, eye, cheek = change[115:140, 85:116], change[82:98, 30:62], change[120:150, 30:50]
    assert nose.mean() > 0.5
    assert eye.max() < 1.0
    assert cheek.max() < 1.0


def test_hand_covers_the_face_in_a_tenth_of_the_frames_and_only_there(head: TalkingHead) -> None:
    assert 0.08 < head.occluded.mean() < 0.17
    bare = TalkingHead(320, seed=3, occlusion=False)
    assert not bare.occluded.any()
    passing = np.flatnonzero(head.occluded)
    for i in passing[[2, len(passing) // 2, -3]]:
        covered = np.abs(aligned(head, i) - aligned(bare, i)) > 10
        assert covered.mean() > 0.01
    for i in np.flatnonzero(~head.occluded)[::60]:
        covered = np.abs(aligned(head, i) - aligned(bare, i)) > 10
        assert covered.mean() < 0.02


def test_the_hand_is_looked_for_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    sample = TalkingHead._sample_hand

    def counted(self: TalkingHead, at: Image, box: tuple[int, int, int, int], i: int) -> Image:
        looked.append(i)
        return sample(self, at, box, i)

    monkeypatch.setattr(TalkingHead, "_sample_hand", counted)
    head = TalkingHead(120, seed=3)
    assert not looked
    occluded = head.occluded
    assert set(np.flatnonzero(occluded)) < set(looked) and len(looked) < 60
    assert head.occluded is occluded and not occluded.flags.writeable


def test_light_and_expression_span_several_dimensions(quiet_head: TalkingHead) -> None:
    mask = rigid_region()
    stack = np.array([aligned(quiet_head, i)[mask] for i in range(0, 320, 20)])
    singular = np.linalg.svd(stack - stack.mean(axis=0), compute_uv=False)
    assert singular[3] > 0.05 * singular[0]
    assert singular[3] / np.sqrt(mask.sum()) > 1.0


def test_noise_has_the_deviation_asked_for() -> None:
    noisy, clean = (TalkingHead(2, noise=noise, size=(288, 360)) for noise in (4.0, 0.0))
    difference = noisy[1].astype(float) - clean[1]
    assert abs(difference.std() - 4.0) < 0.15
    assert abs(difference.mean()) < 0.1
    fresh = noisy[0].astype(float) - clean[0]
    assert abs(np.corrcoef(fresh.ravel(), difference.ravel())[0, 1]) < 0.02


def test_grey_frames_are_the_luma_of_the_colour_frames() -> None:
    colour = TalkingHead(2, noise=0.0, size=(288, 360))[1]
    luma = TalkingHead(2, noise=0.0, size=(288, 360), color=False)[1]
    assert luma.shape == (288, 360)
    assert np.quantile(np.abs(grey(colour) - luma), 0.99) < 1.1  # but where colour is clipped


def test_initial_transforms_are_similarities_a_few_pixels_off(head: TalkingHead) -> None:
    initial = head.initial()
    assert initial.shape == (320, 3, 3)
    np.testing.assert_allclose(initial[:, 0, 0], initial[:, 1, 1], atol=1e-9)
    np.testing.assert_allclose(initial[:, 0, 1], -initial[:, 1, 0], atol=1e-9)
    np.testing.assert_array_equal(initial, TalkingHead(320, seed=3).initial())
    eyes = np.array([[50.0, 90, 1], [150, 90, 1]])
    error = np.linalg.norm(
        (initial @ eyes.T)[:, :2] - (head.frame_from_canonical @ eyes.T)[:, :2], axis=1
    )
    assert 2.0 < error.mean() < 7.0
    assert error.max() < 25.0
    exact = (head.initial(error=0.0) @ eyes.T)[:, :2].swapaxes(1, 2)
    np.testing.assert_allclose(exact, head.points()[:, [0, 3]], atol=1e-9)


def test_viola_jones_finds_the_face_in_nearly_every_frame(head: TalkingHead) -> None:
    cv2 = pytest.importorskip("cv2")
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is None or not hasattr(cv2, "CascadeClassifier"):
        pytest.skip("this OpenCV has no Viola-Jones detector")
    detector = cv2.CascadeClassifier(folder + "haarcascade_frontalface_default.xml")
    frames = np.flatnonzero(~head.occluded)[::13]
    eyes = head.points()[:, [0, 3]]
    found = 0
    for i in frames:
        boxes = detector.detectMultiScale(
            grey(head[i]).astype(np.uint8), 1.1, 3, minSize=(180, 180)
        )
        distance = np.linalg.norm(eyes[i, 1] - eyes[i, 0])
        for x, y, width, height in boxes:
            offset = (np.array([x + width / 2, y + height / 2]) - eyes[i].mean(axis=0)) / distance
            fits = np.abs(offset - (0, 0.15)).max() < 0.15 and abs(width / distance - 2.0) < 0.3
            found += int(fits)
    assert found >= 0.95 * len(frames)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_frames": 0},
        {"n_frames": 2.5},
        {"size": (576,)},
        {"size": (10, 720)},
        {"size": 576},
        {"shape": (1, 200)},
        {"seed": -1},
        {"seed": "zero"},
        {"noise": -1.0},
        {"noise": float("nan")},
        {"fps": 0.0},
        {"fps": float("inf")},
    ],
    ids=str,
)
def test_wrong_argument_is_named(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        TalkingHead(**arguments)  # type: ignore[arg-type]


def test_wrong_error_and_index_are_refused(head: TalkingHead) -> None:
    with pytest.raises(ValueError, match="error"):
        head.initial(error=-1.0)
    with pytest.raises(IndexError, match="index"):
        head[320]
    with pytest.raises(TypeError):
        head[1.5]  # type: ignore[call-overload]


@pytest.mark.parametrize("size", [(721, 1281), (301, 360), (65, 97)])
def test_any_size_of_frame_is_rendered(size: tuple[int, int]) -> None:
    frame = TalkingHead(2, size=size)[1]
    assert frame.shape == (*size, 3)
    assert frame.std() > 10
