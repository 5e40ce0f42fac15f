"""The site: the pages of this folder, the project's own README, and the docstrings."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]

project = "holdstill"
author = "The holdstill authors"
copyright = author
release = version = version_of("holdstill")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",  # MathJax and its fonts lie in the site: it asks no other host
]
exclude_patterns = ["_build"]

# Pages are read on a code-hosting site as well: its anchors, its mathematics.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's own types say more: shapes, units
default_role = "py:obj"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "holdstill"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
highlight_language = "text"  # an indented block is a formula or a shell line, no Python
copybutton_exclude = ".linenos, .gp, .go"

OUTSIDE = {
    "index": "README.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
    "changelog": "CHANGELOG.md",
}
"""Pages whose text stands at the top of the project, and is not repeated here."""


def put_in_text_from_outside(app: Any, page: str, source: list[str]) -> None:
    """Texts at the top of the project become pages, and links to them lead to those."""
    up = r"(?:\.\./)+"
    if page in OUTSIDE:
        text = (PROJECT / OUTSIDE[page]).read_text(encoding="utf-8")
        text = text.replace("](docs/", "](").replace("](LICENSE)", "](../LICENSE)")
        source[0], up = f"{text}\n{source[0]}", ""
    for name, outside in OUTSIDE.items():
        to = "../" * page.count("/") + f"{name}.md"
        source[0] = re.sub(rf"\]\({up}{re.escape(outside)}(?=[#)])", f"]({to}", source[0])


def link_equations(app: Any, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Docstrings that name a section of the equations lead there."""
    lines[:] = [
        re.sub(r"equations §(\d)", r":doc:`equations §\1 </equations>`", line) for line in lines
    ]


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", put_in_text_from_outside)
    app.connect("autodoc-process-docstring", link_equations)
