"""Versioned ``.npz`` files without pickle: what was learnt, as it is kept."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from holdstill.outputs import replacing
from holdstill.sources.npy_header import BAD_HEADER, read_npy_header
from holdstill.sources.paths import is_url
from holdstill.sources.size_limits import refuse_large_archive
from holdstill.stores import copy_of

Made = TypeVar("Made")

_DAMAGED = (
    ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error,
    NotImplementedError,  # a compression or version that zipfile does not know
    RuntimeError,  # an encrypted member
    *BAD_HEADER,
)  # fmt: skip
"""What reading a damaged archive raises."""


def refuse_foreign(path: str | os.PathLike[str]) -> None:
    """Raise FileExistsError where a file stands that is no archive of this package."""
    if not os.path.exists(path):
        return
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        if "meta.npy" in archive.namelist():
            return
    raise FileExistsError(
        f"{os.fspath(path)} exists and is nothing that holdstill wrote; choose another name (--out)"
    )


def write_archive(
    path: str | os.PathLike[str],
    format: str,
    version: int,
    meta: Mapping[str, Any],
    arrays: Mapping[str, Any],
) -> None:
    """Write arrays and what describes them; an existing file is replaced at the end.

    Parameters
    ----------
    path : str or path
    format, version
        What `read_archive` is to ask for.
    meta : mapping
        Numbers and strings.
    arrays : mapping of str to ndarray

    Raises
    ------
    holdstill.outputs.OutputError
        If it cannot be written; an OSError.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "three.npz")
    ...     write_archive(path, "example", 1, {"unit": "px"}, {"lengths": np.ones(3)})
    ...     read_archive(
    ...         path, "example", "example", 1,
    ...         lambda meta, arrays: (meta["unit"], arrays["lengths"].tolist()),
    ...     )
    ('px', [1.0, 1.0, 1.0])
    """
    description = json.dumps({"format": format, "format_version": version, **meta})
    # In memory first: on a full disk NumPy before 2 leaves an archive behind that cannot be closed.
    archive = io.BytesIO()
    np.savez(archive, meta=np.array(description), **arrays)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(archive.getbuffer())


def read_archive(
    path: str | os.PathLike[str],
    what: str,
    format: str,
    version: int,
    make: Callable[[dict[str, Any], Mapping[str, npt.NDArray[Any]]], Made],
) -> Made:
    """Read what `write_archive` wrote.

    Parameters
    ----------
    path : str or path
        A file, or an fsspec URL of one.
    what : str
        What the file should be, for messages.
    format, version
        What `write_archive` is given now; files of earlier versions are read as well.
    make : callable (meta, arrays) -> object
        Of any version up to this one: ``meta["format_version"]`` tells.

    Returns
    -------
    object
        What `make` returned.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, of a later version, or `make` refuses it.
    """
    name = os.fspath(path)
    if is_url(name):
        with tempfile.TemporaryDirectory() as place:
            copy = copy_of(name, Path(place))
            try:
                return read_archive(copy, what, format, version, make)
            except ValueError as error:
                raise ValueError(str(error).replace(str(copy), name)) from error
    if not os.path.isfile(name):
        raise FileNotFoundError(f"{name}: no such {what} file")
    if not zipfile.is_zipfile(name):
        raise ValueError(f"{name}: not a {what}: it is no .npz archive")
    try:
        _refuse_absurd_sizes(name)
        with np.load(name, allow_pickle=False) as file:
            meta = json.loads(str(file["meta"][()]))
            if not isinstance(meta, dict) or meta.get("format") != format:
                raise ValueError(f"it is no {what} of holdstill")
            if meta["format_version"] not in range(1, version + 1):
                raise ValueError(
                    f"format version {meta['format_version']}; this release reads versions up to "
                    f"{version}: use the release that wrote it, or a later one"
                )
            return make(meta, file)
    except _DAMAGED as error:
        raise ValueError(f"{name}: not a readable {what}: {error}") from error


def read_array(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read a ``.npy`` file of numbers.

    Raises
    ------
    ValueError
        If it is something else.
    FileNotFoundError
    """
    try:
        with open(path, "rb") as file:
            claimed = _claimed_bytes(file)
        if claimed > os.path.getsize(path):
            raise ValueError(f"it claims {claimed} bytes and has {os.path.getsize(path)}")
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise ValueError(f"{os.fspath(path)}: not a readable .npy file ({error})") from None


def _refuse_absurd_sizes(name: str) -> None:
    """NumPy takes the memory that an array's header claims before it reads the array."""
    with zipfile.ZipFile(name) as archive:
        members = archive.infolist()
        refuse_large_archive(sum(member.file_size for member in members))
        for member in members:
            with archive.open(member) as file:
                claimed = _claimed_bytes(file)
            if claimed > member.file_size:
                raise ValueError(
                    f"{member.filename} claims {claimed} bytes and has {member.file_size}"
                )


def _claimed_bytes(file: IO[bytes]) -> int:
    header = read_npy_header(file)
    return math.prod(header.shape) * int(header.dtype.itemsize)
