"""Versions of files: what changes when their content does."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .paths import file_system, is_url, url_facts
from .retrying import again

_MARKS = ("ETag", "etag", "LastModified", "mtime", "created")
"""What object stores and other file systems tell, the surest first."""


_WORTH_A_LISTING = 10
"""Files of one folder from which on it is listed."""


def version_of(path: str) -> str | None:
    """Size of a file, and its time of change or a store's own mark.

    Parameters
    ----------
    path : str
        A file, a zarr folder (its metadata stands for it), or a URL of one.

    Returns
    -------
    str or None
        None if it is not there.

    Examples
    --------
    >>> version_of("no-such-file.mp4") is None
    True
    """
    if is_url(path):
        return _version_of_url(path)
    try:
        found = os.stat(path)
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode):
        return _first(f"{path}/zarr.json", f"{path}/.zarray")
    return f"{found.st_size} bytes, {found.st_mtime_ns}"


def versions_of(files: Sequence[str]) -> list[str | None]:
    """Versions of many files; behind URLs by listings of their folders, not one by one.

    Parameters
    ----------
    files : sequence of str

    Returns
    -------
    list of (str or None)
        As :func:`version_of` says.
    """
    in_folder = Counter(file.rpartition("/")[0] for file in files if is_url(file))
    listed: dict[str, str] = {}
    for folder, count in in_folder.items():
        if count >= _WORTH_A_LISTING:
            store, inner = file_system(folder)
            store.invalidate_cache()
            entries = again(lambda store=store, inner=inner: store.ls(inner, detail=True))  # type: ignore[misc]
            listed |= {
                f"{folder}/{entry['name'].rpartition('/')[2]}": _mark(entry)
                for entry in entries
                if entry["type"] == "file"
            }
    return [listed[file] if file in listed else version_of(file) for file in files]


def _first(*paths: str) -> str | None:
    return next((found for path in paths if (found := version_of(path)) is not None), None)


def _version_of_url(url: str) -> str | None:
    files, _ = file_system(url)
    files.invalidate_cache()  # a listing from before the change would deny it
    try:
        facts = url_facts(url)
    except (OSError, ValueError):
        return None
    if facts is None:
        return None
    if facts.get("type") == "directory":
        return _first(f"{url.rstrip('/')}/zarr.json", f"{url.rstrip('/')}/.zarray")
    return _mark(facts)


def _mark(facts: Mapping[str, Any]) -> str:
    mark = next((facts[name] for name in _MARKS if facts.get(name) is not None), "")
    return f"{facts.get('size')} bytes, {mark}".rstrip(", ")
