"""What a run that came to nothing, or to something else, is told: what is wrong, and what to do."""

from __future__ import annotations

import inspect
import json
import logging
import re
import shutil
import socket

import numpy as np
import pytest
from clips import align_arguments, texts

import holdstill
from holdstill import Dictionary, FaceModel

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
