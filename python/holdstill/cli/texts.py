"""Results as text."""

from __future__ import annotations

from pathlib import Path


def counted(counts: dict[str, int]) -> str:
    """How many of each."""
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def listed(folder: str) -> str:
    """A run's folder and what is in it."""
    files = sorted(path.name for path in Path(folder).iterdir() if not path.name.startswith("."))
    return f"{folder}: {', '.join(files)}"
