"""The dictionary: independent columns of A, and a file that other releases can refuse."""

from __future__ import annotations

import json
import pickle
import re
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from disk import small_files

from holdstill import Dictionary, outputs
from holdstill.outputs import OutputError


@pytest.fixture
def dictionary() -> Dictionary:
    atoms = np.linalg.qr(np.random.default_rng(3).normal(size=(72, 3)))[0]
    return Dictionary(
        atoms,
        shape=(6, 8),
        motion="affine",
        features="edges",
        sigma=1.1,
        roi=np.arange(48).reshape(6, 8) < 36,
        residuals=np.array([0.02, 0.03, 0.025]),
        displaced_residuals=np.array([0.2, 0.3, 0.25]),
        pixel_residual=0.004,
        robust_residuals=np.array([[0.02, 0.1, 0.8], [0.03, 0.2, 0.7]]),
        provenance={"n": 3, "sample": [["a.mp4", 4]]},
    )


def test_loads_what_it_saved_to_the_last_bit(dictionary: Dictionary, tmp_path: Path) -> None:
    dictionary.save(tmp_path / "d.npz")
    loaded = Dictionary.load(tmp_path / "d.npz")
    assert np.array_equal(loaded.atoms, dictionary.atoms)
    assert np.array_equal(loaded.mask, dictionary.mask)
    assert (loaded.shape, loaded.motion, loaded.features, loaded.sigma) == (
        (6, 8), "affine", "edges", 1.1,
    )  # fmt: skip
    assert loaded.provenance == dictionary.provenance
    assert loaded.digest == dictionary.digest
    np.testing.assert_array_equal(loaded.residuals, [0.02, 0.03, 0.025])
    np.testing.assert_array_equal(loaded.displaced_residuals, [0.2, 0.3, 0.25])
    np.testing.assert_array_equal(loaded.robust_residuals, [[0.02, 0.1, 0.8], [0.03, 0.2, 0.7]])
    assert loaded.pixel_residual == 0.004
    assert loaded.misfits == dictionary.misfits
    assert loaded.misfits is not None
    assert loaded.robust_misfits == dictionary.robust_misfits
    assert loaded.robust_misfits is not None
    assert loaded.roi is not None
    assert loaded.roi.dtype == np.bool_
    assert loaded.aligner(loss="huber", levels=1) is not None


def test_loads_weights_and_what_is_unknown_as_it_saved_them(tmp_path: Path) -> None:
    weights = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    saved = Dictionary(np.eye(15, 2), shape=(4, 4), motion="translation", roi=weights)
    saved.save(tmp_path / "d.npz")
    loaded = Dictionary.load(tmp_path / "d.npz")
    assert loaded.roi is not None
    assert loaded.roi.dtype == np.float32
    np.testing.assert_array_equal(loaded.roi, weights)
    assert np.isnan(loaded.pixel_residual)
    assert loaded.residuals.size == loaded.displaced_residuals.size == 0
    assert loaded.robust_residuals.shape == (0, 3)
    assert loaded.misfits is None
    assert loaded.robust_misfits is None
    assert loaded.digest == saved.digest


@pytest.mark.parametrize("number", [int, np.float32, np.int64])
def test_numbers_of_any_type_have_the_digest_of_their_file(
    number: type[float], tmp_path: Path
) -> None:
    made = Dictionary(
        np.eye(16, 2), shape=(4, 4), motion="affine", sigma=number(1), pixel_residual=number(2)
    )
    made.save(tmp_path / "d.npz")
    assert Dictionary.load(tmp_path / "d.npz").digest == made.digest


def test_a_dictionary_weighs_no_more_on_its_way_after_it_was_used() -> None:
    made = Dictionary(np.eye(64 * 64, 2), shape=(64, 64), motion="affine")
    made.aligner()
    content = pickle.dumps(made)
    assert len(content) < made.atoms.nbytes + made.weights.nbytes + 2000
    travelled = pickle.loads(content)
    assert travelled.digest == made.digest
    travelled.aligner()


def test_aligners_of_the_last_options_are_kept_and_no_more(dictionary: Dictionary) -> None:
    first = weakref.ref(dictionary.aligner(mu=0.5))
    assert dictionary.aligner(mu=np.float32(0.5), levels=1) is first()
    for iterations in range(1, 20):
        last = dictionary.aligner(max_iterations=iterations)
        assert dictionary.aligner(max_iterations=iterations) is last
    assert first() is None


def test_digest_changes_with_whatever_the_alignment_depends_on(dictionary: Dictionary) -> None:
    other = dictionary.atoms.copy()
    other[0, 0] = np.nextafter(other[0, 0], 1)
    keywords = {
        "shape": (6, 8), "motion": "affine", "features": "edges", "sigma": 1.1,
        "roi": dictionary.mask,
    }  # fmt: skip
    digests = {dictionary.digest, Dictionary(other, **keywords).digest}
    keywords |= {
        "residuals": dictionary.residuals,
        "displaced_residuals": dictionary.displaced_residuals,
        "pixel_residual": dictionary.pixel_residual,
        "robust_residuals": dictionary.robust_residuals,
    }
    assert Dictionary(dictionary.atoms, **keywords).digest == dictionary.digest
    changes = (
        {"motion": "similarity"},
        {"sigma": 1.2},
        {"roi": dictionary.mask * np.linspace(0.5, 1, 8)},
        {"residuals": 2 * dictionary.residuals},
        {"displaced_residuals": 2 * dictionary.displaced_residuals},
        {"pixel_residual": 0.005},
        {"robust_residuals": 0.5 * dictionary.robust_residuals},
    )
    for change in changes:
        digests.add(Dictionary(dictionary.atoms, **{**keywords, **change}).digest)
    assert len(digests) == 2 + len(changes)


