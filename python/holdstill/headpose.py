"""Head pose in every frame by MediaPipe's 3D face mesh: initial transforms for ``--initial``.

MediaPipe wants versions of NumPy and OpenCV of its own, so this file stands alone. It needs
MediaPipe, NumPy and OpenCV, not holdstill: run it, or a copy, in another environment.

    python headpose.py VIDEO --out initial.csv

The columns are frame, h00 ... h22 (frame_from_canonical), yaw, pitch and roll in degrees; a frame
without a face has empty cells. `track` takes pictures from Python.
"""

from __future__ import annotations

import argparse
import csv
import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

EYE_CORNERS = ((0.25, 0.45), (0.75, 0.45))
"""Outer eye corners in the canonical frame, as fractions; what holdstill.canonical says."""

OUTER_EYE_CORNERS = (33, 263)
"""Their points on the mesh, image left and right."""

FOREHEAD, CHIN = 10, 152

MIRRORED = ((33, 263), (133, 362), (98, 327), (50, 280), (101, 330), (117, 346), (109, 338))
"""Points of the mesh that lie alike on both sides of the face."""

ABOVE_MOUTH = 0.45
"""Down to here below the eyes, in outer-eye distances, speech moves little."""

N_POINTS = 468
"""Of the mesh; the irises that some models add are left out."""

COLUMNS = ("frame", *(f"h{i}{j}" for i in range(3) for j in range(3)), "yaw", "pitch", "roll")

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_ROUNDS, _ENOUGH = 20, 500


class HeadPoses(NamedTuple):
    """What `track` finds; NaN where no face was found.

    Attributes
    ----------
    frame_from_canonical : ndarray, shape (n, 3, 3), float64
    angles : ndarray, shape (n, 3), float64
        Yaw, pitch and roll in degrees. Turned to the image's right, looking down, and tilted
        clockwise are positive; 0 is a face that looks along the camera's axis, its forehead above
        its chin.
    meshes : ndarray, shape (n, 468, 3), float64
        x and y in pixels, and depth on their scale, less towards the camera.
    """

    frame_from_canonical: FloatArray
    angles: FloatArray
    meshes: FloatArray


class FaceMesh:
    """MediaPipe's face mesh, of its versions with models and of those that take a model file.

    Parameters
    ----------
    model : str, optional
        Model file of a Face Landmarker (``.task``). Without it MediaPipe has to have its own, as
        up to 0.10.21.
    tracking : bool
        Whether pictures are frames of one video; else each is searched for a face.

    Raises
    ------
    ImportError
        If MediaPipe is missing, or has no model of its own and none is given.
    FileNotFoundError
        If there is no such model file.
    """

    def __init__(self, model: str | None = None, tracking: bool = True) -> None:
        try:
            import mediapipe
        except ImportError:
            raise ImportError(
                "head pose needs MediaPipe, in an environment of its own: "
                "pip install mediapipe==0.10.21"
            ) from None
        self._mediapipe = mediapipe
        self._tracking = tracking
        self._frame = 0
        self._solution: Any = None
        self._landmarker: Any = None
        if model is not None:
            self._landmarker = self._open(model)
        elif hasattr(mediapipe, "solutions"):
            self._solution = mediapipe.solutions.face_mesh.FaceMesh(
                static_image_mode=not tracking, max_num_faces=1, refine_landmarks=False
            )
        else:
            raise ImportError(
                f"MediaPipe {mediapipe.__version__} has no model of its own: give one by --model "
                "(face_landmarker.task), or install mediapipe==0.10.21"
            )

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> FloatArray | None:
        """Points of the largest face of a picture (h, w, 3), (468, 3), or None."""
        picture = np.ascontiguousarray(rgb)
        if self._landmarker is None:
            faces = self._solution.process(picture).multi_face_landmarks
            points = faces[0].landmark if faces else None
        else:
            image = self._mediapipe.Image(
                image_format=self._mediapipe.ImageFormat.SRGB, data=picture
            )
            if self._tracking:
                # Timestamps have to grow; how fast does not matter.
                found = self._landmarker.detect_for_video(image, 40 * self._frame)
            else:
                found = self._landmarker.detect(image)
            points = found.face_landmarks[0] if found.face_landmarks else None
        self._frame += 1
        if points is None:
            return None
        # Depth is on the scale of x. The middle of a pixel is not taken off: against points marked
        # by hand, at any size, that fits best.
        height, width = picture.shape[:2]
        return np.array([(p.x * width, p.y * height, p.z * width) for p in points[:N_POINTS]])

    def close(self) -> None:
        """Let MediaPipe go: its later versions do not survive being forgotten."""
        for opened in (self._solution, self._landmarker):
            if opened is not None:
                opened.close()

    def _open(self, model: str) -> Any:
        from mediapipe.tasks.python import BaseOptions, vision

        if not os.path.isfile(model):
            raise FileNotFoundError(f"{model}: no such model file")
        mode = vision.RunningMode.VIDEO if self._tracking else vision.RunningMode.IMAGE
        return vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=model), running_mode=mode, num_faces=1
            )
        )


