"""How plots look: legible on white and on black, told apart by the colour-blind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator
except ImportError:
    raise ImportError('holdstill.plot needs matplotlib: pip install "holdstill[plot]"') from None

BEFORE, AFTER, FLAGGED = "#e08214", "#3288d4", "#d6396b"
"""Orange, blue and crimson: of middling lightness, and apart for every kind of colour vision."""

COLOURS = (AFTER, BEFORE, "#2a9d78", "#a277d0", "#8c8c8c", FLAGGED)
"""Of curves, in their order."""

INK = "#858585"
"""Text, ticks and frames: as far from white as from black."""


def axes_or_new(ax: Axes | None, size: tuple[float, float] = (6.4, 3.6)) -> Axes:
    """The axes given, or those of a new figure without a background."""
    if ax is not None:
        return ax
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    figure.set_facecolor("none")
    return ax


def grid_of_axes(
    rows: int, columns: int, size: tuple[float, float], **options: Any
) -> tuple[Any, Any]:
    """A new figure without a background, and its axes, (rows, columns)."""
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, **options
    )
    figure.set_facecolor("none")
    return figure, axes


def new_figure(size: tuple[float, float]) -> Any:
    """A figure without a background, of axes that the caller adds."""
    figure = plt.figure(figsize=size, layout="constrained")
    figure.set_facecolor("none")
    return figure


def dress(ax: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Label axes, and draw what is around the data in ink."""
    ax.set_facecolor("none")
    ax.set_title(title, color=INK, fontsize="medium")
    ax.set_xlabel(x, color=INK)
    ax.set_ylabel(y, color=INK)
    ax.tick_params(which="both", colors=INK, labelsize="small")
    for name, spine in ax.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(INK)
    ax.grid(color=INK, alpha=0.2, linewidth=0.6)
    ax.set_axisbelow(True)


def count_by_integers(ax: Axes) -> None:
    """Ticks of the x axis at whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def legend(ax: Axes, **options: Any) -> None:
    """A legend without a box, in ink."""
    ax.legend(frameon=False, labelcolor=INK, fontsize="small", **options)


def show_picture(ax: Axes, picture: Any, *, title: str = "", **options: Any) -> None:
    """A picture without ticks; grey unless it has colours."""
    if getattr(picture, "ndim", 2) == 2:
        options = {"cmap": "gray", **options}
    ax.imshow(picture, **options)
    ax.set_title(title, color=INK, fontsize="medium")
    ax.set_facecolor("none")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Names of rows of pictures at their left."""
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(name, color=INK, fontsize="small")
