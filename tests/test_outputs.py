"""Files appear under their names at once and whole, whoever else writes them."""

from __future__ import annotations

import pytest

from holdstill.outputs import replacing, replacing_folder


def test_a_file_that_two_write_at_a_time_is_whole_from_the_first_on(tmp_path):
    path = tmp_path / "part"
    with replacing(path) as one:
        one.write_bytes(b"whole")
        with replacing(path) as other:
            other.write_bytes(b"who")  # half-written
            one_now = one.read_bytes()
            other.write_bytes(b"whole")
    assert (one_now, path.read_bytes()) == (b"whole", b"whole")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_taken_away_from_who_is_at_it(tmp_path):
    path = tmp_path / "pictures"
    with replacing_folder(path) as one:
        (one / "0.png").write_bytes(b"")
        with pytest.raises(RuntimeError), replacing_folder(path):
            raise RuntimeError
    assert [file.name for file in path.iterdir()] == ["0.png"]
    assert list(tmp_path.iterdir()) == [path]
