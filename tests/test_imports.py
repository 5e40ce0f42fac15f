"""What importing holdstill, and asking the command line for help, leaves for later."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import holdstill

SLOW = {
    "av", "cv2", "fsspec", "importlib.metadata", "matplotlib", "mediapipe", "pandas", "PIL",
    "pyarrow", "scipy.interpolate", "scipy.linalg", "scipy.ndimage", "scipy.optimize",
    "scipy.signal", "scipy.sparse", "scipy.special", "statsmodels", "zarr",
}  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "import holdstill",
        "from holdstill.cli.options import build_parser; build_parser().format_help()",
    ],
)
def test_nothing_slow_is_imported_before_it_is_needed(statement: str) -> None:
    # What the interpreter's own start has imported does not count.
    code = (
        f"import sys; before = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(run.stdout.split())
    assert {"numpy", "scipy", "holdstill._core"} <= imported
    assert not imported & SLOW


def test_the_core_finds_its_blas_when_it_first_needs_it() -> None:
    code = (
        "import sys, numpy as np; from holdstill import _core\n"
        "assert 'holdstill._blas' not in sys.modules\n"
        "images = np.random.default_rng(0).random((30, 4))\n"
        "step = _core.rasl_alm(images, np.zeros((4, 30, 1)), lam=0.3)\n"
        "print(np.abs(images - step.low_rank - step.sparse).max() < 1e-5)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True"]


def test_the_version_is_that_of_the_installed_package() -> None:
    assert holdstill.__version__ == importlib.metadata.version("holdstill")
