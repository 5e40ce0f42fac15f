"""Pictures to look at."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from holdstill.pictures import MOST_CELLS, ContactSheet, canonical_picture
from holdstill.sources import Frame

Image = pytest.importorskip("PIL.Image")


def flat(value, dtype=np.uint8, size=(20, 30)):
    return Frame("a.png", 0, None, np.full(size, value, dtype))


def test_a_picture_of_any_dtype_is_shown():
    for value, dtype in ((128, np.uint8), (128 << 8, np.uint16), (0.5, np.float32), (128, float)):
        assert (canonical_picture(flat(value, dtype), np.eye(3), (4, 5)) == 128).all()
    for at in (None, np.full((3, 3), np.nan)):
        assert (canonical_picture(flat(9), at, (4, 5)) == 0).all()


def test_a_contact_sheet_shows_each_face_in_its_place():
    sheet = ContactSheet((64, 32), 8)
    for value in range(8):
        sheet.add(flat(30 * value), np.diag([0.1, 0.1, 1.0]), [f"{value}", "converged"], True)
    drawn = sheet.draw()
    height, width = sheet.cell
    assert width == height // 2
    step = drawn.shape[0] // 2, drawn.shape[1] // 6
    for value in range(8):
        row, column = divmod(value, 6)
        cell = drawn[row * step[0] : row * step[0] + height, column * step[1] :][:, : step[1]]
        assert (cell[height // 2, step[1] // 2] == 30 * value).all()
    assert ContactSheet((64, 64), 3).draw() is None


def test_a_frame_without_a_transform_is_shown_whole_between_margins():
    sheet = ContactSheet((64, 64), 1)
    sheet.add(flat(200, size=(100, 400)), None, ["wide", "not_found"], False)
    drawn = sheet.draw()[:, :, 0]
    middle, above = drawn[4 + sheet.cell[0] // 2, 60], drawn[10, 60]
    assert (middle, above) == (200, 90)


def test_a_long_run_s_sheet_is_bounded_and_spread_over_it():
    sheet = ContactSheet((64, 64), 10 * MOST_CELLS)
    shown = [row for row in range(10 * MOST_CELLS) if sheet.wants(row)]
    assert len(shown) == MOST_CELLS
    assert shown[-1] >= 9.9 * MOST_CELLS - 10
    for _ in range(MOST_CELLS + 5):
        sheet.add(flat(1), np.eye(3), ["\u4f60\u597d " * 20], True)
    assert sheet.draw().shape[1] == 20 * (sheet.cell[1] + 8)


def test_without_pillow_a_sheet_says_so_before_the_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pictures needs PIL: pip install .holdstill\[cli\]"):
        ContactSheet((64, 64), 3)
