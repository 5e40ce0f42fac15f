"""Results as text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from holdstill.stores import open_store


def counted(counts: dict[str, int]) -> str:
    """How many of each."""
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def without_start(frames: int, initial: str) -> str:
    """What to look at where a file of initial transforms knows nothing of frames."""
    return (
        f"{frames} frames have no transform in {initial}: has it rows for them, not empty, and do "
        "its columns source and frame name them as they are named here?"
    )


def listed(folder: str) -> str:
    """A run's folder and what is in it."""
    return f"{folder}: {', '.join(open_store(folder).names())}"


def quoted(path: str) -> str:
    """A path as a command line needs it."""
    return shlex.quote(path)


def report_text(result: Mapping[str, Any]) -> str:
    """What `holdstill.report.write_report` returned."""
    lines = [f"{result['verdict']}."]
    if result["pictures"] and result["pictures"] < result["frames"]:
        lines.append(f"the player shows {result['shown']}: {result['pictures']} pictures")
    lines.append(f"{result['report']}: {result['bytes'] / 1e6:.1f} MB")
    return "\n".join(lines)
