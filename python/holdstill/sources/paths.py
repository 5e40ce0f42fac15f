"""Paths and URLs: what they stand for, what they contain, and how their files are opened."""

from __future__ import annotations

import builtins
import glob
import os
import re
from typing import IO, Any, Literal, TypeAlias, cast

from holdstill.optional import import_optional
from holdstill.run_layout import PARTS, VIDEO

from .errors import SourceError
from .retrying import RetryingFile, again

Kind: TypeAlias = Literal["image", "video", "npy", "zarr"]

# fmt: off
IMAGE_EXTENSIONS = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
})
VIDEO_EXTENSIONS = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpe",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on

_DIGITS = re.compile(r"(\d+)")


READ_AT_ONCE = 2**24
"""Bytes asked for at a time behind a URL: an answer may take as long as some megabytes."""


def natural_key(path: str) -> tuple[list[str | int], str]:
    """Sort key that counts digits as numbers: img2 before img10.

    Examples
    --------
    >>> sorted(["img10.png", "img2.png", "img1.png"], key=natural_key)
    ['img1.png', 'img2.png', 'img10.png']
    """
    parts: list[str | int] = [*_DIGITS.split(path.casefold())]
    parts[1::2] = map(int, parts[1::2])  # text and digits alternate
    # The path itself comes last, so that names differing only in case or leading zeros keep one
    # order.
    return parts, path


def is_url(path: str) -> bool:
    """Whether the path is for fsspec, such as ``s3://bucket/key`` or ``zip://a.mp4::file.zip``."""
    return "://" in path


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it."""
    fsspec = import_optional("fsspec", f"reading {url!r}")
    try:
        files, path = fsspec.core.url_to_fs(url)
    except ValueError as error:
        raise SourceError(f"{url}: {error}") from error
    return files, path


def open_binary(path: str) -> IO[bytes]:
    """Open a file or URL for reading; seeking is possible."""
    if is_url(path):
        files, inner = file_system(path)
        size = READ_AT_ONCE
        return cast(IO[bytes], RetryingFile(lambda: files.open(inner, "rb", block_size=size)))
    return builtins.open(path, "rb")


def read_range(url: str, start: int, stop: int) -> bytes:
    """The bytes from `start` to before `stop` of what is behind a URL."""
    files, inner = file_system(url)
    content: bytes = again(lambda: files.cat_file(inner, start=start, end=stop))
    return content


def url_facts(url: str) -> dict[str, Any] | None:
    """What a file system tells of what is behind a URL; None if there is nothing.

    fsspec's own `exists` and `isdir` take a network that fails for a file that is not there.
    """
    files, inner = file_system(url)

    def info() -> dict[str, Any]:
        try:
            return dict(files.info(inner))
        except FileNotFoundError as error:
            # To fsspec's http whatever cannot be reached is not there; an answer is no OSError.
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise

    try:
        return again(info)
    except (FileNotFoundError, NotADirectoryError):
        return None


def exists(path: str) -> bool:
    """Whether there is something at this path or URL."""
    return url_facts(path) is not None if is_url(path) else os.path.exists(path)


def is_folder(path: str) -> bool:
    """Whether the path or URL is a folder."""
    if not is_url(path):
        return os.path.isdir(path)
    facts = url_facts(path)
    if facts is None or facts["type"] == "directory":
        return facts is not None
    # A page of links is told from a file by its content only.
    files, inner = file_system(path)
    return "http" in files.protocol and bool(again(lambda: files.isdir(inner)))


def _is_zarr(path: str) -> bool:
    extension = os.path.splitext(path.rstrip("/"))[1].lower()
    if extension in IMAGE_EXTENSIONS | VIDEO_EXTENSIONS | {".npy", ".zarr"}:
        return extension == ".zarr"
    markers = ("zarr.json", ".zarray", ".zgroup")
    return is_folder(path) and any(exists(f"{path.rstrip('/')}/{name}") for name in markers)


def kind_of(path: str) -> Kind:
    """What a file (or zarr folder) is, by its name; what is unknown is tried as a video."""
    extension = os.path.splitext(path)[1].lower()
    if extension in IMAGE_EXTENSIONS:
        return "image"
    if extension == ".npy":
        return "npy"
    return "zarr" if _is_zarr(path) else "video"


def _glob(pattern: str) -> list[str]:
    if is_url(pattern):
        files, inner = file_system(pattern)
        return [files.unstrip_protocol(match) for match in again(lambda: files.glob(inner))]
    return glob.glob(pattern, recursive=True)


def _list_folder(folder: str) -> list[str]:
    if is_url(folder):
        files, inner = file_system(folder)
        return [
            files.unstrip_protocol(entry["name"])
            for entry in again(lambda: files.ls(inner, detail=True))
            if entry["type"] == "file"
        ]
    with os.scandir(folder) as entries:
        return [os.path.join(folder, entry.name) for entry in entries if entry.is_file()]


def expand(path: str) -> list[str]:
    """The files that a path, folder, glob pattern or URL of one stands for, in natural order.

    A folder stands for the images and videos directly in it, hidden files left out.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path, the folder holds neither image nor video, or the pattern
        matches nothing.
    ValueError
        If the folder is that of a run, whose pictures are aligned already.
    """
    if exists(path):
        if not is_folder(path) or _is_zarr(path):
            return [path]
        if exists(f"{path.rstrip('/')}/{PARTS}"):
            raise ValueError(
                f"{path}: the folder of a run; expected the sources that it is about, or for its "
                f"aligned pictures {path.rstrip('/')}/{VIDEO}"
            )
        known = IMAGE_EXTENSIONS | VIDEO_EXTENSIONS
        files = [
            file
            for file in _list_folder(path)
            if os.path.splitext(file)[1].lower() in known
            and not os.path.basename(file).startswith(".")
        ]
        if not files:
            raise FileNotFoundError(f"{path}: no image and no video in this folder")
    elif glob.has_magic(path):
        files = [file for file in _glob(path) if not is_folder(file) or _is_zarr(file)]
        if not files:
            raise FileNotFoundError(f"{path}: no file matches this pattern")
    else:
        raise FileNotFoundError(f"{path}: no such file or folder")
    return sorted(files, key=natural_key)
