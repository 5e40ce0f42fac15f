"""`holdstill model` as a user meets it, on synthetic people."""

from __future__ import annotations

import json

import numpy as np
import pytest
from albums import OUTER_FIRST, SIZE, save, train_arguments
from clips import write_transforms

import holdstill
from holdstill.cli import main
from holdstill.transforms import from_eye_corners

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("pyarrow")
pytest.importorskip("cv2")


def test_train_writes_the_model_its_options_describe(album, tmp_path, command):
    model = holdstill.FaceModel.load(album.model)
    assert (model.shape, model.features, model.n_components) == ((64, 64), "edges", 8)
    assert (model.n_images, model.users) == (20, ("ann", "bob"))
    assert len(model.landmarks) == 6
    code, text, _ = command(
        *train_arguments(album.folder, tmp_path / "m.npz", "--shape", "40x48", "--features",
                         "magnitude", "--sigma", "1.5", "--roi", "upper-face", "--rho", "all",
                         "--json")
    )  # fmt: skip
    other = holdstill.FaceModel.load(tmp_path / "m.npz")
    assert (code, other.shape, other.features, other.sigma) == (0, (40, 48), "magnitude", 1.5)
    assert (other.rho, other.users) == ("all", ())
    assert (json.loads(text)["images"], json.loads(text)["left_out"]) == (20, [])


def test_train_takes_eye_points_and_a_run_for_its_transforms(
    album, registered_run, tmp_path, command
):
    points = np.load(album.folder / "points.npy")
    rows = [(k, from_eye_corners(p[0], p[3], (64, 64))) for k, p in enumerate(points)]
    initial = write_transforms(tmp_path / "initial.csv", rows)
    code, *_ = command(
        "model", "train", album.folder / "people" / "*" / "*.png", "--initial", initial,
        "--components", 4, "--out", tmp_path / "m.npz",
    )  # fmt: skip
    assert (code, holdstill.FaceModel.load(tmp_path / "m.npz").n_images) == (0, 20)
    code, *_ = command(
        "model", "train", album.folder / "photographs", "--initial", registered_run,
        "--components", 2, "--out", tmp_path / "n.npz",
    )  # fmt: skip
    assert (code, holdstill.FaceModel.load(tmp_path / "n.npz").n_images) == (0, 6)


def test_train_takes_registered_images(album, registered_run, tmp_path, command):
    code, *_ = command(
        "model", "train", registered_run / "faces", "--registered", "--components", 2,
        "--out", tmp_path / "m.npz",
    )  # fmt: skip
    assert (code, holdstill.FaceModel.load(tmp_path / "m.npz").shape) == (0, (64, 64))


def test_a_file_tells_who_is_on_the_images(album, tmp_path, command):
    names = sorted(path.name for path in (album.folder / "people").glob("*/*.png"))
    users = tmp_path / "users.csv"
    lines = [f"{name},{'even' if k % 2 else 'odd'}" for k, name in enumerate(names[2:])]
    lines.append(f"{names[1]},")
    users.write_text("\n".join(["source,user", *lines]) + "\n")
    code, text, err = command(
        *train_arguments(album.folder, tmp_path / "m.npz", "--users", users, "--json")
    )
    assert (code, json.loads(text)["users"], err) == (0, ["even", "odd"], "")
    assert [reason for *_, reason in json.loads(text)["left_out"]] == ["no user"] * 2


