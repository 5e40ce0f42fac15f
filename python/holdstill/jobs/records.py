"""What is known of a block that is done: a line of JSON, and whether it still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdstill.jobs.blocks import Block
from holdstill.jobs.crops import Crops
from holdstill.outputs import as_plain
from holdstill.run_layout import record_name, segment_name
from holdstill.stores import Store

Record = Mapping[str, Any]
"""Of a block: ``block``, ``rows`` [first, end], ``files`` {name: SHA-256}, ``crops`` (see
:func:`holdstill.jobs.crops.digest_of_all`; or None), ``status``
{status: frames}, ``good``, ``iterations``, ``evaluations``, ``detections``, ``lost`` (what became
of its sources), ``seconds`` {stage: seconds}, ``finished`` (UTC), ``peak_memory_mb``; as a file
also ``sha256`` (of all the rest)."""


def frames_of(record: Record) -> int:
    """How many frames a block has."""
    first, end = record["rows"]
    return int(end - first)


def digest(content: bytes) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(file: Path) -> str:
    """The same of a file too large for the memory."""
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while content := stream.read(1 << 20):
            found.update(content)
    return found.hexdigest()


def write_record(store: Store, record: Record) -> None:
    """Say that a block is done: the last thing that is written of it."""
    whole = {**record, "sha256": digest(as_line(record).encode())}
    store.write(record_name(record["block"]), as_line(whole).encode())


def as_line(record: Record) -> str:
    """A record as one line of JSON."""
    return json.dumps(as_plain(record), allow_nan=False) + "\n"


def read_record(store: Store, block: int) -> Record | None:
    """The record of a block; None if it is not done, or its record is damaged."""
    try:
        found = json.loads(store.read(record_name(block)))
        expected = found.pop("sha256")
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    holds = found.get("block") == block and digest(as_line(found).encode()) == expected
    return found if holds else None


def holds(
    store: Store,
    block: Block,
    record: Record,
    crops: Crops | None,
    apart: Sequence[int],
    *,
    video_is_there: bool,
) -> bool:
    """Whether all that a block has written is there, to the byte.

    Parameters
    ----------
    store : Store
    block : Block
    record : Record
    crops : Crops or None
        The array that has its pictures.
    apart : sequence of int
        Of its fragments.
    video_is_there : bool
        The videos of the blocks have been joined: what remains of the block's own is not needed.
    """
    for name, expected in record["files"].items():
        if video_is_there and name == segment_name(record["block"]):
            continue
        try:
            content = store.read(name)
        except FileNotFoundError:
            return False
        if digest(content) != expected:
            return False
    if crops is None:
        return True
    found = crops.digest((track.rows for track in block.tracks), apart)
    return found is not None and bool(found == record.get("crops"))
