"""Head pose from face meshes: a file that stands alone, and says what initial transforms need."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import types
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from holdstill import canonical
from holdstill.reference.motion import map_points
from holdstill.sources.paths import natural_key
from holdstill.transforms import MATRIX_COLUMNS, read_transforms

cv2 = pytest.importorskip("cv2")
from holdstill import headpose  # noqa: E402  (it needs OpenCV)

FILE = Path(inspect.getfile(headpose))
SIZE, FOCAL = (576, 720), 900.0


def a_face():
    """468 points of a face that mirrors itself: x right, y down, depth away from the viewer."""
    rng = np.random.default_rng(0)
    face = np.column_stack(
        [rng.uniform(-0.7, 0.7, 468), rng.uniform(-0.8, 1.1, 468), np.zeros(468)]
    )
    face[:, 2] = 0.6 * face[:, 0] ** 2 + 0.3 * face[:, 1] ** 2 + 0.1 * rng.random(468)
    for left, right in headpose.MIRRORED:
        face[left, 0] = -abs(face[left, 0])
        face[right] = face[left] * [-1.0, 1.0, 1.0]
    face[33], face[263] = [-0.5, 0.0, 0.2], [0.5, 0.0, 0.2]
    face[headpose.FOREHEAD], face[headpose.CHIN] = [0.0, -0.8, 0.3], [0.0, 1.1, 0.3]
    return face


def rotation(yaw, pitch, roll):
    """By axes: the roll about the line of sight first, then the nod, then the turn."""
    turn, _ = cv2.Rodrigues(np.array([0.0, -np.radians(yaw), 0.0]))
    nod, _ = cv2.Rodrigues(np.array([np.radians(pitch), 0.0, 0.0]))
    tilt, _ = cv2.Rodrigues(np.array([0.0, 0.0, np.radians(roll)]))
    return turn @ nod @ tilt


def meshes_of(poses, shifts):
    """What MediaPipe would see: perspective in the picture, depth on its scale."""
    seen = []
    for pose, shift in zip(poses, shifts, strict=True):
        body = a_face() @ rotation(*pose).T + shift
        scale = FOCAL / body[:, 2:]
        middle = np.array([SIZE[1] / 2, SIZE[0] / 2])
        depth = (body[:, 2:] - body[:, 2:].mean()) * FOCAL / body[:, 2].mean()
        seen.append(np.hstack([body[:, :2] * scale + middle, depth]))
    return np.array(seen)


def test_the_file_stands_alone_and_agrees_with_the_package():
    tree = ast.parse(FILE.read_text(encoding="utf-8"))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert foreign == {"cv2", "numpy", "mediapipe"}
    assert headpose.EYE_CORNERS == canonical.EYE_CORNERS
    assert headpose.COLUMNS[1:10] == MATRIX_COLUMNS
    files = ["b/img10.png", "b/img2.png", "B/img2.png", "b/img02.png"]
    assert sorted(files, key=headpose._natural_key) == sorted(files, key=natural_key)


def test_it_runs_as_a_file_and_says_that_mediapipe_is_missing(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    code = "import sys, runpy; sys.modules['mediapipe'] = None; sys.argv = sys.argv[1:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(FILE), str(tmp_path), "--out", str(tmp_path / "o.csv")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "pip install mediapipe==0.10.21" in done.stderr
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("angles", "towards"),
    [((20, 0, 0), (1, 0)), ((0, 20, 0), (0, 1)), ((-20, 0, 0), (-1, 0)), ((0, -20, 0), (0, -1))],
)
def test_a_face_turned_to_the_right_or_looking_down_has_positive_angles(angles, towards):
    turn = rotation(*angles)
    looks_at = turn @ [0.0, 0.0, -1.0]  # out of the face, towards the viewer when it is frontal
    assert np.sign(np.round(looks_at[:2], 9)).tolist() == list(towards)
    np.testing.assert_allclose(headpose.angles_of(turn), angles, atol=1e-9)


def test_a_tilt_clockwise_has_a_positive_roll_and_angles_come_back_together():
    down_right = rotation(0, 0, 10) @ [1.0, 0.0, 0.0]
    assert down_right[1] > 0  # y points down
    np.testing.assert_allclose(headpose.angles_of(rotation(15, -8, 30)), [15, -8, 30], atol=1e-9)


def test_poses_of_known_heads_are_found():
    poses = np.array([(0, 0, 0), (12, 0, 0), (-12, 5, 3), (0, -9, -6), (6, 6, 9), (-6, -2, -6)])
    poses += np.array([3, 12, -8])  # the front is the face's, not the pose it has on average
    shifts = np.array([(0, 0, 8), (0.5, 0.1, 8), (-0.4, 0, 7), (0, 0.3, 9), (0.2, 0, 8), (0, 0, 8)])
    meshes = meshes_of(poses, shifts.astype(float))
    transforms, angles = headpose.poses_of(meshes, SIZE, focal_length=FOCAL)
    # MediaPipe's depths know nothing of perspective; that is what is left.
    off = angles - poses
    assert np.abs(off - off.mean(axis=0)).max() < 1.5
    assert np.abs(off.mean(axis=0)).max() < 3.0
    for transform, mesh in zip(transforms, meshes, strict=True):
        eyes = map_points(transform, canonical.eye_corners())
        distance = np.linalg.norm(mesh[263, :2] - mesh[33, :2])
        assert np.abs(eyes - mesh[[33, 263], :2]).max() < 0.05 * distance


def test_a_head_that_shifts_tilts_and_comes_nearer_is_a_similarity_exactly():
    flat = a_face() * [1.0, 1.0, 0.0]
    turned = [flat @ rotation(0, 0, roll).T for roll in (0, 8, -5)]
    shifts = np.array([(0, 0, 8.0), (0.5, 0.2, 7.0), (-0.3, 0, 9.0)])
    meshes = []
    for body, shift in zip(turned, shifts, strict=True):
        scale = FOCAL / shift[2]
        middle = [SIZE[1] / 2, SIZE[0] / 2, 0.0]
        meshes.append((body + shift * [1, 1, 0]) * scale + middle)
    meshes = np.array(meshes)
    transforms, angles = headpose.poses_of(meshes, SIZE, motion="similarity", focal_length=FOCAL)
    np.testing.assert_allclose(angles[:, 2], [0, 8, -5], atol=0.05)
    for transform, mesh in zip(transforms, meshes, strict=True):
        found = map_points(transform, canonical.eye_corners())
        np.testing.assert_allclose(found, mesh[[33, 263], :2], atol=0.2)
        assert transform[0, 0] == pytest.approx(transform[1, 1])


def test_frames_without_a_face_are_empty_rows_that_are_read_as_such(tmp_path):
    meshes = meshes_of([(0, 0, 0), (5, 0, 0)], np.array([(0, 0, 8.0), (0, 0, 8.0)]))
    meshes = np.insert(meshes, 1, np.nan, axis=0)
    transforms, angles = headpose.poses_of(meshes, SIZE)
    headpose.write_csv(str(tmp_path / "o.csv"), headpose.HeadPoses(transforms, angles, meshes))
    found = read_transforms(tmp_path / "o.csv")
    np.testing.assert_array_equal(found["frame_from_canonical"], transforms)
    np.testing.assert_array_equal(np.stack([found[n] for n in ("yaw", "pitch", "roll")], 1), angles)
    assert np.isnan(found["frame_from_canonical"][1]).all()
    none, nothing = headpose.poses_of(meshes[1:2], SIZE)
    assert np.isnan(none).all()
    assert np.isnan(nothing).all()


def landmarks(mesh):
    """MediaPipe's form: fractions of the picture, ten points of the irises behind the mesh."""
    height, width = SIZE
    points = [types.SimpleNamespace(x=x / width, y=y / height, z=z / width) for x, y, z in mesh]
    return points + points[:10]


