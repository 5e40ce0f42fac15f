"""A live frame is aligned in a few milliseconds, far below a camera's 33, and as an array's is.

    python benchmarks/live.py

Frames of the talking face and of a webcam are handed to a LiveAligner one by one, on one thread.
What a frame costs is told by what it needs: most start where the one before ended; few are searched
for by the detector. All of them are compared with those of holdstill.align: the same bits.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from common import Claims, data_folder, print_table

import holdstill

CAMERA = 33.3
N_FRAMES = 250
"""A track's length: as far as both agree."""


def measure(name: str, path: Path, claims: Claims) -> list[str]:
    """One row of the table."""
    with holdstill.open(path) as source:
        dictionary = holdstill.fit(source)
    with holdstill.open(path, stop=N_FRAMES) as source:
        frames = [frame.image for frame in source]
    # As an array: the grey of a file may come from its luma, that of an array from its colours.
    whole = list(holdstill.align(np.stack(frames), dictionary, threads=1))
    live = holdstill.LiveAligner(dictionary)
    milliseconds, detected, differ = [], [], 0
    for image, expected in zip(frames, whole, strict=True):
        before = live.detections
        started = time.perf_counter()
        found = live.align(image)
        milliseconds.append(1e3 * (time.perf_counter() - started))
        detected.append(live.detections > before)
        differ += not _same(found, expected)
    claims.check(differ == 0, f"{name}: {differ} of {len(frames)} frames end elsewhere")
    tracked = np.array(milliseconds)[~np.array(detected)]
    middle, most = np.median(tracked), np.quantile(tracked, 0.95)
    claims.check(most < CAMERA, f"{name}: 95 % of the tracked frames take below {most:.1f} ms")
    return [
        name,
        f"{frames[0].shape[1]}x{frames[0].shape[0]}",
        f"{middle:.1f}",
        f"{most:.1f}",
        f"{max(milliseconds):.0f}",
        str(sum(detected)),
        f"{sum(a.good for a in whole)}/{len(whole)}",
    ]


def _same(found: holdstill.Alignment, expected: holdstill.Alignment) -> bool:
    if found.frame_from_canonical is None or expected.frame_from_canonical is None:
        return found.frame_from_canonical is expected.frame_from_canonical
    return bool((found.frame_from_canonical == expected.frame_from_canonical).all())


def main() -> int:
    """Measure what is there."""
    claims, rows = Claims(), []
    face, clips = data_folder("talking_face"), data_folder("clips")
    if face is not None:
        rows.append(measure("talking face", face, claims))
    if clips is not None:
        rows.append(measure("webcam", clips / "webcam_occlusion.mp4", claims))
    if rows:
        print_table(
            f"the first {N_FRAMES} frames one by one, one thread; milliseconds a frame, from RGB",
            ["footage", "frames", "median", "95 %", "most", "detections", "good"],
            rows,
        )
    return claims.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
