"""What a run that came to nothing, or to something else, is told: what is wrong, and what to do."""

from __future__ import annotations

import inspect
import json
import logging
import re
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from clips import align_arguments, texts

import holdstill
from holdstill import Dictionary, FaceModel
from holdstill.transforms import from_eye_corners, read_transforms

pytest.importorskip("av")
pytest.importorskip("pyarrow")


def test_sources_that_cannot_be_opened_are_named_among_those_that_can(
    command, clip, dictionary, tmp_path, caplog
):
    gone, junk = tmp_path / "gone.mp4", tmp_path / "junk.mp4"
    junk.write_bytes(b"no video at all" * 100)
    first, video, *options = align_arguments(clip, dictionary, tmp_path / "run", "--no-video")
    assert command(first, video, *texts(gone, junk), *options)[0] == 0
    told = json.loads((tmp_path / "run" / "run.json").read_text())["unreadable"]
    assert [line.partition(": ")[0] for line in told] == texts(gone, junk)
    assert all(line in caplog.text for line in told)


def test_a_dictionary_of_something_else_is_suspected(command, clip, tmp_path):
    random = np.random.default_rng(0)
    pattern = random.integers(20, 230, (64, 64))
    noise = np.clip(pattern + random.normal(0, 3, (20, 64, 64)), 0, 255).astype(np.uint8)
    starts = np.tile(np.diag([2.0, 2.0, 1.0]), (20, 1, 1))
    other = holdstill.fit(noise, starts, n=20, shape=(32, 32), motion="affine")
    other.save(tmp_path / "other.npz")
    code, out, _ = command(*align_arguments(clip, tmp_path / "other.npz", tmp_path / "run"))
    good = json.loads((tmp_path / "run" / "run.json").read_text())["good"]
    assert (code, good) == (0, 0)
    assert "another face's" in out


def test_rows_about_other_sources_are_suspected(command, clip, dictionary, tmp_path):
    header, *rows = clip.initial.read_text().splitlines()
    other = tmp_path / "other.csv"
    lines = [f"source,{header}", *(f"elsewhere.mp4,{row}" for row in rows)]
    other.write_text("\n".join(lines))
    arguments = texts(clip.video, "--dictionary", dictionary, "--initial", other)
    code, _, err = command("align", *arguments, "--out", tmp_path / "run", "--no-video")
    assert code == 3
    assert "other.csv" in err and "source" in err


def test_transforms_of_a_run_of_another_shape_are_refused(
    command, clip, run_folder, dictionary, tmp_path
):
    larger = tmp_path / "larger.npz"
    learnt = ["--initial", clip.initial, "--n", "20", "--shape", "48x48", "--out", larger]
    assert command("fit", *texts(clip.video, *learnt))[0] == 0
    arguments = texts(clip.video, "--dictionary", larger, "--initial", run_folder)
    code, _, err = command("align", *arguments, "--out", tmp_path / "run")
    assert code == 2
    assert "32x32" in err and "48x48" in err
    assert not (tmp_path / "run").exists()


def test_points_that_are_no_eye_corners_are_suspected(command, clip, run_folder, tmp_path):
    points = clip.head.points()
    folder = shutil.copytree(run_folder, tmp_path / "run")
    np.save(tmp_path / "points.npy", points)
    evaluate = texts("evaluate", folder, "--points", tmp_path / "points.npy", "--no-frames")
    _, right, _ = command(*evaluate, "--eye-corners", "0,1,2,3")
    assert "are they others?" not in right
    _, wrong, _ = command(*evaluate, "--eye-corners", "0,1,2,1")
    assert "are they others?" in wrong


def test_neighbours_on_a_contour_are_no_eye_corners(album):
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 60, 60)).astype(np.float32)
    points = np.tile([[10.0, 20.0], [12.0, 22.0], [15.0, 18.0], [45.0, 18.0]], (4, 1, 1))
    with pytest.raises(ValueError, match="eye_corners"):
        FaceModel.fit(pictures, points=points, shape=(32, 32))


def test_few_faces_in_a_sample_are_told_of(caplog, clip):
    frames = np.stack([clip.head[k] for k in range(12)])
    initial = clip.head.initial(0.0)[:12].copy()
    initial[5:] = np.nan
    with caplog.at_level(logging.WARNING, "holdstill"):
        holdstill.fit(frames, initial, n=12, shape=(32, 32))
    assert "5 frames instead of 12" in caplog.text and "is it a face?" in caplog.text