class OldMediaPipe(types.ModuleType):
    """Up to 0.10.21: models of its own."""

    def __init__(self, mesh, asked):
        super().__init__("mediapipe")
        face = types.SimpleNamespace(landmark=landmarks(mesh))

        class FaceMesh:
            def __init__(self, **options):
                asked.update(options)

            def process(self, picture):
                return types.SimpleNamespace(multi_face_landmarks=[face] if picture.any() else None)

            def close(self):
                asked["closed"] = True

        self.solutions = types.SimpleNamespace(face_mesh=types.SimpleNamespace(FaceMesh=FaceMesh))


def test_mediapipe_with_models_of_its_own_is_asked(monkeypatch):
    mesh, asked = meshes_of([(5, 0, 0)], [(0, 0, 8.0)])[0], {}
    monkeypatch.setitem(sys.modules, "mediapipe", OldMediaPipe(mesh, asked))
    pictures = [np.full(SIZE, 9, np.uint8), np.zeros(SIZE, np.uint8)]
    found = headpose.track(iter(pictures), tracking=False)
    np.testing.assert_allclose(found.meshes[0], mesh, atol=1e-9)
    assert np.isnan(found.frame_from_canonical[1]).all()
    assert asked["static_image_mode"] is True
    assert asked["closed"]


