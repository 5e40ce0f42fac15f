"""MediaPipe's face mesh, which needs an environment of its own: it pins NumPy below 2.

`meshes` makes the environment in ``build/mediapipe`` where it is missing and runs this file in it,
which asks MediaPipe as ``holdstill.headpose`` does.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

PACKAGE = "mediapipe==0.10.21"
"""Carries its models; later ones take a file."""
ENVIRONMENT = Path(__file__).parents[1] / "build" / "mediapipe"
CORNERS = (33, 263, 133, 362, 61, 291)
"""Outer eye corners, image left and right, the inner ones, the mouth's."""
HEADPOSE = Path(__file__).parents[1] / "python" / "holdstill" / "headpose.py"


def meshes(
    pictures: Sequence[np.ndarray], *, tracking: bool = False
) -> tuple[np.ndarray, np.ndarray] | None:
    """Points and milliseconds of the mesh in every picture.

    Parameters
    ----------
    pictures : sequence of ndarray, shape (h, w), uint8
    tracking : bool
        Whether they are frames of one video; else each is searched for a face.

    Returns
    -------
    (ndarray, shape (n, 468, 3), float64), (ndarray, shape (n,), float64)
        x and y in pixels and depth, NaN where no face was found; milliseconds. None, having said
        so, where the environment cannot be made.
    """
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        print(f"installing {PACKAGE} into {ENVIRONMENT}", flush=True)
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", PACKAGE]
        if subprocess.run(command, check=False).returncode:
            python.unlink()
            print(f"{PACKAGE} cannot be installed here: its rows are left out")
            return None
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "pictures.npz"), Path(folder, "meshes.npz")
        np.savez(given, *pictures)
        command = [str(python), __file__, str(given), str(found), str(int(tracking))]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"{PACKAGE} fails here: its rows are left out\n{done.stderr[-500:]}")
            return None
        with np.load(found) as results:
            return results["points"], results["ms"]


def worker(given: str, found: str, tracking: bool) -> None:
    """What runs in the other environment, where there is no holdstill but its one file."""
    spec = importlib.util.spec_from_file_location("headpose", HEADPOSE)
    assert spec is not None and spec.loader is not None
    headpose = importlib.util.module_from_spec(spec)
    sys.modules["headpose"] = headpose
    spec.loader.exec_module(headpose)
    points, ms = [], []
    with closing(headpose.FaceMesh(tracking=tracking)) as mesh, np.load(given) as pictures:
        for name in pictures.files:
            rgb = np.repeat(pictures[name][:, :, None], 3, axis=2)
            started = time.perf_counter()
            face = mesh(rgb)
            ms.append(1e3 * (time.perf_counter() - started))
            points.append(np.full((headpose.N_POINTS, 3), np.nan) if face is None else face)
    np.savez(found, points=np.array(points), ms=np.array(ms))


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], sys.argv[3] == "1")
