"""The parts of the page below the player: gallery, figures, statuses, facts, command."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.evaluate import BeforeAfter, Evaluation
from holdstill.report.markup import THIN, data_uri, escape, mark, row_of_numbers, table
from holdstill.report.rows import Rows
from holdstill.report.states import STATES, state_of, states
from holdstill.run_folder import Run

MOST_SOURCES = 20
"""Sources that are named; of more, the first and how many."""


def verdict(run: Run, found: Evaluation) -> str:
    """The run in a sentence; plain text."""
    n, good = len(run), int(run.good.sum())
    # Rounded down: 100 % means all.
    share = math.floor(1000 * good / n) / 10
    of = "" if run.complete else " of an interrupted run"
    parts = [_counted(n, "face" if run.registered else "frame") + of, f"{share:g}{THIN}% aligned"]
    change = _jitter_change(found) or _sharpness_change(found)
    if change:
        parts.append(change)
    parts.append("none to look at" if good == n else f"{_counted(n - good, 'frame')} to look at")
    return ", ".join(parts)


def _jitter_change(found: Evaluation) -> str:
    before, after = found.jitter.before, found.jitter.after
    if before is None or after is None or not (before.rms > 0 and after.rms > 0):
        return ""
    times = before.rms / after.rms
    if 0.95 < times < 1.05:
        return "jitter as before"
    return f"jitter down {_times(times)}" if times > 1 else f"jitter up {_times(1 / times)}"


def _sharpness_change(found: Evaluation) -> str:
    """Where nothing says how the frames moved before: what the mean of all gained."""
    before, after = found.sharpness.before, found.sharpness.after
    if before is None or after is None or not (before.mean_image > 0 and after.mean_image > 0):
        return ""
    times = math.sqrt(after.mean_image / before.mean_image)
    if times < 1.05:
        return ""
    return f"their mean {_times(times)} as sharp"


def _times(factor: float) -> str:
    return f"{factor:.1f}×" if factor < 9.95 else f"{factor:.0f}×"


def summary(run: Run) -> str:
    """What was done, in a line; plain text."""
    facts = run.facts
    parts = []
    if run.registered:
        parts.append("registered to a face model")
    else:
        learnt = run.dictionary()
        height, width = learnt.shape
        parts.append(f"{learnt.motion} motion, {learnt.features}, {learnt.n_atoms} atoms")
        parts.append(f"canonical frame {height}×{width}")
    if facts.get("frames_per_second"):
        parts.append(f"{facts['frames_per_second']:.0f} frames a second")
    sources = dict.fromkeys(run.source[run.rows["frame"] >= 0].tolist())
    if len(set(run.stream.tolist())) == len(sources) > 1:
        parts.append(f"{len(sources)} sources")
    return " · ".join(parts)


def gallery(
    run: Run, worst: Rows, thumbnails: Mapping[int, bytes], labels: npt.NDArray[Any]
) -> str:
    """The worst frames as buttons that lead to them; `labels` names the source of every row."""
    flagged = int((~run.good[worst]).sum())
    total = int((~run.good).sum())
    if flagged == 0:
        text = "Every frame is good. These are the least certain ones."
    elif flagged < total:
        text = f"{flagged} of the {total:,} frames to look at, the worst of each status."
    elif flagged < len(worst):
        text = "The frames to look at, and the least certain of the good ones."
    else:
        text = "The frames to look at."
    height, width = run.shape
    orders = ["quality"] * _known(run, "quality") + ["residual", "frame", "status"]
    options = "".join(f'<option value="{name}">{name}</option>' for name in orders)
    of_row = states(run)
    tiles = "\n".join(
        f"<li>{_tile(run, row, of_row[row], thumbnails.get(row), labels[row])}</li>"
        for row in worst.tolist()
    )
    return (
        '<section aria-labelledby="gallery-title">\n'
        f'<div class="head"><h2 id="gallery-title">Worst frames</h2>'
        f'<label id="sort" hidden>Sort by <select id="order">{options}</select></label></div>\n'
        f'<p class="muted small">{escape(text)}</p>\n'
        f'<ol class="tiles" id="tiles" style="--tile:{width / height:.4f}">\n{tiles}\n</ol>\n'
        "</section>"
    )


def _tile(run: Run, row: int, state: str, thumbnail: bytes | None, label: str) -> str:
    number = f"frame {run.rows['frame'][row]}"
    picture = '<span class="blank"></span>'
    if thumbnail is not None:
        picture = f'<img src="{data_uri("image/jpeg", thumbnail)}" alt="">'
    name = "quality" if _known(run, "quality") else "residual"
    value = float(run.rows[name][row]) if name in run.rows else math.nan
    figure = "" if math.isnan(value) else f"{name} {value:.2f}"
    shown = f"<span>{escape(label)}</span>" if label else ""
    return (
        f'<button type="button" class="tile" data-row="{row}">{picture}<span class="text">'
        f"<span><b>{number}</b></span>{shown}<span>{mark(state)}{escape(_name(state))}</span>"
        f"<span>{figure}</span></span></button>"
    )


def figures(found: Evaluation) -> str:
    """What alignment changed, as a table."""
    rows = list(_figures(found))
    if not rows:
        return ""
    head = {"What": False, "before": True, "after": True, "change": True}
    return table("numbers", head, rows)


def _figures(found: Evaluation) -> Iterator[str]:
    unit = "px at 100 between the outer corners"
    corners = found.eye_corners
    yield from _figure(f"Eye corners, mean error ({unit})", corners, lambda t: t.average.mean, 3)
    yield from _figure("Eye corners, largest error", corners, lambda t: t.average.max, 2)
    after = found.jitter.after
    what = "of the eye corners" if after is not None and after.of == "points" else "of the motion"
    yield from _figure(
        f"Jitter {what} (second differences, canonical px)", found.jitter, lambda j: j.rms, 3
    )
    yield from _figure(
        f"Variation of the {found.region} (grey levels)", found.variance, lambda v: v.per_pixel, 2
    )
    yield from _figure(
        "Sharpness of the mean (gradient, grey levels a pixel)",
        found.sharpness,
        lambda s: math.sqrt(s.mean_image),
        2,
    )


def _figure(
    name: str, pair: BeforeAfter[Any], value: Callable[[Any], float], digits: int
) -> Iterator[str]:
    values = [None if side is None else value(side) for side in (pair.before, pair.after)]
    before, after = (None if v is None or math.isnan(v) else v for v in values)
    if after is None:
        return
    change = f"{100 * (after / before - 1):+.0f}{THIN}%" if before else ""
    cells = ("–" if before is None else f"{before:.{digits}f}", f"{after:.{digits}f}", change)
    yield row_of_numbers(name, cells)


def status_table(run: Run) -> str:
    """Every state with its count, meaning and remedy; those of this run in the open."""
    counts = Counter(states(run).tolist())
    names = [*STATES, *sorted(set(counts) - set(STATES))]
    there = _states([name for name in names if counts[name]], counts)
    absent = _states([name for name in names if not counts[name]], counts)
    if not absent:
        return there
    return f"{there}\n<details><summary>Those that did not occur</summary>{absent}</details>"


def _states(names: list[str], counts: Mapping[str, int]) -> str:
    rows = [
        f'<tr><th scope="row">{mark(name)}{escape(_name(name))}</th>'
        f'<td class="number">{counts.get(name, 0):,}</td>'
        f"<td>{escape(state_of(name).meaning)}</td><td>{_with_code(state_of(name).remedy)}</td></tr>"
        for name in names
    ]
    head = {"Status": False, "Frames": True, "Meaning": False, "What to do": False}
    return table("states", head, rows) if rows else ""


def _with_code(text: str) -> str:
    """Text in which options of the command line stand out."""
    return re.sub(r"--\w+", r"<code>\g<0></code>", escape(text))


def legend(run: Run) -> str:
    """The marks of the timeline that this run has."""
    counts = Counter(states(run).tolist())
    names = [name for name in (*STATES, *sorted(set(counts) - set(STATES))) if counts[name]]
    return "".join(
        f"<span>{mark(name)}{escape(_name(name))} {counts[name]:,}</span>" for name in names
    )


def facts(run: Run, found: Evaluation) -> str:
    """What ``run.json`` and the dictionary tell."""
    given = run.facts
    options = given.get("options") or {}
    rows: list[tuple[str, str]] = [("Sources", _sources(run))]
    selected = given.get("selection") or {}
    if selected:
        rows.append(("Frames taken", ", ".join(f"{k} {v}" for k, v in selected.items())))
    initial = given.get("initial")
    detected = "a face detector" + (" on each" if run.independent else ", then the frame before")
    rows.append(("Began at", str(initial) if initial else detected))
    if "dictionary" in given:
        rows.append(("Dictionary", str(given["dictionary"].get("summary", ""))))
    learnt = given.get("provenance") or {}
    if "n" in learnt:
        text = f"{learnt['n']} frames, {learnt.get('selection', '')}, seed {learnt.get('seed', '')}"
        rows.append(("Learnt from", text))
    settings = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in options.items()
        if name != "threads" and value is not None and value is not False
    ]
    rows.append(("Options", ", ".join(settings)))
    if not math.isnan(found.iterations.mean):
        mean, most = found.iterations.mean, found.iterations.max
        rows.append(("Iterations", f"{mean:.1f} on average, {most:.0f} at most"))
    rows.append(("Time", _time(given)))
    if given.get("peak_memory_mb"):
        rows.append(("Memory", f"{given['peak_memory_mb']:,.0f}{THIN}MB at most"))
    rows.append(("Made by", _made_by(given)))
    lines = "\n".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows if text
    )
    return f'<dl class="facts">\n{lines}\n</dl>'


def repeat(run: Run) -> str:
    """The command that repeats the run."""
    command = run.facts.get("command")
    if not command:
        return ""
    return (
        '<section aria-labelledby="repeat-title">\n'
        '<h2 id="repeat-title">To repeat it</h2>\n'
        f'<pre id="command">{escape(command)}</pre>\n'
        '<p class="copy"><button type="button" data-copies="command" hidden>Copy</button>'
        '<span class="muted small">From the folder in which it ran, with an <code>--out</code> '
        "that is new.</span></p>\n</section>"
    )


def label_of_source(names: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Short names of the sources of all rows: their last part; empty where there is but one."""
    distinct = dict.fromkeys(names.tolist())
    if len(distinct) == 1:
        return np.full(len(names), "", dtype=object)
    short = {name: PurePath(name).name or name for name in distinct}
    if len(set(short.values())) < len(distinct):
        short = {name: name for name in distinct}
    return np.array([short[name] for name in names.tolist()], dtype=object)