def test_pictures_of_several_sizes_are_seen_by_a_camera_each(monkeypatch):
    mesh = meshes_of([(12, 5, 3)], [(0.5, 0.1, 8.0)])[0]
    monkeypatch.setitem(sys.modules, "mediapipe", OldMediaPipe(mesh, {}))
    pictures = [np.full((k * SIZE[0], k * SIZE[1]), 9, np.uint8) for k in (1, 2, 1)]
    found = headpose.track(pictures, tracking=False)
    np.testing.assert_allclose(found.angles, found.angles[[0, 0, 0]], atol=1e-6)
    twice = np.diag([2.0, 2.0, 1.0])
    expected = found.frame_from_canonical[0]
    np.testing.assert_allclose(found.frame_from_canonical[1], twice @ expected, atol=1e-6)
    np.testing.assert_allclose(found.frame_from_canonical[2], expected, atol=1e-9)


def test_later_mediapipe_takes_a_model_file_and_is_closed(monkeypatch, tmp_path):
    mesh, asked = meshes_of([(5, 0, 0)], [(0, 0, 8.0)])[0], {"times": []}

    class Landmarker:
        @staticmethod
        def create_from_options(options):
            asked.update(options)
            return Landmarker()

        def detect_for_video(self, image, milliseconds):
            asked["times"].append(milliseconds)
            return types.SimpleNamespace(face_landmarks=[landmarks(mesh)])

        def close(self):
            asked["closed"] = True

    vision = types.SimpleNamespace(
        FaceLandmarker=Landmarker,
        FaceLandmarkerOptions=dict,
        RunningMode=types.SimpleNamespace(VIDEO="video", IMAGE="image"),
    )
    python = types.ModuleType("mediapipe.tasks.python")
    python.BaseOptions, python.vision = dict, vision
    module = types.ModuleType("mediapipe")
    module.__version__ = "1.2.3"
    module.Image, module.ImageFormat = dict, types.SimpleNamespace(SRGB=1)
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    monkeypatch.setitem(sys.modules, "mediapipe.tasks", types.ModuleType("mediapipe.tasks"))
    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python", python)
    pictures = [np.zeros((*SIZE, 3), np.uint8)] * 3
    with pytest.raises(ImportError, match="give one by --model"):
        headpose.track(pictures)
    with pytest.raises(FileNotFoundError, match="no such model file"):
        headpose.track(pictures, model=str(tmp_path / "none.task"))
    model = tmp_path / "face_landmarker.task"
    model.write_bytes(b"model")
    found = headpose.track(pictures, model=str(model))
    np.testing.assert_allclose(found.meshes[2], mesh, atol=1e-9)
    assert asked["base_options"]["model_asset_path"] == str(model)
    assert (asked["running_mode"], asked["closed"]) == ("video", True)
    assert np.all(np.diff(asked["times"]) > 0)


def test_pictures_are_read_in_natural_order_as_rgb(tmp_path):
    for number in (10, 2):
        picture = np.zeros((20, 30, 3), np.uint8)
        picture[:, :, 2] = number  # red, in OpenCV's order
        cv2.imwrite(str(tmp_path / f"img{number}.png"), picture)
    for source in (str(tmp_path), str(tmp_path / "*.png")):
        reds = [picture[0, 0].tolist() for picture in headpose.read_pictures(source)]
        assert reds == [[2, 0, 0], [10, 0, 0]]


@pytest.mark.parametrize("n", [1, 5])
def test_a_video_is_let_go_after_its_last_frame_and_when_nobody_wants_more(monkeypatch, n):
    class Video:
        left, released = 3, False

        def isOpened(self):  # OpenCV's name
            return True

        def read(self):
            self.left -= 1
            return (True, np.zeros((2, 3, 3), np.uint8)) if self.left >= 0 else (False, None)

        def release(self):
            self.released = True

    video = Video()
    monkeypatch.setattr(headpose.cv2, "VideoCapture", lambda _: video)
    monkeypatch.setattr(headpose, "_image_files", lambda _: None)
    pictures = headpose.read_pictures("a.mp4")
    assert len(list(islice(pictures, n))) == min(n, 3)
    pictures.close()
    assert video.released


def test_a_source_that_is_none_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(headpose.read_pictures(str(tmp_path / "none.mp4")))
    with pytest.raises(FileNotFoundError, match="without images"):
        list(headpose.read_pictures(str(tmp_path)))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="not a readable video"):
        list(headpose.read_pictures(str(tmp_path / "text.mp4")))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match="not a readable image"):
        list(headpose.read_pictures(str(tmp_path / "text.png")))
