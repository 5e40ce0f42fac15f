"""Viola-Jones detection."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from holdstill import faces
from holdstill.canonical import eye_corners
from holdstill.faces import FaceDetector
from holdstill.transforms import from_box

cv2 = pytest.importorskip("cv2")


class FakeCascade:
    """Finds given boxes, and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def detectMultiScale(self, image, **options):
        self.asked.append((image.shape, options))
        return self.answers.pop(0) if self.answers else ()


@pytest.fixture
def cascade(monkeypatch):
    def install(*answers):
        fake = FakeCascade(*answers)
        monkeypatch.setattr(faces, "_cascade", lambda cv2: fake)
        return fake

    return install


@pytest.fixture(scope="module")
def talking_face(data_dir):
    folder = data_dir / "talking_face"
    frames = [cv2.imread(str(folder / f"{i:05d}.jpg"), cv2.IMREAD_GRAYSCALE) for i in (0, 250)]
    return frames, np.load(folder / "points.npy")[[0, 250]][:, [27, 32]].astype(float)


def eye_error(box, eyes):
    """Largest distance of an eye corner from where the box puts it, in eye distances."""
    mapped = from_box(box)[:2] @ np.column_stack([eye_corners(), np.ones(2)]).T
    return np.linalg.norm(mapped.T - eyes, axis=1).max() / np.linalg.norm(eyes[1] - eyes[0])


def test_the_box_gives_the_eye_corners_to_a_fifth_of_their_distance(talking_face):
    detector = FaceDetector()
    for frame, eyes in zip(*talking_face, strict=True):
        assert eye_error(detector.detect(frame), eyes) < 0.2
    assert detector.calls == 2


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_other_dtypes_find_the_same_face(talking_face, dtype):
    frame, eyes = talking_face[0][0], talking_face[1][0]
    other = frame.astype(dtype) * dtype(13) if dtype is np.uint16 else frame.astype(dtype) / 255
    assert eye_error(FaceDetector().detect(other), eyes) < 0.2


def test_hot_and_missing_pixels_do_not_hide_the_face(talking_face):
    frame, eyes = talking_face[0][0].astype(np.float32), talking_face[1][0]
    frame[:2, :2] = [[np.nan, np.inf], [-np.inf, 1e9]]
    assert eye_error(FaceDetector().detect(frame), eyes) < 0.2


def test_a_frame_twice_as_large_gives_a_box_twice_as_large(talking_face):
    frame, eyes = talking_face[0][0], talking_face[1][0]
    large = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    assert eye_error(FaceDetector().detect(large), 2 * eyes + 0.5) < 0.2


def test_threads_find_what_one_thread_finds(talking_face):
    frames = talking_face[0]
    alone = [FaceDetector().detect(frame) for frame in frames]
    detector, found = FaceDetector(), {}
    workers = [
        threading.Thread(target=lambda i=i: found.update({i: detector.detect(frames[i % 2])}))
        for i in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i in range(4):
        np.testing.assert_array_equal(found[i], alone[i % 2])
    assert detector.calls == 4


@pytest.mark.parametrize("shape", [(1, 1), (23, 500), (200, 300)])
@pytest.mark.parametrize("value", [0, 255])
def test_frames_without_a_face_give_none(shape, value):
    assert FaceDetector().detect(np.full(shape, value, np.uint8)) is None
    assert FaceDetector().detect(np.full(shape, np.nan, np.float32)) is None


def test_a_frame_without_a_face_is_searched_once_more_and_laxer(cascade):
    fake = cascade((), [(10, 20, 30, 30)])
    box = FaceDetector().detect(np.zeros((100, 120), np.uint8))
    np.testing.assert_array_equal(box, [10, 20, 30, 30])
    first, second = (options["minNeighbors"] for _, options in fake.asked)
    assert second < first


def test_boxes_of_a_reduced_frame_are_scaled_back(cascade):
    fake = cascade([(10, 20, 60, 60)])
    box = FaceDetector().detect(np.zeros((1080, 1440), np.uint8))
    assert fake.asked[0][0] == (270, 360)
    np.testing.assert_allclose(box, [41.5, 81.5, 240, 240])


def test_a_frame_is_not_reduced_below_what_the_smallest_face_needs(cascade):
    fake = cascade()
    FaceDetector(minimum_size=24).detect(np.zeros((720, 1440), np.uint8))
    assert fake.asked[0][0] == (720, 1440)
    assert fake.asked[0][1]["minSize"] == (24, 24)


@pytest.mark.parametrize(
    ("face", "expected"), [("largest", 0), ("center", 2), ("left", 0), ("right", 3)]
)
def test_face_chooses_among_several_whatever_their_order(cascade, face, expected):
    boxes = [(0, 0, 60, 60), (250, 150, 40, 40), (140, 90, 30, 30), (240, 0, 60, 60)]
    for order in (boxes, boxes[::-1]):
        cascade(order)
        box = FaceDetector(face=face).detect(np.zeros((200, 300), np.uint8))
        np.testing.assert_array_equal(box, boxes[expected])


def test_all_faces_come_from_top_to_bottom_and_left_to_right(cascade):
    boxes = [(140, 90, 30, 30), (250, 150, 40, 40), (0, 0, 60, 60), (20, 90, 30, 30)]
    cascade(boxes)
    found = FaceDetector().detect_all(np.zeros((200, 300), np.uint8))
    np.testing.assert_array_equal(found, [boxes[k] for k in (2, 3, 0, 1)])
    cascade()
    assert FaceDetector().detect_all(np.zeros((200, 300), np.uint8)).shape == (0, 4)


def test_a_frame_is_enlarged_for_faces_smaller_than_the_window(cascade):
    fake = cascade([(11, 5, 24, 24)])
    box = FaceDetector(minimum_size=8).detect(np.zeros((40, 50), np.uint8))
    assert fake.asked[0] == ((120, 150), fake.asked[0][1])
    assert fake.asked[0][1]["minSize"] == (24, 24)
    np.testing.assert_allclose(box, [11.5 / 3 - 0.5, 5.5 / 3 - 0.5, 8, 8])
    fake = cascade()
    FaceDetector(minimum_size=1).detect(np.zeros((1000, 2048), np.uint8))
    assert fake.asked[0][0] == (2000, 4096)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="face: expected"):
        FaceDetector(face="nearest")
    for size in (0, -3, np.nan):
        with pytest.raises(ValueError, match="minimum_size: expected"):
            FaceDetector(minimum_size=size)
    for grey in (np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4)), np.zeros((4, 4), complex)):
        with pytest.raises(ValueError, match="grey: expected"):
            FaceDetector().detect(grey)


def test_opencv_missing_or_too_new_is_said_with_the_command_that_helps(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(ImportError, match=r'5\.0\.0 dropped .*pip install "holdstill\[cli\]"'):
        FaceDetector()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r'OpenCV 4: pip install "holdstill\[cli\]"'):
        FaceDetector()
