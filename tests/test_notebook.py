"""What notebooks show: HTML of results, and progress."""

from __future__ import annotations

import base64
import io
import re
import shutil
import sys
import types
from html.parser import HTMLParser
from typing import ClassVar

import numpy as np
import pytest
from runs import change_facts

import holdstill
from holdstill import align_batch, read_run
from holdstill.notebook import sparkline
from holdstill.progress import Progress


class Reader(HTMLParser):
    """Collects tags and text; complains about tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("img",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def picture_in(html):
    Image = pytest.importorskip("PIL.Image")
    (text,) = re.findall(r'base64,([^"]+)"', html)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_a_run_shows_its_counts_a_curve_and_its_faces(run_folder):
    pytest.importorskip("av")
    run = read_run(run_folder)
    html = run._repr_html_()
    read = Reader(html)
    assert f"{len(run)} frames: {len(run)} converged; {run.good.sum()} good" in read.text
    assert {"svg", "polyline", "img"} <= set(read.tags)
    assert len(html) < 20_000
    seen = picture_in(html)
    assert seen.shape == (2 * 56, 5 * 56, 3)
    assert 'alt="above ' in html
    with run.open_frames() as frames:
        small = run.frame_from_canonical[0] @ np.diag([32 / 56, 32 / 56, 1.0])
        expected = holdstill.warp(frames[0].image, small, (56, 56))
    assert np.abs(seen[56:, :56].astype(float) - expected).mean() < 6.0  # it is a JPEG


def test_what_is_printed_is_short(run_folder):
    run = read_run(run_folder)
    assert repr(run) == f"Run({run_folder}: {len(run)} rows, {run.good.sum()} good)"
    found = holdstill.evaluate_run(run, frames=False)
    assert repr(found).startswith(f"Evaluation({run_folder}: ") and len(repr(found)) < 300
    assert str(found) in Reader(found._repr_html_()).text


def test_names_cannot_smuggle_markup_in(run_folder, tmp_path):
    evil = tmp_path / "<script>alert(1)<" / "run & co"
    shutil.copytree(run_folder, evil)
    read = Reader(read_run(evil)._repr_html_())
    assert "script" not in read.tags and "<script>alert(1)<" in read.text


def test_a_run_without_its_source_or_facts_shows_what_is_left(run_copy):
    given = read_run(run_copy).facts["sources"]
    change_facts(run_copy, sources="gone.mp4")
    assert "img" not in Reader(read_run(run_copy)._repr_html_()).tags
    change_facts(run_copy, sources=given, options={"independent": True}, initial=None)
    html = read_run(run_copy)._repr_html_()
    assert picture_in(html).shape[0] == 56 and 'alt="aligned"' in html
    (run_copy / "run.json").unlink()
    (run_copy / "dictionary.npz").unlink()
    assert "(interrupted)" in Reader(read_run(run_copy)._repr_html_()).text


def test_a_batch_and_a_dictionary(small_head):
    frames = small_head.frames[:8].copy()
    frames[3] = 0
    batch = align_batch(frames, small_head.dictionary, small_head.initial[:8])
    read = Reader(batch._repr_html_())
    assert "8 frames: 7 converged, 1 singular; 7 good" in read.text
    assert read.tags.count("path") == 1
    read = Reader(small_head.dictionary._repr_html_())
    assert repr(small_head.dictionary) in read.text
    seen = picture_in(small_head.dictionary._repr_html_())
    assert seen.ndim == 3 and seen.max() > 200


def test_a_sparkline_keeps_the_dips_of_a_long_run():
    values = np.ones(9000)
    values[4321] = 0.0
    good = values > 0.5
    svg = sparkline(values, good)
    heights = [float(y) for _, y in re.findall(r"(\d+),(\d+)", svg)]
    assert len(heights) <= 160 and heights.count(max(heights)) == 1 < len(heights)
    assert svg.count("v5") == 1
    assert "0 to 1" in svg
    assert sparkline(np.full(5, np.nan), np.zeros(5, bool)) == ""
    assert "polyline" in sparkline([3.0], np.ones(1, bool))


# --- progress -------------------------------------------------------------------------------------


class FakeBar:
    """Of tqdm what is used."""

    made: ClassVar[list[FakeBar]] = []

    def __init__(self, total, desc, unit):
        self.total, self.desc, self.unit = total, desc, unit
        self.n, self.closed = 0, False
        FakeBar.made.append(self)

    def update(self, more):
        self.n += more

    def close(self):
        self.closed = True


def test_progress_is_tqdms_bar_where_there_is_one(monkeypatch):
    module = types.ModuleType("tqdm.auto")
    module.tqdm = FakeBar
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    monkeypatch.setattr(FakeBar, "made", [])
    progress = holdstill.progress_bar("align")
    for done in (1, 2, 5):
        progress(done, 5)
    for done in (1, 2):
        progress(done, 3)
    progress(1, 3)  # begins again before its end
    assert [(bar.n, bar.total, bar.closed) for bar in FakeBar.made] == [
        (5, 5, True), (2, 3, True), (1, 3, False)
    ]  # fmt: skip
    assert (FakeBar.made[0].desc, FakeBar.made[0].unit) == ("align", "frame")


def test_progress_is_a_line_of_text_where_tqdm_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    progress = holdstill.progress_bar("align")
    assert isinstance(progress, Progress)
    progress(1, 2)
    progress(2, 2)
    assert "align: 2/2 frames" in capsys.readouterr().err