def test_what_cannot_be_learnt_from_is_refused_or_left_out(album, tmp_path, command):
    people, points = album.folder / "people" / "ann", np.load(album.folder / "points.npy")
    ann = len(list(people.iterdir()))
    np.save(tmp_path / "points.npy", points[:ann])
    given = ("--points", tmp_path / "points.npy", "--landmarks", OUTER_FIRST)
    cases = [
        ((people, *given, "--components", "30"), "components: expected at most"),
        ((people / "010.png", "--registered"), "images: expected at least 3, got 1"),
        ((people, "--points", album.folder / "points.npy"), f"each of {ann} rows"),
        ((people, "--points", tmp_path / "gone.npy"), "no such file of points"),
        ((people, *given[:2], "--landmarks", "0,99"), "landmarks: expected"),
        ((people, *given[:2], "--landmarks", "0,3,0"), "landmarks: expected"),
        ((people, "--initial", tmp_path / "gone.csv"), "no such file"),
        ((people, "--registered", "--landmarks", "0,3"), "--landmarks: they choose among --points"),
        ((people, *given, "--users", tmp_path / "gone.csv"), "no such file of users"),
        ((people, *given, "--users", tmp_path / "points.npy"), "expected a CSV"),
        ((people,), "one of the arguments --points --initial --registered is required"),
        ((people, *given, "--sigma", "-1"), "sigma"),
        ((people, *given, "--rho", "some"), "rho: expected"),
        ((people, *given, "--components", "x"), "argument --components"),
    ]
    for arguments, message in cases:
        code, _, err = command("model", "train", *arguments, "--out", tmp_path / "m.npz")
        assert (code, message in err) == (2, True), (arguments, err)
        assert not (tmp_path / "m.npz").exists()


def test_constant_and_unreadable_images_are_left_out_of_training_and_said(album, tmp_path, command):
    points = np.load(album.folder / "points.npy")
    folder, files = tmp_path / "mixed", sorted((album.folder / "people").glob("*/*.png"))
    for k, path in enumerate(files[:8]):
        save(folder / f"{k}.png", np.asarray(Image.open(path)))
    save(folder / "3.png", np.full((*SIZE, 3), 9, np.uint8))
    (folder / "5.png").write_text("no image")
    marked = points[:8].copy()
    marked[6] = np.nan
    np.save(tmp_path / "points.npy", marked)
    code, text, _ = command(
        "model", "train", folder, "--points", tmp_path / "points.npy", "--landmarks", OUTER_FIRST,
        "--components", 2, "--out", tmp_path / "m.npz", "--json",
    )  # fmt: skip
    left_out = {frame: reason for _, frame, reason in json.loads(text)["left_out"]}
    assert (code, json.loads(text)["images"], set(left_out)) == (0, 5, {3, 5, 6})
    assert (left_out[3], left_out[6]) == ("constant", "no points")


def test_registered_images_of_different_sizes_are_refused(tmp_path, command):
    rng = np.random.default_rng(0)
    for k, side in enumerate((64, 64, 60, 64)):
        picture = rng.integers(0, 255, (side, 64), dtype=np.uint8)
        save(tmp_path / "pictures" / f"{k}.png", picture)
    code, _, err = command(
        "model", "train", tmp_path / "pictures", "--registered", "--out", tmp_path / "m.npz"
    )
    assert (code, "image 2 has shape (60, 64)" in err) == (2, True)


def test_who_cannot_be_enrolled_is_said(album, tmp_path, command):
    black = save(tmp_path / "black.png", np.zeros((90, 120), np.uint8))
    nobody = tmp_path / "nobody.npz"
    assert main(train_arguments(album.folder, nobody)) == 0
    good = album.folder / "photographs" / "005.png"
    for image, model, message in (
        (black, album.model, "no face found on frame 0"),
        (black, album.model, "by --initial"),
        (good, nobody, "does not know how images of one person differ"),
        (good, nobody, "--users"),
        (good, tmp_path / "gone.npz", "no such face model"),
    ):
        code, _, err = command(
            "model", "enrol", image, "--model", model, "--user", "x", "--out", tmp_path / "y.npz"
        )
        assert (code, message in err) == (2, True), err
    code, *_ = command(
        "model", "enrol", good, "--model", album.model, "--user", "x", "--out", black / "y.npz"
    )
    assert code == 4
    assert not (tmp_path / "y.npz").exists()
