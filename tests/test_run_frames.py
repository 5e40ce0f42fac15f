"""Frames beside the rows of a run: what is opened for them, and closed again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from runs import write_run

import holdstill
from holdstill.run_frames import RunFrames
from holdstill.sources import FrameSource

N = 6


@pytest.fixture
def album_run(small_head, tmp_path):
    """A run of photographs, each of a size of its own."""
    for k in range(N):
        (tmp_path / "album").mkdir(exist_ok=True)
        Image.new("L", (90 + k, 70 + k)).save(tmp_path / "album" / f"{k}.png")
    images = [str(tmp_path / "album" / f"{k}.png") for k in range(N)]
    run = write_run(tmp_path / "run", [np.eye(3)] * N, small_head.dictionary)
    run.rows["source"][:] = images
    run.facts["sources"] = str(tmp_path / "album")
    return run


def test_the_own_sizes_of_images_are_read_from_one_opening_of_their_folder(album_run, monkeypatch):
    opened = []
    own = type(album_run).open_frames
    monkeypatch.setattr(type(album_run), "open_frames", lambda run: opened.append(run) or own(run))
    rows = RunFrames(np.zeros((N, 8, 8), np.uint8), album_run)
    assert [rows.own_size(row) for row in range(N)] == [(70 + k, 90 + k) for k in range(N)]
    assert len(opened) == 1


@pytest.mark.parametrize("selection", [None, {"stop": N + 1}])
def test_a_source_of_another_length_is_closed_unless_it_was_given_open(
    album_run, monkeypatch, selection
):
    album_run.facts["selection"] = selection
    closed = []
    monkeypatch.setattr(FrameSource, "close", lambda source: closed.append(len(source)))
    stack = np.zeros((N + 2, 8, 8), np.uint8)
    with pytest.raises(ValueError, match="expected one frame for each"):
        RunFrames(stack, album_run)
    assert closed == ([N + 2] if selection is None else [N + 2, N + 1])
    with pytest.raises(ValueError, match="expected one frame for each"):
        RunFrames(holdstill.open(stack), album_run)
    assert len(closed) == (1 if selection is None else 2)


def test_what_apply_opens_it_closes_and_nothing_else(album_run, monkeypatch):
    closed = []
    monkeypatch.setattr(FrameSource, "close", lambda source: closed.append(len(source)))
    stack = np.ones((N, 8, 8), np.uint8)
    list(holdstill.apply(stack, album_run))
    assert closed == [N, N]  # the stack's source, and the run's own
    closed.clear()
    with_source = holdstill.open(stack)
    list(holdstill.apply(with_source, album_run))
    assert closed == [N]
