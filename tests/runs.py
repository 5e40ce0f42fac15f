"""Runs with chosen transforms, written as `align` writes them."""

from __future__ import annotations

import numpy as np

from holdstill import read_run
from holdstill.recording import Recording


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
    with Recording(folder) as recording:
        recording.write_dictionary(dictionary.save)
        recording.write_part(
            0,
            {
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
            },
        )
        recording.finish({"sources": str(source), **facts})
    return read_run(folder)
