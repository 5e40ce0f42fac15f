"""Versioned ``.npz`` files without pickle: what was learnt, as it is kept."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from holdstill.outputs import replacing
from holdstill.sources.paths import is_url
from holdstill.stores import copy_of

Made = TypeVar("Made")


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
    # An open file: to a name of its own, NumPy would append ".npz".
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(file, meta=np.array(description), **arrays)


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
        What `write_archive` was given.
    make : callable (meta, arrays) -> object

    Returns
    -------
    object
        What `make` returned.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, of another version, or `make` refuses it.
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
        with np.load(name, allow_pickle=False) as file:
            meta = json.loads(str(file["meta"][()]))
            if not isinstance(meta, dict) or meta.get("format") != format:
                raise ValueError(f"it is no {what} of holdstill")
            if meta["format_version"] != version:
                raise ValueError(
                    f"format version {meta['format_version']}; this release reads version "
                    f"{version}: fit it again, or use the release that wrote it"
                )
            return make(meta, file)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name}: not a readable {what}: {error}") from error
