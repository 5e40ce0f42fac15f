"""The page: its template filled with what the run has to show."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import __version__
from holdstill.alignment import GOOD as GOOD_QUALITY
from holdstill.evaluate import Evaluation
from holdstill.report import sections
from holdstill.report.head import head_section
from holdstill.report.markup import ICONS, as_script_data, escape, fill, icon, resource
from holdstill.report.pictures import FPS, Pictures
from holdstill.report.rows import Rows, Shown
from holdstill.report.states import GOOD, state_of, states
from holdstill.run_folder import Run

SCRIPTS = ("page.js", "player.js", "timeline.js", "gallery.js", "start.js")
"""Parts of the page's program, in order."""

METRICS: dict[str, tuple[int, tuple[float, float] | None, float | None]] = {
    "quality": (2, (0.0, 1.0), GOOD_QUALITY),
    "residual": (3, None, None),
    "log_likelihood": (1, None, None),
    "jitter": (2, None, None),
    "iterations": (0, None, None),
}
"""Columns that the timeline shows: digits, range where it is fixed, and what is good from."""

LONGEST_NAME, MANY_NAMES = 40, 500
"""Characters of a source's name where there are more sources than that; the end tells most."""


def render(
    run: Run, found: Evaluation, shown: Shown, worst: Rows, pictures: Pictures, plots: str
) -> str:
    """The whole page as HTML."""
    labels = sections.label_of_source(run.source)
    script = script_text()
    name = run.folder.resolve().name
    icons = {f"icon_{name}": icon(name) for name in ICONS}
    player = ""
    if pictures.video:
        caption = _caption(shown, pictures)
        player = fill(resource("player.html"), {**icons, "caption": caption})
    timeline = fill(resource("timeline.html"), {**icons, "legend": sections.legend(run)})
    verdict = sections.verdict(run, found)
    return fill(
        resource("page.html"),
        {
            "version": escape(__version__),
            "title": escape(f"{name}: {verdict}"),
            "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            "style": resource("page.css"),
            "folder": escape(name),
            "verdict": " ".join(f"<span>{escape(clause)}</span>" for clause in _clauses(verdict)),
            "summary": escape(sections.summary(run)),
            "notes": _notes(run, pictures),
            "player": player,
            "timeline": timeline,
            "gallery": sections.gallery(run, worst, pictures.thumbnails, labels),
            "plots": plots,
            "head": head_section(run, found.of_face),
            "states": sections.status_table(run),
            "facts": sections.facts(run, found),
            "repeat": sections.repeat(run),
            "data": as_script_data(_data(run, found, shown, pictures, labels)),
            "video": base64.b64encode(pictures.video).decode(),
            "script": script,
        },
    )


def _clauses(verdict: str) -> list[str]:
    """The sentence where lines may break."""
    return [*(f"{clause}," for clause in verdict.split(", ")[:-1]), f"{verdict.split(', ')[-1]}."]


def script_text() -> str:
    """The page's program, as it stands in its element."""
    parts = "\n".join(resource(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _notes(run: Run, pictures: Pictures) -> str:
    notes = []
    if not run.complete:
        notes.append(
            f"The run was interrupted: this page is about the {len(run):,} frames written so far."
        )
    if pictures.missing and pictures.video:
        notes.append(
            "The sources are not where they were, so the player shows the aligned video alone: "
            f"{pictures.missing}."
        )
    elif pictures.missing:
        notes.append(f"There are no pictures: {pictures.missing}.")
    notes.append("" if not pictures.video else "<noscript>The player needs JavaScript.</noscript>")
    return "\n".join(
        note if note.startswith("<noscript>") else f'<p class="note">{escape(note)}</p>'
        for note in notes
        if note
    )


def _caption(shown: Shown, pictures: Pictures) -> str:
    parts = [f"Left, before: {pictures.before}. Right: aligned." if pictures.before else "Aligned."]
    count = len(shown.rows)
    parts.append(f"The player shows {shown}, {count:,} pictures at {FPS} a second.")
    return escape(" ".join(parts))


def _data(
    run: Run,
    found: Evaluation,
    shown: Shown,
    pictures: Pictures,
    labels: npt.NDArray[np.object_],
) -> dict[str, Any]:
    """What the page's program reads: columns of the run, and what the player holds."""
    of_row = states(run)
    names = sorted(set(of_row.tolist()))
    sources = list(dict.fromkeys(labels.tolist()))
    number = {name: k for k, name in enumerate(sources)}
    height, width = pictures.shape
    columns = {**found.per_frame, **run.rows}
    return {
        "frame": run.rows["frame"].tolist(),
        # Frame numbers say where one is if there is one stream only.
        "numbered": len(set(run.stream.tolist())) == 1,
        "time": _rounded(run.rows.get("time"), 2),
        "source": [number[label] for label in labels.tolist()],
        "sources": _short(sources),
        "stream": run.stream.tolist(),
        "state": [names.index(name) for name in of_row.tolist()],
        "states": [
            {"label": name.replace("_", " "), "good": name == GOOD, "mark": state_of(name).mark}
            for name in names
        ],
        "metrics": [
            {
                "name": name.replace("_", " "),
                "digits": digits,
                "range": limits,
                "limit": limit,
                "values": values,
            }
            for name, (digits, limits, limit) in METRICS.items()
            if (values := _rounded(columns.get(name), digits + 2)) is not None
        ],
        "player": {
            "rows": shown.rows.tolist(),
            "fps": FPS,
            "ratio": width / height,
            "pair": pictures.before is not None,
        }
        if pictures.video
        else None,
    }


def _short(names: list[str]) -> list[str]:
    if len(names) <= MANY_NAMES:
        return names
    return [n if len(n) <= LONGEST_NAME else f"…{n[1 - LONGEST_NAME :]}" for n in names]


def _rounded(column: npt.NDArray[Any] | None, digits: int) -> list[float | None] | None:
    """A column for JSON; None where nothing of it is known."""
    if column is None or column.dtype.kind not in "fiu" or not np.isfinite(column).any():
        return None
    return [round(value, digits) if np.isfinite(value) else None for value in column.tolist()]
