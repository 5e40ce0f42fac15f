"""What is raised when nothing can be read, and imports of optional packages."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any


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


def import_optional(module: str, purpose: str, extra: str = "cli") -> Any:
    """Import a package that only some sources need.

    Parameters
    ----------
    module : str
        The module's name.
    purpose : str
        What it is needed for, the subject of the message.
    extra : str
        The extra of this package that installs it.

    Raises
    ------
    ImportError
        If it is not installed; the message names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{purpose} needs {module.partition(".")[0]}: pip install "holdstill[{extra}]"'
        ) from error
