"""Coverage-guided fuzzing of whatever reads a file.

    python fuzz/readers.py TARGET [-max_total_time=60] [CORPUS]

A target passes while it returns, or refuses by ValueError, TypeError or OSError with a message.
Anything else, a hang of 20 seconds or 2 GB of memory is a finding, and the input is kept beside.
What a finding teaches becomes a test in ``tests/``.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["holdstill"]):
    import holdstill
    from holdstill.evaluate.points import read_points
    from holdstill.jobs.manifest import read_manifest
    from holdstill.motion import MotionModel
    from holdstill.stores import LocalStore
    from holdstill.transforms import read_transforms

REFUSED = (ValueError, TypeError, OSError)


def frames_of(path: Path) -> None:
    """Every frame of a source."""
    with holdstill.open(path) as frames:
        for frame in frames:
            if frame.readable:
                frame.grey()
            else:
                assert frame.error


TARGETS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "dictionary": ("d.npz", holdstill.Dictionary.load),
    "faces": ("f.npz", holdstill.FaceModel.load),
    "motion": ("m.npz", MotionModel.load),
    "csv": ("initial.csv", read_transforms),
    "parquet": ("initial.parquet", read_transforms),
    "pts": ("a.pts", read_transforms),
    "points": ("points.csv", read_points),
    "manifest": ("job.json", lambda path: read_manifest(LocalStore(path.parent))),
    "image": ("a.png", frames_of),
    "stack": ("a.npy", frames_of),
    "video": ("a.mp4", frames_of),
}
"""Name of the file and its reader, by target."""


def main() -> None:
    """Run one target until its time is over."""
    target = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if target not in TARGETS:
        raise SystemExit(f"usage: readers.py {'|'.join(TARGETS)} [-max_total_time=60] [CORPUS]")
    name, read = TARGETS[target]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)

        def one(content: bytes) -> None:
            path.write_bytes(content)
            try:
                read(path)
            except REFUSED as error:
                if not str(error):
                    raise AssertionError("refused without a word") from error

        atheris.Setup([*sys.argv, "-timeout=20", "-rss_limit_mb=2048"], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
