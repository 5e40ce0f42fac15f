"""Evaluating a run: figures before and after, whatever state its folder is in."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest
from clips import N_FRAMES, texts
from runs import change_facts, write_rows, write_run

import holdstill
from holdstill import Dictionary, evaluate_run, read_run
from holdstill.canonical import roi_mask
from holdstill.cli import main
from holdstill.evaluate import eye_corner_table, write_evaluation
from holdstill.reference.warp import warp

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("av")

CORNERS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def found(run_folder, clip):
    return evaluate_run(run_folder, points=clip.head.points(), eye_corners=CORNERS)


@pytest.fixture
def copy(run_copy):
    for name in ("evaluation.json", "evaluation.parquet"):
        (run_copy / name).unlink(missing_ok=True)
    return run_copy


def edit_rows(folder, change):
    for part in sorted((folder / "transforms.parquet").iterdir()):
        pq.write_table(change(pq.read_table(part)), part)


# --- what it measures -----------------------------------------------------------------------------


def test_alignment_improves_what_is_measured(found):
    assert found.before == "the initial transforms"
    assert found.eye_corners.after.average.mean < 0.5 * found.eye_corners.before.average.mean
    assert found.jitter.after.rms < 0.5 * found.jitter.before.rms
    assert found.sharpness.after.kept > found.sharpness.before.kept
    assert found.variance.after.total < found.variance.before.total


def test_before_and_after_are_of_the_same_good_frames(found, run_folder, clip):
    run = read_run(run_folder)
    assert found.compared == run.good.sum() == found.pictures == found.variance.after.n_frames
    before, _ = run.before()
    for side, transforms in zip(
        ("before", "after"), (before, run.frame_from_canonical), strict=True
    ):
        table = eye_corner_table(transforms, clip.head.points(), CORNERS, run.shape, run.good)
        assert getattr(found.eye_corners, side) == table
    assert (found.all_eye_corners is None) == bool(run.good.all())


def test_pictures_are_those_of_the_twin_of_the_warp(run_folder, clip):
    run = read_run(run_folder)
    found = evaluate_run(run, region="eyes")
    rows = np.flatnonzero(run.good)
    before, _ = run.before()
    eyes, face = (roi_mask(name, run.shape) for name in ("eyes", "face"))
    for side, transforms in (("before", before), ("after", run.frame_from_canonical)):
        with run.open_frames() as frames:
            seen = np.stack([warp(frames[row].grey(), transforms[row], run.shape) for row in rows])
        np.testing.assert_allclose(getattr(found.mean_image, side), seen.mean(axis=0), atol=0.6)
        variance = getattr(found.variance, side)
        assert variance.total == pytest.approx(seen[:, eyes].var(axis=0, ddof=1).sum(), rel=0.02)
        gy, gx = np.gradient(seen.mean(axis=0))
        assert getattr(found.sharpness, side).mean_image == pytest.approx(
            (gx**2 + gy**2)[face].mean(), rel=0.02
        )


def test_columns_tell_about_every_frame(found, clip):
    columns = found.per_frame
    assert {len(column) for column in columns.values()} == {N_FRAMES}
    assert columns["frame"].tolist() == list(range(N_FRAMES))
    counted = columns["compared"]
    mean = columns["eye_corner_error"][counted].mean()
    assert mean == pytest.approx(found.eye_corners.after.average.mean)
    jitter = columns["jitter"][np.isfinite(columns["jitter"])]
    assert np.sqrt((jitter**2).mean()) == pytest.approx(found.jitter.after.rms)


def test_without_points_jitter_is_that_of_the_transforms(run_folder):
    found = evaluate_run(run_folder, frames=False)
    assert found.jitter.after.of == "corners"
    assert found.jitter.after.rms < found.jitter.before.rms
    assert not found.eye_corners and not found.variance and found.pictures == 0
    assert "eye_corner_error" not in found.per_frame
    assert "the head's own included" in str(found)


def test_small_variances_keep_three_digits(found):
    def of_unit_levels(variance):
        return dataclasses.replace(variance, total=variance.total / 255.0**2)

    shown = str(dataclasses.replace(found, variance=found.variance.map(of_unit_levels)))
    (line,) = (line for line in shown.splitlines() if "total variance" in line)
    told = [float(cell) for cell in line.partition("/ 1000")[2].split()[:2]]
    expected = [side.total / 255.0**2 / 1000.0 for side in vars(found.variance).values()]
    assert max(expected) < 0.1
    assert told == pytest.approx(expected, rel=5e-3)


def test_a_fixed_crop_has_no_jitter_of_its_own(copy):
    change_facts(copy, initial=None)
    found = evaluate_run(copy)
    assert found.before == "a fixed crop"
    assert found.jitter.before is None and found.jitter.after is not None
    assert found.variance.before.total > found.variance.after.total


def test_another_file_to_compare_with(copy, run_folder):
    found = evaluate_run(copy, initial=run_folder, frames=False)
    assert found.jitter.before == found.jitter.after
    with pytest.raises(FileNotFoundError, match="nowhere"):
        evaluate_run(copy, initial="nowhere.csv")


def test_a_long_run_is_looked_at_in_part(run_folder, monkeypatch):
    import holdstill.evaluate.run as module

    monkeypatch.setattr(module, "spread_evenly", lambda rows: rows[::40])
    calls = []
    found = evaluate_run(run_folder, progress=lambda *call: calls.append(call))
    assert calls == [(k + 1, found.pictures) for k in range(found.pictures)]
    assert found.pictures == found.variance.before.n_frames < 10
    assert "evenly chosen" in str(found)


def test_the_figures_of_a_known_tracker_are_known(data_dir, tmp_path):
    folder = data_dir / "talking_face"
    given = holdstill.read_transforms(folder / "initial.csv")
    zeros, ones = np.zeros(500), np.ones(500, dtype=int)
    columns = {
        "source": ["face"] * 500, "frame": given["frame"], "time": zeros,
        "frame_from_canonical": given["frame_from_canonical"], "status": ["converged"] * 500,
        "iterations": ones, "residual": zeros, "step": zeros, "n_atoms": ones,
        "evaluations": ones, "quality": zeros + 1,
    }  # fmt: skip
    atoms = np.full((200 * 200, 1), 1 / 200, dtype=np.float32)
    dictionary = Dictionary(atoms, shape=(200, 200), motion="similarity")
    write_rows(tmp_path / "run", columns, dictionary, {})
    found = evaluate_run(tmp_path / "run", points=folder / "points.npy", frames=False)
    error = found.eye_corners.after.average
    assert (round(error.mean, 3), round(error.std, 3), round(error.max, 2)) == (1.343, 0.856, 6.11)


# --- folders in any state -------------------------------------------------------------------------


def test_an_interrupted_run_is_evaluated_as_far_as_it_came(copy):
    (copy / "run.json").unlink()
    found = evaluate_run(copy)
    assert not found.complete and found.speed == {}
    assert found.variance.before is None and found.variance.after.total > 0
    assert "interrupted" in str(found) and "aligned.mp4" in str(found)
    (copy / "aligned.mp4").unlink()
    found = evaluate_run(copy)
    assert not found.variance and found.jitter.after.rms > 0
    assert "no variance and no sharpness" in str(found)


def test_a_source_that_has_gone_leaves_the_aligned_video(copy, found):
    change_facts(copy, sources="gone.mp4")
    gone = evaluate_run(copy)
    assert gone.variance.before is None and gone.sharpness.before is None
    # The video is compressed, and its levels rounded.
    assert gone.variance.after.total == pytest.approx(found.variance.after.total, rel=0.1)
    np.testing.assert_allclose(gone.mean_image.after, found.mean_image.after, atol=4.0)
    assert any("gone.mp4" in note for note in gone.notes)
    (copy / "aligned.mp4").unlink()
    assert not evaluate_run(copy).sharpness


def test_without_sources_and_with_a_damaged_video_the_rest_is_measured(copy, command):
    change_facts(copy, sources="gone.mp4")
    (copy / "aligned.mp4").write_bytes(b"no video")
    found = evaluate_run(copy)
    assert not found.variance and found.jitter.after.rms < found.jitter.before.rms
    note = next(note for note in found.notes if "no variance and no sharpness" in note)
    assert "gone.mp4" in note and "aligned.mp4" in note
    code, _, _ = command("report", copy, "--quiet")
    assert (code, "There are no pictures" in (copy / "report.html").read_text()) == (0, True)


def test_a_video_of_another_run_is_not_taken(copy):
    change_facts(copy, sources="gone.mp4")
    edit_rows(copy, lambda table: table.slice(0, 3))
    found = evaluate_run(copy)
    assert not found.variance and "not the run's" in str(found)


def test_columns_that_nobody_knows_do_not_matter(copy, found):
    edit_rows(copy, lambda table: table.append_column("mood", [["good"] * len(table)]))
    assert evaluate_run(copy, frames=False).iterations == found.iterations


def test_a_run_of_no_rows_is_refused(copy, command):
    edit_rows(copy, lambda table: table.slice(0, 0))
    with pytest.raises(ValueError, match="holds no frame"):
        evaluate_run(copy)
    assert command("evaluate", copy)[0] == 2


def test_a_run_of_one_row_has_no_variance(copy):
    first = copy / "transforms.parquet" / "part-0000000.parquet"
    for part in (copy / "transforms.parquet").iterdir():
        if part != first:
            part.unlink()
    edit_rows(copy, lambda table: table.slice(0, 1))
    change_facts(copy, selection={"stop": 1})
    found = evaluate_run(copy)
    assert (found.rows, found.pictures, bool(found.variance)) == (1, 1, False)
    assert np.isnan(found.jitter.after.rms)
    assert str(found)


def test_a_run_without_one_good_frame_is_told_so(copy):
    bad = ["max_iterations"]

    def spoil(table):
        at = table.column_names.index("status")
        return table.set_column(at, "status", [bad * len(table)])

    edit_rows(copy, spoil)
    found = evaluate_run(copy)
    assert (found.good, found.compared, found.pictures) == (0, 0, 0)
    assert "no frame is good" in str(found)
    json.dumps(found.to_dict())


def test_a_lost_dictionary_is_named(copy):
    (copy / "dictionary.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"no dictionary\.npz"):
        evaluate_run(copy)


# --- points and regions ---------------------------------------------------------------------------


def test_points_of_some_frames_are_enough(run_folder, clip, tmp_path):
    points = clip.head.points()
    points[::2] = np.nan
    full = evaluate_run(run_folder, points=points, eye_corners=CORNERS, frames=False)
    assert full.eye_corners.after.n_used == read_run(run_folder).good[1::2].sum()
    assert np.isnan(full.jitter.after.rms)
    assert np.isnan(full.per_frame["eye_corner_error"][::2]).all()
    rows = [
        f"{frame},{point},{x},{y}"
        for frame in range(1, N_FRAMES, 2)
        for point, (x, y) in enumerate(points[frame, :4])
    ]
    (tmp_path / "points.csv").write_text("\n".join(["frame,point,x,y", *rows]))
    text = evaluate_run(
        run_folder, points=tmp_path / "points.csv", eye_corners=CORNERS, frames=False
    )
    assert text.eye_corners.after.average.mean == pytest.approx(full.eye_corners.after.average.mean)


def test_no_points_at_all_give_no_figures_but_no_error(run_folder):
    found = evaluate_run(
        run_folder, points=np.full((N_FRAMES, 4, 2), np.nan), eye_corners=CORNERS, frames=False
    )
    assert found.eye_corners.after.n_used == 0
    assert "0 frames with points" in str(found)


def test_wrong_arguments_are_named(run_folder, tmp_path):
    for arguments, message in (
        ({"region": "nostril"}, "region: 'nostril' is neither a mask image nor one of .*mouth"),
        ({"region": np.zeros((3, 3))}, "region: expected a mask of the canonical shape"),
        ({"points": np.zeros((3, 4, 2))}, f"points: .* each of {N_FRAMES} rows, got 3"),
        ({"points": np.zeros(3)}, "points: expected shape"),
        ({"points": np.zeros((N_FRAMES, 2, 2))}, "eye_corners: expected four indices"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_run(run_folder, **{"frames": False, **arguments})
    with pytest.raises(FileNotFoundError, match="not the folder of a run"):
        evaluate_run(tmp_path)


def test_a_mask_image_is_a_region_too(run_folder, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    Image.fromarray(np.uint8(roi_mask("mouth", (32, 32))) * 255).save(tmp_path / "mask.png")
    named, masked = (evaluate_run(run_folder, region=r) for r in ("mouth", tmp_path / "mask.png"))
    assert named.variance == masked.variance
    assert str(masked.region).endswith("mask.png")


def look_at_the_right_half(folder):
    """The run's region of interest is now one without a name."""
    half = np.arange(32 * 32).reshape(32, 32) % 32 >= 16
    atoms = np.eye(2 * half.sum(), 2)
    Dictionary(atoms, shape=half.shape, motion="affine", features="edges", roi=half).save(
        folder / "dictionary.npz"
    )
    return half


