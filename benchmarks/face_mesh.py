"""MediaPipe's face mesh, which needs an environment of its own: it pins NumPy below 2.

`meshes` makes the environment in ``build/mediapipe`` where it is missing and runs this file in it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PACKAGE = "mediapipe==0.10.21"
"""Carries its models; later ones take a file."""
ENVIRONMENT = Path(__file__).parents[1] / "build" / "mediapipe"
CORNERS = (33, 263, 133, 362, 61, 291)
"""Outer eye corners, image left and right, the inner ones, the mouth's."""
N_POINTS = 468


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
    (ndarray, shape (n, 468, 2), float64), (ndarray, shape (n,), float64)
        Pixels, NaN where no face was found; milliseconds. None, having said so, where the
        environment cannot be made.
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
    """What runs in the other environment."""
    import mediapipe

    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=not tracking, max_num_faces=1, refine_landmarks=False
    )
    points, ms = [], []
    with np.load(given) as pictures:
        for name in pictures.files:
            grey = pictures[name]
            rgb = np.repeat(grey[:, :, None], 3, axis=2)
            started = time.perf_counter()
            faces = mesh.process(rgb).multi_face_landmarks
            ms.append(1e3 * (time.perf_counter() - started))
            landmarks = faces[0].landmark if faces else []
            # Without half a pixel off: against manual points at any size, the middle of a pixel.
            at = [(p.x * grey.shape[1], p.y * grey.shape[0]) for p in landmarks]
            points.append(np.array(at) if at else np.full((N_POINTS, 2), np.nan))
    np.savez(found, points=np.array(points), ms=np.array(ms))


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], sys.argv[3] == "1")
