"""What the tests of properties share: how many examples they draw, and what all of them draw.

The number of examples is bounded here; HOLDSTILL_FUZZ_EXAMPLES sets it for longer runs
(``make fuzz``).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import holdstill

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("HOLDSTILL_FUZZ_EXAMPLES", 0))
REFUSED = (ValueError, TypeError)
SHAPE = (32, 32)

few, many = (
    settings(
        max_examples=EXAMPLES or n,
        deadline=None,
        derandomize=not EXAMPLES,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    for n in (40, 150)
)

any_input = st.just(False)
"""Whether an input is known to be good, and must not be refused: the examples are."""

finite = st.floats(-1e3, 1e3, allow_nan=False)


def small_dictionary():
    """Three orthonormal atoms of waves."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    atoms = np.stack([np.sin(x / a) * np.cos(y / b) for a, b in ((3, 4), (5, 3), (4, 7))], axis=-1)
    atoms = np.linalg.qr(atoms.reshape(-1, 3))[0].astype(np.float32)
    return holdstill.Dictionary(atoms, shape=SHAPE, motion="affine")
