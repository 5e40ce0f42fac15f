"""Landmark files of other programs, and head pose, as initial transforms of a run."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from clips import align_arguments, rows_of

from holdstill.cli import main
from holdstill.evaluate import evaluate_run, read_points
from holdstill.initial import make_initial
from holdstill.transforms import from_eye_corners, read_transforms

LEFT, RIGHT = (
    np.array([[281.5, 240.25], [283.0, 241.0]]),
    np.array([[398.0, 243.5], [399.5, 244.0]]),
)
CORNERS = {68: (36, 45), 468: (33, 263), 478: (33, 263)}


def points_of(count):
    """Two frames of points, of which only the outer eye corners are where eyes are."""
    points = np.random.default_rng(0).uniform(50, 500, size=(2, count, 2))
    left, right = CORNERS[count]
    points[:, left], points[:, right] = LEFT, RIGHT
    return points


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def wide(count, style="x_{}", order="xy"):
    names = [style.format(k) for k in range(count)]
    ys = [name.replace("x", "y") for name in names]
    points = points_of(count)
    if order == "xy":
        return names + ys, [[*p[:, 0], *p[:, 1]] for p in points]
    return [n for pair in zip(names, ys, strict=True) for n in pair], [p.ravel() for p in points]


def write_pts(path, points):
    lines = [f"{x} {y}" for x, y in points + 1.0]  # the format counts from 1
    path.write_text("\n".join(["version: 1", f"n_points: {len(points)}", "{", *lines, "}"]) + "\n")


def assert_at_the_eyes(found, frames=(0, 1)):
    assert found["frame"].tolist() == list(frames)
    np.testing.assert_allclose(
        found["frame_from_canonical"], from_eye_corners(LEFT, RIGHT, (200, 200)), atol=1e-9
    )


@pytest.mark.parametrize("count", CORNERS)
@pytest.mark.parametrize(("style", "order"), [("x_{}", "xy"), ("x{}", "interleaved")])
def test_a_csv_of_points_gives_the_similarity_of_the_eye_corners(tmp_path, count, style, order):
    names, rows = wide(count, style, order)
    path = write_csv(
        tmp_path / "points.csv", ["frame", *names], [[k, *r] for k, r in enumerate(rows)]
    )
    assert_at_the_eyes(read_transforms(path))


def test_a_point_in_each_row_is_read_as_well(tmp_path):
    rows = [[f, k, *p] for f, face in enumerate(points_of(68)) for k, p in enumerate(face)]
    path = write_csv(tmp_path / "points.csv", ["frame", "point", "x", "y"], rows)
    assert_at_the_eyes(read_transforms(path))


def test_openface_counts_from_one_and_says_where_it_found_nothing(tmp_path):
    names, rows = wide(68)
    header = ["frame", " face_id", " timestamp", " confidence", " success", " pose_Rx"]
    lines = [[k + 1, 0, k / 25, 0.98, 1, 0.1, *row] for k, row in enumerate(rows)]
    lines += [[3, 0, 0.08, 0.0, 0, 0.0, *[0.0] * 136], [1, 1, 0.0, 0.9, 1, 0.0, *rows[1]]]
    path = write_csv(tmp_path / "openface.csv", header + [f" {name}" for name in names], lines)
    found = read_transforms(path)
    assert found["frame"].tolist() == [0, 1, 2]
    assert np.isnan(found["frame_from_canonical"][2]).all()
    assert_at_the_eyes({name: column[:2] for name, column in found.items()})


def test_pts_files_are_frames_in_natural_order_and_count_pixels_from_one(tmp_path):
    for name, points in zip(("a2.pts", "a10.pts"), points_of(68), strict=True):
        write_pts(tmp_path / name, points)
    assert_at_the_eyes(read_transforms(tmp_path))
    (tmp_path / "a11.pts").write_text("version: 1\nn_points: 0\n{\n}\n")
    found = read_transforms(tmp_path)
    assert np.isnan(found["frame_from_canonical"][2]).all()
    one = read_transforms(tmp_path / "a10.pts")
    np.testing.assert_array_equal(one["frame_from_canonical"][0], found["frame_from_canonical"][1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version: 1\nn_points: 2\n{\n1 2\n}\n", "not a .pts file"),
        ("version: 1\nn_points: 2\n{\n1 2\n3 x\n}\n", "not a .pts file"),
        ("frame,x,y\n", "not a .pts file"),
        ("version: 1\nn_points: 1\n{\n1 2\n}\n", "expected 68, 468, 478 points"),
    ],
)
def test_what_is_no_pts_file_is_refused(tmp_path, text, says):
    (tmp_path / "a.pts").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_transforms(tmp_path)


def test_fractions_of_the_frame_and_unknown_points_are_refused(tmp_path):
    names, rows = wide(468)
    fractions = [[0, *np.array(rows[0]) / 1000]]
    path = write_csv(tmp_path / "fractions.csv", ["frame", *names], fractions)
    with pytest.raises(ValueError, match="pixels, got fractions"):
        read_transforms(path)
    few = write_csv(tmp_path / "few.csv", ["frame", "x_0", "y_0"], [[0, 10, 10]])
    with pytest.raises(ValueError, match="expected 68, 468, 478 points"):
        read_transforms(few)
    words = write_csv(tmp_path / "words.csv", ["frame", *names], [[0, *["?"] * 936]])
    with pytest.raises(ValueError, match="no number in left_x in row 1"):
        read_transforms(words)
    bad = write_csv(
        tmp_path / "bad.csv", ["frame", "success", *wide(68)[0]], [["?", 1, *[9.0] * 136]]
    )
    with pytest.raises(ValueError, match=r"bad\.csv: expected numbers in frame"):
        read_transforms(bad)
    names = ["x_0", "y_0", "x_67", "y_67"]
    partial = write_csv(tmp_path / "partial.csv", ["frame", *names], [[0, 9, 9, 9, 9]])
    with pytest.raises(ValueError, match=r"partial\.csv: expected points 36 and 45"):
        read_transforms(partial)


# --- all points, to measure by ---


def write_wide(path, points):
    names = [f"{axis}_{k}" for axis in "xy" for k in range(points.shape[1])]
    rows = [[frame, *p[:, 0], *p[:, 1]] for frame, p in enumerate(points)]
    return write_csv(path / "wide.csv", ["frame", *names], rows)


def write_long(path, points):
    rows = [[f, k, *p] for f, face in enumerate(points) for k, p in enumerate(face)]
    return write_csv(path / "long.csv", ["frame", "point", "x", "y"], rows)


def write_folder(path, points):
    for frame, of_frame in enumerate(points):
        write_pts(path / f"face_{frame}.pts", of_frame)
    return path


@pytest.mark.parametrize("write", [write_wide, write_long, write_folder])
def test_points_are_the_same_whatever_file_they_are_in(tmp_path, write):
    points = np.random.default_rng(1).uniform(50, 500, size=(11, 58, 2))  # of no known program
    path = write(tmp_path, points)
    np.testing.assert_allclose(read_points(path), points, atol=1e-9)
    chosen = read_points(path, [10, 2, 30])
    np.testing.assert_allclose(chosen[:2], points[[10, 2]], atol=1e-9)
    assert np.isnan(chosen[2]).all()


def test_frames_without_a_face_have_no_points(tmp_path):
    points = points_of(68)
    write_pts(tmp_path / "2.pts", points[0])
    (tmp_path / "10.pts").write_text("version: 1\nn_points: 0\n{\n}\n")
    found = read_points(tmp_path)
    np.testing.assert_allclose(found[0], points[0], atol=1e-9)
    assert np.isnan(found[1]).all()
    names, rows = wide(68)
    lines = [[1, 1, *rows[0]], [2, 0, *[0.0] * 136], [3, 1, *rows[1]]]
    path = write_csv(tmp_path / "openface.csv", ["frame", "success", *names], lines)
    found = read_points(path)
    np.testing.assert_allclose(found[[0, 2]], points, atol=1e-9)
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        ("frame,x_0,y_0,x_1,y_1", "0,0.5,0.5,0.25,1.0", "pixels, got fractions"),
        ("frame,x_0,y_0", "0,9,?", "expected numbers in y_0"),
        ("frame,x_0,y_0", "0.5,9,9", "frame must be integers from 0"),
        ("frame,x_0,y_0", "0,9,9\n0,9,9", "the same frame more than once"),
        ("frame,x_0,y_0,x_900000000,y_900000000", "0,9,9,9,9", "at most 100000 points a frame"),
        ("frame,point,x,y", "0,0,9,9\n0,55555535,9,9", "at most 100000 points a frame"),
        ("frame,x_0,y_0", "900000000,9,9", "at most 100000000 points"),
        ("frame,x_1,y_1", "0,9,9", "expected an .npy file"),
    ],
)
def test_damaged_points_in_columns_are_refused(tmp_path, header, row, says):
    (tmp_path / "points.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(ValueError, match=rf"points\.csv: .*{says}"):
        read_points(tmp_path / "points.csv")


def test_pts_files_of_different_points_are_refused(tmp_path):
    write_pts(tmp_path / "1.pts", points_of(68)[0])
    write_pts(tmp_path / "2.pts", points_of(68)[0][:60])
    with pytest.raises(ValueError, match=r"2\.pts: expected 68 points as in others, got 60"):
        read_points(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file of points"):
        read_points(tmp_path / "none.pts")


def test_a_run_is_measured_by_pts_files(run_folder, clip, tmp_path):
    points = clip.head.points()
    by_array, by_files = (
        evaluate_run(run_folder, points=p, eye_corners=range(4), frames=False)
        for p in (points, write_folder(tmp_path, points))
    )
    assert by_files.eye_corners.after.average.mean == pytest.approx(
        by_array.eye_corners.after.average.mean
    )
    assert by_files.eye_corners.after.n_used == by_array.eye_corners.after.n_used


# --- head pose ------------------------------------------------------------------------------------


class Numbered:
    def __init__(self, frame, source="a.mp4"):
        self.frame, self.source = frame, source


def test_a_tracker_s_angles_are_known_for_its_frames_alone():
    table = {
        "frame": np.array([4, 5]),
        "frame_from_canonical": np.tile(np.eye(3), (2, 1, 1)),
        "yaw": np.array([1.0, 2.0]),
        "pitch": np.array([-3.0, np.nan]),
        "roll": np.array([5.0, 6.0]),
    }
    given = make_initial(table)
    assert given.has_angles
    np.testing.assert_array_equal(given.angles(Numbered(4)), [1.0, -3.0, 5.0])
    np.testing.assert_array_equal(given.angles(Numbered(5)), [2.0, np.nan, 6.0])
    assert np.isnan(given.angles(Numbered(6))).all()
    assert not make_initial(np.tile(np.eye(3), (2, 1, 1))).has_angles
    del table["roll"]
    assert not make_initial(table).has_angles
    with pytest.raises(ValueError, match="expected numbers in yaw"):
        make_initial({**table, "roll": np.array(["left", "right"])})


def test_align_carries_the_angles_through_to_its_transforms(clip, dictionary, tmp_path):
    with clip.initial.open(newline="") as file:
        header, *rows = csv.reader(file)
    angles = [[0.25 * k, "" if k == 3 else -1.5 * k, 100.0 - k] for k in range(len(rows))]
    path = write_csv(
        tmp_path / "pose.csv",
        [*header, "yaw", "pitch", "roll"],
        [row + given for row, given in zip(rows, angles, strict=True)],
    )
    out = tmp_path / "run"
    arguments = align_arguments(clip, dictionary, out, "--initial", path, "--no-video", "--csv")
    assert main([*arguments, "--threads", "1"]) == 0
    found = rows_of(out)
    assert found["yaw"] == [given[0] for given in angles]
    assert found["pitch"] == [given[1] if given[1] != "" else None for given in angles]
    assert found["roll"] == [given[2] for given in angles]
    again = make_initial(read_transforms(out), (32, 32))
    np.testing.assert_array_equal(again.angles(Numbered(7, found["source"][7])), angles[7])
    assert (out / "transforms.csv").read_text().splitlines()[0].endswith("quality,yaw,pitch,roll")
