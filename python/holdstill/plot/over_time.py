"""Plots over time: columns of a run with its flagged frames, and its transforms taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdstill.alignment import GOOD
from holdstill.decomposition import Motion, decompose
from holdstill.plot.rows import Results, Rows, rows_of
from holdstill.plot.style import (
    AFTER,
    BEFORE,
    FLAGGED,
    INK,
    axes_or_new,
    dress,
    grid_of_axes,
    legend,
)
from holdstill.run_folder import INITIAL_TRANSFORMS, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {
    "residual": "residual ‖v − Ãx‖₂",
    "quality": "quality",
    "iterations": "iterations",
    "jitter": "jitter (canonical px)",
    "eye_corner_error": "eye corners (px at 100 px)",
    "step": "last step ‖Δτ‖₂",
}


def timeline(results: Results, column: str = "residual", *, ax: Axes | None = None) -> Axes:
    """A column over time; frames that are not good are flagged.

    Parameters
    ----------
    results : Run, Evaluation, AlignmentBatch or sequence of Alignment
    column : str
        ``residual``, ``quality``, ``iterations``, ``step``, or of an evaluation ``jitter`` and
        ``eye_corner_error``.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the results have no such column.
    TypeError
        If they are of another kind.
    """
    rows = rows_of(results)
    values = rows.columns.get(column)
    if values is None or column not in _LABELS:
        known = ", ".join(name for name in _LABELS if name in rows.columns)
        raise ValueError(f"column: expected one of {known}, got {column!r}")
    heights = np.array(values, dtype=np.float64)
    ax = axes_or_new(ax, (8.0, 2.6))
    ax.plot(*rows.curve(heights), color=AFTER, linewidth=1.0, label=column.replace("_", " "))
    flagged = ~rows.columns["good"]
    drawn = flagged & np.isfinite(heights)
    if drawn.any():
        ax.plot(
            rows.at[drawn], heights[drawn], "o", color=FLAGGED, markersize=4,
            label=f"not good: {int(drawn.sum())}",
        )  # fmt: skip
    lost = flagged & ~np.isfinite(heights)
    if lost.any():  # on the axis, for they have no height
        ax.plot(
            rows.at[lost], np.zeros(int(lost.sum())), "|", color=FLAGGED, markersize=12,
            transform=ax.get_xaxis_transform(), clip_on=False, label=f"nothing: {int(lost.sum())}",
        )  # fmt: skip
    if column == "quality" and (heights < GOOD).any():
        ax.axhline(GOOD, color=INK, linestyle=":", linewidth=1.0)
    dress(ax, x=rows.axis, y=_LABELS[column])
    if flagged.any():
        legend(ax, loc="best")
    return ax


def transforms(
    results: Results | npt.ArrayLike,
    *,
    before: npt.ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
) -> npt.NDArray[Any]:
    """Translation, rotation, scale and shear over time: four axes, one above the other.

    Parameters
    ----------
    results : Run, AlignmentBatch, sequence of Alignment, or array_like (n, 3, 3)
    before : array_like, shape (n, 3, 3), optional
        Transforms before alignment, drawn behind. Of a run those of :meth:`holdstill.Run.before`.
    shape : (int, int), optional
        Height and width of the canonical frame; a run knows its own.

    Returns
    -------
    ndarray of four matplotlib Axes
        See :func:`holdstill.decomposition.decompose` for what they show. The translation is
        relative to the first frame's, x and y.

    Raises
    ------
    ValueError
        If the shape is not known, or the arrays do not fit.
    """
    if isinstance(results, Run):
        shape = results.shape if shape is None else shape
        if before is None:
            given, what = results.before()
            before = given if what == INITIAL_TRANSFORMS else None
    if shape is None:
        raise ValueError("shape: expected (height, width) of the canonical frame")
    if isinstance(results, np.ndarray):
        rows = Rows({"frame_from_canonical": results}, np.arange(len(results), dtype=float), "row")
    else:
        rows = rows_of(results)  # type: ignore[arg-type]
        if "frame_from_canonical" not in rows.columns:
            raise TypeError("results: an Evaluation has no transforms; give its run")
    moved = decompose(rows.columns["frame_from_canonical"], shape)
    start = None if before is None else decompose(before, shape)
    _, grid = grid_of_axes(4, 1, (8.0, 6.4), sharex=True)
    axes = grid[:, 0]
    _translation(axes[0], rows, moved, start)
    for ax, name, label in (
        (axes[1], "rotation", "rotation (°)"),
        (axes[2], "scale", "scale (px per\ncanonical px)"),
        (axes[3], "shear", "shear"),
    ):
        if start is not None:
            path = rows.curve(getattr(start, name))
            ax.plot(*path, color=BEFORE, linewidth=1.0, label="before")
        path = rows.curve(getattr(moved, name))
        ax.plot(*path, color=AFTER, linewidth=1.0, label="after")
        dress(ax, y=label)
    axes[-1].set_xlabel(rows.axis)
    for ax in axes:
        ax.yaxis.set_label_coords(-0.09, 0.5)
    return np.asarray(axes)


def _translation(ax: Axes, rows: Rows, moved: Motion, start: Motion | None) -> None:
    origin = np.zeros(2)
    known = np.isfinite(moved.translation).all(axis=1)
    if known.any():
        origin = moved.translation[known][0]
    for k, (name, style) in enumerate((("x", "-"), ("y", "--"))):
        if start is not None:
            path = rows.curve(start.translation[:, k] - origin[k])
            ax.plot(*path, style, color=BEFORE, linewidth=1.0, label=f"{name} before")
        path = rows.curve(moved.translation[:, k] - origin[k])
        label = name if start is None else f"{name} after"
        ax.plot(*path, style, color=AFTER, linewidth=1.0, label=label)
    dress(ax, y="translation (px)")
    # Above the axes, where no curve runs; its colours are those of the axes below.
    legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4)
