"""Plots of what is measured: accumulated variance, eye corners, convergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.alignment import align_frame
from holdstill.dictionary import Dictionary
from holdstill.evaluate import EYE_CORNERS, Evaluation, RegionVariance
from holdstill.evaluate.eye_corners import eye_corner_deviations
from holdstill.evaluate.points import invertible
from holdstill.plot.style import (
    AFTER,
    BEFORE,
    COLOURS,
    INK,
    axes_or_new,
    count_by_integers,
    dress,
    grid_of_axes,
    legend,
)
from holdstill.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CORNER_NAMES = ("outer left", "inner left", "inner right", "outer right")


def accumulated_variance(
    curves: Evaluation | Mapping[str, RegionVariance], *, ax: Axes | None = None
) -> Axes:
    """Share of a region's variance in its first components (paper A, Fig. 1).

    The better alignment has the higher curve and the smaller total.

    Parameters
    ----------
    curves : Evaluation, or mapping of str to RegionVariance
        An evaluation's before and after; or several curves by their labels.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there is no curve: the evaluation did not look at the frames.
    """
    title = ""
    colours: Sequence[str] = COLOURS
    if isinstance(curves, Evaluation):
        title, colours = curves.region, (BEFORE, AFTER)
        sides = {"before": curves.variance.before, "after": curves.variance.after}
        colours = [c for c, v in zip(colours, sides.values(), strict=True) if v is not None]
        curves = {name: side for name, side in sides.items() if side is not None}
    if not curves:
        raise ValueError("curves: expected at least one; was the run evaluated without frames?")
    ax = axes_or_new(ax, (5.6, 3.8))
    for k, (name, variance) in enumerate(curves.items()):
        shares = 100.0 * np.array(variance.accumulated)
        ax.plot(
            np.arange(1, len(shares) + 1), shares, "o-", color=colours[k % len(colours)],
            markersize=3.5, linewidth=1.4, label=f"{name}, total {variance.total:.3g}",
        )  # fmt: skip
    dress(ax, title=title, x="principal components", y="accumulated variance (%)")
    ax.set_xticks([1, *range(5, int(ax.dataLim.x1) + 1, 5)])
    legend(ax, loc="lower right")
    return ax


def eye_corner_scatter(
    run: Run | Mapping[str, npt.ArrayLike],
    points: npt.ArrayLike,
    *,
    eye_corners: Sequence[int] = EYE_CORNERS,
) -> npt.NDArray[Any]:
    """Eye corners about their mean positions in the canonical frame, before and after.

    Parameters
    ----------
    run : Run, or mapping of str to array_like (n, 3, 3)
        A run, of which the good frames count that have a transform before alignment, if any has;
        or several transforms of the same frames by their labels, the worst first.
    points : array_like, shape (n, k, 2)
        (x, y) in frame pixels; NaN where unknown.
    eye_corners : four int
        Which points are the outer left, inner left, inner right and outer right eye corner.

    Returns
    -------
    ndarray of four matplotlib Axes
        One for each corner, in pixels at 100 px between the outer ones. Circles have the mean error
        as their radius.

    Raises
    ------
    ValueError
        If the shapes do not fit or a point does not exist.
    """
    if isinstance(run, Run):
        before, _ = run.before()
        known = invertible(before)
        sets = {**({"before": before} if known.any() else {}), "after": run.frame_from_canonical}
        use = run.good & (known | ~known.any())
    else:
        sets = {name: np.asarray(matrices) for name, matrices in run.items()}
        use = np.ones(len(np.asarray(points)), dtype=bool)
    away = {
        name: _known(eye_corner_deviations(matrices, points, eye_corners, use)[use])
        for name, matrices in sets.items()
    }
    _, grid = grid_of_axes(1, 4, (10.0, 3.1), sharex=True, sharey=True)
    axes = grid[0]
    colours = (BEFORE, AFTER) if len(away) == 2 else COLOURS
    for k, (ax, title) in enumerate(zip(axes, _CORNER_NAMES, strict=True)):
        for (name, errors), colour in zip(away.items(), colours, strict=False):
            _cloud(ax, errors[:, k], name, colour)
        dress(ax, title=title, x="x (px)", y="y (px)" if k == 0 else "")
        ax.set_aspect("equal")
        legend(ax, loc="upper right", handletextpad=0.0, borderpad=0.0, markerscale=2.5)
        ax.locator_params(nbins=5)
    reach = max((np.nanmax(np.abs(e)) for e in away.values() if np.isfinite(e).any()), default=1.0)
    axes[0].set(xlim=(-1.05 * reach, 1.05 * reach), ylim=(1.05 * reach, -1.05 * reach))
    return np.asarray(axes)


def _known(away: FloatArray) -> FloatArray:
    """Of deviations (n, 4, 2) those that are known; where none is, one that is not."""
    known = np.isfinite(away).all(axis=(1, 2))
    return away[known] if known.any() else np.full((1, 4, 2), np.nan)


def _cloud(ax: Axes, errors: FloatArray, name: str, colour: str) -> None:
    error = float(np.linalg.norm(errors, axis=1).mean())
    size = float(np.clip(2000.0 / max(1, len(errors)), 2.0, 12.0))
    x, y = errors.T
    label = f"{name} {error:.2f}"
    ax.scatter(x, y, s=size, color=colour, alpha=0.55, linewidths=0, label=label)
    angle = np.linspace(0.0, 2.0 * np.pi, 73)
    ax.plot(error * np.cos(angle), error * np.sin(angle), color=colour, linewidth=1.4)


def convergence(
    frame: npt.ArrayLike, dictionary: Dictionary, initial: npt.ArrayLike, **options: Any
) -> npt.NDArray[Any]:
    """How the alignment of one frame converges on the finest level: objective and step.

    The frame is aligned again and again, each time by one iteration more.

    Parameters
    ----------
    frame, dictionary, initial
        As in :func:`holdstill.align_frame`.
    **options
        Further ones of it: `mu`, `tolerance`, `loss`.

    Returns
    -------
    ndarray of two matplotlib Axes
        The objective ½‖e‖₂² + μ‖x‖₁; the step ‖Δτ‖₂ on a logarithmic scale.

    Raises
    ------
    ValueError
        If the frame cannot be aligned at all: it is singular, say.
    """
    objectives, steps = list[float](), list[float]()
    status = "max_iterations"
    while status == "max_iterations" and len(steps) < 300:
        found = align_frame(
            frame, dictionary, initial,
            **{**options, "max_iterations": len(steps) + 1, "levels": 1, "search": False},
        )  # fmt: skip
        status = found.status
        if np.isfinite(found.objective):
            objectives.append(found.objective)
            steps.append(found.step)
        elif status == "max_iterations" or not steps:
            raise ValueError(f"frame: cannot be aligned from this initial transform: {status}")
    iterations = np.arange(1, len(steps) + 1)
    _, grid = grid_of_axes(2, 1, (5.6, 4.6), sharex=True)
    above, below = axes = grid[:, 0]
    above.plot(iterations, objectives, "o-", color=AFTER, markersize=4)
    below.semilogy(iterations, steps, "o-", color=AFTER, markersize=4)
    below.axhline(
        options.get("tolerance", _core.DEFAULT_TOLERANCE), color=INK, linestyle=":",
        label="tolerance",
    )  # fmt: skip
    dress(above, title=f"{status} after {len(steps)} iterations", y="½‖e‖₂² + μ‖x‖₁")
    dress(below, x="iteration", y="step ‖Δτ‖₂")
    for ax in axes:
        ax.yaxis.set_label_coords(-0.13, 0.5)
    count_by_integers(below)
    legend(below)
    return np.asarray(axes)
