"""Other lips leave no seam and no flicker where they are stitched in.

    python benchmarks/mouth.py [FOLDER]    # keeps the runs in FOLDER and takes them from there

The middle third of a recording lends its lips to all of it. At the border of the replaced region,
and on two lines inside, where the lips fade in and where they are opaque, two figures are compared
with those of the untouched frames at the same places of the face: the jump of the gradient across
the line, and the second difference in time. Beside both ways of stitching stands OpenCV's
seamlessClone of the same region. Pictures like the paper's Fig. 2, and the videos, go to
benchmarks/out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import OUT, Claims, FloatArray, data_folder, peer, print_table
from PIL import Image

import holdstill
from holdstill.applying import positions
from holdstill.reference.motion import map_points
from holdstill.run import align_to_folder
from holdstill.streaming import frame_rate
from holdstill.talking.region import CENTRE, depth, outline
from holdstill.talking.sound import write_video

Picture = npt.NDArray[Any]

ROI = "eyes-nose"
"""What the lips are held still by: rigid, and nearer to them than the eyes alone."""

BOUND = 1.2
LINES = (0.0, 0.125, 0.25)
"""Depths in the region: its border, and where the soft edge is half and fully opaque."""

COLUMNS, ROWS = 10, 2


def run_of(path: Path, folder: Path) -> holdstill.Run:
    """The run of a recording, made unless it is there."""
    where = folder / path.stem
    if not (where / "run.json").is_file():
        with holdstill.open(path) as frames:
            dictionary = holdstill.fit(frames, roi=ROI)
            align_to_folder(frames, dictionary, where, facts={"sources": str(path)})
    return holdstill.read_run(where)


def seamless(
    frames: holdstill.FrameSource, run: holdstill.Run, lips: npt.NDArray[Any]
) -> Iterator[Picture]:
    """The same lips in the same region by OpenCV alone."""
    cv2 = peer("cv2")
    for row, frame in enumerate(frames):
        image = frame.image
        if not run.good[row]:
            yield image
            continue
        to_lips = run.frame_from_canonical[lips[row]] @ np.linalg.inv(run.frame_from_canonical[row])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        size = image.shape[1::-1]
        warped = cv2.warpPerspective(frames[int(lips[row])].image, to_lips, size, flags=flags)
        x, y = positions(np.linalg.inv(run.frame_from_canonical[row]), image.shape[:2])
        mask = (depth(x, y, run.shape) > 0).astype(np.uint8) * 255
        rows, columns = np.nonzero(mask)
        middle = [int(k.min() + k.max()) // 2 for k in (columns, rows)]
        yield cv2.seamlessClone(warped, image, mask, middle, cv2.NORMAL_CLONE)


class Border:
    """Values of frames on lines of the region, two frame pixels apart across them."""

    def __init__(self, run: holdstill.Run) -> None:
        self._run = run
        scale = np.sqrt(np.abs(np.linalg.det(run.frame_from_canonical[run.good][:, :2, :2])))
        height, width = run.shape
        middle = np.array([CENTRE[0] * width, CENTRE[1] * height])
        lines = [middle + (1 - line) * (outline(run.shape, 180) - middle) for line in LINES]
        away = outline(run.shape, 180) - middle
        away /= np.linalg.norm(away, axis=1, keepdims=True) * np.median(scale)
        self._points = np.stack([[line + k * away for k in (-1, 0, 1)] for line in lines])

    def __call__(self, row: int, picture: Picture) -> FloatArray:
        """(lines, 3 across, points, channels)."""
        from scipy import ndimage

        points = self._points.reshape(-1, 2)
        x, y = map_points(self._run.frame_from_canonical[row], points).T
        planes = [
            ndimage.map_coordinates(picture[..., c].astype(np.float64), (y, x), order=1)
            for c in range(picture.shape[2])
        ]
        return np.stack(planes, axis=-1).reshape(*self._points.shape[:3], -1)


def figures(values: FloatArray, good: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Mean gradient jump and mean flicker on each line, grey levels."""
    jump = np.abs(values[:, :, 0] - 2 * values[:, :, 1] + values[:, :, 2])[good].mean(
        axis=(0, 2, 3)
    )
    change = np.abs(values[2:, :, 1] - 2 * values[1:-1, :, 1] + values[:-2, :, 1])
    flicker = change[good[2:] & good[1:-1] & good[:-2]].mean(axis=(0, 2, 3))
    return jump, flicker