def test_a_face_is_measured_at_its_mouth(run_folder):
    found = evaluate_run(run_folder)
    assert found.of_face and found.region == "mouth"
    assert found.variance == evaluate_run(run_folder, region="mouth").variance
    assert "mouth: total variance" in str(found) and "mean face: " in str(found)
    assert "nothing tells" not in str(found)


def test_what_is_no_face_is_measured_in_its_own_region(copy):
    half = look_at_the_right_half(copy)
    found = evaluate_run(copy)
    assert not found.of_face
    assert found.variance == evaluate_run(copy, region=half).variance
    mean = found.mean_image.after.astype(np.float64)
    energy = sum(np.square(g) for g in np.gradient(mean, axis=(0, 1)))
    assert found.sharpness.after.mean_image == pytest.approx(energy[half].mean(), rel=1e-4)
    for words in ("region: total variance", "mean picture: ", "nothing tells that the run is of a"):
        assert words in str(found)
    assert evaluate_run(copy, region="mouth").region == "mouth"


@pytest.mark.parametrize("follows", [True, False])
def test_a_blurred_mean_of_what_is_no_face_is_told(tmp_path, follows):
    rng = np.random.default_rng(0)
    scene, shifts = rng.uniform(0, 255, (60, 60)), rng.integers(0, 5, (12, 2))
    stack = np.stack([scene[10 - b : 50 - b, 10 - a : 50 - a] for a, b in shifts])
    np.save(tmp_path / "grains.npy", stack.astype(np.float32))
    here = [np.array([[1, 0, 4 + a], [0, 1, 4 + b], [0, 0, 1.0]]) for a, b in shifts * follows]
    dictionary = Dictionary(np.eye(32 * 32, 2), shape=(32, 32), motion="affine", roi="full")
    source = str(tmp_path / "grains.npy")
    found = evaluate_run(
        write_run(tmp_path / "run", here, dictionary, source=source, sources=source)
    )
    assert (found.sharpness.after.kept > 0.99) == follows
    assert ("of the sharpness of its frames" in str(found)) != follows


