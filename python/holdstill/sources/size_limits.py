"""How large a picture or an archive may be: what claims more is refused before memory is taken."""

from __future__ import annotations

import os

MAX_PIXELS = "HOLDSTILL_MAX_PIXELS"
"""Environment variable: most pixels of a frame; 2²⁷ by default, 11585×11585."""

MAX_ARCHIVE_BYTES = "HOLDSTILL_MAX_ARCHIVE_BYTES"
"""Environment variable: most bytes of the arrays of an ``.npz`` file; 2³¹ by default."""

_DEFAULTS = {MAX_PIXELS: 2**27, MAX_ARCHIVE_BYTES: 2**31}


def limit(name: str) -> int:
    """A limit: its default, or what the environment says.

    Raises
    ------
    ValueError
        If that is not a positive integer.

    Examples
    --------
    >>> limit(MAX_PIXELS)
    134217728
    """
    text = os.environ.get(name, "")
    if not text:
        return _DEFAULTS[name]
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name}: expected a positive integer, got {text!r}")
    return int(text)


def refuse_large_picture(height: int, width: int) -> None:
    """Raise ValueError where a picture has more pixels than `MAX_PIXELS` allows.

    Examples
    --------
    >>> refuse_large_picture(100_000, 100_000)
    Traceback (most recent call last):
    ...
    ValueError: 100000x100000 pixels are more than 134217728, the limit (HOLDSTILL_MAX_PIXELS)
    """
    most = limit(MAX_PIXELS)
    if height * width > most:
        raise ValueError(f"{width}x{height} pixels are more than {most}, the limit ({MAX_PIXELS})")


def refuse_large_archive(n_bytes: int) -> None:
    """Raise ValueError where the arrays of an archive take more than `MAX_ARCHIVE_BYTES`."""
    most = limit(MAX_ARCHIVE_BYTES)
    if n_bytes > most:
        raise ValueError(
            f"its arrays take {n_bytes} bytes, more than {most}, the limit ({MAX_ARCHIVE_BYTES})"
        )
