"""How much memory this process has taken."""

from __future__ import annotations

import contextlib


def peak_memory() -> float | None:
    """Return the peak resident memory of this process in MB (10^6 bytes), None where unknown."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        # ru_maxrss would include the parent's peak at the time it started this process.
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
        import sys
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
