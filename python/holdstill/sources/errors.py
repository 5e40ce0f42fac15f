"""What is raised when nothing can be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class SourceError(OSError):
    """No source can be read; the message names each path and the reason."""


@contextlib.contextmanager
def source_errors(name: str) -> Iterator[None]:
    """Turn the errors of disks and networks into SourceError that name the source."""
    try:
        yield
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from error
