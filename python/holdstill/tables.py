"""Tables of text that say something about frames: their cells, and the files they name."""

from __future__ import annotations

import csv
import ntpath
from pathlib import Path


def read_csv(file: Path, expected: str) -> dict[str, list[str | None]]:
    """Columns of a CSV file by the names in its header; None where a cell is empty.

    Parameters
    ----------
    file : Path
        UTF-8, with or without a byte order mark.
    expected : str
        What the file should be, for the message where it is no CSV.

    Returns
    -------
    dict of str to list of length n
        Names and cells without the blanks around them.

    Raises
    ------
    ValueError
        If it is no text, or a row has not as many cells as the header.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{file}: {expected}") from None
    header = [name.strip() for name in rows[0]] if rows else []
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise ValueError(
                f"{file}: row {number} has {len(row)} cells, but the header has {len(header)}"
            )
    cells = list(zip(*rows[1:], strict=True)) if len(rows) > 1 else [()] * len(header)
    return {
        name: [text.strip() or None for text in column]
        for name, column in zip(header, cells, strict=True)
    }


def file_name(source: str) -> str:
    """Name of a file without its folders.

    Parameters
    ----------
    source : str
        Path of any system, or an address.

    Returns
    -------
    str

    Examples
    --------
    >>> file_name("faces/ann.png"), file_name(r"C:\\faces\\ann.png")
    ('ann.png', 'ann.png')
    """
    # ntpath knows both separators: a table may come from another system than the frames.
    return ntpath.basename(source.rstrip("/\\"))
