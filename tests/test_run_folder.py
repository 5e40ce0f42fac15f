"""Reading a run back: what `align` wrote, whole or interrupted, moved or not a run at all."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from clips import Clip, align_arguments, texts
from runs import change_facts, interrupt

from holdstill import Run, read_run, read_transforms
from holdstill.cli import main
from holdstill.run_folder import NotARunError
from holdstill.sources import open as open_source

pytest.importorskip("pyarrow")
pytest.importorskip("av")


@pytest.fixture(scope="module")
def run(run_folder):
    return read_run(run_folder)


def test_it_holds_what_was_written(run, clip, run_folder):
    facts = json.loads((run_folder / "run.json").read_text())
    assert run.complete and not run.registered
    assert run.facts == facts
    assert len(run) == len(clip.head) == facts["frames"]
    assert run.good.sum() == facts["good"]
    assert run.shape == clip.head.shape
    assert run.dictionary().digest == facts["dictionary"]["sha256"]
    np.testing.assert_array_equal(
        run.frame_from_canonical, read_transforms(run_folder)["frame_from_canonical"]
    )


def test_its_frames_can_be_read_again_row_by_row(run, clip):
    with run.open_frames() as frames:
        assert len(frames) == len(run)
        assert [frames[row].frame for row in (0, 17)] == run.rows["frame"][[0, 17]].tolist()


def test_before_is_what_the_run_was_given(run, clip):
    before, what = run.before()
    given = read_transforms(clip.initial)["frame_from_canonical"]
    np.testing.assert_array_equal(before, given)
    assert what == "the initial transforms"


def test_without_initial_transforms_before_is_one_crop_that_the_run_had(run, run_copy):
    change_facts(run_copy, initial=None)
    before, what = read_run(run_copy).before()
    assert what == "a fixed crop"
    assert (before == before[0]).all()
    assert (run.frame_from_canonical[run.good] == before[0]).all(axis=(1, 2)).any()
    # Nearer to all than most: nothing but the middle of the movement would do.
    shifts = run.frame_from_canonical[:, :2, 2]
    away = np.linalg.norm(shifts - before[0, :2, 2], axis=1).mean()
    others = np.linalg.norm(shifts[:, None] - shifts, axis=2).mean(axis=1)
    assert away <= np.quantile(others, 0.25)


def test_an_interrupted_run_is_read_as_far_as_it_came(run_copy):
    interrupt(run_copy)
    run = read_run(run_copy)
    assert not run.complete and run.video is None and len(run)
    with pytest.raises(ValueError, match="does not say what its sources were"):
        run.open_frames()
    assert run.before()[1] == "a fixed crop"


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_that_is_not_a_run(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotARunError, match="not the folder of a run"):
        read_run(tmp_path / name)


def test_damaged_facts(run_copy):
    (run_copy / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json: not readable as JSON"):
        read_run(run_copy)
    (run_copy / "run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run\.json: expected an object"):
        read_run(run_copy)


def test_another_table_is_no_run(clip, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "run" / "transforms.parquet"
    folder.mkdir(parents=True)
    columns = {f"h{i}{j}": [float(i == j)] for i in range(3) for j in range(3)}
    pq.write_table(pa.table({"frame": [0], **columns}), folder / "part-0000000.parquet")
    with pytest.raises(ValueError, match="iterations, source, status missing"):
        read_run(folder.parent)


def test_sources_that_changed_are_noticed(run_copy):
    run = read_run(run_copy)
    change_facts(run_copy, selection={"stop": 10})
    with pytest.raises(ValueError, match="hold 10 frames now"):
        read_run(run_copy).open_frames()
    run.rows["frame"][:] += 1
    with pytest.raises(ValueError, match="hold frames of other numbers now than the run"):
        run.open_frames()
    change_facts(run_copy, sources="gone.mp4")
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        read_run(run_copy).open_frames()


def test_relative_sources_are_found_beside_the_run(run_folder, clip, tmp_path, monkeypatch):
    copy = tmp_path / "out" / "run"
    shutil.copytree(run_folder, copy)
    shutil.copy(clip.video, copy.parent / "head.mp4")
    change_facts(copy, sources="head.mp4")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with read_run(copy).open_frames() as frames:
        assert len(frames) == len(clip.head)


def test_evaluate_tells_what_it_was_given(capsys, tmp_path):
    assert main(texts("evaluate", tmp_path, "--quiet")) == 2
    assert "not the folder of a run" in capsys.readouterr().err


@pytest.fixture(scope="module")
def image_run(clip, dictionary, tmp_path_factory):
    """A run on a folder of images, whose rows have each a source of their own."""
    Image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("images")
    (folder / "frames").mkdir()
    for number in range(20):
        Image.fromarray(clip.head[number]).save(folder / "frames" / f"{number:03}.png")
    given = Clip(folder / "frames", clip.initial, clip.head)
    assert main(align_arguments(given, dictionary, folder / "run", "--quiet")) == 0
    return folder / "run"


def test_the_images_of_a_folder_are_one_stream(image_run, clip, tmp_path):
    run = read_run(image_run)
    assert len(set(run.source)) == 20
    assert run.stream.tolist() == [0] * 20
    before, what = run.before()
    assert what == "the initial transforms"
    given = read_transforms(clip.initial)["frame_from_canonical"][:20]
    np.testing.assert_array_equal(before, given)
    copy = tmp_path / "run"
    shutil.copytree(image_run, copy)
    change_facts(copy, initial=None)
    before, what = read_run(copy).before()
    assert (what, (before == before[0]).all()) == ("a fixed crop", True)


def test_unrelated_photographs_have_no_before(image_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(image_run, copy)
    facts = json.loads((copy / "run.json").read_text())
    facts = {**facts, "initial": None, "options": {**facts["options"], "independent": True}}
    (copy / "run.json").write_text(json.dumps(facts))
    before, what = read_run(copy).before()
    assert np.isnan(before).all() and what.startswith("nothing")


def test_streams_and_positions_follow_the_frame_numbers():
    # Two videos, a source that could not be opened, a frame of three faces, another of one.
    frame = [0, 1, 2, 0, 1, -1, 0, 0, 0, 1]
    face = [0, 0, 0, 0, 0, 0, 0, 1, 2, 0]
    rows = {"frame": np.array(frame), "face": np.array(face)}
    run = Run(Path("run"), rows, {})
    assert run.stream.tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 3]
    assert run.position.tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 6, 7]


def test_another_file_under_a_sources_name_is_not_read(tmp_path, clip, dictionary):
    video = tmp_path / "head.mp4"
    shutil.copy(clip.video, video)
    copy = dataclasses.replace(clip, video=video)
    assert main(align_arguments(copy, dictionary, tmp_path / "run", "--stop", "60")) == 0
    run = read_run(tmp_path / "run")
    os.utime(video, (1e9, 1e9))  # a copy of the same file has another time
    run.open_frames().close()
    video.write_bytes(video.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"head\.mp4: not the file that was aligned"):
        run.open_frames()


def test_initial_transforms_about_other_frames_are_refused(run, tmp_path):
    (tmp_path / "other.csv").write_text("source,frame,x,y,width,height\nother.mp4,3,10,10,90,90\n")
    with pytest.raises(ValueError, match=r"other\.csv: none of its rows is about a frame"):
        run.before(tmp_path / "other.csv")


def test_a_run_is_no_source(run_folder):
    with pytest.raises(ValueError, match=r"the folder of a run; .*aligned\.mp4"):
        open_source(run_folder)
