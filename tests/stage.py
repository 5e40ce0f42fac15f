"""A folder in which every command of the documentation finds what it names."""

from __future__ import annotations

import shutil
import wave

import numpy as np
from albums import save
from clips import write_video
from PIL import Image
from stacks import write_zarr

import holdstill
from holdstill.cli import main
from holdstill.motion import MotionModel
from holdstill.synthetic import TalkingHead

SIZE = (360, 450)
RENDERED, REPEATED = 12, 6
N_FRAMES = RENDERED * REPEATED  # enough for `--lips 20:70`
SHORT = 10
LEFT, RIGHT = 0, 3
"""The outer eye corners among the head's landmarks."""


def make_stage(folder):
    """Fill the folder; the caller works in it and learns from few frames."""
    head = TalkingHead(RENDERED, size=SIZE, occlusion=False)
    there_and_back = [*range(RENDERED), *reversed(range(RENDERED))] * (REPEATED // 2)
    pictures = [head[number] for number in range(RENDERED)]
    points = head.points()
    write_videos(folder, [pictures[number] for number in there_and_back])
    write_annotations(folder, points[there_and_back])
    write_streams(folder)
    write_photographs(folder, pictures, points)
    write_training(folder, pictures, points, head.frame_from_canonical)
    for command in (
        "fit interview.mp4 --out interview.npz",
        "align interview.mp4 --dictionary interview.npz --out aligned",
        "model train people/*/*.jpg --points points.npy --users folders --out faces.npz",
        "model enrol ann.jpg --model faces.npz --user ann --out faces.npz",
    ):
        assert main([*command.split(), "--quiet"]) == 0, command
    MotionModel.fit(holdstill.read_run("aligned")).save("speaker.npz")
    for other in ("other_day", "other-run"):
        shutil.copytree(folder / "aligned", folder / other)


def write_videos(folder, pictures):
    write_video(folder / "interview.mp4", pictures)
    for name in ("other_lips.mp4", "talking.mp4", "master.mov"):
        shutil.copy(folder / "interview.mp4", folder / name)
    (folder / "talks").mkdir()
    for name in ("part1.mp4", "part2.mp4", "door.mp4", "talks/a.mp4", "talks/b.mp4"):
        write_video(folder / name, pictures[:SHORT])
    with wave.open(str(folder / "speech.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(np.zeros(80000, np.int16).tobytes())


def write_annotations(folder, points):
    """Corners of the eyes as 68 landmarks, and as initial transforms."""
    landmarks = np.full((len(points), 68, 2), np.nan)
    landmarks[:, [36, 39, 42, 45]] = points[:, :4]
    np.save(folder / "landmarks.npy", landmarks)
    np.save(folder / "path.npy", np.zeros((len(points), 3)))
    for name in ("initial.csv", "tracker.csv"):
        write_eyes(folder / name, points)


def write_eyes(path, points):
    rows = [
        ",".join(map(str, [number, *corners[LEFT], *corners[RIGHT]]))
        for number, corners in enumerate(points)
    ]
    path.write_text("\n".join(["frame,left_x,left_y,right_x,right_y", *rows]))


def write_streams(folder):
    """Masks and depths of the interview's frames, at a quarter of the size."""
    small = (SIZE[0] // 4, SIZE[1] // 4)
    (folder / "masks").mkdir()
    for number in range(N_FRAMES):
        Image.fromarray(np.full(small, 255, np.uint8)).save(folder / f"masks/{number:04}.png")
    write_zarr(folder / "depth.zarr", np.ones((N_FRAMES, *small), np.float32), (16, *small))


def write_photographs(folder, pictures, points):
    for path in ("ann.jpg", "party.jpg", "portrait.jpg"):
        save(folder / path, pictures[0])
    for name in ("photographs", "unknown"):
        for number in (3, 9):
            save(folder / name / f"{number}.jpg", pictures[number])
    boxes = ["source,frame,x,y,width,height"]
    for number in (3, 9):
        (x, y), side = points[number].mean(axis=0), 250
        boxes.append(
            f"photographs/{number}.jpg,{len(boxes) - 1},{x - 125:.0f},{y - 140:.0f},{side},{side}"
        )
    (folder / "boxes.csv").write_text("\n".join(boxes))


def write_training(folder, pictures, points, transforms):
    """The same photographs as one folder, as a folder for each person, and as faces."""
    for number, picture in enumerate(pictures):
        person = "ann" if number < RENDERED // 2 else "bob"
        save(folder / "people" / f"{number:02}.jpg", picture)
        save(folder / "people" / person / f"{number:02}.jpg", picture)
        face = holdstill.warp(picture, transforms[number] @ np.diag([200 / 64] * 2 + [1]), (64, 64))
        save(folder / "canonical" / f"{number:02}.jpg", face)
    np.save(folder / "points.npy", points[:, [0, 3, 1, 2, 5, 6]])
    all58 = np.full((len(points), 58, 2), np.nan)
    all58[:, [21, 13, 25, 17, 39, 43]] = points[:, [0, 3, 1, 2, 5, 6]]
    np.save(folder / "all58.npy", all58)
    write_eyes(folder / "eyes.csv", points)