def _known(run: Run, name: str) -> bool:
    return name in run.rows and bool(np.isfinite(run.rows[name]).any())


def _name(state: str) -> str:
    return state.replace("_", " ")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _sources(run: Run) -> str:
    given = run.facts.get("sources") or sorted(set(run.source.tolist()))
    names = [given] if isinstance(given, str) else [str(name) for name in given]
    if len(names) > MOST_SOURCES:
        return f"{names[0]}, … {names[-1]} ({len(names):,})"
    return ", ".join(names)


def _time(given: Mapping[str, Any]) -> str:
    seconds = given.get("seconds") or {}
    parts = []
    if "seconds_of_fit" in given:
        parts.append(f"{given['seconds_of_fit']:.1f}{THIN}s to learn")
    if isinstance(seconds.get("align"), (int, float)):
        parts.append(f"{seconds['align']:.1f}{THIN}s to align")
    if given.get("frames_per_second"):
        parts.append(f"{given['frames_per_second']:.1f} frames a second")
    threads = (given.get("options") or {}).get("threads")
    if threads:
        parts.append(_counted(threads, "thread"))
    return ", ".join(parts)


def _made_by(given: Mapping[str, Any]) -> str:
    parts = [f"holdstill {given['holdstill']}"] if "holdstill" in given else []
    return ", ".join(
        [*parts, *(str(given[name]) for name in ("processor", "instruction_set") if name in given)]
    )
