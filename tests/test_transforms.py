"""Transforms from eye corners, boxes and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from holdstill.canonical import eye_corners
from holdstill.transforms import from_box, from_eye_corners, read_transforms

LEFT, RIGHT = np.array([211.0, 305.5]), np.array([402.0, 283.25])


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def apply(transform: np.ndarray, point: np.ndarray) -> np.ndarray:
    mapped = transform @ [*point, 1.0]
    return mapped[:2] / mapped[2]


@pytest.mark.parametrize("shape", [(200, 200), (68, 44), (101, 163)])
def test_canonical_eye_corners_land_on_the_given_points(shape):
    transform = from_eye_corners(LEFT, RIGHT, shape)
    canonical = eye_corners(shape)
    np.testing.assert_allclose(apply(transform, canonical[0]), LEFT, atol=1e-10)
    np.testing.assert_allclose(apply(transform, canonical[1]), RIGHT, atol=1e-10)


def test_eye_corners_give_a_similarity_that_does_not_mirror():
    transform = from_eye_corners(LEFT, RIGHT)
    linear = transform[:2, :2]
    scale = np.linalg.norm(RIGHT - LEFT) / 100.0
    np.testing.assert_allclose(linear.T @ linear, scale**2 * np.eye(2), atol=1e-12)
    assert np.linalg.det(linear) > 0
    np.testing.assert_array_equal(transform[2], [0, 0, 1])


def test_many_eye_corners_equal_one_at_a_time():
    rng = np.random.default_rng(3)
    left, right = rng.uniform(0, 500, (2, 4, 5, 2))
    together = from_eye_corners(left, right)
    assert together.shape == (4, 5, 3, 3)
    for index in np.ndindex(4, 5):
        alone = from_eye_corners(left[index], right[index])
        np.testing.assert_allclose(together[index], alone, rtol=1e-13)


def test_coinciding_eye_corners_give_a_singular_matrix_not_an_error():
    assert np.linalg.det(from_eye_corners(LEFT, LEFT)) == 0.0


def test_box_puts_the_eyes_where_the_measured_constants_say():
    transform = from_box((40.0, 60.0, 205.0, 205.0))
    centre = np.array([40.0 + 102.0, 60.0 + 102.0])
    left, right = (apply(transform, corner) for corner in eye_corners())
    np.testing.assert_allclose(right - left, [100.0, 0.0], atol=1e-10)
    np.testing.assert_allclose((left + right) / 2, centre - [0.0, 18.0], atol=1e-10)


def test_malformed_points_and_boxes_are_refused():
    with pytest.raises(ValueError, match=r"left: .*\(\.\.\., 2\)"):
        from_eye_corners([1.0, 2.0, 3.0], RIGHT)
    with pytest.raises(ValueError, match="left, right"):
        from_eye_corners(np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"box: .*\(\.\.\., 4\)"):
        from_box([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="box: expected a width"):
        from_box([1.0, 2.0, -3.0, 3.0])


def test_the_three_forms_of_a_file_agree(tmp_path):
    transform = from_box((40.0, 60.0, 205.0, 205.0))
    left, right = (apply(transform, corner) for corner in eye_corners())
    files = [
        "frame,x,y,width,height\n4,40,60,205,205\n",
        "left_x,frame,left_y,right_x,right_y\n"
        + ",".join(map(repr, [float(left[0]), 4, *map(float, (*left[1:], *right))])),
        "frame,h00,h01,h02,h10,h11,h12,h20,h21,h22\n4," + ",".join(map(str, transform.ravel())),
    ]
    for number, text in enumerate(files):
        table = read_transforms(write_csv(tmp_path / f"{number}.csv", text))
        assert table["frame"].dtype == np.int64 and table["frame"].tolist() == [4]
        assert table["frame_from_canonical"].dtype == np.float64
        np.testing.assert_allclose(table["frame_from_canonical"][0], transform, atol=1e-10)
        assert "source" not in table


def test_sources_further_columns_and_frames_without_transform_are_kept(tmp_path):
    path = write_csv(
        tmp_path / "boxes.csv",
        "\ufeffsource,frame,x,y,width,height,score,note\n"
        "a.mp4,3,1,2,50,50,0.5,good\nb.mp4,3,,,,,,\n\na.mp4,0,1,2,60,60,7,bad\n",
    )
    table = read_transforms(path)
    assert table["source"].tolist() == ["a.mp4", "b.mp4", "a.mp4"]
    assert table["frame"].tolist() == [3, 3, 0]
    assert np.isnan(table["frame_from_canonical"][1]).all()
    assert np.isfinite(table["frame_from_canonical"][[0, 2]]).all()
    np.testing.assert_array_equal(table["score"], [0.5, np.nan, 7.0])
    assert table["note"].tolist() == ["good", None, "bad"]


def test_integers_beyond_64_bits_are_returned_as_they_are(tmp_path):
    cells = [str(2**64), "-1", "9" * 5000]
    lines = [f"{k},1,2,50,50,{cell}" for k, cell in enumerate(cells)]
    path = write_csv(tmp_path / "a.csv", "\n".join(["frame,x,y,width,height,id", *lines]))
    assert read_transforms(path)["id"].tolist() == cells


@pytest.mark.parametrize("largest", [2**63 - 1, 2**64 - 1])
def test_unsigned_integers_keep_their_value(tmp_path, largest):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = {name: [10.0, 20.0] for name in ("x", "y", "width", "height")}
    ids = pa.array([7, largest], pa.uint64())
    pq.write_table(pa.table({"frame": [0, 1], **rows, "id": ids}), tmp_path / "a.parquet")
    assert read_transforms(tmp_path / "a.parquet")["id"].tolist() == [7, largest]


def test_singular_transforms_are_returned_as_they_are(tmp_path):
    path = write_csv(tmp_path / "a.csv", "frame,x,y,width,height\n0,10,20,0,0\n")
    assert np.linalg.det(read_transforms(path)["frame_from_canonical"][0]) == 0.0


@pytest.mark.parametrize("name", ["one.parquet", "folder"])
def test_parquet_reads_like_csv(tmp_path, name):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = {"frame": [0, 1, 2], "x": [1.0, None, 3.0], "y": [1.0, None, 3.0]}
    rows |= {"width": [50.0, None, 70.0], "height": [50.0, None, 70.0]}
    if name == "folder":
        (tmp_path / name).mkdir()
        for part in (1, 0):
            keep = {k: v[part * 2 : part * 2 + 2] for k, v in rows.items()}
            pq.write_table(pa.table(keep), tmp_path / name / f"part-{part:07d}.parquet")
        (tmp_path / name / ".part-0000002.parquet.tmp").write_bytes(b"unfinished")
    else:
        pq.write_table(pa.table(rows), tmp_path / name)
    text = "frame,x,y,width,height\n0,1,1,50,50\n1,,,,\n2,3,3,70,70\n"
    expected = read_transforms(write_csv(tmp_path / "same.csv", text))
    table = read_transforms(tmp_path / name)
    np.testing.assert_array_equal(table["frame"], expected["frame"])
    np.testing.assert_array_equal(table["frame_from_canonical"], expected["frame_from_canonical"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,a,b\n0,1,2\n", "found the columns frame,a,b; expected a column frame"),
        ("x,y,width,height\n0,1,2,3\n", "found the columns x,y,width,height; expected"),
        ("", "expected a column frame"),
        ("frame,x,y,width,height\n0,1,2,3,4\n1,1,nan,3,4\n", "not finite in y in row 2"),
        ("frame,x,y,width,height\n0,1,inf,3,4\n", "not finite in y in row 1"),
        ("frame,x,y,width,height\n0,1,two,3,4\n", "no number in y in row 1"),
        ("frame,x,y,width,height\n0,1,,3,4\n", "empty in row 1"),
        ("frame,x,y,width,height\n0,1,2,3,4\n5,1,2,3,4\n0,1,2,3,4\n", "same frame.* row 3"),
        ("source,frame,x,y,width,height\na,0,1,2,3,4\na,0,1,2,3,4\n", "same frame.* row 2"),
        ("source,frame,x,y,width,height\n,0,1,2,3,4\n", "no text in source in row 1"),
        ("frame,x,y,width,height\n0.5,1,2,3,4\n", "no frame number .* row 1"),
        ("frame,x,y,width,height\n-2,1,2,3,4\n", "no frame number .* row 1"),
        ("frame,x,y,width,height\n,1,2,3,4\n", "no frame number .* row 1"),
        ("frame,x,y,width,height\n0,1,2,-3,4\n", "below 0 in row 1"),
        ("frame,x,y,width,height\n0,0.3,0.2,0.4,0.5\n1,,,,\n", "pixels, got fractions"),
        ("frame,left_x,left_y,right_x,right_y\n0,0.3,0.4,0.7,0.4\n", "pixels, got fractions"),
        ("frame,x,y,width,height\n0,1,2,3\n", "row 1 has 4 cells, but the header has 5"),
    ],
)
def test_bad_files_are_refused_with_their_name_and_row(tmp_path, text, message):
    path = write_csv(tmp_path / "initial.csv", text)
    with pytest.raises(ValueError, match=f"initial.csv: .*{message}"):
        read_transforms(path)


@pytest.mark.parametrize("box", ["0,0,0,0", "-1,1,2.5,2"])
def test_small_boxes_and_boxes_of_nothing_are_no_fractions(tmp_path, box):
    path = write_csv(tmp_path / "boxes.csv", f"frame,x,y,width,height\n0,{box}\n")
    assert read_transforms(path)["frame"].tolist() == [0]


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_transforms(tmp_path / "nowhere.csv")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    with pytest.raises(ValueError, match="neither Parquet nor CSV"):
        read_transforms(tmp_path / "picture.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="a folder without transforms"):
        read_transforms(tmp_path / "empty")
    pytest.importorskip("pyarrow")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"cut.parquet: not readable as Parquet"):
        read_transforms(tmp_path / "cut.parquet")


def test_the_talking_face_file_puts_the_eyes_at_50_90_and_150_90(data_dir):
    table = read_transforms(data_dir / "talking_face" / "initial.csv")
    assert table["frame"].tolist() == list(range(500))
    points = np.load(data_dir / "talking_face" / "points.npy")[:, [27, 32]].astype(float)
    mapped = np.einsum("nij,kj->nki", table["frame_from_canonical"], [[50, 90, 1], [150, 90, 1]])
    eye_distance = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    offset = np.linalg.norm(mapped[..., :2] - points, axis=2) / eye_distance[:, None]
    assert np.median(offset) < 0.05
