"""Whole sources: which frames one decoder reads, how a track goes on, and stages on threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SmallHead

from holdstill import align_frame, warp
from holdstill.initial import make_initial
from holdstill.passes import align_pass
from holdstill.sources import open as open_source
from holdstill.threads import ahead
from holdstill.tracking import Aligners
from holdstill.tracks import RUN_UP, plan_passes, plan_tracks


def write_noise(path: Path, frames: int, keyframe_every: int) -> Path:
    av = pytest.importorskip("av")
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"sc_threshold": "1000000000"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.gop_size = keyframe_every
        for number in range(frames):
            noise = rng.integers(0, 256, (32, 32, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("keyframe_every", [12, 90, 170, 600])
def test_little_is_decoded_in_vain_however_far_apart_keyframes_are(
    tmp_path: Path, keyframe_every: int
) -> None:
    source = open_source(write_noise(tmp_path / "video.mp4", 1500, keyframe_every))
    tracks = list(plan_tracks(source))
    passes = list(plan_passes(source, tracks))
    assert [track for tracks in passes for track in tracks] == tracks
    in_vain = [source.run_up(0, tracks[0].numbers.start) for tracks in passes]
    assert in_vain == [tracks[0].numbers.start % keyframe_every for tracks in passes]
    assert sum(in_vain) <= RUN_UP * len(source)
    if keyframe_every == 12:
        assert len(passes) == len(tracks) == 6


def test_a_video_with_one_keyframe_is_decoded_once(tmp_path: Path) -> None:
    source = open_source(write_noise(tmp_path / "video.mp4", 580, 600))
    assert len(list(plan_passes(source, plan_tracks(source)))) == 1


def test_streams_are_passes_of_their_own(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 256, (300, 16, 16), np.uint8)
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for path in paths:
        np.save(path, stack)
    source = open_source(paths)
    passes = list(plan_passes(source, plan_tracks(source)))
    assert [(p[0].stream, len(p), p[0].first_row) for p in passes] == [
        (0, 1, 0), (0, 1, 250), (1, 1, 300), (1, 1, 550)
    ]  # fmt: skip


class FromTheFrameBefore:
    """A track that begins with a given transform and goes on from the last good one."""

    detections = 0

    def __init__(self, first: np.ndarray) -> None:
        self.transform: np.ndarray | None = first

    def for_track(self) -> FromTheFrameBefore:
        return self

    def propose(self, frame: object, row: int) -> np.ndarray | None:
        return self.transform

    def retry(self, frame: object, row: int) -> None:
        return None

    def rivals(self) -> tuple[()]:
        return ()

    def accept(self, transform: np.ndarray | None) -> None:
        if transform is not None:
            self.transform = transform


def test_a_track_survives_a_leap_that_the_finest_octave_alone_does_not(
    small_head: SmallHead,
) -> None:
    still, dictionary = small_head.frames[0], small_head.dictionary
    leap = np.eye(3)
    leap[:2, 2] = 24.0, -14.0
    leapt = warp(still, leap, still.shape)
    frames = np.stack([still, leapt])
    source = open_source(frames)
    start = FromTheFrameBefore(small_head.initial[0])
    pairs = align_pass(source, list(plan_tracks(source)), Aligners.of(dictionary), start)
    first, second = (found for _, found in pairs)
    assert first.good and second.good
    alone = align_frame(
        leapt, dictionary, first.frame_from_canonical, levels=1, search=False, max_iterations=50
    )
    expected = np.linalg.inv(leap) @ first.frame_from_canonical
    centre = np.array([32.0, 32.0, 1.0])
    assert np.abs((alone.frame_from_canonical - expected) @ centre).max() > 2.0
    assert np.abs((second.frame_from_canonical - expected) @ centre).max() < 0.05


class Found:
    """An aligner whose frames all converge, with the next of some qualities."""

    def __init__(self, *qualities: float) -> None:
        self.qualities = list(qualities)

    def align(self, grey: np.ndarray, initial: np.ndarray) -> SimpleNamespace:
        quality = self.qualities.pop(0)
        return SimpleNamespace(
            frame_from_canonical=np.diag([quality, quality, 1.0]),
            status="converged",
            iterations=5,
            evaluations=5,
            residual=0.1,
            step=0.0,
            coefficients=np.ones(1),
            gap=0.0,
            objective=0.1,
            quality=quality,
            weights=None,
        )


@pytest.mark.parametrize(
    ("near", "anywhere", "expected"),
    [(0.88, [], 0.88), (0.70, [0.89], 0.89), (0.70, [0.60], 0.70), (0.30, [0.60], 0.60)],
)
def test_a_frame_that_falls_off_is_looked_at_on_all_octaves_and_the_better_end_stays(
    near: float, anywhere: list[float], expected: float
) -> None:
    source = open_source(np.zeros((2, 8, 8), np.uint8))
    aligners = Aligners(anywhere=Found(0.9, *anywhere), near=Found(near))  # type: ignore[arg-type]
    pairs = align_pass(source, list(plan_tracks(source)), aligners, FromTheFrameBefore(np.eye(3)))
    assert [found.quality for _, found in pairs] == [0.9, expected]
    assert not aligners.anywhere.qualities and not aligners.near.qualities  # type: ignore[attr-defined]


def test_stages_on_threads_change_nothing(small_head: SmallHead) -> None:
    source = open_source(small_head.frames)

    def found(staged: bool) -> np.ndarray:
        pairs = align_pass(
            source,
            list(plan_tracks(source)),
            Aligners.of(small_head.dictionary),
            make_initial(small_head.initial),
            staged=staged,
        )
        return np.stack([found.frame_from_canonical for _, found in pairs])

    assert np.array_equal(found(True), found(False))


def test_ahead_keeps_the_order_and_stays_within_its_bound() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    lead = []
    for seen, number in enumerate(ahead(numbers(), 3)):
        assert number == seen
        lead.append(len(made) - seen)
    assert seen == 99
    assert max(lead) <= 4


def test_ahead_hands_on_what_is_raised() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise RuntimeError("frame 1")

    items = ahead(fails(), 2)
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="frame 1"):
        next(items)


def test_closing_ahead_closes_what_it_runs_and_ends_its_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(endless(), 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before