def track(
    pictures: Iterable[npt.NDArray[np.uint8]],
    *,
    shape: tuple[int, int] = (200, 200),
    motion: str = "affine",
    model: str | None = None,
    tracking: bool = True,
    focal_length: float | None = None,
) -> HeadPoses:
    """Head pose in every picture: the mesh, and the rigid motion that explains it (PnP).

    Parameters
    ----------
    pictures : iterable of ndarray, shape (h, w, 3) or (h, w), uint8
        RGB or grey, all of one person.
    shape : (int, int)
        Height and width of the canonical frame.
    motion : {"affine", "similarity"}
        Which transform of the canonical face comes nearest to its projection.
    model, tracking
        See `FaceMesh`.
    focal_length : float, optional
        Of the camera, in pixels; each picture's longer side by default.

    Returns
    -------
    HeadPoses
    """
    found, sizes = [], []
    with closing(FaceMesh(model, tracking)) as mesh:
        for picture in pictures:
            rgb = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
            sizes.append(rgb.shape[:2])
            points = mesh(rgb)
            found.append(np.full((N_POINTS, 3), np.nan) if points is None else points)
    meshes = np.stack(found) if found else np.zeros((0, N_POINTS, 3))
    size = np.array(sizes, dtype=np.int_).reshape(-1, 2)
    return HeadPoses(*poses_of(meshes, size, shape, motion, focal_length), meshes)


