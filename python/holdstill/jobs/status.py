"""How far a job is, from its folder alone."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import closing
from datetime import datetime
from typing import Any

from holdstill.jobs.manifest import read_manifest
from holdstill.jobs.records import Record, frames_of, read_record
from holdstill.run_folder import NotARunError
from holdstill.run_layout import RECORDS, SUMMARY
from holdstill.stores import AT_ONCE, Store, is_locked, numbers_in, open_store
from holdstill.threads import run_in_order

RECENT = 20
"""Blocks that the speed is measured over."""


def job_status(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """How far a run is.

    Parameters
    ----------
    folder : str or path
        Of the run, or its URL; the run may be under way in another process.

    Returns
    -------
    dict
        ``state`` (``running``, ``interrupted`` or ``complete``; a run behind a URL that is not
        complete is ``interrupted`` or ``running``, which cannot be told, and is called
        ``unfinished``), ``frames``, ``frames_done``, ``blocks_done``, ``status`` (frames by
        status), ``good``, ``lost``, ``frames_per_second`` (of late), ``seconds_left``, ``command``.

    Raises
    ------
    holdstill.run_folder.NotARunError
        If the folder holds no run.
    """
    store = open_store(folder)
    manifest = read_manifest(store)
    summary = _summary(store)
    if manifest is None:
        if not summary:
            raise NotARunError(f"{folder}: no run of 'holdstill align' is here")
        return _of_summary(summary)
    numbers = numbers_in(store, RECORDS, ".json")
    with closing(run_in_order(lambda k, _: read_record(store, k), numbers, AT_ONCE)) as found:
        records = [record for record in found if record is not None]
    done = sum(map(frames_of, records))
    statuses: Counter[str] = Counter()
    for record in records:
        statuses.update(record["status"])
    speed = _speed(records)
    return {
        "state": _state(store, bool(summary)),
        "frames": manifest["rows"],
        "frames_done": done,
        "blocks_done": len(records),
        "status": dict(sorted(statuses.items())),
        "good": sum(record["good"] for record in records),
        "lost": [what for record in records for what in record["lost"]],
        "frames_per_second": speed,
        "seconds_left": (manifest["rows"] - done) / speed if speed else None,
        "command": manifest.get("command"),
    }


def _summary(store: Store) -> dict[str, Any]:
    try:
        found = json.loads(store.read(SUMMARY))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _of_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """Of a run that was not made in blocks, such as registered faces."""
    return {
        "state": "complete",
        "frames": summary.get("frames"),
        "frames_done": summary.get("frames"),
        "blocks_done": None,
        "status": summary.get("status") or {},
        "good": summary.get("good"),
        "lost": [],
        "frames_per_second": summary.get("frames_per_second"),
        "seconds_left": 0.0,
        "command": summary.get("command"),
    }


def _state(store: Store, finished: bool) -> str:
    if is_locked(store):
        return "running"
    if finished:
        return "complete"
    return "interrupted" if store.local is not None else "unfinished"


def _speed(records: list[Record]) -> float | None:
    """Frames per second between the ends of the last blocks."""
    ended = sorted((datetime.fromisoformat(r["finished"]), frames_of(r)) for r in records)[-RECENT:]
    if len(ended) < 2:
        return None
    seconds = (ended[-1][0] - ended[0][0]).total_seconds()
    return sum(frames for _, frames in ended[1:]) / seconds if seconds > 0 else None
