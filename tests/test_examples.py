"""The documentation: its snippets run, its commands parse, its references lead somewhere."""

from __future__ import annotations

import functools
import re
import runpy
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import holdstill
from holdstill.cli import main
from holdstill.cli.options import build_parser
from holdstill.initial_rows import ANGLES
from holdstill.parts import COLUMNS, FACE_COLUMNS
from holdstill.reference.motion import map_points
from holdstill.synthetic import TalkingHead

av = pytest.importorskip("av")
pytest.importorskip("pyarrow")
cv2 = pytest.importorskip("cv2")

PROJECT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "docs/choosing.md",
    "docs/sources.md",
    "docs/initial_transforms.md",
    "docs/runs.md",
    "docs/evaluating.md",
    "docs/report.md",
    "docs/faces.md",
    "docs/talking_head.md",
    "docs/motion.md",
    "docs/api/index.md",
)
"""Pages whose Python is that of `examples/`; of the others see test_docs_pages.py."""

N_FRAMES = 10
SAMPLE = 6


def text_of(page):
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), flags=re.M | re.S)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """A folder with everything the examples read: a video, arrays, corners, and a run."""
    folder = tmp_path_factory.mktemp("footage")
    head = TalkingHead(N_FRAMES, size=(360, 450), occlusion=False)
    with av.open(str(folder / "interview.mp4"), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"crf": "14", "preset": "veryfast"}
        )
        stream.height, stream.width, stream.pix_fmt = 360, 450, "yuv420p"
        for picture in head:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    video = str(folder / "interview.mp4")
    np.save(folder / "frames.npy", np.stack([frame.grey() for frame in holdstill.open(video)]))
    np.save(folder / "initial.npy", head.initial())
    corners = head.points()[:, [0, 3]]
    corners[4] = np.nan
    np.save(folder / "corners.npy", corners)
    np.save(folder / "points.npy", head.points())
    np.save(folder / "people.npy", ["ann", "bob"] * (N_FRAMES // 2))
    assert (
        main(["align", video, "--out", str(folder / "aligned"), "--n", str(SAMPLE), "--quiet"]) == 0
    )
    return folder


@pytest.fixture
def run_example(footage, monkeypatch):
    """Runs an example as it stands, in the folder of its files; returns its variables."""

    def run(name):
        monkeypatch.chdir(footage)
        # The examples take the default sample, of more frames than this footage has.
        monkeypatch.setattr(holdstill, "fit", functools.partial(holdstill.fit, n=SAMPLE))
        return runpy.run_path(str(PROJECT / "examples" / f"{name}.py"))

    return run


def test_every_python_block_of_the_text_is_an_example_and_every_example_is_in_the_text():
    shown = [block for page in PAGES for block in blocks(page, "python")]
    kept = [path.read_text(encoding="utf-8") for path in (PROJECT / "examples").glob("*.py")]
    assert sorted(shown) == sorted(kept)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_every_command_of_the_text_parses(page):
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "holdstill"
        assert build_parser().parse_args(arguments).command == arguments[0]


def test_the_text_explains_every_status_and_every_column():
    for status in holdstill.alignment.STATUSES:
        assert f"| `{status}` |" in text_of("docs/runs.md")
    for column in set(COLUMNS) - {f"h{i}{j}" for i in range(3) for j in range(3)}:
        assert f"| `{column}` |" in text_of("docs/runs.md")
    for column in set(FACE_COLUMNS) - set(COLUMNS):
        assert f"| `{column}` |" in text_of("docs/faces.md")
    for column in ANGLES:
        assert f"| `{column}` |" in text_of("docs/motion.md")


def test_the_text_names_everything_public():
    text = "".join(text_of(page) for page in PAGES)
    for name in set(holdstill.__all__) - {"__version__", "Frame", "L1Result"}:
        assert re.search(rf"\b{name}\b", text), name


def test_equations_that_the_code_names_have_their_section_and_its_files_exist():
    if not (PROJECT / "cpp").is_dir():
        pytest.skip("the code is not beside the tests")
    page = text_of("docs/equations.md")
    sections = set(re.findall(r"^## (\d)\. ", page, flags=re.M))
    assert sections == set("012345")
    code = [p for kind in ("py", "cpp", "hpp") for p in PROJECT.glob(f"[cp]*/**/*.{kind}")]
    named = {n for path in code for n in re.findall(r"equations(?:\.md)? §(\d+)", path.read_text())}
    assert named
    assert named <= sections
    for path in re.findall(r"`((?:cpp|python)/[\w/.]+\.\w+)`", page):
        assert (PROJECT / path).is_file(), path


def test_fit_and_align_holds_the_face_still(run_example):
    found = run_example("fit_and_align")
    assert found["found"].frame == N_FRAMES - 1
    assert found["face"].shape == (200, 200, 3)
    assert (found["dictionary"].features, found["dictionary"].n_atoms > 0) == ("edges", True)


def test_arrays_aligns_a_stack_in_one_call(run_example, footage):
    batch = run_example("arrays")["batch"]
    aligned = np.load(footage / "aligned.npy")
    assert batch.good.all()
    np.testing.assert_array_equal(aligned, batch.frame_from_canonical)


def test_own_initial_starts_from_the_eyes_and_nan_is_no_start(run_example):
    found = run_example("own_initial")["found"]
    expected = ["converged"] * N_FRAMES
    expected[4] = "not_found"
    assert [alignment.status for alignment in found] == expected


def test_opencv_warps_by_the_same_matrix(run_example):
    shown = run_example("opencv_warp")
    ours = holdstill.warp(shown["frame"].image, shown["matrix"], (200, 200)).astype(float)
    # OpenCV rounds positions to 1/32 pixel.
    assert np.abs(shown["face"] - ours).mean() < 0.5


def test_pandas_reads_the_matrices(run_example, footage):
    pytest.importorskip("pandas")
    matrices = run_example("pandas_table")["matrices"]
    expected = holdstill.read_transforms(footage / "aligned")["frame_from_canonical"]
    np.testing.assert_array_equal(matrices, expected)


def test_pyarrow_finds_the_worst_frames(run_example, footage):
    shown = run_example("pyarrow_table")
    quality = holdstill.read_transforms(footage / "aligned")["quality"]
    assert shown["worst"][0]["frame"] == int(np.argmin(quality))
    assert len(shown["suspicious"]) == 0


def test_was_it_good_prints_a_table_and_draws_it(run_example, footage, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    shown = run_example("was_it_good")
    shown["plot"].style.plt.close("all")
    found = shown["found"]
    assert found.pictures == found.good == N_FRAMES
    assert "mouth: total variance" in capsys.readouterr().out
    for column in found.per_frame:
        assert f"`{column}`" in text_of("docs/evaluating.md")
    for name in ("variance", "quality", "montage"):
        assert (footage / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_apply_shows_the_eyes_where_they_belong(run_example, footage):
    shown = run_example("apply")
    mean = np.load(footage / "mean_face.npy")
    assert mean.shape == (400, 400, 3)
    # Twice the pictures of the run itself.
    with holdstill.open(footage / "aligned" / "aligned.mp4") as aligned:
        expected = np.mean([frame.image for frame in aligned], axis=0)
    assert len(shown["run"]) == N_FRAMES
    assert np.abs(mean[::2, ::2] - expected).mean() < 3


def test_pictures_of_the_mouth_are_windows_of_the_aligned_face(run_example, footage):
    run_example("mouth_pictures")
    mouths = np.load(footage / "mouths.npy")
    # Half of each side of the run's own pictures, whose mouth lies from 130 to 200 and 45 to 155.
    with holdstill.open(footage / "aligned" / "aligned.mp4") as aligned:
        expected = np.stack([frame.image[130:, 45:155] for frame in aligned])
    assert mouths.shape == (N_FRAMES, 140, 220, 3)
    assert np.abs(mouths[:, ::2, ::2].astype(float) - expected).mean() < 4


def test_other_lips_are_those_asked_for(run_example):
    shown = run_example("other_lips")
    assert shown["replacement"].replaced.all()
    assert shown["replacement"].lips.tolist() == [4, 5, 6, 7, 4, 5, 6, 7, 4, 5]
    assert [picture.shape for picture in shown["pictures"]] == [(360, 450, 3)] * N_FRAMES
    # The first of what is said backwards is the last.
    assert (shown["chosen"][0], shown["chosen"][-1]) == (N_FRAMES - 1, 0)


WALK = "From a raw video to a new one"


@pytest.fixture(scope="module")
def talking_head(tmp_path_factory):
    """The folder that the script of the whole way leaves, and its variables."""
    pytest.importorskip("statsmodels")
    pytest.importorskip("matplotlib").use("Agg")
    folder = tmp_path_factory.mktemp("talking_head")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shown = runpy.run_path(str(PROJECT / "examples" / "make_a_talking_head.py"))
    shown["plot"].style.plt.close("all")
    return folder, shown


def pictures_of(path):
    with holdstill.open(path) as frames:
        return np.stack([frame.image for frame in frames]).astype(float)


def test_the_whole_way_ends_with_a_head_that_talks_and_moves_otherwise(talking_head, monkeypatch):
    folder, shown = talking_head
    monkeypatch.chdir(folder)
    run, n = shown["run"], len(shown["head"])
    assert run.good.mean() > 0.95
    before, talking, moving = (
        pictures_of(f"{name}.mp4") for name in ("interview", "talking", "moving")
    )
    assert before.shape == talking.shape == moving.shape == (n, 320, 400, 3)
    # Backwards, as far as it flows: where the first frames' lips are from.
    assert (shown["replacement"].lips[:10] > 0.8 * n).all()
    changed = np.abs(talking - before).max(axis=3) > 40  # more than encoding costs
    ys, xs = np.nonzero(changed.any(axis=0))
    mouths = shown["head"].points()[:, 5:].mean(axis=1)
    away = np.hypot(xs[:, None] - mouths[:, 0], ys[:, None] - mouths[:, 1]).min(axis=1)
    eyes = np.linalg.norm(shown["head"].points()[:, 3] - shown["head"].points()[:, 0], axis=1)
    assert len(ys) > 200 and away.max() < 0.8 * eyes.mean()
    # Seen through the run's transforms the face stands still in the one, not in the other.
    faces = pictures_of("face.mp4")
    moved = [face for _, face in holdstill.apply("moving.mp4", run, shape=(400, 400))]
    eyes = np.s_[:, 140:220, 80:320]
    still, swaying = (
        np.std(stack, axis=0).mean() for stack in (faces[eyes], np.array(moved)[eyes])
    )
    assert swaying > 1.5 * still
    for name in ("mouth", "path", "movement", "spectra"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "How the head moved" in (folder / "aligned" / "report.html").read_text("utf-8")


def test_the_commands_of_the_whole_way_run_one_after_the_other(talking_head, tmp_path, monkeypatch):
    folder, shown = talking_head
    section = text_of("docs/talking_head.md").split(f"## {WALK}\n")[1].split("\n## ")[0]
    commands = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", section, flags=re.M | re.S)
        for line in block.splitlines()
    ]
    made = ["aligned", "report", "other_lips.mp4", "talking.mp4", "moving.mp4", "face.mp4"]
    assert len(commands) == len(made)
    for name in ("interview.mp4", "path.npy"):
        shutil.copy(folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    for command, out in zip(commands, made, strict=True):
        program, *arguments = shlex.split(command)
        assert program == "holdstill"
        assert main([*arguments, "--quiet"]) == 0, command
        if out.endswith(".mp4"):
            with holdstill.open(tmp_path / out) as frames:
                assert len(frames) == len(shown["head"]), command
    assert (tmp_path / "aligned" / "report.html").is_file()


def test_live_follows_a_camera_as_align_follows_a_file(run_example, footage):
    shown = run_example("live")
    expected = holdstill.read_transforms(footage / "aligned")["frame_from_canonical"][-1]
    # OpenCV turns the video into RGB, and that into grey: levels differ by rounding.
    assert np.abs(shown["found"].frame_from_canonical - expected)[:2].max() < 0.1
    assert [face.shape for face in shown["faces"]] == [(200, 200, 3)] * N_FRAMES


def test_head_motion_draws_a_minute_and_moves_a_portrait(
    run_folder, footage, tmp_path, monkeypatch
):
    pytest.importorskip("statsmodels")
    shutil.copytree(run_folder, tmp_path / "aligned")
    portrait = holdstill.open(footage / "interview.mp4")[0].image
    cv2.imwrite(str(tmp_path / "portrait.jpg"), portrait[:, :, ::-1])
    monkeypatch.chdir(tmp_path)
    shown = runpy.run_path(str(PROJECT / "examples" / "head_motion.py"))
    assert len(shown["minute"]) == len(shown["x"]) == 1500
    recorded = shown["run"].frame_from_canonical[shown["run"].good]
    np.testing.assert_allclose(shown["minute"][0], recorded[0], atol=1e-6)
    assert shown["x"].min() >= shown["model"].low[0] - 1e-9
    moved = [frame.image for frame in holdstill.open(tmp_path / "portrait.mp4")]
    assert len(moved) == 25
    assert moved[0].shape == portrait.shape
    assert np.abs(moved[0].astype(float) - portrait).mean() < 3.0  # encoded twice


def test_faces_registers_enrols_and_identifies(run_example, footage):
    shown = run_example("faces")
    found, points = shown["found"], np.load(footage / "points.npy")[0]
    placed = map_points(found.frame_from_canonical, shown["model"].landmarks)
    eyes = np.linalg.norm(points[3] - points[0])
    assert np.linalg.norm(placed - points, axis=1).mean() < 0.03 * eyes
    assert shown["face"].shape == (64, 64)
    assert set(shown["model"].users) == {"ann", "bob", "eve"}
    assert shown["among"].best in shown["model"].users
