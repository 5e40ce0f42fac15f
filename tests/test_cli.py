"""The command line as a user meets it: what a run writes, and what it says."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from clips import (
    N_FRAMES,
    SMALL,
    TRACKER_ERROR,
    Clip,
    align_arguments,
    fresh_process,
    part_bytes,
    rows_of,
    run_json,
    scaled_dispersion,
)

import holdstill
import holdstill.run
from holdstill.cli import main
from holdstill.parts import COLUMNS
from holdstill.stores import LocalStore
from holdstill.transforms import read_transforms

av = pytest.importorskip("av")
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")


# --- what fit and align write ---------------------------------------------------------------------


def test_fit_writes_the_dictionary_its_options_describe(dictionary, clip):
    learnt = holdstill.Dictionary.load(dictionary)
    assert (learnt.shape, learnt.motion, learnt.features) == ((32, 32), "affine", "edges")
    assert learnt.provenance["n"] == 20
    assert len(learnt.provenance["sample"]) == 20
    assert {source for source, _ in learnt.provenance["sample"]} == {str(clip.video)}


def test_align_writes_one_row_a_frame_in_order_with_the_fixed_schema(run_folder, clip):
    parts = sorted((run_folder / "transforms.parquet").iterdir())
    schema = pq.read_schema(parts[0])
    kinds = {"string": "string", "int64": "int64", "float64": "double", "int32": "int32"}
    assert {f.name: str(f.type) for f in schema} == {k: kinds[v] for k, v in COLUMNS.items()}
    rows = rows_of(run_folder)
    assert rows["frame"] == list(range(N_FRAMES))
    assert set(rows["source"]) == {str(clip.video)}
    np.testing.assert_allclose(rows["time"], np.arange(N_FRAMES) / 25.0, atol=1e-6)
    assert set(rows["status"]) == {"converged"}
    assert max(rows["step"]) <= 1e-6
    n_atoms = holdstill.Dictionary.load(run_folder / "dictionary.npz").n_atoms
    assert 1 <= min(rows["n_atoms"]) <= max(rows["n_atoms"]) <= n_atoms


def test_align_brings_the_eye_corners_to_a_third_of_their_initial_dispersion(run_folder, clip):
    found = read_transforms(run_folder)["frame_from_canonical"]
    start = scaled_dispersion(clip, clip.head.initial(TRACKER_ERROR))
    assert scaled_dispersion(clip, found) < start / 3


def test_run_json_counts_what_the_rows_say(run_folder, dictionary):
    summary, rows = run_json(run_folder), rows_of(run_folder)
    assert summary["frames"] == N_FRAMES
    assert summary["status"] == {"converged": N_FRAMES}
    assert summary["mean_iterations"] == pytest.approx(np.mean(rows["iterations"]))
    digest = holdstill.Dictionary.load(dictionary).digest
    assert summary["dictionary"]["sha256"] == digest
    assert holdstill.Dictionary.load(run_folder / "dictionary.npz").digest == digest
    assert summary["holdstill"] == holdstill.__version__
    assert summary["frames_per_second"] > 0
    assert summary["peak_memory_mb"] > 0


def test_the_aligned_video_has_a_picture_for_every_row(run_folder):
    with av.open(str(run_folder / "aligned.mp4")) as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == N_FRAMES
    assert {(p.height, p.width) for p in pictures} == {(32, 32)}


def test_parts_are_the_same_bytes_for_one_and_two_threads(run_folder, clip, dictionary, tmp_path):
    arguments = align_arguments(clip, dictionary, tmp_path / "two", "--threads", "2", "--no-video")
    assert main(arguments) == 0
    assert part_bytes(tmp_path / "two") == part_bytes(run_folder)


def test_align_learns_from_the_sample_that_fit_draws(clip, dictionary, tmp_path, command):
    out = tmp_path / "run"
    code, *_ = command("align", clip.video, "--initial", clip.initial, "--out", out, *SMALL)
    assert code == 0
    sample = run_json(out)["provenance"]["sample"]
    assert sample == holdstill.Dictionary.load(dictionary).provenance["sample"]


def test_a_mask_image_is_a_region(clip, tmp_path, command):
    mask = np.zeros((32, 32), np.uint8)
    mask[4:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    code, *_ = command(
        "fit", clip.video, "--initial", clip.initial, "--out", tmp_path / "d.npz",
        "--roi", tmp_path / "mask.png", *SMALL,
    )  # fmt: skip
    assert code == 0
    assert (holdstill.Dictionary.load(tmp_path / "d.npz").mask == (mask > 0)).all()


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (("--start", 240), range(240, N_FRAMES)),
        (("--stop", 7), range(7)),
        (("--every", 50), range(0, N_FRAMES, 50)),
        (("--start", 3, "--stop", 30, "--every", 4), range(3, 30, 4)),
        (("--stop", 100000, "--every", 100), range(0, N_FRAMES, 100)),
    ],
)
def test_start_stop_every_select_the_rows(clip, dictionary, tmp_path, options, frames):
    assert main(align_arguments(clip, dictionary, tmp_path / "run", "--no-video", *options)) == 0
    rows = rows_of(tmp_path / "run")
    assert rows["frame"] == list(frames)
    assert set(rows["status"]) == {"converged"}


def test_no_video_and_csv_choose_the_files(clip, dictionary, tmp_path):
    arguments = align_arguments(
        clip, dictionary, tmp_path / "run", "--no-video", "--csv", "--stop", 5
    )
    assert main(arguments) == 0
    names = set(LocalStore(tmp_path / "run").names())
    assert names == {
        "blocks", "dictionary.npz", "job.json", "run.json", "transforms.csv", "transforms.parquet"
    }  # fmt: skip
    with (tmp_path / "run" / "transforms.csv").open(newline="") as file:
        text = list(csv.DictReader(file))
    assert [row["h02"] for row in text] == [str(v) for v in rows_of(tmp_path / "run")["h02"]]


# --- where a run begins ---------------------------------------------------------------------------


def test_without_initial_a_detector_starts_the_track_and_the_eyes_hold_still(
    large_clip, tmp_path, command
):
    out = tmp_path / "run"
    code, *_ = command(
        "align", large_clip.video, "--out", out, "--n", 8, "--shape", "48x48", "--roi", "upper-face"
    )
    assert code == 0
    assert run_json(out)["detections"] == 1
    assert rows_of(out)["status"] == ["converged"] * 16
    assert scaled_dispersion(large_clip, read_transforms(out)["frame_from_canonical"]) < 1.0


def test_independent_detects_on_every_image_of_a_folder(large_clip, tmp_path, command):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(0, 16, 3):
        Image.fromarray(large_clip.head[i]).save(folder / f"{i}.png")
    out = tmp_path / "run"
    code, *_ = command("align", folder, "--out", out, "--independent", "--shape", "48x48")
    assert code == 0
    assert run_json(out)["detections"] == 6
    rows = rows_of(out)
    assert rows["source"] == [str(folder / f"{i}.png") for i in range(0, 16, 3)]
    assert rows["time"] == [None] * 6


def test_eye_points_and_boxes_are_initial_transforms_too(clip, dictionary, tmp_path, command):
    points = clip.head.points()[:6]
    eyes = tmp_path / "eyes.csv"
    lines = [f"{i},{a[0]},{a[1]},{b[0]},{b[1]}" for i, (a, b) in enumerate(points[:, [0, 3]])]
    eyes.write_text("\n".join(["frame,left_x,left_y,right_x,right_y", *lines]) + "\n")
    boxes = tmp_path / "boxes.csv"
    distance = np.linalg.norm(points[:, 3] - points[:, 0], axis=1)
    centre = points[:, [0, 3]].mean(axis=1) + np.outer(distance, [0.0, 0.18])
    side = 2.05 * distance
    corner = centre - (side[:, None] - 1) / 2
    lines = [f"{i},{corner[i, 0]},{corner[i, 1]},{side[i]},{side[i]}" for i in range(6)]
    boxes.write_text("\n".join(["frame,x,y,width,height", *lines]) + "\n")
    transforms = {}
    for path in (eyes, boxes):
        given, out = Clip(clip.video, path, clip.head), tmp_path / path.stem
        code, *_ = command(*align_arguments(given, dictionary, out, "--stop", 6))
        assert (code, rows_of(out)["status"]) == (0, ["converged"] * 6)
        transforms[path] = read_transforms(out)["frame_from_canonical"]
    np.testing.assert_allclose(transforms[eyes], transforms[boxes], atol=1e-3)


# --- evaluate -------------------------------------------------------------------------------------


def test_evaluate_prints_the_table_of_the_eye_corners(run_folder, clip, tmp_path, command):
    np.save(tmp_path / "points.npy", clip.head.points())
    arguments = ("evaluate", run_folder, "--points", tmp_path / "points.npy")
    code, out, _ = command(*arguments, "--eye-corners", "0,1,2,3")
    assert code == 0
    assert f"{N_FRAMES} frames: {N_FRAMES} converged" in out
    code, out, _ = command(*arguments, "--eye-corners", "0,1,2,3", "--json")
    expected = scaled_dispersion(clip, read_transforms(run_folder)["frame_from_canonical"])
    eyes = json.loads(out)["eye_corners"]
    assert (eyes["all"] or eyes["after"])["average"]["mean"] == pytest.approx(expected)


# --- what it says ---------------------------------------------------------------------------------


def test_json_is_one_object_on_stdout_and_quiet_leaves_stderr_empty(clip, tmp_path):
    out = tmp_path / "run"
    done = fresh_process(
        "align", clip.video, "--initial", clip.initial, "--out", out, "--json", "--quiet", *SMALL
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"run": str(out), **run_json(out)}


def test_quiet_hides_the_progress_but_no_warning(clip, dictionary, tmp_path):
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"no video at all" * 100)
    first, video, *options = align_arguments(clip, dictionary, tmp_path / "run", "--stop", 20)
    done = fresh_process(first, video, junk, *options, "--quiet")
    assert done.returncode == 0
    (warning,) = done.stderr.splitlines()
    assert warning.startswith(f"{junk}: cannot be opened as a video")


def test_fit_and_evaluate_print_one_object_too(clip, run_folder, tmp_path, command):
    out = tmp_path / "d.npz"
    code, text, _ = command(
        "fit", clip.video, "--initial", clip.initial, "--out", out, "--json", *SMALL
    )
    assert (code, json.loads(text)["sha256"]) == (0, holdstill.Dictionary.load(out).digest)
    code, text, _ = command("evaluate", run_folder, "--json")
    assert (code, json.loads(text)["status"]) == (0, {"converged": N_FRAMES})


def test_progress_goes_to_stderr_and_names_rate_and_time_left(clip, dictionary, tmp_path):
    done = fresh_process(*align_arguments(clip, dictionary, tmp_path / "run", "--stop", 20))
    assert done.returncode == 0
    assert "20/20 frames" in done.stderr
    assert "/s" in done.stderr
    assert "left" in done.stderr
    assert "20 frames: 20 converged" in done.stdout


def test_an_error_is_one_line_on_stderr_without_a_traceback():
    done = fresh_process("align", "nothing.mp4", "--out", "never-made")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "holdstill: nothing.mp4: no such file or folder\n"
    assert not Path("never-made").exists()


@pytest.mark.parametrize("name", ["demo", "fit", "align", "evaluate"])
def test_help_ends_with_an_example(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"example:\n  holdstill {name} " in out
    assert "--quiet" in out
    assert "--json" in out
