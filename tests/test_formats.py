"""Files of earlier format versions, as the code of their time wrote them, are still read.

`tests/data` has one file of every version there was; a new version adds its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from holdstill import Dictionary, FaceModel, align_frame, identify, read_run
from holdstill.dictionary_file import FORMAT_VERSION as DICTIONARY
from holdstill.motion import MotionModel, decompose
from holdstill.motion.model import FORMAT_VERSION as MOTION
from holdstill.registration.model_file import FORMAT_VERSION as FACES

DATA = Path(__file__).with_name("data")
TRUTH = np.array([[1.1, -0.1, 20.0], [0.1, 1.1, 15.0], [0.0, 0.0, 1.0]])


def textured_frame() -> np.ndarray:
    """Shows a mixture of the dictionaries' atoms, at the transform that they were sampled at."""
    y, x = np.mgrid[:64, :80]
    atoms = []
    for seed in (0, 3):
        random = np.random.default_rng(seed)
        waves, phases = random.uniform(-0.2, 0.2, (12, 2)), random.uniform(0, 7, 12)
        atoms.append(
            120 + 12 * np.sin(np.tensordot(waves, [x, y], 1) + phases[:, None, None]).sum(0)
        )
    return (0.6 * atoms[0] + 0.4 * atoms[1]).astype(np.float32)


@pytest.mark.parametrize("version", range(1, DICTIONARY + 1))
def test_a_dictionary_of_every_version_aligns(version: int, tmp_path: Path) -> None:
    dictionary = Dictionary.load(DATA / f"dictionary_{version}.npz")
    start = TRUTH.copy()
    start[:2, 2] += [1.3, -0.9]
    found = align_frame(textured_frame(), dictionary, start)
    corners = np.array([[0, 23, 0, 23], [0, 0, 23, 23], [1, 1, 1, 1]])
    off = (found.frame_from_canonical - TRUTH) @ corners
    assert found.status == "converged"
    assert np.abs(off[:2]).max() < 0.1
    # What a version did not hold is unknown, not made up.
    assert np.isnan(found.quality) == (version < 2)
    assert np.isnan(dictionary.pixel_residual) == (version < 2)
    assert (len(dictionary.robust_residuals) == 0) == (version < 3)
    dictionary.save(tmp_path / "again.npz")
    assert Dictionary.load(tmp_path / "again.npz").digest == dictionary.digest


@pytest.mark.parametrize("version", range(1, FACES + 1))
def test_a_face_model_of_every_version_tells_its_users_apart(version: int) -> None:
    model = FaceModel.load(DATA / f"faces_{version}.npz")
    # The same faces as those of the file, each its user's fourth.
    faces = np.random.default_rng(0).normal(size=(12, 24, 24))
    for user, face in zip(("ann", "bob", "cem"), faces[9:], strict=True):
        assert identify(face, model, np.eye(3)).best == user
    assert np.isnan(model.quality(0.1)) == (version < 2)


@pytest.mark.parametrize("version", range(1, MOTION + 1))
def test_a_motion_model_of_every_version_draws_within_its_range(version: int) -> None:
    model = MotionModel.load(DATA / f"motion_{version}.npz")
    drawn = decompose(model.sample(200, seed=0), motion="similarity")
    # The movement that it was fitted to: 9 px and 5 px about (300, 200), and noise of 0.1 px.
    np.testing.assert_allclose(model.low[:2], [291, 195], atol=0.6)
    np.testing.assert_allclose(model.high[:2], [309, 205], atol=0.6)
    assert (drawn >= model.low - 1e-9).all() and (drawn <= model.high + 1e-9).all()
    assert (np.ptp(drawn[:, :2], axis=0) > [9, 5]).all()


def test_a_run_from_before_there_was_a_quality_is_read(tmp_path: Path) -> None:
    shutil.copytree(DATA / "run_1", tmp_path / "run")
    shutil.copy(DATA / "dictionary_1.npz", tmp_path / "run" / "dictionary.npz")
    run = read_run(tmp_path / "run")
    assert run.complete and run.shape == (24, 24)
    assert run.frame_from_canonical[:, :2, 2].tolist() == [[0, 0], [1, 2], [2, 4]]
    assert run.status.tolist() == ["converged", "max_iterations", "converged"]
    assert run.good.tolist() == [True, False, True]
