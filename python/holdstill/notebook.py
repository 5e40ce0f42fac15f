"""What notebooks show of results: a few kilobytes of HTML."""

from __future__ import annotations

import base64
import io
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from holdstill.alignment import AlignmentBatch
    from holdstill.dictionary import Dictionary
    from holdstill.run_folder import Run

_LINE, _FLAG = "#3288d4", "#d6396b"
_WIDTH, _HEIGHT, _POINTS = 320, 36, 160
_CELL, _CELLS = 56, 5
_MOST_ROWS = 20_000
"""Of longer runs no frames are shown: finding them would keep the notebook waiting."""


def run_html(run: Run) -> str:
    """A run: counts, quality over time, some frames before and after."""
    state = "" if run.complete else " (interrupted)"
    picture = _before_after(run) if len(run) <= _MOST_ROWS else ""
    quality = run.rows.get("quality", run.rows.get("residual"))
    return _frame(
        f"Run <code>{escape(run.address)}</code>{state}",
        _counts(run.status, run.good),
        "" if quality is None else sparkline(quality, run.good),
        picture,
    )


def batch_html(batch: AlignmentBatch) -> str:
    """A batch of alignments: counts, and quality over its frames."""
    known = np.isfinite(batch.quality).any()
    curve = sparkline(batch.quality if known else batch.residual, batch.good)
    return _frame("AlignmentBatch", _counts(batch.status, batch.good), curve)


def dictionary_html(dictionary: Dictionary) -> str:
    """A dictionary: what it is, and its first atoms."""
    atoms = dictionary.atom_images()[: 2 * _CELLS]
    if atoms.ndim == 4:
        atoms = np.hypot(atoms[:, 0], atoms[:, 1])
    ys, xs = np.nonzero(dictionary.mask)
    atoms = atoms[:, ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    top = max(float(atoms.max()), np.finfo(np.float32).tiny)
    cells = [np.uint8(np.clip(255.0 * atom / top, 0, 255)) for atom in atoms]
    return _frame(escape(repr(dictionary)), "", "", _image([cells], "atoms"))


def sparkline(values: npt.ArrayLike, good: npt.NDArray[np.bool_]) -> str:
    """A column as a small SVG, its least value in each bin; frames that are not good as ticks."""
    heights = np.asarray(values, dtype=np.float64)
    if not np.isfinite(heights).any():
        return ""
    low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
    bins = np.array_split(np.arange(len(heights)), min(len(heights), _POINTS))
    points, ticks = [], []
    for k, rows in enumerate(bins):
        x = _WIDTH * (k + 0.5) / len(bins)
        known = heights[rows][np.isfinite(heights[rows])]
        if len(known):
            y = 2.0 + (_HEIGHT - 9.0) * (1.0 - (known.min() - low) / max(high - low, 1e-12))
            points.append(f"{x:.0f},{y:.0f}")
        if not good[rows].all():
            ticks.append(f"M{x:.0f} {_HEIGHT - 5}v5")
    flags = f'<path d="{"".join(ticks)}" stroke="{_FLAG}" stroke-width="2"/>' if ticks else ""
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"<title>{low:.3g} to {high:.3g}</title>"
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{_LINE}"/>{flags}</svg>'
    )


def _counts(status: npt.ArrayLike, good: npt.NDArray[np.bool_]) -> str:
    counts = sorted(Counter(np.asarray(status).tolist()).items())
    told = ", ".join(f"{count} {escape(str(name))}" for name, count in counts)
    return f"{len(good)} frames: {told}; {int(good.sum())} good"


def _frame(title: str, *parts: str) -> str:
    body = "".join(f"<div>{part}</div>" for part in parts if part)
    return f"<div><strong>{title}</strong>{body}</div>"


def _before_after(run: Run) -> str:
    """Good frames, evenly chosen, before above and after below; nothing if they cannot be read."""
    from holdstill.evaluate.pictures import spread_evenly
    from holdstill.pictures import canonical_picture

    rows = spread_evenly(np.flatnonzero(run.good), _CELLS)
    try:
        shape = run.shape
        before, what = run.before()
        cell = _CELL, max(1, round(_CELL * shape[1] / shape[0]))
        to_cell = np.diag([shape[1] / cell[1], shape[0] / cell[0], 1.0])
        strips: list[list[Any]] = [[], []]
        with run.open_frames() as frames:
            for row in rows:
                frame = frames[int(run.position[row])]
                for strip, given in zip(strips, (before, run.frame_from_canonical), strict=True):
                    strip.append(canonical_picture(frame, given[row] @ to_cell, cell))
    except (OSError, ValueError, ImportError):
        return ""
    if not len(rows):
        return ""
    if not np.isfinite(before).any():
        return _image(strips[1:], "aligned")
    return _image(strips, f"above {what}, below aligned")


def _image(strips: list[list[Any]], what: str) -> str:
    """Rows of pictures as one JPEG within the text; nothing without Pillow."""
    try:
        from PIL import Image
    except ImportError:
        return ""
    height, width = strips[0][0].shape[:2]
    scale = min(1.0, 2 * _CELL / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    sheet = Image.new("RGB", (size[0] * len(strips[0]), size[1] * len(strips)))
    for y, strip in enumerate(strips):
        for x, picture in enumerate(strip):
            sheet.paste(Image.fromarray(picture).resize(size), (x * size[0], y * size[1]))
    sheet.thumbnail((560, 560))
    packed = io.BytesIO()
    sheet.save(packed, format="JPEG", quality=70)
    text = base64.b64encode(packed.getvalue()).decode("ascii")
    return f'<img alt="{escape(what)}" title="{escape(what)}" src="data:image/jpeg;base64,{text}">'
