"""The command line given what is wrong: how it ends, what it says, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest
from clips import (
    N_FRAMES,
    SMALL,
    Clip,
    align_arguments,
    part_bytes,
    rows_of,
    write_transforms,
    write_video,
)
from disk import small_files

from holdstill.cli import main
from holdstill.jobs import following
from holdstill.transforms import read_transforms

av = pytest.importorskip("av")
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")


def sound_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.rate = 8000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--resum", "--dusk=local:2", "--zar", "--inital"])
def test_unknown_options_are_refused(command, tmp_path, option):
    code, _, err = command("align", "clip.mp4", "--out", tmp_path / "run", option)
    assert code == 2
    assert f"holdstill align: unrecognized arguments: {option}\n(holdstill align --help" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--n", "0"), ("--shape", "200"), ("--shape", "200,200"), ("--motion", "rigid"),
        ("--features", "sift"), ("--every", "0"), ("--threads", "0"), ("--face", "leftmost"),
        ("--selection", "all"), ("--seed", "-1"), ("--start", "1.5"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_and_named(command, tmp_path, option, value):
    code, _, err = command("align", "clip.mp4", "--out", tmp_path / "run", f"{option}={value}")
    assert (code, f"argument {option}" in err) == (2, True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--shape", "32x32"),
        ("--roi", "full"),
        ("--n", "5"),
        ("--motion", "affine"),
        ("--sigma", "1"),
    ],
)
def test_a_dictionary_and_an_option_of_fit_contradict(
    clip, dictionary, tmp_path, command, option, value
):
    code, _, err = command(*align_arguments(clip, dictionary, tmp_path / "run", option, value))
    assert (code, option in err) == (2, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--mu", "-1"), ("--tolerance", "0"), ("--mu", "nan")]
)
def test_numbers_of_the_solver_out_of_range_are_refused(
    clip, dictionary, tmp_path, command, option, value
):
    code, _, err = command(
        *align_arguments(clip, dictionary, tmp_path / "run", f"{option}={value}")
    )
    assert (code, f"{option.strip('-')}: expected" in err) == (2, True)


def test_evaluate_refuses_what_is_no_run_and_points_that_do_not_exist(
    run_folder, tmp_path, command
):
    code, _, err = command("evaluate", tmp_path)
    assert (code, "not the folder of a run" in err) == (2, True)
    np.save(tmp_path / "points.npy", np.zeros((3, 7, 2)))
    code, _, err = command("evaluate", run_folder, "--points", tmp_path / "points.npy")
    assert (code, f"{N_FRAMES} rows" in err) == (2, True)
    code, _, err = command("evaluate", run_folder, "--eye-corners", "0,1,2")
    assert (code, "four indices" in err) == (2, True)


# --- sources that cannot be read ------------------------------------------------------------------


def test_sources_that_cannot_be_read_exit_with_2_and_the_reason(tmp_path, command):
    (tmp_path / "empty").mkdir()
    sound_only(tmp_path / "sound.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "text.npy").write_text("no stack")
    np.save(tmp_path / "flat.npy", np.zeros((5, 5)))
    np.save(tmp_path / "long.npy", np.zeros((5, 5, 5), np.int64))
    reasons = {
        "nothing.mp4": "no such file or folder",
        "empty": "no image and no video in this folder",
        "*.tiff": "",
        "sound.mp4": "has no video stream",
        "text.mp4": "cannot be opened as a video",
        "text.npy": "not a .npy file",
        "flat.npy": "expected a stack of frames",
        "long.npy": "expected dtype",
    }
    for name, reason in reasons.items():
        code, out, err = command("align", tmp_path / name, "--out", tmp_path / "run")
        assert (code, out, name in err, reason in err) == (2, "", True, True), err
    code, _, err = command("align", tmp_path / "text.mp4", tmp_path / "gone.mp4", "--out", "run")
    assert code == 2
    assert "text.mp4" in err and "gone.mp4" in err


def test_a_truncated_mp4_whose_index_is_lost_exits_with_2(clip, tmp_path, command):
    write_video(tmp_path / "whole.mp4", (clip.head[i] for i in range(20)))
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    code, _, err = command("align", tmp_path / "cut.mp4", "--out", tmp_path / "run")
    assert (code, "cannot be opened as a video" in err) == (2, True)


def test_of_a_truncated_mp4_the_frames_cut_off_have_rows(clip, dictionary, tmp_path, command):
    content = clip.video.read_bytes()
    cut = Clip(tmp_path / "cut.mp4", clip.initial, clip.head)
    cut.video.write_bytes(content[: len(content) * 3 // 4])
    code, *_ = command(*align_arguments(cut, dictionary, tmp_path / "run"))
    assert code == 0
    rows = rows_of(tmp_path / "run")
    assert rows["frame"] == list(range(N_FRAMES))
    first_lost = rows["status"].index("unreadable")
    assert 100 < first_lost < N_FRAMES
    assert set(rows["status"][:first_lost]) == {"converged"}
    assert set(rows["status"][first_lost:]) == {"unreadable"}
    assert rows["h00"][first_lost] is None


def test_an_unreadable_source_among_good_ones_is_one_row(clip, dictionary, tmp_path, command):
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    code, *_ = command(
        "align", bad, clip.video, "--initial", clip.initial, "--dictionary", dictionary,
        "--out", tmp_path / "run", "--stop", 5,
    )  # fmt: skip
    assert code == 0
    rows = rows_of(tmp_path / "run")
    assert rows["source"] == [str(bad)] + [str(clip.video)] * 5
    assert rows["frame"] == [-1, 0, 1, 2, 3, 4]
    assert rows["status"] == ["unreadable"] + ["converged"] * 5


def test_an_unreadable_image_among_good_ones_is_one_row(clip, dictionary, tmp_path, command):
    for i in range(3):
        Image.fromarray(clip.head[i]).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_text("no image")
    images = Clip(tmp_path / "*.png", clip.initial, clip.head)
    code, *_ = command(*align_arguments(images, dictionary, tmp_path / "run"))
    assert code == 0
    assert rows_of(tmp_path / "run")["status"] == ["converged", "unreadable", "converged"]


def test_a_text_named_png_alone_does_not_align(dictionary, tmp_path, command):
    (tmp_path / "text.png").write_text("no image")
    code, _, err = command(
        "align", tmp_path / "text.png", "--dictionary", dictionary, "--out", tmp_path / "run"
    )
    assert (code, "1 unreadable" in err) == (3, True)
    assert rows_of(tmp_path / "run")["status"] == ["unreadable"]


def test_an_image_of_one_pixel_does_not_align(clip, dictionary, tmp_path, command):
    Image.new("L", (1, 1), 128).save(tmp_path / "one.png")
    one = Clip(tmp_path / "one.png", clip.initial, clip.head)
    code, *_ = command(*align_arguments(one, dictionary, tmp_path / "run"))
    assert code == 3
    assert rows_of(tmp_path / "run")["status"] == ["out_of_frame"]


def test_frames_that_are_not_finite_are_unreadable_and_the_others_align(
    clip, dictionary, tmp_path, command
):
    stack = np.stack([clip.head[i] for i in range(4)]).mean(axis=3).astype(np.float32)
    stack[1, 30, 40], stack[2, 0, 0] = np.nan, np.inf
    np.save(tmp_path / "stack.npy", stack)
    source = Clip(tmp_path / "stack.npy", clip.initial, clip.head)
    code, *_ = command(*align_arguments(source, dictionary, tmp_path / "run"))
    assert code == 0
    expected = ["converged", "unreadable", "unreadable", "converged"]
    assert rows_of(tmp_path / "run")["status"] == expected


# --- frames and samples that cannot be aligned ----------------------------------------------------


@pytest.mark.parametrize(
    ("n", "message"), [(N_FRAMES + 1, f"the source has {N_FRAMES}"), (1, "at least 2")]
)
def test_a_sample_of_the_wrong_size_is_refused(clip, tmp_path, command, n, message):
    out = tmp_path / "d.npz"
    code, _, err = command("fit", clip.video, "--initial", clip.initial, "--out", out, "--n", n)
    assert (code, message in err) == (2, True)
    assert not out.exists()


def test_frames_that_are_all_the_same_stay_where_they_begin(clip, tmp_path, command):
    np.save(tmp_path / "same.npy", np.stack([clip.head[0]] * 6))
    start = clip.head.initial()[0]
    initial = write_transforms(tmp_path / "same.csv", [(i, start) for i in range(6)])
    out = tmp_path / "run"
    code, *_ = command(
        "align", tmp_path / "same.npy", "--initial", initial, "--out", out, "--shape", "32x32"
    )
    assert code == 0
    assert rows_of(out)["status"] == ["converged"] * 6
    found = read_transforms(out)["frame_from_canonical"]
    np.testing.assert_allclose(found, np.stack([start] * 6), atol=1e-4)


def test_black_frames_exit_with_3_and_the_reason(clip, dictionary, tmp_path, command):
    np.save(tmp_path / "black.npy", np.zeros((6, 64, 80), np.uint8))
    black = Clip(tmp_path / "black.npy", clip.initial, clip.head)
    code, _, err = command(
        "align",
        black.video,
        "--initial",
        black.initial,
        "--out",
        tmp_path / "a",
        "--shape",
        "32x32",
    )
    assert (code, "all zero" in err) == (3, True)
    code, _, err = command("align", black.video, "--out", tmp_path / "b")
    assert (code, "no face was found" in err) == (3, True)
    code, _, err = command(*align_arguments(black, dictionary, tmp_path / "c"))
    assert (code, "6 singular" in err) == (3, True)
    assert rows_of(tmp_path / "c")["status"] == ["singular"] * 6


def test_a_region_that_is_unknown_empty_or_of_another_shape_is_refused(clip, tmp_path, command):
    Image.new("L", (32, 32)).save(tmp_path / "empty.png")
    Image.new("L", (30, 32), 255).save(tmp_path / "narrow.png")
    (tmp_path / "text.png").write_text("no image")
    reasons = {
        "forehead": "upper-face",
        tmp_path / "empty.png": "at least one pixel",
        tmp_path / "narrow.png": "(32, 32)",
        tmp_path / "text.png": "not a readable image",
    }
    for roi, reason in reasons.items():
        code, _, err = command(
            "align", clip.video, "--initial", clip.initial, "--out", tmp_path / "run",
            "--roi", roi, *SMALL,
        )  # fmt: skip
        assert (code, "roi: " in err, reason in err) == (2, True, True), err


def test_a_file_that_is_no_dictionary_of_this_version_is_refused(
    clip, dictionary, tmp_path, command
):
    with np.load(dictionary) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    newer = np.array(json.dumps({**meta, "format_version": 99}))
    larger = np.array(json.dumps({**meta, "shape": [40, 40]}))
    other = np.array(json.dumps({**meta, "features": "grey"}))
    np.savez(tmp_path / "newer.npz", **{**arrays, "meta": newer})
    np.savez(tmp_path / "larger.npz", **{**arrays, "meta": larger})
    np.savez(tmp_path / "other.npz", **{**arrays, "meta": other})
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    reasons = {
        "newer.npz": "format version 99",
        "larger.npz": "roi: ",
        "other.npz": "atoms: ",
        "foreign.npz": "not a readable dictionary",
        "text.npz": "no .npz archive",
        "gone.npz": "no such dictionary",
    }
    for name, reason in reasons.items():
        code, _, err = command(*align_arguments(clip, tmp_path / name, tmp_path / "run"))
        assert (code, name in err, reason in err) == (2, True, True), err
        assert not (tmp_path / "run").exists()


# --- initial transforms ---------------------------------------------------------------------------


def test_initial_transforms_that_are_missing_singular_or_outside_cost_their_own_frames_only(
    clip, dictionary, tmp_path, command
):
    rows = [(i, matrix.copy()) for i, matrix in enumerate(clip.head.initial()[:12])]
    rows[4][1][:2, :2] = 0.0
    rows[6][1][0, 2] += 5000.0
    initial = write_transforms(tmp_path / "initial.csv", [row for row in rows if row[0] != 9])
    holed = Clip(clip.video, initial, clip.head)
    code, *_ = command(*align_arguments(holed, dictionary, tmp_path / "run", "--stop", 12))
    assert code == 0
    expected = ["converged"] * 12
    expected[4], expected[6], expected[9] = "singular", "out_of_frame", "not_found"
    found = rows_of(tmp_path / "run")
    assert found["status"] == expected
    assert [i for i, h in enumerate(found["h00"]) if h is None] == [9]


def test_a_run_without_any_initial_transform_exits_with_3_and_has_its_rows(
    clip, dictionary, tmp_path, command
):
    initial = write_transforms(tmp_path / "initial.csv", [(9999, np.eye(3))])
    nowhere = Clip(clip.video, initial, clip.head)
    code, _, err = command(*align_arguments(nowhere, dictionary, tmp_path / "run", "--stop", 5))
    assert (code, "5 not_found" in err) == (3, True)
    assert rows_of(tmp_path / "run")["status"] == ["not_found"] * 5


def test_initial_files_that_say_nothing_usable_are_refused(clip, dictionary, tmp_path, command):
    (tmp_path / "words.csv").write_text("some,words\n1,2\n")
    (tmp_path / "twice.csv").write_text("frame,x,y,width,height\n0,1,1,9,9\n0,1,1,9,9\n")
    (tmp_path / "nan.csv").write_text("frame,x,y,width,height\n0,1,1,nan,9\n")
    reasons = {
        "gone.csv": "no such file",
        "words.csv": "expected a column frame",
        "twice.csv": "the same frame",
        "nan.csv": "not finite",
    }
    for name, reason in reasons.items():
        given = Clip(clip.video, tmp_path / name, clip.head)
        code, _, err = command(*align_arguments(given, dictionary, tmp_path / "run"))
        assert (code, name in err, reason in err) == (2, True, True), err


# --- outputs that cannot be written ---------------------------------------------------------------


def test_a_file_in_the_place_of_a_folder_exits_with_4(clip, dictionary, tmp_path, command):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        code, stdout, err = command(*align_arguments(clip, dictionary, out, "--stop", 5))
        assert (code, stdout, "cannot write" in err) == (4, "", True)
    assert (tmp_path / "file").read_text() == "mine"
    code, *_ = command(
        "fit", clip.video, "--initial", clip.initial, "--out", tmp_path / "file" / "d.npz", *SMALL
    )
    assert code == 4


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_a_folder_without_permission_exits_with_4(clip, dictionary, tmp_path, command):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, *_ = command(*align_arguments(clip, dictionary, tmp_path / "locked" / "run", "--stop", 5))
    assert code == 4


def test_a_full_disk_exits_with_4_and_leaves_nothing_half_written(
    clip, dictionary, tmp_path, command
):
    with small_files():
        code, _, err = command(*align_arguments(clip, dictionary, tmp_path / "run", "--stop", 5))
    assert (code, "cannot write" in err) == (4, True)
    left = [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert left == [".lock"]


def test_a_folder_that_holds_a_run_or_other_files_is_left_alone(
    clip, dictionary, tmp_path, command
):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("mine")
    code, *_ = command(*align_arguments(clip, dictionary, tmp_path / "letters", "--stop", 5))
    assert (code, os.listdir(tmp_path / "letters")) == (2, ["dear.txt"])
    assert main(align_arguments(clip, dictionary, tmp_path / "run", "--stop", 5)) == 0
    before = part_bytes(tmp_path / "run")
    code, _, err = command(*align_arguments(clip, dictionary, tmp_path / "run", "--stop", 9))
    assert (code, "holds a run" in err) == (2, True)
    assert part_bytes(tmp_path / "run") == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exits_with_130_keeps_its_blocks_and_goes_on(
    clip, dictionary, run_folder, tmp_path, monkeypatch, command, how
):
    run = tmp_path / "run"
    picture = following.canonical_picture

    def interrupt_in_the_second_block(frame, *rest):
        if frame.frame == 252:
            deadline = time.monotonic() + 20.0
            while not (run / "blocks" / "0000000.json").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            signal.raise_signal(how)
        return picture(frame, *rest)

    # A shell starts background jobs with SIGINT ignored, and Python leaves it so.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = align_arguments(clip, dictionary, run, "--threads", 1, "--block-frames", 100)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(following, "canonical_picture", interrupt_in_the_second_block)
            code, out, err = command(*arguments)
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert (code, out) == (130, "")
    assert "interrupted with 250 of 260 frames written" in err and "--resume" in err
    for look in ("evaluate", "report"):
        told = command(look, run)[1]
        assert "interrupted" in told and "250 " in told, look
    for name in ("evaluation.json", "evaluation.parquet", "report.html"):
        (run / name).unlink()
    kept, whole = read_transforms(run), read_transforms(run_folder)
    np.testing.assert_array_equal(kept["frame_from_canonical"], whole["frame_from_canonical"][:250])
    left = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()}
    assert left == {
        ".lock", "blocks/0000000.json", "dictionary.npz", "job.json", "segments/0000000.mp4",
        "transforms.parquet/part-0000000.parquet",
    }  # fmt: skip
    code, out, _ = command("status", run)
    assert (code, "interrupted, 250 of" in out, "to go on: holdstill align" in out) == (0, 1, 1)
    assert command(*arguments, "--resume")[0] == 0
    for name in ("h02", "status", "quality"):
        np.testing.assert_array_equal(read_transforms(run).get(name), whole.get(name))
    assert (run / "aligned.mp4").read_bytes() == (run_folder / "aligned.mp4").read_bytes()
    assert "complete, " in command("status", run)[1]


def test_a_folder_can_be_used_again_after_a_run_that_wrote_no_part(
    clip, dictionary, tmp_path, command
):
    bent = clip.head.initial()[:4].copy()
    bent[0, 2, 0] = 1e-4  # a homography, for an affine dictionary
    bad = Clip(clip.video, write_transforms(tmp_path / "bad.csv", list(enumerate(bent))), clip.head)
    out = tmp_path / "run"
    code, _, err = command(*align_arguments(bad, dictionary, out, "--stop", 4))
    assert (code, "frame 0 of" in err) == (2, True), err
    code, *_ = command(*align_arguments(clip, dictionary, out, "--stop", 4))
    assert code == 0


def test_json_of_a_run_without_transforms_is_json(clip, dictionary, tmp_path, command):
    none = Clip(clip.video, write_transforms(tmp_path / "none.csv", []), clip.head)
    code, stdout, _ = command(*align_arguments(none, dictionary, tmp_path / "run", "--json"))
    assert (code, json.loads(stdout)["status"]) == (3, {"not_found": len(clip.head)})
    np.save(tmp_path / "points.npy", clip.head.points())
    code, stdout, _ = command(
        "evaluate", tmp_path / "run", "--points", tmp_path / "points.npy",
        "--eye-corners", "0,1,2,3", "--json",
    )  # fmt: skip
    assert code == 0
    json.loads(stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
