"""Runs of chosen rows, written as `align` writes them."""

from __future__ import annotations

import json

import numpy as np

from holdstill import read_run
from holdstill.initial_rows import ANGLES
from holdstill.parts import COLUMNS, as_part
from holdstill.recording import write_summary
from holdstill.run_layout import DICTIONARY, part_name
from holdstill.stores import LocalStore


def write_rows(folder, columns, dictionary, facts=None):
    """A run's folder of the rows given; interrupted where `facts` is None."""
    kinds = {**COLUMNS, **dict.fromkeys(set(ANGLES) & set(columns), "float64")}
    store = LocalStore(folder)
    store.write(part_name(0), as_part(columns, kinds))
    dictionary.save(store.local / DICTIONARY)
    if facts is not None:
        write_summary(store, facts)
    return folder


def change_facts(folder, **facts):
    """What the run says of itself from now on, beside what it says."""
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def interrupt(folder):
    """As if the run had not come to its end."""
    for name in ("run.json", "aligned.mp4"):
        (folder / name).unlink()


def write_run(
    folder,
    transforms,
    dictionary,
    *,
    frames=None,
    status=None,
    quality=None,
    source="array",
    **facts,
):
    """A run of one stream, of its frames 0, 1, ...; None is a row without transform."""
    n = len(transforms)
    nowhere = np.full((3, 3), np.nan)
    status = status or ["not_found" if matrix is None else "converged" for matrix in transforms]
    columns = {
        "source": [str(source)] * n,
        "frame": list(range(n) if frames is None else frames),
        "time": [None] * n,
        "frame_from_canonical": [nowhere if m is None else m for m in transforms],
        "status": status,
        "iterations": [9 if s == "converged" else 0 for s in status],
        "residual": [0.1] * n,
        "step": [1e-7] * n,
        "n_atoms": [3] * n,
        "evaluations": [9] * n,
        "quality": [0.9] * n if quality is None else quality,
    }
    return read_run(write_rows(folder, columns, dictionary, {"sources": str(source), **facts}))
