"""What is in the folder of a run, by name."""

from __future__ import annotations

SUMMARY = "run.json"
"""Written last: it says that the run is complete."""

PARTS = "transforms.parquet"
"""Folder of the rows, a part each."""

TEXT = "transforms.csv"

MANIFEST = "job.json"
"""What a run in blocks is about, so that it can be gone on with."""

DICTIONARY, MODEL = "dictionary.npz", "model.npz"
"""What the frames were aligned by, or the faces registered to."""

VIDEO, CROPS = "aligned.mp4", "aligned.zarr"
"""The aligned pictures."""

RECORDS, SEGMENTS, FRAGMENTS = "blocks", "segments", "fragments"
"""Folders: what is known of each block, and its pictures until all are joined."""

FACES, CONTACT_SHEET = "faces", "contact_sheet.png"
"""Pictures of registered faces."""

EVALUATION, EVALUATED_FRAMES = "evaluation.json", "evaluation.parquet"

REPORT = "report.html"

ALL = (
    SUMMARY, MANIFEST, VIDEO, CROPS, DICTIONARY, MODEL, CONTACT_SHEET, TEXT, EVALUATION,
    EVALUATED_FRAMES, REPORT, PARTS, RECORDS, SEGMENTS, FRAGMENTS, FACES,
)  # fmt: skip

READABLE = frozenset({SUMMARY, PARTS})
"""Of these one at least is in a run that can be read, complete or not."""

MARKS = READABLE | {MANIFEST}
"""Of these one at least is in a run's folder, though no row may have been written yet."""


def part_name(index: int) -> str:
    """Where the rows of a part are."""
    return f"{PARTS}/part-{index:07d}.parquet"


def record_name(block: int) -> str:
    """Where the record of a block is."""
    return f"{RECORDS}/{block:07d}.json"


def segment_name(block: int) -> str:
    """Where a block's stretch of the aligned video is until all are joined."""
    return f"{SEGMENTS}/{block:07d}.mp4"


def fragment_name(row: int) -> str:
    """Where pictures are, from a row on, until they are joined."""
    return f"{FRAGMENTS}/{row:012d}.npy"
