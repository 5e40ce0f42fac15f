"""Runs for the tests of reports, made without aligning: every frame shows its own number."""

from __future__ import annotations

import numpy as np
from runs import write_rows

from holdstill import Dictionary

SIDE = 32
BITS = 8
BEFORE = np.eye(3)
AFTER = np.array([[1.0, 0.0, SIDE], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def numbered_frames(n, seed=0):
    """(n, 32, 64) uint8: at the left the number's bits in 4 x 2 squares, at the right the negative.

    Seen through `BEFORE` a frame shows its number, through `AFTER` the negative.
    """
    bits = (np.arange(n)[:, None] >> np.arange(BITS)) & 1
    squares = bits.reshape(n, 4, 2).repeat(SIDE // 4, axis=1).repeat(SIDE // 2, axis=2)
    left = np.where(squares > 0, 220, 30).astype(np.uint8)
    return np.concatenate([left, 250 - left], axis=2)


def number_in(picture):
    """Number shown by a picture (h, w) of grey levels, and whether it is the negative.

    The negative of number k shows 255 - k: which it is has to be known.
    """
    height, width = picture.shape
    rows = ((np.arange(4) + 0.5) * height / 4).astype(int)
    columns = ((np.arange(2) + 0.5) * width / 2).astype(int)
    bits = (picture[np.ix_(rows, columns)] > 125).ravel()
    return int((bits << np.arange(BITS)).sum())


def columns_of(source, n, **given):
    quality = np.linspace(0.9, 0.99, n)
    return {
        "source": [source] * n,
        "frame": np.arange(n),
        "time": np.arange(n) / 25.0,
        "frame_from_canonical": np.tile(AFTER, (n, 1, 1)),
        "status": ["converged"] * n,
        "iterations": np.full(n, 5),
        "residual": 0.1 + (1.0 - quality),
        "step": np.full(n, 1e-7),
        "n_atoms": np.full(n, 2),
        "evaluations": np.full(n, 9),
        "quality": quality,
        **given,
    }


def run_of(folder, columns, facts=None):
    """A run's folder of the rows given; interrupted where `facts` is None."""
    atoms = np.eye(SIDE * SIDE, 2, dtype=np.float32)
    dictionary = Dictionary(atoms, shape=(SIDE, SIDE), motion="affine")
    return write_rows(folder, columns, dictionary, facts)


def numbered_run(folder, n, *, name="frames.npy", flagged=(), facts=None):
    """A run on a stack of numbered frames; `flagged` is (row, status, quality)."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / name
    np.save(source, numbered_frames(n))
    initial = folder / "initial.csv"
    rows = "\n".join(f"{k},1,0,0,0,1,0,0,0,1" for k in range(n))
    initial.write_text(f"frame,h00,h01,h02,h10,h11,h12,h20,h21,h22\n{rows}\n")
    columns = columns_of(str(source), n)
    for row, status, quality in flagged:
        columns["status"][row] = status
        columns["quality"][row] = quality
        if status in ("not_found", "unreadable"):
            columns["frame_from_canonical"][row] = np.nan
    given = {
        "command": f"holdstill align {source} --out run",
        "sources": str(source),
        "initial": str(initial),
        "options": {"loss": "l2", "threads": 1},
        "frames_per_second": 100.0,
        **(facts or {}),
    }
    return run_of(folder / "run", columns, given)
