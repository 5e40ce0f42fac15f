"""The dispersion of the eye corners in the canonical frame."""

from __future__ import annotations

import json

import numpy as np
import pytest

from holdstill.evaluate import eye_corner_table, map_to_canonical, read_points
from holdstill.transforms import from_eye_corners, read_transforms

CORNERS = np.array([[50.0, 90.0], [80.0, 92.0], [120.0, 91.0], [150.0, 90.0]])
FOUR = (0, 1, 2, 3)


def random_transforms(n, seed=5):
    rng = np.random.default_rng(seed)
    left = rng.uniform(100, 300, (n, 2))
    return from_eye_corners(left, left + rng.uniform(50, 150, (n, 2)))


def to_frames(transforms, canonical):
    """Points of frames whose canonical positions are given, (n, k, 2)."""
    homogeneous = np.concatenate([canonical, np.ones((*canonical.shape[:2], 1))], axis=2)
    mapped = np.einsum("nij,nkj->nki", transforms, homogeneous)
    return mapped[..., :2] / mapped[..., 2:]


def test_points_map_back_through_any_homography():
    rng = np.random.default_rng(1)
    transforms = random_transforms(6)
    transforms[:, 2, :2] = rng.uniform(-1e-3, 1e-3, (6, 2))
    transforms *= rng.uniform(0.5, 2.0, (6, 1, 1))
    canonical = rng.uniform(0, 200, (6, 9, 2))
    np.testing.assert_allclose(
        map_to_canonical(transforms, to_frames(transforms, canonical)), canonical, atol=1e-9
    )


def test_perfect_alignment_has_no_dispersion():
    transforms = random_transforms(20)
    points = to_frames(transforms, np.broadcast_to(CORNERS, (20, 4, 2)))
    table = eye_corner_table(transforms, points, FOUR)
    assert table.average.max < 1e-9
    assert table.eye_distance == pytest.approx(100.0)
    assert table.n_used == 20


def test_known_displacements_are_measured():
    # The left eye's corners move by ±3 px in half of the frames each, the right eye's by ±4 and 0.
    canonical = np.broadcast_to(CORNERS, (8, 4, 2)).copy()
    sign = np.where(np.arange(8) % 2, 1.0, -1.0)
    canonical[:, :2, 1] += 3.0 * sign[:, None]
    canonical[:, 3, 0] += 4.0 * sign
    transforms = random_transforms(8)
    table = eye_corner_table(transforms, to_frames(transforms, canonical), FOUR)
    assert vars(table.left) == pytest.approx({"mean": 3.0, "std": 0.0, "max": 3.0}, abs=1e-9)
    assert vars(table.right) == pytest.approx({"mean": 2.0, "std": 2.0, "max": 4.0}, abs=1e-9)
    errors = [3.0, 3.0, 0.0, 4.0]
    expected = {"mean": 2.5, "std": np.std(errors), "max": 4.0}
    assert vars(table.average) == pytest.approx(expected, abs=1e-9)


def test_shrinking_the_face_does_not_help():
    canonical = CORNERS + np.random.default_rng(2).normal(0, 1, (30, 4, 2))
    transforms = random_transforms(30)
    points = to_frames(transforms, canonical)
    zoom = np.array([[2.0, 0, -100], [0, 2.0, -90], [0, 0, 1]])
    table, shrunk = (eye_corner_table(t, points, FOUR) for t in (transforms, transforms @ zoom))
    assert shrunk.eye_distance == pytest.approx(table.eye_distance / 2)
    assert vars(shrunk.average) == pytest.approx(vars(table.average))


def test_frames_without_transform_points_or_the_callers_wish_do_not_count():
    transforms = random_transforms(10)
    points = to_frames(transforms, np.broadcast_to(CORNERS, (10, 4, 2)))
    transforms[0] = np.nan
    transforms[1] = 0.0
    transforms[2, 0, 2] = np.inf
    points[3, 1] = np.nan
    points[4] += 500.0
    table = eye_corner_table(transforms, points, FOUR, use=np.arange(10) != 4)
    assert (table.n_used, table.n_no_transform, table.n_no_points, table.n_left_out) == (5, 3, 1, 1)
    assert table.average.max < 1e-9


