"""A source for as long as it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .source import FrameSource, SourceLike, open


@contextmanager
def opened(source: SourceLike) -> Iterator[FrameSource]:
    """Open a source, and close it in the end; one that is open already is left so.

    Parameters
    ----------
    source : path, sequence of paths, ndarray or FrameSource
        Whatever :func:`holdstill.open` takes.

    Examples
    --------
    >>> import numpy as np
    >>> with opened(np.zeros((10, 48, 64), np.uint8)) as frames:
    ...     len(frames)
    10
    """
    frames = open(source)
    try:
        yield frames
    finally:
        if frames is not source:
            frames.close()
