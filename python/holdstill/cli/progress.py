"""The progress of a command, on stderr."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator

from holdstill.progress import Progress


@contextlib.contextmanager
def progress_of(
    options: argparse.Namespace, label: str, unit: str, open_ended: bool = False
) -> Iterator[Progress]:
    """The progress of a command, which ends its line however the command ends."""
    progress = Progress(label, unit, quiet=options.quiet, open_ended=open_ended)
    try:
        yield progress
    finally:
        progress.close()
