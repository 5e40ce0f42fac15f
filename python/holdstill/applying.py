"""Apply the transforms of a run to another stream of the same frames, and undo them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.alignment import warp
from holdstill.canonical import check_shape
from holdstill.checks import integer
from holdstill.evaluate.points import invertible
from holdstill.run_folder import Run, read_run
from holdstill.run_frames import RunFrames, Size, canonical_from_resized
from holdstill.sources import Frame

Picture = npt.NDArray[Any]

INTERPOLATIONS = ("linear", "nearest")

_MOST_SAMPLES = 8
"""Samples of an output pixel in each direction at most."""


def apply(
    source: Any,
    run: Run | str | os.PathLike[str],
    *,
    shape: Size | None = None,
    inverse: bool = False,
    interpolation: str = "linear",
    frame_size: Size | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[Frame, Picture]]:
    """A run's transforms on another stream of the same frames: a colour master, masks, depth.

    Parameters
    ----------
    source : path, list of paths, array (n, H, W[, 3]) or FrameSource
        One frame for every row of the run, of any resolution: transforms are scaled by the ratio of
        the sizes. With `inverse`, one canonical picture for every row.
    run : Run, or path of a run's folder
    shape : (int, int), optional
        Height and width of the pictures to make; by default the run's canonical frame, with
        `inverse` the run's frames. In a canonical frame of another size the face keeps its
        proportions, and the outer eye corners lie at a quarter and three quarters of the width and
        0.45 of the height.
    inverse : bool
        Put canonical pictures back to where they are in the frames; the rest is black.
    interpolation : {"linear", "nearest"}
        ``linear`` averages several samples where a frame is reduced by two or more. ``nearest``
        keeps the values as they are: for labels and masks.
    frame_size : (int, int), optional
        Height and width of the frames that the run was made of; looked up in the run's sources by
        default.
    progress : callable (done, total), optional
        Called after every frame.

    Yields
    ------
    Frame, ndarray (h, w) or (h, w, 3)
        The picture has the frame's dtype; black where the row has no transform, or with `inverse` a
        singular one. Outside of a frame its nearest border pixel is taken.

    Raises
    ------
    ValueError
        If the source does not have one frame for each row, an argument is out of range, or the
        size of the run's frames is not known.
    OSError
        If the source or the run cannot be opened.

    Examples
    --------
    >>> for frame, face in apply("master.mov", "aligned", shape=(800, 800)):  # doctest: +SKIP
    ...     pass
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation: expected linear or nearest, got {interpolation!r}")
    made_by = run if isinstance(run, Run) else read_run(run)
    if frame_size is not None:
        frame_size = _check_size("frame_size", frame_size)
    if shape is not None:
        shape = _check_size("shape", shape) if inverse else check_shape(shape)
    rows = RunFrames(source, made_by, frame_size)
    one = _back if inverse else _forth
    return _apply_all(rows, one, shape, interpolation, progress)


_One = Callable[[RunFrames, int, Picture, "Size | None", str], "Picture | None"]


def _apply_all(
    rows: RunFrames,
    one: _One,
    shape: Size | None,
    interpolation: str,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[Frame, Picture]]:
    with closing(rows):
        like = next((frame.image for _, frame in rows if frame.image is not None), None)
        if like is None:
            raise ValueError(f"source: none of {len(rows)} frames can be read")
        for row, frame in rows:
            image = frame.image
            picture = None if image is None else one(rows, row, image, shape, interpolation)
            if picture is None:
                size = shape or (rows.own_size(row) if one is _back else rows.shape)
                kind = like if image is None else image
                picture = np.zeros((*size, *kind.shape[2:]), kind.dtype)
            if progress is not None:
                progress(row + 1, len(rows))
            yield frame, picture


def _forth(
    rows: RunFrames, row: int, image: Picture, shape: Size | None, interpolation: str
) -> Picture | None:
    frame_from_canonical = rows.transform(row, image.shape[:2])
    if frame_from_canonical is None:
        return None
    size = shape or rows.shape
    through = frame_from_canonical @ canonical_from_resized(rows.shape, size)
    return resample(image, through, size, interpolation)


def _back(
    rows: RunFrames, row: int, image: Picture, shape: Size | None, interpolation: str
) -> Picture | None:
    size = shape or rows.own_size(row)
    frame_from_canonical = rows.transform(row, size)
    if frame_from_canonical is None or not invertible(frame_from_canonical[None])[0]:
        return None
    from_picture = canonical_from_resized(rows.shape, image.shape[:2])
    through = np.linalg.inv(frame_from_canonical @ from_picture)
    picture = resample(image, through, size, interpolation)
    # A canonical pixel is a square about its centre; what lies beyond them is not known.
    h, w = image.shape[:2]
    x, y = positions(through, size)
    picture[(x < -0.5) | (x >= w - 0.5) | (y < -0.5) | (y >= h - 0.5)] = 0
    return picture


def positions(
    image_from_output: npt.ArrayLike, shape: Size, origin: tuple[int, int] = (0, 0)
) -> tuple[FloatArray, FloatArray]:
    """Where the pixels of an output lie in an image: x and y, each (h, w).

    Parameters
    ----------
    image_from_output : array_like, shape (3, 3)
    shape : (int, int)
        Height and width of the output.
    origin : (int, int)
        x and y of the output's first pixel.
    """
    y, x = np.mgrid[: shape[0], : shape[1]] + np.reshape(origin[::-1], (2, 1, 1))
    mapped = np.einsum(
        "ij,jhw->ihw", np.asarray(image_from_output, dtype=np.float64), np.stack([x, y, x * 0 + 1])
    )
    return mapped[0] / mapped[2], mapped[1] / mapped[2]


def resample(
    image: Picture, image_from_output: npt.NDArray[Any], shape: Size, interpolation: str = "linear"
) -> Picture:
    """An image seen through a transform; where it is reduced, the mean over each output pixel.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, channels)
    image_from_output : ndarray, shape (3, 3)
    shape : (int, int)
        Height and width of the output.
    interpolation : {"linear", "nearest"}

    Returns
    -------
    ndarray, shape (h, w[, channels]), dtype of `image`
    """
    if interpolation == "nearest":
        x, y = (np.floor(position + 0.5) for position in positions(image_from_output, shape))
        h, w = image.shape[:2]
        return np.asarray(
            image[np.clip(y, 0, h - 1).astype(np.intp), np.clip(x, 0, w - 1).astype(np.intp)]
        )
    reduction = np.sqrt(abs(np.linalg.det(image_from_output[:2, :2] / image_from_output[2, 2])))
    k = int(np.clip(reduction, 1, _MOST_SAMPLES))
    if k == 1:
        return warp(image, image_from_output, shape)
    output_from_sample = np.array(
        [[1 / k, 0.0, 0.5 / k - 0.5], [0.0, 1 / k, 0.5 / k - 0.5], [0.0, 0.0, 1.0]]
    )
    h, w = shape
    samples = warp(image, image_from_output @ output_from_sample, (h * k, w * k))
    mean = samples.reshape(h, k, w, k, *image.shape[2:]).mean(axis=(1, 3), dtype=np.float64)
    if image.dtype.kind == "u":
        mean = np.floor(mean + 0.5)
    return np.asarray(mean.astype(image.dtype))


def _check_size(name: str, size: Size) -> Size:
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected (height, width), got {size!r}") from None
    return integer(name, height), integer(name, width)
