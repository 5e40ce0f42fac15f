"""What a block came to: its part, its stretch of the video, and its record."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from holdstill.alignment import Alignment, without_transform
from holdstill.initial import Initialiser
from holdstill.initial_rows import ANGLES
from holdstill.jobs.blocks import Block, Versions
from holdstill.jobs.crops import digest_of_all
from holdstill.jobs.following import Followed
from holdstill.jobs.records import Record, digest, digest_of_file, write_record
from holdstill.jobs.task import Outputs, Task
from holdstill.memory import peak_memory
from holdstill.parts import as_part
from holdstill.run_layout import part_name, segment_name
from holdstill.segments import concatenate
from holdstill.sources import Frame
from holdstill.stores import in_background


def finish_block(
    task: Task,
    outputs: Outputs,
    block: Block,
    done: list[Followed],
    versions: Versions,
    folder: Path,
) -> Record:
    """Write the part of a block, its stretch of the video, and its record.

    Parameters
    ----------
    task : Task
    outputs : Outputs
    block : Block
    done : list of Followed
        All tracks of the block, in order.
    versions : Versions
        A stream whose file is another by now is lost: its rows are unreadable.
    folder : path
        For unfinished files.

    Returns
    -------
    mapping
        The record.

    Raises
    ------
    holdstill.outputs.OutputError
        If something cannot be written.
    """
    started, store = time.perf_counter(), outputs.store
    rows, lost = _rows_that_hold(done, versions)
    part, name = as_part(_columns(rows, task.starts), task.columns), part_name(block.index)
    files = {name: digest(part)}
    writing = [one.written for one in done]
    writing.append(in_background(store, lambda: store.write(name, part)))
    if outputs.video:
        video = segment_name(block.index)
        joined = _joined(done, folder / f"block-{block.index}.mp4")
        files[video] = digest_of_file(joined)
        writing.append(in_background(store, lambda: store.put(video, joined)))
    for future in writing:
        future.result()
    crops = None if outputs.crops is None else digest_of_all(one.crops for one in done)
    record = {
        "block": block.index,
        "rows": [block.rows.start, block.rows.stop],
        "files": files,
        "crops": crops,
        **_counts(rows),
        "detections": sum(one.detections for one in done),
        "lost": lost,
        "seconds": _seconds(done, time.perf_counter() - started),
        "finished": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "peak_memory_mb": peak_memory(),
    }
    write_record(store, record)
    return record


def _joined(done: list[Followed], path: Path) -> Path:
    """One video of the tracks' stretches, in the place of these."""
    segments = [one.segment for one in done if one.segment is not None]
    concatenate([segment.path for segment in segments], segments[0].rate, path)
    for segment in segments:
        segment.path.unlink()
    return path


def _seconds(done: list[Followed], write: float) -> dict[str, float]:
    """Spent in each stage, by all tracks together."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in done:
        for stage, spent in one.stages.seconds.items():
            seconds[stage] += spent
    seconds["write"] += write
    return dict(seconds)


def _counts(rows: list[Alignment]) -> dict[str, Any]:
    return {
        "status": dict(sorted(Counter(row.status for row in rows).items())),
        "good": sum(row.good for row in rows),
        "iterations": sum(row.iterations for row in rows),
        "evaluations": sum(row.evaluations for row in rows),
    }


def _rows_that_hold(done: list[Followed], versions: Versions) -> tuple[list[Alignment], list[str]]:
    """Rows, unreadable where their source is not what it was; and what became of such sources."""
    changes: dict[str, str | None] = {}
    rows: list[Alignment] = []
    lost: list[str] = []
    for one in done:
        for row in one.rows:
            if row.source not in changes and (row.source in versions or row.status == "unreadable"):
                changes[row.source] = versions.changed(row.source)
            if changes.get(row.source) is not None:
                row = without_transform(Frame(row.source, row.frame, row.time), "unreadable")
            rows.append(row)
        if one.lost:
            lost.append(f"{one.rows[0].source}: {one.lost} frames could not be read")
    return rows, [*(change for change in changes.values() if change is not None), *lost]


def _columns(rows: list[Alignment], starts: Initialiser) -> dict[str, Any]:
    nowhere = np.full((3, 3), np.nan)
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in (
            "source", "frame", "time", "status", "iterations", "residual", "step", "n_atoms",
            "evaluations", "quality",
        )
    }  # fmt: skip
    columns["frame_from_canonical"] = np.stack(
        [nowhere if row.frame_from_canonical is None else row.frame_from_canonical for row in rows]
    )
    if starts.has_angles:
        columns |= dict(zip(ANGLES, np.stack([starts.angles(row) for row in rows]).T, strict=True))
    return columns