def test_no_frame_at_all_gives_nan_not_an_error():
    table = eye_corner_table(np.full((3, 3, 3), np.nan), np.zeros((3, 4, 2)), FOUR)
    assert table.n_used == 0 and np.isnan(table.average.mean)
    assert "0 frames" in str(table)


def test_the_table_prints_and_turns_into_json():
    transforms = random_transforms(12)
    points = to_frames(transforms, np.broadcast_to(CORNERS, (12, 4, 2)))
    table = eye_corner_table(transforms, points, FOUR)
    assert json.loads(json.dumps(table.to_dict()))["average"]["mean"] == table.average.mean
    for word in ("left eye", "right eye", "average", "mean", "std", "max", "12 frames"):
        assert word in str(table)


def test_bad_arguments_are_refused():
    transforms, points = random_transforms(4), np.zeros((4, 5, 2))
    with pytest.raises(ValueError, match=r"eye_corners: .* from 0 to 4, got \(0, 1, 2, 5\)"):
        eye_corner_table(transforms, points, (0, 1, 2, 5))
    with pytest.raises(ValueError, match=r"points: .* n = 4"):
        eye_corner_table(transforms, points[:3], FOUR)
    with pytest.raises(ValueError, match="points: expected shape"):
        eye_corner_table(transforms, points[0], FOUR)
    with pytest.raises(ValueError, match="frame_from_canonical: expected shape"):
        eye_corner_table(transforms[:, :2], points, FOUR)
    with pytest.raises(ValueError, match=r"use: expected bool of shape \(4,\)"):
        eye_corner_table(transforms, points, FOUR, use=np.ones(3, bool))


def test_points_from_npy_are_in_row_order(tmp_path):
    points = np.random.default_rng(0).normal(size=(6, 3, 2)).astype(np.float32)
    np.save(tmp_path / "points.npy", points)
    np.testing.assert_array_equal(read_points(tmp_path / "points.npy"), points)
    np.testing.assert_array_equal(read_points(tmp_path / "points.npy", range(10, 16)), points)
    with pytest.raises(ValueError, match=r"points.npy: .* each of 5 rows, got 6"):
        read_points(tmp_path / "points.npy", range(5))


def test_points_from_csv_go_by_frame_number(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("frame,point,x,y\n2,1,5,6\n0,0,1.5,2.5\n9,0,7,8\n")
    points = read_points(path, [2, 3, 0])
    assert points.shape == (3, 2, 2)
    np.testing.assert_array_equal(points[:, 0], [[np.nan] * 2, [np.nan] * 2, [1.5, 2.5]])
    np.testing.assert_array_equal(points[:, 1], [[5, 6], [np.nan] * 2, [np.nan] * 2])
    assert read_points(path).shape == (10, 2, 2)
    with pytest.raises(ValueError, match="several streams are ambiguous"):
        read_points(path, [0, 1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x,y\n0,1,2\n", "columns frame,point,x,y"),
        ("", "columns frame,point,x,y"),
        ("frame,point,x,y\n0,0,1\n", "row 1 has 3 cells"),
        ("frame,point,x,y\n0,0,1,b\n", "a row without four numbers"),
        ("frame,point,x,y\n0.5,0,1,1\n", "must be integers from 0"),
        ("frame,point,x,y\n0,-1,1,1\n", "must be integers from 0"),
        ("frame,point,x,y\n0,999999999999,1,1\n", "at most 100000 points a frame"),
        ("frame,point,x,y\n999999999999,3,1,1\n", "at most 100000000 points in all"),
        ("frame,point,x,y\n0,0,1,1\n0,0,2,2\n", "more than once"),
    ],
)
def test_bad_point_files_are_refused_by_name(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"points.csv: .*{message}"):
        read_points(path)


def test_bad_npy_files_are_refused_by_name(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros((4, 2)))
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    for name in ("flat.npy", "objects.npy"):
        with pytest.raises(ValueError, match=name):
            read_points(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_points(tmp_path / "nowhere.npy")


def test_talking_face_before_alignment_gives_the_known_figures(data_dir):
    folder = data_dir / "talking_face"
    transforms = read_transforms(folder / "initial.csv")
    points = read_points(folder / "points.npy", transforms["frame"])
    table = eye_corner_table(transforms["frame_from_canonical"], points)
    assert table.n_used == 500
    assert round(table.average.mean, 3) == 1.343
    assert round(table.average.std, 3) == 0.856
    assert round(table.average.max, 2) == 6.11
