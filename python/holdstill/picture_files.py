"""Pictures as files: a video, a folder of images, or a zarr array, complete or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional
from holdstill.outputs import (
    OutputError,
    refuse_missing_folder,
    replacing,
    replacing_folder,
)
from holdstill.pictures import as_rgb8
from holdstill.segments import Segment, load_av
from holdstill.sources.paths import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS

Picture = npt.NDArray[Any]

_NO_FOLDERS = (IMAGE_EXTENSIONS | VIDEO_EXTENSIONS | {".npy", ".npz"}) - {".mp4"}


def check_pictures_path(path: str | os.PathLike[str]) -> Path:
    """Refuse a path that pictures cannot be written to, before any work is done.

    Raises
    ------
    ValueError
        If its name is that of another kind of file.
    FileExistsError
        If it is a folder that is not empty.
    OutputError
        If the folder that it is to be in does not exist, or a file stands in the place of a folder.
    """
    out = Path(path)
    if out.suffix.lower() in _NO_FOLDERS:
        raise ValueError(f"out: expected FILE.mp4, FILE.zarr or a folder, got {os.fspath(path)!r}")
    refuse_missing_folder(out)
    if out.suffix.lower() == ".mp4":
        if out.is_dir():
            raise OutputError(f"cannot write {out}: it is a folder")
    elif out.is_file():
        raise OutputError(f"cannot write {out}: it is a file; choose another folder (--out)")
    elif out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; choose another (--out)")
    return out


def write_pictures(
    pictures: Iterator[Picture], path: str | os.PathLike[str], n: int, fps: float
) -> str:
    """Write pictures to a video, a folder or a zarr array, by the name of the path.

    Parameters
    ----------
    pictures : iterator of ndarray, shape (h, w) or (h, w, 3)
    path : str or path
        ``FILE.mp4``: 8-bit RGB. ``FILE.zarr``: (n, h, w[, 3]) in the dtype of the pictures, one
        chunk each. Else a folder: ``000000.png`` of 8-bit pictures and of grey ones of 16 bits, and
        ``000000.npy``, (h, w[, 3]), of others.
    n : int
        Number of pictures to come, at least 1.
    fps : float
        Frames per second of a video.

    Returns
    -------
    str
        What has been written.

    Raises
    ------
    ValueError
        As `check_pictures_path`, or if the pictures of a video or array differ in size or kind.
    OutputError
        If it cannot be written.
    ImportError
        If the package for it is missing.
    """
    out = check_pictures_path(path)
    suffix = out.suffix.lower()
    if suffix == ".mp4":
        load_av()
        with replacing(out) as temporary:
            segment = Segment(temporary, fps)
            try:
                for picture in pictures:
                    segment.write(as_rgb8(picture))
                segment.close()
            finally:
                segment.abandon()
        return f"{n} pictures at {float(segment.rate):g} frames/s"
    if suffix == ".zarr":
        return _write_zarr(pictures, out, n)
    return _write_folder(pictures, out)


def _write_zarr(pictures: Iterator[Picture], out: Path, n: int) -> str:
    zarr = import_optional("zarr", f"writing {os.fspath(out)!r}", "zarr")
    first = next(pictures)
    with replacing_folder(out) as temporary:
        array = zarr.open(
            str(temporary),
            mode="w",
            shape=(n, *first.shape),
            chunks=(1, *first.shape),
            dtype=first.dtype,
        )
        for number, picture in enumerate(chain([first], pictures)):
            if picture.shape != first.shape or picture.dtype != first.dtype:
                raise ValueError(
                    f"pictures: expected all like the first, {first.dtype} {first.shape}, got "
                    f"{picture.dtype} {picture.shape} as number {number}"
                )
            array[number] = picture
    return f"{array.dtype} array {tuple(array.shape)}"


def _write_folder(pictures: Iterator[Picture], out: Path) -> str:
    image = import_optional("PIL.Image", "writing images")
    count = {".png": 0, ".npy": 0}
    with replacing_folder(out) as temporary:
        for number, picture in enumerate(pictures):
            # Pillow knows no colour of 16 bits.
            is_png = picture.dtype == np.uint8 or (picture.dtype == np.uint16 and picture.ndim == 2)
            suffix = ".png" if is_png else ".npy"
            file = temporary / f"{number:06d}{suffix}"
            count[suffix] += 1
            if is_png:
                image.fromarray(np.ascontiguousarray(picture)).save(file, format="PNG")
            else:
                np.save(file, picture)
    return ", ".join(f"{many} {suffix} files" for suffix, many in count.items() if many)
