"""A run's folder: complete or not there, whatever happens on the way."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from disk import small_files

from holdstill import outputs as outputs_module
from holdstill.face_recording import FaceRecording
from holdstill.outputs import OutputError
from holdstill.parts import FACE_COLUMNS
from holdstill.transforms import read_transforms

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def columns(n=4, first=0, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "source": ["a video, with a comma.mp4"] * n,
        "frame": np.arange(first, first + n),
        "time": np.arange(first, first + n) / 25.0,
        "frame_from_canonical": rng.normal(size=(n, 3, 3)),
        "status": ["converged"] * n,
        "iterations": np.full(n, 12),
        "residual": rng.uniform(size=n),
        "step": rng.uniform(size=n) * 1e-6,
        "n_atoms": np.full(n, 3),
        "evaluations": np.full(n, 19),
        "quality": np.full(n, 0.8),
        "face": np.zeros(n, dtype=int),
        "log_likelihood": rng.normal(size=n),
        "difs": rng.uniform(size=n),
        "dffs": rng.uniform(size=n),
        "user": [None] * n,
    }


def visible(folder: Path) -> set[str]:
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    return files - {".lock"}


def test_parts_have_the_fixed_columns_types_and_rows_in_order(tmp_path):
    with FaceRecording(tmp_path / "run") as recording:
        recording.write_part(1, columns(3, first=4, seed=1))
        recording.write_part(0, columns(4))
        recording.finish({})
    parts = sorted((tmp_path / "run" / "transforms.parquet").iterdir())
    assert [part.name for part in parts] == ["part-0000000.parquet", "part-0000001.parquet"]
    names = ["source", "frame", "time", *(f"h{i}{j}" for i in range(3) for j in range(3))]
    names += ["status", "iterations", "residual", "step", "n_atoms", "evaluations", "quality"]
    names += ["face", "log_likelihood", "difs", "dffs", "user"]
    for part in parts:
        schema = pq.read_schema(part)
        assert schema.names == names == list(FACE_COLUMNS)
        types = {"source": "string", "status": "string", "user": "string", "frame": "int64"}
        types |= dict.fromkeys(("iterations", "n_atoms", "evaluations", "face"), "int32")
        assert [str(t) for t in schema.types] == [types.get(name, "double") for name in names]
    table = read_transforms(tmp_path / "run")
    assert table["frame"].tolist() == list(range(7))
    given = [columns(4)["frame_from_canonical"], columns(3, seed=1)["frame_from_canonical"]]
    np.testing.assert_array_equal(table["frame_from_canonical"], np.concatenate(given))


def test_pyarrow_reads_the_folder_as_one_dataset(tmp_path):
    with FaceRecording(tmp_path / "run") as recording:
        recording.write_part(0, columns(4))
        recording.write_part(1, columns(2, first=4))
        recording.finish({})
    table = pq.read_table(tmp_path / "run" / "transforms.parquet")
    assert table.column("frame").to_pylist() == list(range(6))


def test_what_is_not_there_is_null(tmp_path):
    rows = columns(3)
    rows["frame_from_canonical"][1, 2, 2] = np.nan
    rows["time"] = [None, np.nan, 1.0]
    rows["residual"] = [0.1, np.inf, 0.3]
    with FaceRecording(tmp_path / "run") as recording:
        recording.write_part(0, rows)
        recording.finish({})
    table = pq.read_table(tmp_path / "run" / "transforms.parquet")
    for name in ("h00", "h12", "h22"):
        assert [cell is None for cell in table.column(name).to_pylist()] == [False, True, False]
    assert table.column("time").to_pylist() == [None, None, 1.0]
    assert table.column("residual").to_pylist() == [0.1, None, 0.3]
    assert np.isnan(read_transforms(tmp_path / "run")["frame_from_canonical"][1]).all()


def test_equal_rows_give_equal_bytes(tmp_path):
    written = []
    for name in ("first", "second"):
        with FaceRecording(tmp_path / name) as recording:
            recording.write_part(0, columns(250))
        part = tmp_path / name / "transforms.parquet" / "part-0000000.parquet"
        written.append(part.read_bytes())
    assert written[0] == written[1]


def test_malformed_columns_are_refused(tmp_path):
    recording = FaceRecording(tmp_path / "run")
    for change, message in [
        ({"yaw": np.ones(4)}, "columns: expected .*yaw"),
        ({"frame": np.arange(3)}, "columns: expected one length"),
        ({"frame_from_canonical": np.zeros((4, 2, 3))}, r"expected shape \(n, 3, 3\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            recording.write_part(0, columns() | change)


def test_run_json_is_finite_and_comes_last(tmp_path):
    summary = {
        "counts": {"converged": np.int64(4)},
        "speed": np.float32(2.5),
        "ratio": float("nan"),
        "times": (1.0, np.inf),
        "residuals": np.array([1.0, np.nan]),
        "path": tmp_path,
        "initial": None,
    }
    with FaceRecording(tmp_path / "run") as recording:
        recording.write_part(0, columns())
        assert "run.json" not in visible(tmp_path / "run")
        recording.finish(summary)
    read = json.loads((tmp_path / "run" / "run.json").read_text())
    assert read == {
        "counts": {"converged": 4},
        "speed": 2.5,
        "ratio": None,
        "times": [1.0, None],
        "residuals": [1.0, None],
        "path": str(tmp_path),
        "initial": None,
    }


def test_the_csv_beside_says_the_same_as_the_parts(tmp_path):
    rows = columns(3)
    rows["frame_from_canonical"][1] = np.nan
    with FaceRecording(tmp_path / "run") as recording:
        recording.write_part(0, rows)
        recording.write_part(1, columns(2, first=3))
        recording.finish({}, csv=True)
    with open(tmp_path / "run" / "transforms.csv", newline="") as file:
        assert next(csv.reader(file)) == list(FACE_COLUMNS)
    text = read_transforms(tmp_path / "run" / "transforms.csv")
    parts = read_transforms(tmp_path / "run")
    for name in ("frame", "frame_from_canonical", "residual", "step", "time", "iterations"):
        np.testing.assert_array_equal(text[name], parts[name])
    assert text["source"].tolist() == parts["source"].tolist()


def test_ctrl_c_keeps_the_parts_so_far_and_nothing_half_done(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), FaceRecording(run) as recording:
        recording.write_part(0, columns(4))
        raise KeyboardInterrupt
    assert visible(run) == {"transforms.parquet/part-0000000.parquet"}
    assert read_transforms(run)["frame"].tolist() == [0, 1, 2, 3]


def test_ctrl_c_while_a_part_is_written_keeps_the_ones_before(tmp_path, monkeypatch):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), FaceRecording(run) as recording:
        recording.write_part(0, columns(4))

        def interrupted(descriptor):
            raise KeyboardInterrupt

        monkeypatch.setattr(outputs_module.os, "fsync", interrupted)
        recording.write_part(1, columns(4, first=4))
    assert visible(run) == {"transforms.parquet/part-0000000.parquet"}


def test_a_run_that_wrote_nothing_does_not_block_the_next(tmp_path):
    with pytest.raises(RuntimeError), FaceRecording(tmp_path / "run"):
        raise RuntimeError
    FaceRecording(tmp_path / "run")


def test_a_run_is_not_overwritten(tmp_path):
    run = tmp_path / "run"
    with FaceRecording(run) as recording:
        recording.write_part(0, columns())
        recording.write_part(1, columns(first=4))
        recording.finish({}, csv=True)
    (run / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"already holds a run; choose another .*--out"):
        FaceRecording(run)
    assert read_transforms(run)["frame"].tolist() == list(range(8))
    assert (run / "notes.txt").read_text() == "mine"


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match=r"holds no run; choose another .*--out"):
        FaceRecording(tmp_path)
    assert visible(tmp_path) == {"thesis.tex"}


def test_a_folder_that_cannot_be_made_is_an_output_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match=f"cannot write {path}: "):
            FaceRecording(path)


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_output_error(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        FaceRecording(tmp_path)
    tmp_path.chmod(0o755)


def test_a_full_disk_stops_a_part_with_its_name_and_leaves_the_others(tmp_path):
    run = tmp_path / "run"
    with (
        small_files(),
        pytest.raises(OutputError, match=r"part-0000001.parquet"),
        FaceRecording(run) as recording,
    ):
        recording.write_part(0, columns(1))
        recording.write_part(1, columns(2000))
    assert visible(run) == {"transforms.parquet/part-0000000.parquet"}
    assert read_transforms(run)["frame"].tolist() == [0]


def test_a_full_disk_stops_run_json(tmp_path):
    with (
        small_files(),
        FaceRecording(tmp_path / "run") as recording,
        pytest.raises(OutputError, match=r"run.json"),
    ):
        recording.finish({"text": "x" * 50_000})
    assert visible(tmp_path / "run") == set()


def test_peak_memory_grows_by_what_a_process_takes_and_does_not_shrink():
    code = (
        "import numpy; from holdstill.memory import peak_memory\n"
        "before = peak_memory(); block = numpy.ones(25_000_000); del block\n"
        "print(before, peak_memory())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    if "None" in answer.stdout:
        pytest.skip("peak memory is unknown on this system")
    before, after = map(float, answer.stdout.split())
    assert 180 < after - before < 210
