"""Tracks: where the frames of a stream are cut."""

from __future__ import annotations

import itertools

import pytest

from holdstill.tracks import TRACK_LENGTH, each_track


@pytest.mark.parametrize(("start", "stop", "every"), [(0, None, 1), (7, 901, 3), (240, 2000, 260)])
def test_tracks_hold_every_selected_frame_once_and_never_cross_a_cut(start, stop, every):
    selected = range(1000)[start:stop:every]
    cut = list(each_track(selected))
    assert list(itertools.chain.from_iterable(cut)) == list(selected)
    for track in cut:
        assert track[0] // TRACK_LENGTH == track[-1] // TRACK_LENGTH


def test_where_tracks_are_cut_does_not_depend_on_where_the_selection_starts():
    assert list(each_track(range(300, 1000)))[1:] == list(each_track(range(1000)))[2:]
    assert list(each_track(range(0))) == list(each_track(range(10, 10))) == []


def test_a_source_that_cannot_be_opened_is_a_track_of_its_one_row():
    assert list(each_track(range(-1, 0))) == [range(-1, 0)]
