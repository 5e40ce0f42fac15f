"""The array of aligned pictures, written by many at a time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from holdstill.jobs.crops import Crops, digest_of, digest_of_all
from holdstill.stores import LocalStore

zarr = pytest.importorskip("zarr")


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
    alone = replace(talk, sources=[tmp_path / "grey.npy"], initial=talk.initial[250:290])
    alone.align(tmp_path / "run", video=False)
    assert zarr.open(str(tmp_path / "run" / "aligned.zarr")).shape == (40, 32, 32)
    assert not (tmp_path / "run" / "aligned.mp4").exists()


def test_the_same_pictures_are_the_same_bytes_each_time(tmp_path):
    grains = np.random.default_rng(0).integers(0, 256, (25, 120, 100 * 3 // 4), dtype=np.uint8)
    pictures = np.repeat(grains, 4, axis=2).reshape(25, 120, 100, 3)  # compressible, unlike noise
    found = set()
    for number in range(100):
        crops = Crops(LocalStore(tmp_path / str(number)), 25, (120, 100), colour=True)
        crops.create()
        crops.write(0, pictures)
        files = (tmp_path / str(number)).rglob("*")
        found.add(tuple(sorted(file.read_bytes() for file in files if file.is_file())))
    assert len(found) == 1