def measure(name: str, path: Path, folder: Path, claims: Claims) -> list[list[str]]:
    """Rows of the table for one recording."""
    run = run_of(path, folder)
    n = len(run)
    border = Border(run)
    rows = []
    with run.open_frames() as frames:
        made = {
            blend: holdstill.replace_mouth(frames, run, range(n // 3, 2 * n // 3), blend=blend)
            for blend in ("poisson", "feather")
        }
        ours = made["poisson"]
        use = ours.replaced & (ours.lips != np.arange(n))
        nowhere = np.zeros(border(int(np.flatnonzero(run.good)[0]), frames[0].image).shape)

        def look(pictures: Iterator[Picture]) -> tuple[FloatArray, FloatArray, float]:
            seen, seconds = [], 0.0
            while True:
                started = time.perf_counter()
                picture = next(pictures, None)
                seconds += time.perf_counter() - started
                if picture is None:
                    break
                seen.append(border(len(seen), picture) if run.good[len(seen)] else nowhere)
            return *figures(np.stack(seen), use), 1e3 * seconds / n

        jump, flicker, read = look(frame.image for frame in frames)
        for way, pictures in (
            *((blend, (p for _, p in replacement)) for blend, replacement in made.items()),
            ("seamlessClone", seamless(frames, run, ours.lips)),
        ):
            jumped, flickered, milliseconds = look(iter(pictures))
            seams, flickers = jumped / jump, flickered / flicker
            if way == "poisson":
                claims.check(
                    seams[0] <= BOUND, f"{name}: the seam is {seams[0]:.2f} of the frame's"
                )
                claims.check(
                    flickers[0] <= BOUND, f"{name}: the flicker is {flickers[0]:.2f} of the frame's"
                )
            rows.append(
                [
                    name,
                    way,
                    f"{int(ours.replaced.sum())}/{n}",
                    *(f"{ratio:.2f}" for ratio in seams),
                    *(f"{ratio:.2f}" for ratio in flickers),
                    f"{milliseconds - read:.0f}",
                ]
            )
        show(name, run, frames, ours)
    return rows


def show(name: str, run: holdstill.Run, frames: Any, replacement: Any) -> None:
    """Input, aligned, mouth replaced; and the video."""
    OUT.mkdir(exist_ok=True)
    before, _ = run.before()
    chosen = set(
        np.flatnonzero(replacement.replaced)[
            np.linspace(0, replacement.replaced.sum() - 1, COLUMNS * ROWS).astype(int)
        ].tolist()
    )
    wider = np.array([[1.3, 0.0, -30.0], [0.0, 1.3, -30.0], [0.0, 0.0, 1.0]])
    columns: list[Picture] = []

    def watched() -> Iterator[tuple[Picture, float]]:
        for row, (frame, picture) in enumerate(replacement):
            if row in chosen:
                at = [before[row], run.frame_from_canonical[row], run.frame_from_canonical[row]]
                cells = [
                    holdstill.warp(image, matrix @ wider, (200, 200))
                    for image, matrix in zip((frame.image, frame.image, picture), at, strict=True)
                ]
                columns.append(np.concatenate(cells))
            yield picture, row / fps

    fps = frame_rate(frames)
    stem = f"mouth_{name.replace(' ', '_')}"
    write_video(watched(), OUT / f"{stem}.mp4", fps)
    lines = [np.concatenate(columns[k : k + COLUMNS], axis=1) for k in (0, COLUMNS)]
    gap = np.full((12, lines[0].shape[1], 3), 255, np.uint8)
    Image.fromarray(np.concatenate([lines[0], gap, lines[1]])).save(OUT / f"{stem}.png")


def main(arguments: list[str]) -> int:
    """Measure what is there."""
    claims, rows = Claims(), []
    face, clips = data_folder("talking_face"), data_folder("clips")
    recordings = {"talking face": face} if face is not None else {}
    if clips is not None:
        recordings["portrait"] = clips / "portrait_d10.mp4"
        recordings["weekly address"] = clips / "weekly_address.mp4"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments[0]) if arguments else Path(temporary)
        for name, path in recordings.items():
            rows += measure(name, path, folder, claims)
    if rows:
        lines = [f"{what} {line:g}" for what in ("seam", "flicker") for line in LINES]
        print_table(
            "seam and flicker over those of the untouched frames, at depths in the region; "
            "milliseconds a frame beside decoding",
            ["recording", "stitched by", "replaced", *lines, "ms"],
            rows,
            packages=["opencv-python-headless"],
        )
    return claims.exit_code()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
