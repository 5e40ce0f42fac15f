"""Versions of files: what changes when their content does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .paths import file_system, is_url, url_facts

_MARKS = ("ETag", "etag", "LastModified", "mtime", "created")
"""What object stores and other file systems tell, the surest first."""


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
    if os.path.isdir(path):
        return _first(f"{path}/zarr.json", f"{path}/.zarray")
    try:
        found = os.stat(path)
    except OSError:
        return None
    return f"{found.st_size} bytes, {found.st_mtime_ns}"


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
