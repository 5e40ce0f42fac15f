"""Plots of mouth replacement: frames with other lips, and the path that chose them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.plot.pictures import chosen_rows, montage
from holdstill.plot.style import AFTER, BEFORE, INK, dress, legend, new_figure
from holdstill.run_folder import Run
from holdstill.talking import MouthReplacement, MouthSpace

MOST_COMPONENTS = 4
"""Of a mouth space that are drawn over time."""


def mouth_montage(
    run: Run,
    replacement: MouthReplacement,
    rows: Sequence[int] | None = None,
    *,
    n: int = 8,
) -> npt.NDArray[Any]:
    """Frames as they came, before alignment, after, and with other lips (paper A, Fig. 2).

    Parameters
    ----------
    run : Run
        Its sources must still be there.
    replacement : MouthReplacement
        Of :func:`holdstill.replace_mouth` with this run.
    rows : sequence of int, optional
        Rows to show; by default `n` of those that get other lips, evenly chosen.
    n : int
        How many, where no rows are given.

    Returns
    -------
    ndarray of matplotlib Axes
        As of :func:`montage`; the last row is the aligned face with its new lips. Above stand the
        frames' numbers, below the rows that the lips are from.

    Raises
    ------
    ValueError, IndexError
        If no frame gets other lips, a row does not exist, or the replacement is of another run.
    OSError
        If a source has gone.

    Examples
    --------
    >>> run = holdstill.read_run("aligned")  # doctest: +SKIP
    >>> replacement = holdstill.replace_mouth("a.mp4", run, "100:200")  # doctest: +SKIP
    >>> axes = mouth_montage(run, replacement)  # doctest: +SKIP
    """
    if len(replacement) != len(run):
        raise ValueError(
            f"replacement: expected one of this run's {len(run)} rows, got {len(replacement)}"
        )
    chosen = chosen_rows(run, rows, n, replacement.replaced)
    pictures = [replacement.face(row) for row in chosen]
    axes = montage(run, chosen, extra={"mouth replaced": pictures})
    for ax, row in zip(axes[-1], chosen, strict=True):
        if replacement.replaced[row]:
            ax.set_xlabel(f"lips of {replacement.lips[row]}", color=INK, fontsize="small")
    return axes


def mouth_path(space: MouthSpace, path: npt.ArrayLike, chosen: npt.ArrayLike) -> npt.NDArray[Any]:
    """The path wanted through the mouth space, and that of the lips chosen for it.

    Parameters
    ----------
    space : MouthSpace
        Of the recording that the lips are from.
    path : array_like, shape (n, k)
        Targets, at most as many components as the space has.
    chosen : array_like of int, shape (n,)
        The row of each mouth: of :func:`holdstill.talking.choose_mouths`, or the attribute ``lips``
        of a replacement.

    Returns
    -------
    ndarray of matplotlib Axes
        The plane of the first two components with all mouths recorded, where there are two; then
        each of the first four over the frames. Lines across are where the lips do not follow each
        other as they were recorded.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a row has no mouth.

    Examples
    --------
    >>> scores = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    >>> space = MouthSpace(np.zeros(2), np.eye(2), scores)
    >>> axes = mouth_path(space, scores + 0.1, [0, 1, 2])
    >>> len(axes), axes[1].get_title()
    (3, 'in one piece')
    """
    wanted, rows = np.asarray(path, dtype=np.float64), np.asarray(chosen)
    if wanted.ndim != 2 or not 0 < wanted.shape[1] <= space.scores.shape[1] or not len(wanted):
        raise ValueError(
            f"path: expected shape (n, k) with k up to {space.scores.shape[1]}, got {wanted.shape}"
        )
    if rows.shape != (len(wanted),) or rows.dtype.kind not in "iu":
        raise ValueError(f"chosen: expected {len(wanted)} rows, got {rows.dtype} {rows.shape}")
    k = wanted.shape[1]
    recorded = space.scores[:, :k]
    if rows.min() < 0 or rows.max() >= len(recorded) or np.isnan(recorded[rows]).any():
        raise ValueError(f"chosen: expected rows with a mouth, from 0 to {len(recorded) - 1}")
    found = recorded[rows]
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    plane, over_time = _layout(min(k, MOST_COMPONENTS), k > 1)
    if plane is not None:
        _plane(plane, recorded, wanted, found)
    for j, ax in enumerate(over_time):
        for first in breaks:
            ax.axvline(first - 0.5, color=INK, alpha=0.2, linewidth=0.6)
        ax.plot(wanted[:, j], color=BEFORE, linewidth=1.4, label="wanted")
        ax.plot(found[:, j], color=AFTER, linewidth=1.2, label="chosen")
        dress(ax, y=f"component {j + 1}")
        ax.yaxis.set_label_coords(-0.1, 0.5)
    pieces = f"in {len(breaks) + 1} pieces" if len(breaks) else "in one piece"
    dress(over_time[0], title=pieces, y="component 1")
    legend(over_time[0], loc="best", ncols=2)
    over_time[-1].set_xlabel("frame", color=INK)
    return np.array([*([] if plane is None else [plane]), *over_time])


def _layout(n: int, with_plane: bool) -> tuple[Any | None, list[Any]]:
    """A square at the left where it is wanted, and n axes one below the other."""
    figure = new_figure((10.0, max(3.6, 0.9 + 1.2 * n)))
    grid = figure.add_gridspec(n, 2, width_ratios=(2, 3))
    where = grid[:, 1] if with_plane else grid[:, :]
    lines = where.subgridspec(n, 1)
    over_time = [figure.add_subplot(lines[0])]
    over_time += [figure.add_subplot(lines[j], sharex=over_time[0]) for j in range(1, n)]
    for ax in over_time[:-1]:
        ax.tick_params(labelbottom=False)
    return figure.add_subplot(grid[:, 0]) if with_plane else None, over_time


def _plane(ax: Any, recorded: Any, wanted: Any, found: Any) -> None:
    ax.plot(*wanted[:, :2].T, color=BEFORE, linewidth=0.9, label="wanted")
    ax.plot(*found[:, :2].T, color=AFTER, linewidth=0.9, label="chosen")
    ax.plot(*recorded[:, :2].T, ".", color=INK, zorder=3, markersize=4.5, label="recorded")
    dress(ax, title="mouth space", x="component 1", y="component 2")
    legend(ax, loc="best")