def poses_of(
    meshes: FloatArray,
    size: tuple[int, int] | npt.NDArray[np.int_],
    shape: tuple[int, int] = (200, 200),
    motion: str = "affine",
    focal_length: float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Transforms and angles of meshes, (n, 3, 3) and (n, 3), NaN where a mesh is.

    `size` is height and width of the pictures, or of each picture, (n, 2). The rigid body is what
    lies above the mouth of the mean of the meshes, seen from the front: each person's own.
    """
    if motion not in ("affine", "similarity"):
        raise ValueError(f"motion: expected affine or similarity, got {motion!r}")
    transforms = np.full((len(meshes), 3, 3), np.nan)
    angles = np.full((len(meshes), 3), np.nan)
    present = np.flatnonzero(np.isfinite(meshes).all(axis=(1, 2)))
    if not len(present):
        return transforms, angles
    body = mean_mesh(meshes[present[:: -(-len(present) // _ENOUGH)]])
    canonical = _canonical_points(body, shape)
    rigid = body[:, 1] < ABOVE_MOUTH
    sizes = np.broadcast_to(size, (len(meshes), 2))
    for frame in present:
        height, width = sizes[frame]
        focal = max(height, width) if focal_length is None else focal_length
        camera = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
        turn, shift = _pnp(body[rigid], meshes[frame, rigid, :2], camera)
        projected = (body[rigid] @ turn.T + shift) @ camera.T
        projected = projected[:, :2] / projected[:, 2:]
        transforms[frame] = _nearest(canonical[rigid], projected, motion)
        angles[frame] = angles_of(turn)
    return transforms, angles


def mean_mesh(meshes: FloatArray) -> FloatArray:
    """Mean of meshes (n, 468, 3) after similarities, seen from the front, about the eyes' middle.

    x runs from the image's left to its right through points that mirror each other, y from the
    forehead to the chin, z away from the viewer. The eyes' outer corners are 1 apart.
    """
    mean = meshes[0] - meshes[0].mean(axis=0)
    for _ in range(_ROUNDS):
        before, total = mean, np.zeros_like(mean)
        for mesh in meshes:
            centred = mesh - mesh.mean(axis=0)
            u, s, vt = np.linalg.svd(centred.T @ mean)
            sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
            scale = np.trace(sign @ np.diag(s)) / (centred**2).sum()
            total += scale * centred @ (u @ sign @ vt)
        # The size is the first mesh's for good, or the mean would shrink round by round.
        mean = total / len(meshes)
        mean *= np.linalg.norm(before) / np.linalg.norm(mean)
        if np.abs(mean - before).max() < 1e-6 * np.abs(mean).max():
            break
    across = sum(mean[right] - mean[left] for left, right in MIRRORED)
    x = across / np.linalg.norm(across)
    down = mean[CHIN] - mean[FOREHEAD]
    y = down - (down @ x) * x
    y /= np.linalg.norm(y)
    front = (mean - mean[list(OUTER_EYE_CORNERS)].mean(axis=0)) @ np.stack([x, y, np.cross(x, y)]).T
    left, right = front[list(OUTER_EYE_CORNERS)]
    return np.asarray(front / np.linalg.norm(right - left))


def angles_of(turn: FloatArray) -> FloatArray:
    """Yaw, pitch and roll in degrees of a rotation of the camera's axes (x right, y down)."""
    yaw = np.arctan2(-turn[0, 2], turn[2, 2])
    pitch = np.arcsin(np.clip(-turn[1, 2], -1.0, 1.0))
    roll = np.arctan2(turn[1, 0], turn[1, 1])
    return np.degrees([yaw, pitch, roll])


def write_csv(path: str, poses: HeadPoses) -> None:
    """Write transforms and angles as columns `COLUMNS`; a frame without a face has empty cells."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for frame, (transform, angles) in enumerate(
            zip(poses.frame_from_canonical, poses.angles, strict=True)
        ):
            cells = [*transform.ravel().tolist(), *angles.tolist()]
            known = np.isfinite(cells).all()
            writer.writerow([frame, *(map(repr, cells) if known else [""] * len(cells))])


def read_pictures(source: str) -> Iterator[npt.NDArray[np.uint8]]:
    """RGB frames of a video, of the images of a folder or glob in natural order, or of one image.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If it cannot be read.
    """
    files = _image_files(source)
    if files is None:
        video = cv2.VideoCapture(source)
        if not video.isOpened():
            raise ValueError(f"{source}: not a readable video")
        try:
            while (read := video.read())[0]:
                yield np.asarray(read[1][:, :, ::-1], dtype=np.uint8)
        finally:
            video.release()
        return
    for file in files:
        image = cv2.imread(file)
        if image is None:
            raise ValueError(f"{file}: not a readable image")
        yield np.asarray(image[:, :, ::-1], dtype=np.uint8)


def _image_files(source: str) -> list[str] | None:
    """Images, in natural order; None for a video."""
    if os.path.isdir(source):
        files = [os.path.join(source, name) for name in os.listdir(source) if name[0] != "."]
    else:
        files = [source] if os.path.exists(source) else glob.glob(source)
    images = [file for file in files if file.lower().endswith(_IMAGES)]
    if images:
        return sorted(images, key=_natural_key)
    if os.path.isdir(source):
        raise FileNotFoundError(f"{source}: a folder without images")
    if not files:
        raise FileNotFoundError(f"{source}: no such file, folder or pattern")
    return None


def _natural_key(path: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.casefold())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p] + [(2, 0, path)]


def _canonical_points(body: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """The body seen from the front, its outer eye corners at the canonical places."""
    height, width = shape
    corners = np.array([[x * width, y * height] for x, y in EYE_CORNERS])
    return np.asarray(_similarity(body[list(OUTER_EYE_CORNERS), :2], corners, body[:, :2]))


def _similarity(start: FloatArray, end: FloatArray, points: FloatArray) -> FloatArray:
    """Points moved by the similarity that takes two points to two others."""
    first, second, p = (array @ np.array([1.0, 1j]) for array in (start, end, points))
    a = (second[1] - second[0]) / (first[1] - first[0])
    moved = a * (p - first[0]) + second[0]
    return np.stack([moved.real, moved.imag], axis=1)


def _nearest(canonical: FloatArray, projected: FloatArray, motion: str) -> FloatArray:
    """The transform of its family that takes one to the other by least squares."""
    transform = np.eye(3)
    x, y = canonical.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    if motion == "affine":
        design = np.stack([x, y, one], axis=1)
        transform[:2] = np.linalg.lstsq(design, projected, rcond=None)[0].T
        return transform
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, tx, ty = np.linalg.lstsq(rows, projected.T.ravel(), rcond=None)[0]
    transform[:2] = [[a, -b, tx], [b, a, ty]]
    return transform


def _pnp(body: FloatArray, points: FloatArray, camera: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotation (3, 3) and shift (3,) from the body to the camera."""
    none: Any = None
    _, turn, shift = cv2.solvePnP(body, points, camera, none, flags=cv2.SOLVEPNP_SQPNP)
    turn, shift = cv2.solvePnPRefineLM(body, points, camera, none, turn, shift)
    return (
        np.asarray(cv2.Rodrigues(turn)[0], dtype=np.float64),
        np.asarray(shift, dtype=np.float64).ravel(),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 2 where something is wrong."""
    parser = argparse.ArgumentParser(
        description="Head pose in every frame by MediaPipe's face mesh, for holdstill --initial.",
        epilog="example: python headpose.py interview.mp4 --out initial.csv",
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="SOURCE", help="video, or folder or glob of images")
    parser.add_argument("--out", required=True, metavar="FILE.csv", help="file for --initial")
    parser.add_argument("--shape", default="200x200", metavar="HxW", help="canonical frame, pixels")
    parser.add_argument("--motion", default="affine", choices=("affine", "similarity"))
    parser.add_argument("--model", metavar="FILE.task", help="for MediaPipe after 0.10.21")
    parser.add_argument(
        "--independent", action="store_true", help="unrelated photographs: no tracking"
    )
    options = parser.parse_args(arguments)
    size = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", options.shape)
    if size is None:
        parser.error(f"--shape: expected HEIGHTxWIDTH such as 200x200, got {options.shape!r}")
    try:
        poses = track(
            read_pictures(options.source),
            shape=(int(size[1]), int(size[2])),
            motion=options.motion,
            model=options.model,
            tracking=not options.independent,
        )
        write_csv(options.out, poses)
    except (ImportError, OSError, ValueError) as error:
        print(f"headpose: {error}", file=sys.stderr)
        return 2
    found = int(np.isfinite(poses.angles).all(axis=1).sum())
    print(f"{len(poses.angles)} frames, a face in {found}: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
