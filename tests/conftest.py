"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from holdstill import Dictionary, fit
from holdstill.synthetic import TalkingHead


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real images that the project does not ship; tests that need it skip without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HOLDSTILL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (set HOLDSTILL_DATA)")
    return folder


@dataclass(frozen=True)
class SmallHead:
    """A small recording of the synthetic head, and a dictionary learnt from it."""

    head: TalkingHead
    frames: npt.NDArray[np.uint8]  # (n, H, W) grey
    initial: npt.NDArray[np.float64]
    dictionary: Dictionary


@pytest.fixture(scope="session")
def small_head() -> SmallHead:
    """24 frames of 160x200, canonical 64x64, similarity, grey; dictionary from 12 of them."""
    head = TalkingHead(24, size=(160, 200), shape=(64, 64), occlusion=False, color=False)
    frames = np.stack([head[i] for i in range(len(head))])
    initial = head.initial()
    dictionary = fit(
        frames, initial, n=12, shape=(64, 64), motion="similarity", features="grey", roi="full"
    )
    return SmallHead(head, frames, initial, dictionary)
