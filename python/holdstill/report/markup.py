"""HTML by hand: what comes from outside is escaped here, and nowhere else."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from holdstill.report.states import GOOD, state_of

THIN = "\u202f"
"""Between a number and its unit: narrow, and no line breaks there."""

ICONS = {
    "play": "M4 2.5v11l9-5.5z",
    "pause": "M4 2.5h3v11H4zM9 2.5h3v11H9z",
    "back": "M11.5 2.5v11L3.5 8z",
    "forth": "M4.5 2.5v11l8-5.5z",
    "previous": "M11.7 3.7L7.4 8l4.3 4.3-1.4 1.4L4.6 8l5.7-5.7z",
    "next": "M4.3 3.7L8.6 8l-4.3 4.3 1.4 1.4L11.4 8 5.7 2.3z",
}


def escape(text: object) -> str:
    """Text for HTML, in an element or in an attribute."""
    return html.escape(str(text), quote=True)


def icon(name: str) -> str:
    """A control's symbol; its button says what it does."""
    return _svg("0 0 16 16", name, ICONS[name])


def mark(state: str) -> str:
    """The mark of a state, as the timeline draws it."""
    kind = "mark good" if state == GOOD else "mark"
    return _svg("-6 -6 12 12", kind, state_of(state).mark)


def _svg(box: str, kind: str, path: str) -> str:
    return f'<svg viewBox="{box}" class="{kind}" aria-hidden="true"><path d="{path}"/></svg>'


def resource(name: str) -> str:
    """A file of this package."""
    return (files("holdstill.report") / name).read_text(encoding="utf-8")


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with each ``{{name}}`` replaced by its HTML, which is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)


def as_script_data(value: Any) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_uri(kind: str, content: bytes) -> str:
    """A file inside of the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def row_of_numbers(name: str, cells: Iterable[str]) -> str:
    """A row of a table: what it is of, and numbers with the sign that is a minus."""
    numbers = "".join(f'<td class="number">{cell.replace("-", "−")}</td>' for cell in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{numbers}</tr>'


def table(kind: str, head: Mapping[str, bool], rows: Iterable[str]) -> str:
    """A table of rows of HTML; its head says which columns are numbers."""
    cells = "".join(
        f'<th scope="col" class="{"number" if number else "text"}">{escape(name)}</th>'
        for name, number in head.items()
    )
    body = "\n".join(rows)
    return (
        f'<div class="scroller"><table class="{kind}"><thead><tr>{cells}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
