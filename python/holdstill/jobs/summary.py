"""What ``run.json`` says of all blocks together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from holdstill.jobs.records import Record, frames_of
from holdstill.memory import peak_memory


def summarise(
    records: Sequence[Record], new: Sequence[Record], seconds: float, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Add up the records of a job.

    Parameters
    ----------
    records : sequence of Record
        Of all blocks.
    new : sequence of Record
        Of those done in this session, which took `seconds`.
    seconds : float
    facts : mapping
        Further entries.

    Returns
    -------
    dict
        The contents of ``run.json``.
    """
    statuses: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    for record in records:
        statuses.update(record["status"])
        stages.update(record["seconds"])
    total = sum(statuses.values())
    solved = total - statuses["not_found"] - statuses["unreadable"]
    frames_now = sum(map(frames_of, new))
    peaks = [peak_memory(), *(record["peak_memory_mb"] for record in new)]
    return {
        **facts,
        "frames": total,
        "status": dict(sorted(statuses.items())),
        "good": _sum(records, "good"),
        "mean_iterations": _sum(records, "iterations") / solved if solved else None,
        "mean_evaluations": _sum(records, "evaluations") / solved if solved else None,
        "detections": _sum(records, "detections"),
        "blocks": len(records),
        "blocks_done_before": len(records) - len(new),
        "lost": [what for record in records for what in record["lost"]],
        "seconds": {"align": seconds, "by_stage_over_threads": dict(stages)},
        "frames_per_second": frames_now / seconds if seconds > 0 and new else None,
        "peak_memory_mb": max((peak for peak in peaks if peak is not None), default=None),
    }


def _sum(records: Sequence[Record], name: str) -> int:
    return sum(record[name] for record in records)