def test_a_path_in_the_place_of_a_dictionary_is_named(clip, dictionary):
    frames, starts = np.zeros((1, 8, 8), np.uint8), np.eye(3)[None]
    for align in (holdstill.align, holdstill.align_batch):
        with pytest.raises(TypeError, match=r"dictionary: .*Dictionary\.load"):
            align(frames, str(dictionary), starts)
    with pytest.raises(TypeError, match=r"dictionary: .*Dictionary\.load"):
        holdstill.align_frame(frames[0], str(dictionary), starts[0])


def test_the_dictionary_of_a_run_is_found_in_its_folder(run_folder):
    file = Dictionary.load(run_folder / "dictionary.npz")
    assert Dictionary.load(run_folder).digest == file.digest


def test_a_shape_that_is_none_is_named():
    with pytest.raises((TypeError, ValueError), match="shape: expected"):
        holdstill.warp(np.zeros((8, 8)), np.eye(3), 200)


def test_an_interruption_before_anything_is_written_says_so(command, clip, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("holdstill.cli.align_command.fit_dictionary", interrupted)
    out = tmp_path / "run"
    code, _, err = command("align", *texts(clip.video, "--initial", clip.initial, "--out", out))
    assert (code, "before anything was written" in err) == (130, True)


def test_what_learning_cannot_change_is_refused_before_it(command, clip, tmp_path, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("learnt first")

    monkeypatch.setattr("holdstill.cli.align_command.fit_dictionary", never)
    out = tmp_path / "new" / "run"
    given = texts(clip.video, "--initial", clip.initial)
    code, _, err = command("align", *given, "--out", out, "--mu", "-1")
    assert (code, "mu: expected" in err) == (2, True)
    code, _, err = command("align", *given, "--out", "/proc/run")  # nobody may, not even root
    assert (code, "cannot write /proc/run" in err) == (4, True)
    assert not out.parent.exists()


def test_a_run_of_another_shape_than_asked_for_is_refused_before_learning(
    command, clip, run_folder, tmp_path
):
    asked = texts(clip.video, "--initial", run_folder, "--shape", "48x48", "--out", tmp_path / "r")
    code, _, err = command("align", *asked)
    assert code == 2
    assert "32x32" in err and "48x48" in err and "--shape" in err


def test_rows_beyond_the_last_frame_are_suspected(command, clip, dictionary, tmp_path, caplog):
    lines = clip.initial.read_text().splitlines()
    place = lines[0].split(",").index("frame")

    def told(first):
        rows = [line.split(",") for line in lines[1:]]
        for number, row in enumerate(rows, first):
            row[place] = str(number)
        file = tmp_path / f"from_{first}.csv"
        file.write_text("\n".join([lines[0], *(",".join(row) for row in rows)]))
        caplog.clear()
        arguments = texts(clip.video, "--dictionary", dictionary, "--initial", file)
        assert command("align", *arguments, "--out", tmp_path / file.stem, "--no-video")[0] == 0
        return "another frame rate?" in caplog.text

    assert not told(0)
    assert told(1)


def test_a_dictionary_is_not_written_over_a_video(command, clip):
    before = clip.video.read_bytes()
    code, _, err = command("fit", *texts(clip.video, "--out", clip.video))
    assert (code, "ends in .npz" in err) == (2, True)
    assert clip.video.read_bytes() == before


def test_a_host_that_does_not_answer_is_not_a_missing_file(monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("holdstill.sources.retrying.FIRST_WAIT", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OSError, match=str(port)) as raised:
        holdstill.open(f"http://127.0.0.1:{port}/a.mp4")
    assert not isinstance(raised.value, FileNotFoundError)


def test_a_batch_of_frames_of_many_sizes_names_what_takes_them(dictionary):
    frames = [np.zeros((8, 8), np.uint8), np.zeros((9, 8), np.uint8)]
    with pytest.raises(ValueError, match=r"frames: .* one size.*align_frame"):
        holdstill.align_batch(frames, Dictionary.load(dictionary), np.tile(np.eye(3), (2, 1, 1)))


def test_help_tells_the_defaults_that_the_functions_have(command):
    _, out, _ = command("align", "--help")
    told = " ".join(out[out.index("\ndictionary:") :].split())
    options = inspect.signature(holdstill.fit).parameters
    for name in ("n", "selection", "seed", "motion", "features", "sigma"):
        default = re.escape(str(options[name].default))
        assert re.search(rf"--{name} [^()]*\(default: {default}\)", told), name
    assert re.search(r"--shape [^()]*\(default: 200x200\)", told)
    _, out, _ = command("model", "train", "--help")
    assert re.search(r"--shape [^()]*\(default: 64x64; with --registered", " ".join(out.split()))


def test_what_is_read_is_not_written_over(command, clip, run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "run")
    own = run / "aligned.mp4"
    before = {path: path.read_bytes() for path in (clip.video, own)}
    for out in before:
        for arguments in (
            ["apply", clip.video, "--run", run, "--out", out],
            ["mouth", clip.video, "--run", run, "--lips", "0:5", "--out", out],
        ):
            code, _, err = command(*texts(*arguments))
            assert (code, "would be replaced" in err) == (2, True), arguments
    assert before == {path: path.read_bytes() for path in before}


def test_an_archive_of_another_kind_is_not_replaced(command, clip, dictionary, tmp_path):
    mine = tmp_path / "mine.npz"
    np.savez(mine, data=np.arange(3))
    learn = texts("fit", clip.video, "--initial", clip.initial, "--n", "8", "--shape", "32x32")
    code, _, err = command(*learn, "--out", mine)
    assert (code, "nothing that holdstill wrote" in err) == (2, True)
    np.testing.assert_array_equal(np.load(mine)["data"], np.arange(3))
    shutil.copy(dictionary, mine)
    assert command(*learn, "--out", mine)[0] == 0


def test_exchanged_eyes_are_suspected(caplog):
    left, right = np.array([[40.0, 50.0], [42.0, 50.0]]), np.array([[90.0, 52.0], [91.0, 50.0]])
    from_eye_corners(left, right)
    assert not caplog.text
    from_eye_corners(right, left)
    assert "of the image, not of the person" in caplog.text


def test_68_points_in_another_order_are_suspected(tmp_path, caplog):
    points = np.full((3, 68, 2), 9.0)
    points[:, [36, 39, 42, 45], 0] = [50, 70, 100, 120]

    def told(order):
        header = ["frame", *(f"{axis}_{k}" for axis in "xy" for k in range(68))]
        rows = [[n, *row[order].T.ravel() + 1] for n, row in enumerate(points)]
        lines = [",".join(map(str, row)) for row in (header, *rows)]
        (tmp_path / "points.csv").write_text("\n".join(lines))
        caplog.clear()
        read_transforms(tmp_path / "points.csv")
        return "taken for dlib's" in caplog.text

    assert not told(np.arange(68))
    assert told(np.arange(68)[::-1])


def test_a_reader_that_has_seen_enough_is_no_error(run_folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "holdstill", "status", run_folder],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")


def test_levels_whose_pictures_would_be_black_are_told_of(
    command, clip, dictionary, tmp_path, caplog
):
    stack = np.stack([clip.head[k] for k in range(4)]).astype(np.uint16)
    for scale, dark in ((257, False), (16, True)):  # all of 16 bits, and 12 of them
        np.save(tmp_path / "stack.npy", stack * np.uint16(scale))
        caplog.clear()
        arguments = texts(tmp_path / "stack.npy", "--dictionary", dictionary, "--no-video")
        command("align", *arguments, "--initial", clip.initial, "--out", tmp_path / str(scale))
        assert ("scale them to look at them" in caplog.text) == dark


def test_points_that_the_frames_started_from_are_no_judge(clip, run_folder, tmp_path):
    points = clip.head.points()
    own = tmp_path / "own.csv"
    rows = [f"{k},{','.join(map(str, row[[0, 3]].ravel()))}" for k, row in enumerate(points)]
    own.write_text("\n".join(["frame,left_x,left_y,right_x,right_y", *rows]))
    for initial, told in ((clip.initial, False), (own, True)):
        found = holdstill.evaluate_run(
            run_folder, points=points, eye_corners=range(4), initial=initial, frames=False
        )
        assert any("these very points" in note for note in found.notes) == told


def test_a_sample_of_three_is_warned_of(clip, caplog):
    frames, initial = np.stack([clip.head[k] for k in range(6)]), clip.head.initial()[:6]
    for n, told in ((3, True), (6, False)):
        caplog.clear()
        holdstill.fit(frames, initial, n=n, shape=(32, 32))
        assert ("explains each of them by itself" in caplog.text) == told


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: holdstill.align_frame(np.zeros((3, 9, 9)), a_dictionary(), np.eye(3)),
         r"^frame: expected one frame, .* got \(3, 9, 9\)"),
        (lambda: holdstill.LiveAligner(a_dictionary()).align(np.zeros((3, 9, 9), np.uint8)),
         r"^frame: expected one frame, .* got \(3, 9, 9\)"),
        (lambda: holdstill.l1_least_squares(np.eye(3), np.ones(3), mu="x"), r"^mu: expected"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_by_what_was_expected(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()


def a_dictionary():
    return Dictionary(np.eye(64, 2), shape=(8, 8), motion="affine")
