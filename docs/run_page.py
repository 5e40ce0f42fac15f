"""Run the Python blocks of a page one after the other, as a reader would who types them in.

``python docs/run_page.py docs/gallery.md docs/images/gallery`` draws the gallery anew.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def run_page(page: Path, folder: Path, *, without: str | None = None) -> dict[str, Any]:
    """Run its blocks in `folder`, but for those that import `without`; returns the variables."""
    page = page.resolve()
    names: dict[str, Any] = {"__name__": page.stem}
    before = os.getcwd()
    os.chdir(folder)
    try:
        for number, block in enumerate(blocks(page, "python"), start=1):
            if without is not None and f"import {without}" in block:
                continue
            exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    finally:
        os.chdir(before)
    return names


if __name__ == "__main__":
    target = Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        run_page(Path(sys.argv[1]), Path(folder))
        target.mkdir(parents=True, exist_ok=True)
        for picture in Path(folder).glob("*.png"):
            shutil.copy(picture, target)
