"""`holdstill register` as a user meets it, on synthetic people."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from albums import SIZE, errors, portrait, save
from clips import part_bytes, rows_of, run_json, write_transforms

import holdstill
from holdstill import evaluate_run
from holdstill.cli import main
from holdstill.face_run import register_to_folder
from holdstill.faces import FaceDetector
from holdstill.initial import make_initial
from holdstill.parts import FACE_COLUMNS
from holdstill.pictures import ContactSheet, canonical_picture
from holdstill.reference.motion import map_points
from holdstill.stores import LocalStore
from holdstill.transforms import from_box, from_eye_corners, read_transforms

pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")
pytest.importorskip("cv2")


@pytest.fixture
def register(album, command, tmp_path):
    """Registers sources into a folder of its own: exit code, its rows, stderr."""

    def run(*sources, out="run", model=album.model, options=()):
        code, _, err = command(
            "register", *sources, "--model", model, "--out", tmp_path / out, *options
        )
        there = (tmp_path / out / "run.json").exists()
        return code, rows_of(tmp_path / out) if there else None, err

    return run


# --- what is written ------------------------------------------------------------------------------


def test_register_finds_the_faces_it_has_not_seen(album, registered_run):
    rows = read_transforms(registered_run)
    assert rows["status"].tolist() == ["converged"] * 6
    assert errors(album, rows["frame_from_canonical"]).max() < 3.0
    assert run_json(registered_run)["detections"] == 6


def test_rows_have_the_fixed_schema_and_agree_with_python(album, registered_run):
    schema = pq.read_schema(next((registered_run / "transforms.parquet").iterdir()))
    kinds = {"string": "string", "int64": "int64", "float64": "double", "int32": "int32"}
    assert {f.name: str(f.type) for f in schema} == {k: kinds[v] for k, v in FACE_COLUMNS.items()}
    rows, model = rows_of(registered_run), holdstill.FaceModel.load(album.model)
    first = holdstill.open(str(album.folder / "photographs"))[0]
    start = from_box(FaceDetector().detect(first.grey()), model.shape)
    found = holdstill.register(first.image, model, start)
    assert rows["source"][0] == first.source
    at = read_transforms(registered_run)["frame_from_canonical"][0]
    np.testing.assert_array_equal(at, found.frame_from_canonical)
    for name in ("status", "iterations", "evaluations", "step", "log_likelihood", "difs", "dffs"):
        assert rows[name][0] == getattr(found, name)
    rho = model.gaussians()[0].subspace.rho
    assert rows["residual"][0] == pytest.approx(np.sqrt(rho * rows["dffs"][0]))
    assert set(rows["user"]) == {None}
    assert set(rows["face"]) == {0}
    assert set(rows["n_atoms"]) == {8}


def test_faces_are_the_photographs_seen_in_the_canonical_frame(album, registered_run, tmp_path):
    names = [f"{k:06}_{number:03}.png" for k, number in enumerate(album.photographs)]
    assert sorted(path.name for path in (registered_run / "faces").iterdir()) == names
    at = read_transforms(registered_run)["frame_from_canonical"]
    first = holdstill.open(str(album.folder / "photographs"))[0]
    with Image.open(registered_run / "faces" / names[0]) as picture:
        np.testing.assert_array_equal(picture, canonical_picture(first, at[0], (64, 64)))
    out = tmp_path / "large"
    source = str(album.folder / "photographs")
    options = ["--out", str(out), "--picture-shape", "200x160"]
    assert main(["register", source, "--model", str(album.model), *options]) == 0
    with Image.open(out / "faces" / names[0]) as picture:
        assert picture.size == (160, 200)
        large = np.asarray(picture, int)
    # Pixel (x, y) of 64x64 is (2.5 x, 3.125 y) of this one: nothing is shifted.
    shown = canonical_picture(first, at[0], (64, 64)).astype(int)
    assert np.abs(large[::25, ::5] - shown[::8, ::2]).max() <= 1


def test_the_sheet_names_photographs_and_numbers_the_frames_of_a_stack(
    album, register, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr(ContactSheet, "add", lambda self, frame, at, lines, _: shown.append(lines))
    black = np.zeros((90, 120), np.uint8)
    np.save(tmp_path / "stack.npy", np.stack([black] * 2))
    save(tmp_path / "black.png", black)
    register(tmp_path / "stack.npy", tmp_path / "black.png")
    assert [lines[0] for lines in shown] == ["stack 0", "stack 1", "black"]


def test_no_pictures_and_csv_choose_the_files(album, registered_run, register, tmp_path):
    with Image.open(registered_run / "contact_sheet.png") as sheet:
        assert sheet.width > 6 * 100
    code, *_ = register(album.folder / "photographs", options=("--no-pictures", "--csv"))
    names = set(LocalStore(tmp_path / "run").names())
    assert (code, names) == (0, {"model.npz", "run.json", "transforms.csv", "transforms.parquet"})
    with (tmp_path / "run" / "transforms.csv").open(newline="") as file:
        text = list(csv.DictReader(file))
    assert [row["difs"] for row in text] == [str(v) for v in rows_of(tmp_path / "run")["difs"]]
    assert [row["user"] for row in text] == [""] * 6


def test_rows_are_the_same_bytes_for_one_and_three_threads(
    album, registered_run, register, tmp_path
):
    for threads in (1, 3):
        out = f"{threads}"
        options = ("--threads", threads, "--no-pictures")
        code, *_ = register(album.folder / "photographs", out=out, options=options)
        assert code == 0
        assert part_bytes(tmp_path / out) == part_bytes(registered_run)


def test_evaluate_reads_a_run_of_registrations(album, registered_run, tmp_path, command):
    np.save(tmp_path / "points.npy", album.points)
    code, text, _ = command(
        "evaluate", registered_run, "--points", tmp_path / "points.npy", "--eye-corners", "0,1,2,3",
        "--json",
    )  # fmt: skip
    assert (code, json.loads(text)["status"]) == (0, {"converged": 6})
    found = json.loads(text)
    assert found["eye_corners"]["after"]["average"]["mean"] < 3.0
    assert found["quality"]["mean"] > 0.5 and found["pictures"] == found["good"]


def test_a_report_of_registrations(album, registered_run, command):
    code, text, _ = command("report", registered_run, "--json", "--quiet")
    found = json.loads(text)
    assert code == 0 and found["verdict"].startswith("6 faces, 100")
    assert found["frames"] == found["pictures"] == 6
    page = (registered_run / "report.html").read_text(encoding="utf-8")
    # There is nothing to compare unrelated photographs with.
    assert '"pair":false' in page and "registered to a face model" in page
    assert "a face detector on each" in page
    assert page.count('class="tile"') == 6 and "005.png" in page


def test_json_and_quiet_and_help(album, tmp_path, command):
    code, text, err = command(
        "register", album.folder / "photographs", "--model", album.model, "--out",
        tmp_path / "run", "--json", "--quiet",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert json.loads(text) == {"run": str(tmp_path / "run"), **run_json(tmp_path / "run")}
    for name in (("register",), ("model",), ("model", "train"), ("model", "enrol")):
        code, text, _ = command(*name, "--help")
        assert (code, f"example:\n  holdstill {' '.join(name)} " in text) == (0, True)


# --- users ----------------------------------------------------------------------------------------


def test_one_image_enrols_and_everybody_is_told_apart(album, register, tmp_path, command):
    image = save(tmp_path / "cem" / "portrait.png", portrait(album.head, 15, "cem"))
    model = tmp_path / "three.npz"
    code, text, _ = command(
        "model", "enrol", image, "--model", album.model, "--user", "cem", "--out", model, "--json"
    )
    assert (code, json.loads(text)["users"]) == (0, ["ann", "bob", "cem"])
    people = ("ann", "bob", "cem")
    for k, number in enumerate((25, 65, 105, 145, 175, 185)):
        save(tmp_path / "unknown" / f"{k}.png", portrait(album.head, number, people[k % 3]))
    code, rows, _ = register(tmp_path / "unknown", model=model, options=("--user", "all"))
    assert (code, rows["user"]) == (0, list(people * 2))
    assert rows["status"] == ["converged"] * 6
    rho = holdstill.FaceModel.load(model).gaussians("cem")[0].subspace.rho
    assert rows["residual"] == pytest.approx(np.sqrt(rho * np.array(rows["dffs"])))
    code, mine, _ = register(
        tmp_path / "unknown", model=model, out="as cem", options=("--user", "cem")
    )
    assert (code, set(mine["user"])) == (0, {"cem"})
    # Everybody shares a covariance: the likeliest user of each photograph is likelier than cem.
    others = [k for k in range(6) if k % 3 != 2]
    assert all(rows["log_likelihood"][k] > mine["log_likelihood"][k] for k in others)


# --- several faces, small faces, given starts -----------------------------------------------------


def test_all_faces_of_an_image_have_rows_from_left_to_right(album, register, tmp_path):
    two = np.concatenate([portrait(album.head, 5, "ann"), portrait(album.head, 45, "bob")], axis=1)
    image = save(tmp_path / "two.png", two)
    code, rows, _ = register(image, options=("--face", "all"))
    assert (code, rows["face"], rows["frame"]) == (0, [0, 1], [0, 0])
    points = album.head.points()[[5, 45]]
    points[1, :, 0] += SIZE[1]
    found = read_transforms(tmp_path / "run")["frame_from_canonical"]
    order = np.argsort(found[:, 0, 2])
    assert errors(album, found[order], points).max() < 3.0
    judged = evaluate_run(tmp_path / "run", points=points, eye_corners=(0, 1, 2, 3), region="eyes")
    seen = np.stack([holdstill.warp(two, transform, (64, 64)) for transform in found])
    grey = holdstill.sources.grey_from_rgb(seen.reshape(-1, 64, 3)).reshape(2, 64, 64)
    np.testing.assert_allclose(judged.mean_image.after, grey.mean(axis=0), atol=1.5)
    assert judged.per_frame["face"].tolist() == [0, 1]
    assert not judged.jitter and judged.variance.before is None
    assert judged.before.startswith("nothing")
    assert len(list((tmp_path / "run" / "faces").iterdir())) == 2
    code, rows, _ = register(image, out="one")
    assert (code, rows["face"]) == (0, [0])
    code, again, _ = register(image, out="again", options=("--initial", tmp_path / "run"))
    assert (code, again["face"]) == (0, [0, 1])
    assert run_json(tmp_path / "again")["detections"] == 0
    with pytest.raises(ValueError, match="several faces"):
        make_initial(tmp_path / "run")


def test_small_faces_are_found_where_their_size_is_said(album, register, tmp_path):
    whole = Image.fromarray(portrait(album.head, 5, "ann"))
    small = whole.resize((45, 36), Image.Resampling.BOX)
    image = save(tmp_path / "small.png", np.asarray(small))
    assert register(image)[0] == 3
    code, rows, _ = register(image, out="found", options=("--minimum-size", "12"))
    assert (code, rows["status"]) == (0, ["converged"])
    points = (album.head.points()[[5]] + 0.5) / 10 - 0.5
    assert errors(album, read_transforms(tmp_path / "found")["frame_from_canonical"], points) < 8


def test_the_simplex_ends_where_the_gradient_does(album, registered_run, register, tmp_path):
    code, rows, _ = register(album.folder / "photographs", options=("--search", "simplex"))
    assert (code, rows["status"]) == (0, ["converged"] * 6)
    found = read_transforms(tmp_path / "run")["frame_from_canonical"]
    assert errors(album, found).max() < 3.0
    assert min(rows["evaluations"]) > 2 * max(rows_of(registered_run)["evaluations"])


# --- bad input ------------------------------------------------------------------------------------


def test_images_that_cannot_be_registered_cost_their_own_rows_only(album, register, tmp_path):
    folder = tmp_path / "mixed"
    good = portrait(album.head, 5, "ann")
    save(folder / "0.png", good)
    save(folder / "1.png", np.zeros((*SIZE, 3), np.uint8))
    (folder / "2.png").write_text("no image")
    save(folder / "3.png", np.zeros((1, 1), np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    save(folder / "4.png", noise)
    save(folder / "5.png", good)
    code, rows, _ = register(folder)
    expected = ["converged", "not_found", "unreadable", "not_found", "not_found", "converged"]
    assert (code, rows["status"], rows["frame"]) == (0, expected, list(range(6)))
    for name in ("h00", "log_likelihood", "evaluations"):
        assert rows[name][0] == rows[name][5]
    assert rows["h00"][1] is None and rows["difs"][1] is None
    assert len(list((tmp_path / "run" / "faces").iterdir())) == 2


def test_starts_that_lead_nowhere_have_a_status(album, register, tmp_path):
    stack = np.stack([portrait(album.head, 5, "ann")] * 6).mean(axis=3).astype(np.float32)
    stack[1] = 7.0
    stack[4, 100, 100] = np.nan
    np.save(tmp_path / "stack.npy", stack)
    left, right = album.head.points()[5, [0, 3]]
    start = from_eye_corners(left, right, (64, 64))
    away, tiny = start.copy(), start.copy()
    away[0, 2] = 430.0
    tiny[:2, :2] *= 1e-3
    rows = [(0, start), (1, start), (2, away), (3, tiny), (4, start)]
    initial = write_transforms(tmp_path / "initial.csv", rows)
    code, rows, _ = register(tmp_path / "stack.npy", options=("--initial", initial))
    assert code == 0
    assert rows["status"][:3] == ["converged", "singular", "out_of_frame"]
    assert rows["status"][3] not in ("converged", "not_found")
    assert rows["status"][4:] == ["unreadable", "not_found"]
    assert [h is None for h in rows["h00"]] == [False] * 4 + [True] * 2


def test_nothing_registered_exits_with_3_and_has_its_rows(album, register, tmp_path):
    image = save(tmp_path / "black.png", np.zeros((90, 120), np.uint8))
    code, rows, err = register(image)
    assert (code, rows["status"], "1 not_found" in err) == (3, ["not_found"], True)
    code, _, err = register(tmp_path / "gone.png", out="gone")
    assert (code, "no such file" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--user", "dora"), "'dora' is not enrolled"),
        (("--user", "all", "--search", "simplex"), "gradient only"),
        (("--minimum-size", "-4"), "minimum_size: expected"),
        (("--minimum-size", "nan"), "minimum_size: expected"),
        (("--initial", "gone.csv"), "gone.csv: no such file"),
        (("--face", "leftmost"), "argument --face"),
        (("--search", "annealing"), "argument --search"),
        (("--picture-shape", "9"), "argument --picture-shape"),
        (("--picture-shape", "0x9"), "picture_shape: expected"),
        (("--inital", "a.csv"), "unrecognized arguments"),
    ],
)
def test_wrong_options_are_named_and_nothing_is_written(
    album, register, tmp_path, options, message
):
    code, rows, err = register(album.folder / "photographs", options=options)
    assert (code, rows, message in err) == (2, None, True), err
    assert not (tmp_path / "run").exists()


def test_wrong_options_are_refused_before_anything_is_written(album, tmp_path):
    model = holdstill.FaceModel.load(album.model)
    for named, options in (
        ("search", {"search": "annealing"}),
        ("search", {"search": "simplex", "user": "all"}),
        ("user", {"user": "dora"}),
        ("face", {"face": "leftmost"}),
        ("threads", {"threads": 0}),
        ("picture_shape", {"picture_shape": (0, 9)}),
    ):
        with (
            pytest.raises(ValueError, match=f"^{named}: "),
            holdstill.open(album.folder / "photographs") as frames,
        ):
            register_to_folder(frames, model, tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()


def test_files_that_are_no_face_model_are_refused(album, register, tmp_path, dictionary):
    (tmp_path / "text.npz").write_text("no archive")
    with np.load(album.model) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    other = np.array(json.dumps({**meta, "features": "grey"}))
    np.savez(tmp_path / "other.npz", **{**arrays, "meta": other})
    np.savez(tmp_path / "narrow.npz", **{**arrays, "roi_0": arrays["roi_0"][:, 9:]})
    reasons = {
        tmp_path / "gone.npz": "no such face model",
        tmp_path / "text.npz": "no .npz archive",
        dictionary: "no face model",
        tmp_path / "other.npz": "not a readable face model",
        tmp_path / "narrow.npz": "not a readable face model",
    }
    for path, reason in reasons.items():
        code, rows, err = register(album.folder / "photographs", model=path)
        assert (code, rows, path.name in err, reason in err) == (2, None, True, True), err


def test_a_folder_that_holds_something_or_a_file_is_left_alone(album, register, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    assert register(album.folder / "photographs", out="letters")[0] == 2
    assert register(album.folder / "photographs", out="file")[0] == 4
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]


# --- real faces -----------------------------------------------------------------------------------


def test_real_people_never_seen_are_registered_from_the_detector(data_dir, tmp_path, command):
    folder = data_dir / "imm"
    if not folder.is_dir():
        pytest.skip("no imm faces")
    names = (folder / "names.txt").read_text().split()
    points = np.load(folder / "points.npy").astype(float)
    frontal = [k for k, name in enumerate(names) if name[3] in "12"]
    train, test = frontal[:40], frontal[40::4]
    np.save(tmp_path / "points.npy", points[train])
    code, *_ = command(
        "model", "train", *(folder / f"{names[k]}.jpg" for k in train), "--points",
        tmp_path / "points.npy", "--landmarks", "21,13,25,17,39,43", "--out", tmp_path / "m.npz",
    )  # fmt: skip
    assert code == 0
    code, *_ = command(
        "register", *(folder / f"{names[k]}.jpg" for k in test), "--model", tmp_path / "m.npz",
        "--out", tmp_path / "run", "--no-pictures",
    )  # fmt: skip
    found = read_transforms(tmp_path / "run")
    corners = holdstill.FaceModel.load(tmp_path / "m.npz").landmarks
    true = points[test][:, [21, 13, 25, 17, 39, 43]]
    placed = np.stack([map_points(at, corners) for at in found["frame_from_canonical"]])
    apart = np.linalg.norm(placed - true, axis=2).mean(axis=1)
    share = apart / np.linalg.norm(true[:, 0] - true[:, 1], axis=1)
    assert (code, np.median(share) < 0.05) == (0, True)


def test_starts_that_match_no_picture_are_told(album, tmp_path, command):
    (tmp_path / "boxes.csv").write_text("source,frame,x,y,width,height\nother.png,0,9,9,50,50\n")
    code, _, err = command(
        "register", album.folder / "photographs", "--model", album.model, "--initial",
        tmp_path / "boxes.csv", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 3 and "do its columns source and frame name them" in err
    assert run_json(tmp_path / "run")["faces"] == 0