@pytest.mark.parametrize(
    ("header", "cells", "face"),
    [
        ("left_x,left_y,right_x,right_y", "20,30,40,30", True),
        ("x,y,width,height", "20,30,40,30", True),
        ("h00,h01,h02,h10,h11,h12,h20,h21,h22", "1,0,0,0,1,0,0,0,1", False),
    ],
)
def test_eye_corners_and_boxes_to_start_from_tell_of_a_face(copy, header, cells, face):
    look_at_the_right_half(copy)
    (copy / "start.csv").write_text(f"frame,{header}\n0,{cells}\n")
    change_facts(copy, initial="start.csv")
    assert read_run(copy).of_face == face
    (copy / "start.csv").unlink()
    assert not read_run(copy).of_face


def test_a_detector_and_a_region_s_name_tell_of_a_face(copy):
    dictionary = read_run(copy).dictionary()
    look_at_the_right_half(copy)
    change_facts(copy, detections=1, initial=None)
    assert read_run(copy).of_face
    (copy / "run.json").unlink()
    assert not read_run(copy).of_face
    dictionary.save(copy / "dictionary.npz")
    assert read_run(copy).of_face
    everything = Dictionary(np.eye(32 * 32, 2), shape=(32, 32), motion="affine", roi="full")
    everything.save(copy / "dictionary.npz")
    assert not read_run(copy).of_face