def test_a_later_format_version_is_refused_with_advice(
    dictionary: Dictionary, tmp_path: Path
) -> None:
    path = tmp_path / "d.npz"
    dictionary.save(path)
    with np.load(path) as file:
        content = dict(file)
    meta = json.loads(str(content["meta"]))
    for version in (0, meta["format_version"] + 1, 99):
        content["meta"] = np.array(json.dumps({**meta, "format_version": version}))
        np.savez(path, **content)
        with pytest.raises(ValueError, match=rf"version {version}.*use the release"):
            Dictionary.load(path)


def test_a_pickle_in_the_place_of_an_array_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, meta=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="not a readable dictionary"):
        Dictionary.load(path)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=r"no \.npz archive"):
        Dictionary.load(tmp_path / "pickle.npz")


def test_a_missing_or_cut_file_is_named(dictionary: Dictionary, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        Dictionary.load(tmp_path / "none.npz")
    dictionary.save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:700])
    with pytest.raises(ValueError, match=r"cut\.npz"):
        Dictionary.load(tmp_path / "cut.npz")


def test_a_file_appears_under_its_name_only_when_it_is_on_the_disk(
    dictionary: Dictionary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(
        outputs.os, "fsync", lambda _: seen.append([entry.name for entry in tmp_path.iterdir()])
    )
    dictionary.save(tmp_path / "d.npz")
    [[name]] = seen
    assert re.fullmatch(r"\.d\.npz\..*tmp", name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.npz"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    large = Dictionary(np.eye(10_000, 2), shape=(100, 100), motion="affine")
    with small_files(), pytest.raises(OutputError, match=r"cannot write .*d\.npz"):
        large.save(tmp_path / "d.npz")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(dictionary: Dictionary, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    dictionary.save(path)
    before = path.read_bytes()
    unserialisable = Dictionary(
        np.eye(16, 2), shape=(4, 4), motion="affine", provenance={"bad": object()}
    )
    with pytest.raises(TypeError):
        unserialisable.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.npz"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atoms": np.eye(15, 2)}, "atoms: expected shape"),
        ({"atoms": np.full((16, 2), np.nan)}, "atoms: expected finite"),
        ({"atoms": np.eye(16, 2) * [1.0, 0.0]}, "atoms: expected columns that are not zero"),
        ({"features": "corners"}, "features: expected"),
        ({"motion": "spline"}, "motion: expected"),
        ({"shape": (4, 1)}, "shape: expected"),
        ({"roi": np.zeros((4, 4), bool)}, "roi: the region of interest is empty"),
        ({"roi": np.ones((3, 4), bool)}, "roi: expected a mask"),
        ({"roi": -np.ones((4, 4))}, "roi: expected weights"),
        ({"roi": np.full((4, 4), np.nan)}, "roi: expected"),
        ({"sigma": -1.0}, "sigma: expected"),
        ({"sigma": "wide"}, "sigma: expected a number"),
        ({"pixel_residual": None}, "pixel_residual: expected a number"),
        ({"residuals": np.array([-0.1])}, "residuals: expected"),
        ({"residuals": np.array([np.nan])}, "residuals: expected"),
        ({"residuals": np.ones((2, 2))}, "residuals: expected"),
        ({"displaced_residuals": np.array([np.inf])}, "displaced_residuals: expected"),
        ({"robust_residuals": np.ones(3)}, "robust_residuals: expected"),
        ({"robust_residuals": np.ones((2, 2))}, "robust_residuals: expected"),
        ({"robust_residuals": np.full((2, 3), np.nan)}, "robust_residuals: expected"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"atoms": np.eye(16, 2), "shape": (4, 4), "motion": "affine"}
    with pytest.raises((ValueError, TypeError), match=message):
        Dictionary(**{**good, **change})  # type: ignore[arg-type]


def test_atoms_are_as_many_independent_columns_of_a_as_its_rank_scaled_to_norm_one() -> None:
    random = np.random.default_rng(0)
    low_rank = random.normal(size=(64, 3)) @ random.normal(size=(3, 10))
    result = SimpleNamespace(low_rank=low_rank, rank=5)  # the rank that RASL reports is soft
    atoms = Dictionary.from_rasl(result, shape=(8, 8), motion="affine").atoms  # type: ignore[arg-type]
    assert np.linalg.matrix_rank(atoms, tol=1e-5) == atoms.shape[1] == 3
    np.testing.assert_allclose(np.linalg.norm(atoms, axis=0), 1.0, atol=1e-6)
    cosines = np.abs(atoms.T @ (low_rank / np.linalg.norm(low_rank, axis=0)))
    np.testing.assert_allclose(cosines.max(axis=1), 1.0, atol=1e-5)


def test_atom_images_put_the_region_back_into_the_frame(dictionary: Dictionary) -> None:
    images = dictionary.atom_images()
    assert images.shape == (3, 2, 6, 8)
    assert not images[:, :, ~dictionary.mask].any()
    np.testing.assert_array_equal(images[1, 1][dictionary.mask], dictionary.atoms[36:, 1])
