"""Mouth replacement: lips of other frames in the frames' own pose."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from holdstill._typing import FloatArray
from holdstill.applying import positions, resample
from holdstill.pictures import canonical_picture
from holdstill.reference.motion import map_points
from holdstill.run_folder import Run, read_run
from holdstill.run_frames import RunFrames, Size
from holdstill.sources import Frame
from holdstill.talking.blending import BLENDS, Membrane, feather
from holdstill.talking.lips import LipsLike, find_lips
from holdstill.talking.pose import LEAST_SEEN, seen_share
from holdstill.talking.region import depth, outline

Picture = npt.NDArray[Any]


class MouthReplacement:
    """Frames with other lips, one after the other.

    Made by :func:`holdstill.replace_mouth`. Iterating yields every frame with its picture, and
    ``replacement[k]`` is frame k with its. In a ``with`` statement it is closed at the end.

    Attributes
    ----------
    lips : ndarray, shape (n,), int64
        The row that the lips of each frame are from.
    replaced : ndarray, shape (n,), bool
        Whether a frame gets them: it is good, and shows at least half of the mouth. Others stay as
        they are.
    """

    def __init__(
        self,
        rows: RunFrames,
        lips: LipsLike,
        blend: str,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._rows = rows
        self._lips = find_lips(lips, rows)
        self._blend = blend
        self._progress = progress
        self._membrane = Membrane(rows.shape)
        self.lips = self._lips.rows
        self.replaced = seen_share(rows) >= LEAST_SEEN

    def close(self) -> None:
        """Close what was opened for it: the frames, unless they came open, and another run's lips.

        Nothing can be read afterwards; what was replaced can still be asked.
        """
        self._rows.close()
        if self._lips.frames is not self._rows:
            self._lips.frames.frames.close()

    def __enter__(self) -> MouthReplacement:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> tuple[Frame, Picture]:
        row = range(len(self))[row]
        before = row
        while self._rows.frames[before].image is None and before > 0:
            before -= 1
        return self._rows.frames[row], self._shown(before, self._rows.frames[before], None)

    def __iter__(self) -> Iterator[tuple[Frame, Picture]]:
        before: Picture | None = None
        for row, frame in self._rows:
            before = picture = self._shown(row, frame, before)
            if self._progress is not None:
                self._progress(row + 1, len(self))
            yield frame, picture

    def face(self, row: int) -> npt.NDArray[np.uint8]:
        """A frame with its lips, seen in the run's canonical frame: (h, w, 3), uint8.

        Black where the frame has no transform.
        """
        frame, picture = self[row]
        shown = Frame(frame.source, frame.frame, frame.time, picture)
        matrix = self._rows.transform(row, picture.shape[:2])
        return canonical_picture(shown, matrix, self._rows.shape)

    def _shown(self, row: int, frame: Frame, before: Picture | None) -> Picture:
        if frame.image is not None:
            return self._picture(row, frame.image)
        if before is not None:
            return before
        return np.zeros((*self._rows.own_size(row), 3), np.uint8)

    def _picture(self, row: int, image: Picture) -> Picture:
        if not self.replaced[row]:
            return image
        lips_row = int(self.lips[row])
        lips = self._lips.frames.frames[lips_row].image
        if lips is None:
            return image
        frame_from_canonical = self._rows.transform(row, image.shape[:2])
        lips_from = self._lips.frames.transform(lips_row, lips.shape[:2])
        if frame_from_canonical is None or lips_from is None:
            return image
        lips = _like(lips, image)
        return self._stitched(
            image, frame_from_canonical, lips, lips_from @ self._lips.lips_from_canonical
        )

    def _stitched(
        self, image: Picture, frame_from: FloatArray, lips: Picture, lips_from: FloatArray
    ) -> Picture:
        (x0, y0), size = _box(frame_from, self._rows.shape, image.shape[:2])
        canonical_from_frame = np.linalg.inv(frame_from)
        x, y = positions(canonical_from_frame, size, (x0, y0))
        depths = depth(x, y, self._rows.shape)
        inside = depths > 0
        if not inside.any():
            return image
        # From the lips' frame straight to this one: their pixels are resampled once.
        lips_from_frame = lips_from @ canonical_from_frame
        patch = _sampled(lips, lips_from_frame, (x0, y0), inside)
        if self._blend == "poisson":
            differences = self._membrane.differences(image, frame_from, lips, lips_from)
            points = self._membrane.points()
            known = _within(points, frame_from, image) & _within(points, lips_from, lips)
            membrane = self._membrane.over(differences, known)
            patch += self._membrane.at(membrane, x[inside], y[inside])
        result = image.copy()
        box = result[y0 : y0 + size[0], x0 : x0 + size[1]]
        channels = box[inside].reshape(len(patch), -1)
        blended = feather(channels, patch, depths[inside])
        box[inside] = _rounded(blended, image.dtype).reshape(box[inside].shape)
        return result


def replace_mouth(
    frames: Any,
    run: Run | str | os.PathLike[str],
    lips: LipsLike,
    *,
    blend: str = "poisson",
    frame_size: Size | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MouthReplacement:
    """Put other lips on the face of every frame; the head keeps its own motion.

    Lips and chin are taken from another frame of the same person, warped into the pose of the frame
    by both frames' transforms (once, sub-pixel), and stitched in. Not one pixel outside of that
    region changes.

    Parameters
    ----------
    frames : whatever `holdstill.open` takes
        The run's frames, or another stream of them in any resolution.
    run : Run, or path of a run's folder
    lips : str, path, range, (Run, range), or ndarray (n, k) or (n,)
        ``"A:B"`` or ``range(A, B)``: the lips of the frames A to B - 1 in turn, and again from A
        where the run is longer. ``"DIR@A:B"`` or ``(run, range(A, B))``: those of another run of
        the same person. A path of an .npy file, or an array: a point of the mouth space for each
        frame; lips near them that flow are chosen among all of the run's
        (:func:`holdstill.talking.choose_mouths`, :class:`holdstill.talking.MouthSpace`). Integers
        (n,): the row that each frame gets its lips from, as chosen elsewhere.
        In the place of lips whose frame is not good, or whose mouth is cut off, stand the nearest
        in that range that are.
    blend : {"poisson", "feather"}
        ``poisson`` gives the lips the light of the frame; ``feather`` only fades them out.
    frame_size : (int, int), optional
        Height and width of the frames that the run was made of; looked up in the run's sources by
        default.
    progress : callable (done, total), optional
        Called after every frame.

    Returns
    -------
    MouthReplacement
        Iterating it yields each Frame with its picture, of the frame's size and dtype. Frames that
        are not good, or show less than half of the mouth, come as they are; in the place of an
        unreadable frame comes the picture before it.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, there is not one frame for each row, or there are no usable lips.
    OSError
        If something cannot be opened.

    Examples
    --------
    >>> for frame, picture in replace_mouth("a.mp4", "aligned", "100:200"):  # doctest: +SKIP
    ...     pass
    """
    if blend not in BLENDS:
        raise ValueError(f"blend: expected one of {', '.join(BLENDS)}, got {blend!r}")
    made_by = run if isinstance(run, Run) else read_run(run)
    rows = RunFrames(frames, made_by, frame_size)
    return MouthReplacement(rows, lips, blend, progress)


def _box(matrix: FloatArray, shape: Size, size: Size) -> tuple[tuple[int, int], Size]:
    """The part of a frame that the region is in: its first pixel (x, y), and its size."""
    border = map_points(matrix, outline(shape))
    limits = np.array(size[::-1])
    low = np.clip(np.floor(border.min(axis=0)).astype(int) - 1, 0, limits)
    high = np.clip(np.ceil(border.max(axis=0)).astype(int) + 2, low, limits)
    return (int(low[0]), int(low[1])), (int(high[1] - low[1]), int(high[0] - low[0]))


def _sampled(
    image: Picture, image_from_frame: FloatArray, origin: tuple[int, int], inside: npt.NDArray[Any]
) -> FloatArray:
    """Values of an image at the pixels inside, (n, channels): cubic, for lips stay sharp by it."""
    linear = image_from_frame[:2, :2] / image_from_frame[2, 2]
    if abs(np.linalg.det(linear)) >= 4.0:  # reduced by two or more: averaged
        shift = np.array([[1.0, 0.0, origin[0]], [0.0, 1.0, origin[1]], [0.0, 0.0, 1.0]])
        seen = resample(image, image_from_frame @ shift, (inside.shape[0], inside.shape[1]))
        return np.asarray(seen[inside].reshape(int(inside.sum()), -1), dtype=np.float64)
    x, y = (at[inside] for at in positions(image_from_frame, inside.shape, origin))
    low = np.maximum(np.floor([y.min(), x.min()]).astype(int) - _SPLINE, 0)
    high = np.ceil([y.max(), x.max()]).astype(int) + _SPLINE + 1
    part = image[low[0] : high[0], low[1] : high[1]].astype(np.float64)
    planes = part[:, :, None] if part.ndim == 2 else part
    where = y - low[0], x - low[1]
    return np.stack(
        [
            scipy.ndimage.map_coordinates(planes[..., channel], where, order=3, mode="nearest")
            for channel in range(planes.shape[2])
        ],
        axis=1,
    )


_SPLINE = 12
"""Pixels around a part of an image beyond which they do not matter to its cubic spline."""


def _within(points: FloatArray, matrix: FloatArray, image: Picture) -> npt.NDArray[np.bool_]:
    x, y = np.moveaxis(map_points(matrix, points.reshape(-1, 2)).reshape(points.shape), -1, 0)
    height, width = image.shape[:2]
    return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))


def _like(lips: Picture, image: Picture) -> Picture:
    """Lips with the channels of an image, grey or colour."""
    if lips.dtype != image.dtype:
        raise ValueError(
            f"lips: expected pictures of the frames' dtype {image.dtype}, got {lips.dtype}"
        )
    if lips.ndim > image.ndim:
        return Frame("lips", 0, None, lips).grey()
    if lips.ndim < image.ndim:
        return np.repeat(lips[:, :, None], image.shape[2], axis=2)
    return lips


def _rounded(values: FloatArray, dtype: np.dtype[Any]) -> Picture:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.floor(values + 0.5), limits.min, limits.max).astype(dtype)
