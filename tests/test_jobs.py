"""Jobs of blocks: the same bytes on any road, and only what is missing done again."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from clips import write_transforms, write_video

import holdstill
from holdstill import Dictionary, jobs
from holdstill.jobs import Job, JobChangedError, JobIncompleteError, align_block
from holdstill.jobs.blocks import Versions, plan_blocks
from holdstill.jobs.crops import Crops, digest_of, digest_of_all
from holdstill.jobs.status import job_status
from holdstill.outputs import OutputError
from holdstill.run import align_to_folder
from holdstill.stores import LocalStore
from holdstill.synthetic import TalkingHead

pytest.importorskip("pyarrow")
pytest.importorskip("av")
zarr = pytest.importorskip("zarr")

BLOCK = 100


@dataclass(frozen=True)
class Talk:
    """Two stacks and a video of the head, 250 + 40 + 60 frames: blocks of 250 and 100 rows."""

    folder: Path
    sources: list[str]
    initial: npt.NDArray[np.float64]
    dictionary: Dictionary

    def frames(self) -> holdstill.sources.FrameSource:
        return holdstill.open(self.sources)

    def align(self, out, **options):
        given = {"block_frames": BLOCK, "zarr": True, "threads": 1, **options}
        return align_to_folder(self.frames(), self.dictionary, out, self.initial, **given)


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Talk:
    folder = tmp_path_factory.mktemp("talk")
    head = TalkingHead(350, size=(64, 80), shape=(32, 32), occlusion=False)
    pictures, initial = list(head), head.initial(1.0)
    np.save(folder / "a.npy", np.stack(pictures[:250]))
    np.save(folder / "b.npy", np.stack(pictures[250:290]))
    write_video(folder / "c.mp4", pictures[290:], (64, 80))
    dictionary = holdstill.fit(
        np.stack(pictures[:100]), initial[:100], n=12, shape=(32, 32), motion="similarity"
    )
    sources = [str(folder / name) for name in ("a.npy", "b.npy", "c.mp4")]
    return Talk(folder, sources, initial, dictionary)


@pytest.fixture(scope="module")
def undisturbed(talk) -> Path:
    talk.align(talk.folder / "undisturbed")
    return talk.folder / "undisturbed"


@pytest.fixture
def run(undisturbed, tmp_path) -> Path:
    """A copy of the undisturbed run, to be damaged."""
    shutil.copytree(undisturbed, tmp_path / "run")
    return tmp_path / "run"


def written(folder: Path) -> dict[str, str]:
    """Digests of what must not depend on how a run was done."""
    about_the_road = {"run.json", "job.json", ".lock"}
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in about_the_road and path.parent.name != "blocks"
    }


# --- blocks ---------------------------------------------------------------------------------------


def test_blocks_are_whole_tracks_and_all_rows_in_order(talk):
    blocks = list(plan_blocks(talk.frames(), BLOCK))
    assert [block.rows for block in blocks] == [range(250), range(250, 350)]
    assert [block.index for block in blocks] == [0, 1]
    assert [(t.stream, t.first_row, len(t.numbers)) for t in blocks[1].tracks] == [
        (1, 250, 40), (2, 290, 60)
    ]  # fmt: skip


def test_a_block_is_as_long_as_asked_for_and_no_longer_than_its_last_track(tmp_path):
    np.save(tmp_path / "long.npy", np.zeros((2600, 8, 8), np.uint8))
    frames = holdstill.open(tmp_path / "long.npy")
    assert [len(block.rows) for block in plan_blocks(frames, 700)] == [750, 750, 750, 350]
    assert [len(block.rows) for block in plan_blocks(frames, 10_000)] == [2600]


def test_a_million_frames_are_planned_one_block_at_a_time():
    class Endless:
        """A billion frames of one stream; nothing of it is held."""

        numbers = (range(10**9),)
        streams = (holdstill.sources.Stream("talk.npy", 10**9),)

        def run_up(self, stream, number):
            return 0

    blocks = plan_blocks(Endless(), 2000)  # a list of tracks would fill the memory
    assert [next(blocks).rows for _ in range(3)] == [range(k, k + 2000) for k in (0, 2000, 4000)]


def test_every_frame_has_its_row_in_a_portable_block(talk):
    frames = talk.frames()
    with Job(frames, talk.dictionary, talk.folder / "portable", talk.initial) as job:
        for block in plan_blocks(frames, BLOCK):
            portable = pickle.loads(pickle.dumps(job.portable(block)))
            seen = [
                (frame.source, frame.frame, frame.image.tobytes())
                for track in portable.block.tracks
                for frame in portable.open().read(
                    track.stream, track.numbers.start, track.numbers.stop
                )
            ]
            here = [frames[row] for row in block.rows]
            assert seen == [(f.source, f.frame, f.image.tobytes()) for f in here]


def test_images_travel_by_the_paths_of_their_own_block(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for k in range(7):
        image.fromarray(np.full((8, 8), k, np.uint8)).save(tmp_path / f"{k}.png")
    frames = holdstill.open(tmp_path, every=2)
    portion = holdstill.sources.portion.portion_of(frames, 0, range(2, 7, 2))
    assert [Path(file).name for file in portion.files] == ["2.png", "4.png", "6.png"]
    opened = holdstill.sources.portion.open_portions([portion], [""])
    assert [(f.frame, int(f.image[0, 0])) for f in opened.read(0, 2, 7, 2)] == [
        (2, 2), (4, 4), (6, 6)
    ]  # fmt: skip


def test_an_array_in_memory_does_not_travel(talk):
    stack = np.zeros((3, 64, 80), np.uint8)
    with (
        Job(holdstill.open(stack), talk.dictionary, talk.folder / "no", video=False) as job,
        pytest.raises(TypeError, match="expected paths"),
    ):
        job.portable(next(job.pending()))


# --- the same bytes -------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 5])
def test_any_number_of_threads_writes_the_same_bytes(talk, undisturbed, tmp_path, threads):
    summary = talk.align(tmp_path / "run", threads=threads)
    assert written(tmp_path / "run") == written(undisturbed)
    assert (summary["frames"], summary["blocks"], summary["lost"]) == (350, 2, [])


def test_blocks_done_apart_and_out_of_order_write_the_same_bytes(talk, undisturbed, tmp_path):
    with Job(
        talk.frames(), talk.dictionary, tmp_path / "run", talk.initial, zarr=True,
        block_frames=BLOCK,
    ) as job:  # fmt: skip
        blocks = [job.portable(block) for block in job.pending()]
        travelled = pickle.loads(pickle.dumps((job.task, job.outputs, blocks)))
        task, outputs, blocks = travelled
        align_block(task, outputs, blocks[1])
        for block in reversed(blocks):  # one of them twice
            job.add(align_block(task, outputs, block))
        job.finish()
    assert written(tmp_path / "run") == written(undisturbed)


def test_the_rows_are_those_of_align(talk, undisturbed):
    rows = holdstill.read_transforms(undisturbed)
    found = list(holdstill.align(talk.sources, talk.dictionary, talk.initial))
    np.testing.assert_array_equal(
        rows["frame_from_canonical"], [a.frame_from_canonical for a in found]
    )
    assert rows["source"].tolist() == [a.source for a in found]
    np.testing.assert_array_equal(rows["residual"], [a.residual for a in found])


def test_the_pictures_are_the_frames_seen_through_the_transforms(talk, undisturbed):
    array = zarr.open(str(undisturbed / "aligned.zarr"), mode="r")
    rows = holdstill.read_transforms(undisturbed)["frame_from_canonical"]
    assert (array.shape, array.dtype) == ((350, 32, 32, 3), np.uint8)
    for row in (0, 249, 250, 289, 290, 349):  # where tracks meet
        seen = holdstill.warp(talk.frames()[row].image, rows[row], (32, 32))
        np.testing.assert_array_equal(array[row], seen)
    assert not (undisturbed / "fragments").exists()


# --- going on -------------------------------------------------------------------------------------


def test_a_complete_run_is_looked_through_and_left_alone(talk, run, undisturbed):
    before = {p: p.stat().st_mtime_ns for p in (run / "transforms.parquet").iterdir()}
    summary = talk.align(run, resume=True)
    assert summary["blocks_done_before"] == 2
    assert summary["frames_per_second"] is None
    assert {p: p.stat().st_mtime_ns for p in (run / "transforms.parquet").iterdir()} == before
    assert written(run) == written(undisturbed)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


PART = "transforms.parquet/part-0000001.parquet"


@pytest.mark.parametrize(
    ("damage", "done_before"),
    [
        (lambda run: flip(run / PART), 1),
        (lambda run: cut_short(run / PART), 1),
        (lambda run: (run / PART).unlink(), 1),
        (lambda run: flip(run / "blocks/0000001.json"), 1),
        (lambda run: (run / "blocks/0000001.json").write_text("{}"), 1),
        (lambda run: (run / "blocks/0000000.json").unlink(), 1),
        (lambda run: (run / "run.json").unlink(), 0),  # the video's own stretches are gone
        (lambda run: flip(run / "aligned.mp4"), 0),
        (lambda run: shutil.rmtree(run / "aligned.zarr"), 0),
    ],
)
def test_what_is_damaged_is_done_again_and_nothing_else(
    talk, run, undisturbed, damage, done_before
):
    damage(run)
    summary = talk.align(run, resume=True)
    assert summary["blocks_done_before"] == done_before
    assert written(run) == written(undisturbed)
    assert summary["status"] == json.loads((undisturbed / "run.json").read_text())["status"]


def test_a_changed_picture_in_the_array_is_found(talk, run, undisturbed):
    array = zarr.open(str(run / "aligned.zarr"), mode="r+")
    array[260] = 255 - array[260]
    summary = talk.align(run, resume=True)
    assert summary["blocks_done_before"] == 1
    assert written(run) == written(undisturbed)


def test_resume_begins_where_there_is_nothing(talk, undisturbed, tmp_path):
    talk.align(tmp_path / "run", resume=True)
    assert written(tmp_path / "run") == written(undisturbed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu": 0.5}, r"mu: 0.001 -> 0.5"),
        ({"loss": "huber"}, r"loss: l2 -> huber"),
        ({"zarr": False}, r"zarr: True -> False"),
        ({"block_frames": 60}, r"block_frames: 100 -> 60"),
    ],
)
def test_changed_options_are_named_and_refused(talk, run, change, message):
    before = written(run)
    with pytest.raises(JobChangedError, match=message):
        talk.align(run, resume=True, **change)
    assert written(run) == before


def test_changed_inputs_are_named_and_refused(talk, run, tmp_path):
    moved = [str(tmp_path / Path(source).name) for source in talk.sources]
    for source, copy in zip(talk.sources, moved, strict=True):
        shutil.copy2(source, copy)
    with pytest.raises(JobChangedError, match=r"a.npy: no longer given"):
        align_to_folder(
            holdstill.open(moved), talk.dictionary, run, talk.initial, zarr=True, resume=True,
            block_frames=BLOCK,
        )  # fmt: skip
    with pytest.raises(JobChangedError, match=r"the order of the sources|frames"):
        align_to_folder(
            holdstill.open(talk.sources[::-1]), talk.dictionary, run, talk.initial, zarr=True,
            resume=True, block_frames=BLOCK,
        )  # fmt: skip
    with pytest.raises(JobChangedError, match="initial: "):
        align_to_folder(
            talk.frames(), talk.dictionary, run, talk.initial + 1e-9, zarr=True, resume=True,
            block_frames=BLOCK,
        )  # fmt: skip


def test_another_dictionary_is_refused(talk, run):
    other = holdstill.fit(
        talk.sources[0], talk.initial[:250], n=8, shape=(32, 32), motion="similarity", seed=1
    )
    with pytest.raises(JobChangedError, match="dictionary: "):
        align_to_folder(
            talk.frames(), other, run, talk.initial, zarr=True, resume=True, block_frames=BLOCK
        )


def test_a_source_that_was_touched_is_refused(talk, tmp_path):
    copy = shutil.copy2(talk.sources[1], tmp_path / "b.npy")
    initial = talk.initial[250:290]
    align_to_folder(holdstill.open(copy), talk.dictionary, tmp_path / "run", initial, video=False)
    np.save(copy, np.load(copy))
    with pytest.raises(JobChangedError, match=r"source .*b.npy: .* bytes, \d+ -> .* bytes"):
        align_to_folder(
            holdstill.open(copy), talk.dictionary, tmp_path / "run", initial, video=False,
            resume=True,
        )  # fmt: skip


def test_going_on_with_other_kernels_is_warned_of(talk, run, caplog):
    manifest = json.loads((run / "job.json").read_text())
    (run / "job.json").write_text(json.dumps(manifest | {"instruction_set": "abacus"}))
    talk.align(run, resume=True)
    assert "the run's were for abacus" in caplog.text


def test_without_resume_a_run_is_not_touched(talk, run):
    before = written(run)
    with pytest.raises(FileExistsError, match="--resume"):
        talk.align(run)
    assert written(run) == before


def test_a_manifest_that_cannot_be_read_says_so(talk, run):
    (run / "job.json").write_text("{")
    with pytest.raises(JobChangedError, match=r"job.json: damaged"):
        talk.align(run, resume=True)
    (run / "job.json").write_text('{"format": 99, "holdstill": "7.0"}')
    with pytest.raises(JobChangedError, match=r"format 99, expected 1: .* holdstill 7.0"):
        talk.align(run, resume=True)


def test_a_job_that_lacks_a_block_is_not_finished(talk, tmp_path):
    with Job(
        talk.frames(), talk.dictionary, tmp_path / "run", talk.initial, block_frames=BLOCK
    ) as job:
        first, _ = job.pending()
        job.add(align_block(job.task, job.outputs, job.portable(first)))
        with pytest.raises(JobIncompleteError, match="1 blocks with 100 frames are not done"):
            job.finish()
    assert not (tmp_path / "run" / "run.json").exists()
    assert talk.align(tmp_path / "run", zarr=False, resume=True)["blocks_done_before"] == 1


def test_one_folder_is_for_one_process_at_a_time(talk, tmp_path):
    with (
        Job(talk.frames(), talk.dictionary, tmp_path / "run", talk.initial, block_frames=BLOCK),
        pytest.raises(OutputError, match="another process is writing"),
    ):
        talk.align(tmp_path / "run", zarr=False, resume=True)


def test_a_job_that_could_not_begin_leaves_nothing_behind(talk, tmp_path, monkeypatch):
    def full(*_):
        raise OutputError("cannot write: no space left")

    monkeypatch.setattr(jobs.job, "write_manifest", full)
    with pytest.raises(OutputError):
        talk.align(tmp_path / "run")
    monkeypatch.undo()
    assert LocalStore(tmp_path / "run").names() == []
    talk.align(tmp_path / "run")


# --- sources that come and go ---------------------------------------------------------------------


def test_a_source_that_changes_in_mid_job_is_a_status_until_it_is_back(talk, tmp_path):
    sources = [shutil.copy2(source, tmp_path) for source in talk.sources]
    options = {"block_frames": BLOCK, "zarr": True, "threads": 1}
    kept = tmp_path / "kept.npy"

    def swap(record):
        if record["block"] == 0:
            shutil.move(sources[1], kept)
            np.save(sources[1], np.zeros((40, 64, 80, 3), np.uint8))

    summary = align_to_folder(
        holdstill.open(sources), talk.dictionary, tmp_path / "run", talk.initial, on_block=swap,
        **options,
    )  # fmt: skip
    rows = holdstill.read_transforms(tmp_path / "run")
    assert (rows["status"] == "unreadable").nonzero()[0].tolist() == list(range(250, 290))
    assert len(summary["lost"]) == 1 and "b.npy: changed" in summary["lost"][0]
    shutil.move(kept, sources[1])
    summary = align_to_folder(
        holdstill.open(sources), talk.dictionary, tmp_path / "run", talk.initial, resume=True,
        **options,
    )  # fmt: skip
    assert (summary["blocks_done_before"], summary["lost"]) == (1, [])
    assert summary["status"] == {"converged": 350}


def test_a_video_that_vanishes_loses_its_own_rows_until_it_is_back(talk, tmp_path, undisturbed):
    video = Path(shutil.copy2(talk.sources[2], tmp_path))
    away = video.with_suffix(".away")
    sources = [*talk.sources[:2], str(video)]
    options = {"threads": 1, "block_frames": BLOCK, "zarr": True}
    summary = align_to_folder(
        holdstill.open(sources), talk.dictionary, tmp_path / "run", talk.initial,
        on_block=lambda record: video.rename(away) if video.exists() else None, **options,
    )  # fmt: skip
    assert summary["status"] == {"converged": 290, "unreadable": 60}
    assert any("c.mp4: gone" in what for what in summary["lost"])
    away.rename(video)
    summary = align_to_folder(
        holdstill.open(sources), talk.dictionary, tmp_path / "run", talk.initial, resume=True,
        **options,
    )  # fmt: skip
    assert (summary["blocks_done_before"], summary["status"]) == (1, {"converged": 350})
    pictures = [
        {name: digest for name, digest in written(run).items() if "part" not in name}
        for run in (tmp_path / "run", undisturbed)
    ]
    assert pictures[0] == pictures[1]


def test_versions_tell_changed_from_gone(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"abc")
    known = Versions({str(file): holdstill.sources.versions.version_of(str(file))})
    assert known.changed(str(file)) is None
    file.write_bytes(b"abcd")
    assert "changed (3 bytes" in known.changed(str(file))
    file.unlink()
    assert known.changed(str(file)).endswith("gone")
    assert known.changed(str(tmp_path / "unknown")).endswith("gone")


# --- crops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_crops_written_in_any_order_are_the_pictures_of_their_rows(tmp_path, seed):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (613, 120, 100, 3), dtype=np.uint8)
    crops = Crops(LocalStore(tmp_path), 613, (120, 100), colour=True)
    assert crops.chunk == 25  # 0.9 MB
    crops.create()
    cuts = [0, *sorted(rng.choice(np.arange(1, 613), 12, replace=False).tolist()), 613]
    tracks = [range(a, b) for a, b in itertools.pairwise(cuts)]
    for rows in rng.permutation(np.array(tracks, dtype=object)):
        crops.write(rows.start, pictures[rows.start : rows.stop])
    expected = digest_of_all(digest_of(pictures[rows.start : rows.stop]) for rows in tracks[2:7])
    assert crops.digest(tracks[2:7]) == expected
    crops.join()
    assert crops.digest(tracks[2:7]) == expected
    assert crops.digest(tracks[3:7]) != expected
    np.testing.assert_array_equal(zarr.open(str(tmp_path / "aligned.zarr"))[:], pictures)


def test_grey_pictures_make_a_grey_array(tmp_path, talk):
    grey = np.load(talk.sources[1])[..., 1]
    np.save(tmp_path / "grey.npy", grey)
    align_to_folder(
        holdstill.open(tmp_path / "grey.npy"), talk.dictionary, tmp_path / "run",
        talk.initial[250:290], video=False, zarr=True,
    )  # fmt: skip
    assert zarr.open(str(tmp_path / "run" / "aligned.zarr")).shape == (40, 32, 32)
    assert not (tmp_path / "run" / "aligned.mp4").exists()


# --- status ---------------------------------------------------------------------------------------


def test_status_follows_a_run(talk, tmp_path):
    states = []

    def look(record):
        states.append(job_status(tmp_path / "run"))

    talk.align(tmp_path / "run", on_block=look)
    assert [(s["state"], s["frames_done"], s["frames"]) for s in states] == [
        ("running", 250, 350), ("running", 350, 350)
    ]  # fmt: skip
    after = job_status(tmp_path / "run")
    assert (after["state"], after["blocks_done"], sum(after["status"].values())) == (
        "complete", 2, 350
    )  # fmt: skip
    (tmp_path / "run" / "run.json").unlink()
    assert job_status(tmp_path / "run")["state"] == "interrupted"


def test_status_of_something_else(tmp_path, registered_run):
    with pytest.raises(FileNotFoundError, match="no run"):
        job_status(tmp_path)
    assert job_status(registered_run)["state"] == "complete"


def test_the_block_log_has_a_line_of_json_for_every_block(talk, tmp_path, command_line):
    initial = write_transforms(tmp_path / "initial.csv", enumerate(talk.initial[:250]))
    talk.dictionary.save(tmp_path / "d.npz")
    code = command_line(
        "align", talk.sources[0], "--initial", initial, "--dictionary", tmp_path / "d.npz",
        "--out", tmp_path / "run", "--block-log", tmp_path / "log.jsonl", "--no-video",
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert (code, [line["rows"] for line in lines]) == (0, [[0, 250]])
    assert lines[0]["status"] == {"converged": 250}


@pytest.fixture
def command_line(capsys):
    from holdstill.cli import main

    return lambda *arguments: main([str(argument) for argument in arguments])