# --- the command ----------------------------------------------------------------------------------


def test_the_command_writes_what_it_prints(copy, clip, tmp_path, command):
    np.save(tmp_path / "points.npy", clip.head.points())
    options = ("--points", tmp_path / "points.npy", "--eye-corners", "0,1,2,3", "--region", "eyes")
    code, out, _ = command("evaluate", copy, *options, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((copy / "evaluation.json").read_text())
    code, out, _ = command("evaluate", copy, *options)
    for words in ("eye corners: mean error", "jitter", "eyes: total variance", "mean face"):
        assert words in out
    table = pq.read_table(copy / "evaluation.parquet").to_pydict()
    assert table["frame"] == list(range(N_FRAMES))
    assert table["jitter"][0] is None  # no neighbour before it


def test_the_command_looks_at_no_frame_where_it_is_told_not_to(copy, command):
    change_facts(copy, sources="gone.mp4")
    code, out, _ = command("evaluate", copy, "--no-frames")
    assert (code, "variance" in out) == (0, False)


def test_the_command_refuses_an_unknown_region(run_folder, command):
    code, _, err = command("evaluate", run_folder, "--region", "nostril")
    assert (code, "region: 'nostril'" in err) == (2, True)


def test_a_folder_that_cannot_be_written_is_an_output_error(copy, command, monkeypatch):
    (copy / "evaluation.parquet").mkdir()
    code, _, err = command("evaluate", copy, "--no-frames")
    assert (code, "evaluation.parquet" in err) == (4, True)
    assert not (copy / "evaluation.json").exists()


def test_quiet_and_help(copy, command):
    code, _, err = command("evaluate", copy, "--quiet")
    assert (code, err) == (0, "")
    assert main(texts("evaluate", copy, "--quiet", "--no-frames", "--json")) == 0


def test_an_evaluation_without_pyarrow_names_the_command_that_installs_it(
    found, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'evaluation\.parquet needs pyarrow: pip install "hold'):
        write_evaluation(found, tmp_path)
