"""Every instruction set that the processor has computes the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_core_linearize import FLOAT32

from holdstill import _core

INSTRUCTION_SETS = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from rasl_problems import LAM, problem
from test_core_linearize import SHAPE, mask, texture, transform
from holdstill import _core
from holdstill.reference import FEATURES, MOTIONS
out = {"name": np.array(_core.instruction_set())}
image = texture()
for motion in MOTIONS:
    for features in FEATURES:
        for scale in (1.0, 3.0):
            now = _core.linearize(
                image, transform(motion, scale), shape=SHAPE, motion=motion, features=features,
                roi=mask())
            out[f"vector {motion} {features} {scale}"] = now.vector
            out[f"jacobian {motion} {features} {scale}"] = now.jacobian
atoms = np.stack(
    [_core.linearize(texture(k), transform("affine", 1.5), shape=SHAPE,
                     motion="affine").vector for k in range(6)], axis=1)
start = transform("affine", 1.5)
start[:2, 2] += (1.1, -0.7)
found = _core.FrameAligner(atoms, shape=SHAPE, motion="affine").align(image, start)
assert found.status == "converged"
out["transform"] = found.frame_from_canonical
for p in (2, 3, 4, 6, 8):
    D, Q, B, _ = problem(0, p, pixels=243)  # which no vector divides
    for solver in (_core.rasl_alm, _core.rasl_apg):
        solved = solver(D, Q, B, lam=LAM, max_iterations=20)
        for name in ("low_rank", "sparse", "delta"):
            out[f"{solver.__name__} {p} {name}"] = getattr(solved, name)
np.savez(sys.argv[2], **out)
"""


def under(instruction_set: str, folder: Path) -> subprocess.CompletedProcess[str]:
    target = folder / f"{instruction_set}.npz"
    return subprocess.run(
        [sys.executable, "-c", INSTRUCTION_SETS, str(Path(__file__).parent), str(target)],
        env=os.environ | {"HOLDSTILL_ISA": instruction_set}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def by_instruction_set(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("sets")
    found = {}
    for name in _core.instruction_sets():
        run = under(name, folder)
        assert run.returncode == 0, run.stderr
        with np.load(folder / f"{name}.npz") as arrays:
            found[name] = dict(arrays)
    return found


def test_every_instruction_set_gives_the_same(
    by_instruction_set: dict[str, dict[str, np.ndarray]],
) -> None:
    baseline = by_instruction_set["baseline"]
    for name, arrays in by_instruction_set.items():
        assert arrays["name"] == name
        for key in baseline.keys() - {"name"}:
            error = np.linalg.norm(arrays[key] - baseline[key])
            assert error <= FLOAT32 * np.linalg.norm(baseline[key]), (name, key)


def test_unknown_instruction_set_is_refused_by_name(tmp_path: Path) -> None:
    run = under("mmx", tmp_path)
    assert run.returncode != 0
    assert "HOLDSTILL_ISA" in run.stderr
