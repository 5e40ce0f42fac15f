"""Python without a global lock: importing holdstill does not bring it back, objects are shared."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from holdstill import _core


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a global lock"
)
def test_import_leaves_the_global_lock_off() -> None:
    # What holdstill depends on may bring it back; holdstill must not.
    code = """if True:
        import sys
        import numpy, scipy.linalg.cython_blas, scipy.linalg.cython_lapack
        before = sys._is_gil_enabled()
        import holdstill._blas, holdstill._core
        assert sys._is_gil_enabled() == before, "holdstill enabled the global lock"
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_solver_on_four_threads_finds_what_it_finds_on_one() -> None:
    random = np.random.default_rng(5)
    A = random.standard_normal((300, 60))
    targets = random.standard_normal((300, 400))
    solver = _core.L1Solver(A.T @ A, mu=5.0)
    none = np.zeros((60, 0))

    def coefficients(v: np.ndarray) -> np.ndarray:
        found: np.ndarray = solver.solve(none, A.T @ v, float(v @ v))[0]
        return found

    alone = [coefficients(v) for v in targets.T]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(coefficients, targets.T))
    np.testing.assert_array_equal(together, alone)
