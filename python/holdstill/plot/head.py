"""Plots of the head: its pose, its movement, how fast it moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SHAPE
from holdstill.initial_rows import ANGLES
from holdstill.motion import PARAMETERS, decompose
from holdstill.motion.recorded import frame_rate_of, stretches_of
from holdstill.motion.spectra import autocorrelations, equal_pieces, power_spectra
from holdstill.plot.rows import rows_of
from holdstill.plot.style import (
    AFTER,
    BEFORE,
    COLOURS,
    INK,
    axes_or_new,
    dress,
    grid_of_axes,
    legend,
)
from holdstill.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Recorded = Run | npt.ArrayLike | Sequence[npt.ArrayLike]

BAND = (5, 95)
"""Percentiles of the pieces drawn that are filled."""

_STILL = 1e-9
"""What a parameter varies by that is but rounded."""

_UNITS = {"x": "x (px)", "y": "y (px)", "rotation": "rotation (°)", "scale": "scale (log)"}


def head_pose(run: Run, *, ax: Axes | None = None) -> Axes:
    """Yaw, pitch and roll over time, as the run's initial transforms brought them.

    Parameters
    ----------
    run : Run
        Of initial transforms with the angles, those of `holdstill.headpose` say.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        Degrees: turned to the image's right, looking down and tilted clockwise are positive.

    Raises
    ------
    ValueError
        If the run has no angles.

    Examples
    --------
    >>> head_pose(holdstill.read_run("aligned"))  # doctest: +SKIP
    """
    rows = rows_of(run)
    known = run.angles
    if not known:
        raise ValueError(f"run: has no {', '.join(ANGLES)}; its initial transforms brought none")
    ax = axes_or_new(ax, (8.0, 2.8))
    ax.axhline(0.0, color=INK, linestyle=":", linewidth=1.0)
    for (name, angle), colour in zip(known.items(), COLOURS, strict=False):
        ax.plot(*rows.curve(angle), color=colour, linewidth=1.2, label=name)
    dress(ax, x=rows.axis, y="head pose (°)")
    legend(ax, loc="best", ncols=len(known))
    return ax


def head_movement(
    recorded: Recorded,
    drawn: npt.ArrayLike | None = None,
    *,
    fps: float | None = None,
    shape: tuple[int, int] | None = None,
) -> npt.NDArray[Any]:
    """How the head moved, and how a model moves it: the parameters of the transforms over time.

    Parameters
    ----------
    recorded : Run, array_like (n, 3, 3), or sequence of them
        As :meth:`holdstill.motion.MotionModel.fit` takes them: the good frames of a run, or
        transforms with NaN in gaps. Stretches stand one after the other, gaps between them.
    drawn : array_like, shape (m, 3, 3), optional
        Of :meth:`holdstill.motion.MotionModel.sample`; as many frames of them as were recorded.
    fps : float, optional
        Frames per second; by the timestamps of a run. Without, the axis counts frames.
    shape : (int, int), optional
        Height and width of the canonical frame; the run's, else 200x200.

    Returns
    -------
    ndarray of matplotlib Axes
        One below the other for each of :data:`holdstill.motion.PARAMETERS` that moves.

    Raises
    ------
    ValueError
        If there is not one good frame, or the transforms are homographies.

    Examples
    --------
    >>> run = holdstill.read_run("aligned")  # doctest: +SKIP
    >>> model = holdstill.motion.MotionModel.fit(run)  # doctest: +SKIP
    >>> axes = head_movement(run, model.sample(len(run), seed=0))  # doctest: +SKIP
    """
    given = _Movement.of(recorded, drawn, fps, shape)
    gap = np.full((1, len(PARAMETERS)), np.nan)
    line = np.concatenate([part for stretch in given.stretches for part in (stretch, gap)][:-1])
    other = None if given.drawn is None else given.drawn[: len(line)]
    names = _moving([np.concatenate(given.stretches)]) or ["x", "y"]
    _, grid = grid_of_axes(len(names), 1, (8.0, 0.6 + 1.15 * len(names)), sharex=True)
    axes = grid[:, 0]
    for ax, name in zip(axes, names, strict=True):
        j = PARAMETERS.index(name)
        if other is not None:
            at = np.arange(len(other)) / (given.fps or 1.0)
            ax.plot(at, other[:, j], color=BEFORE, linewidth=1.0, label="drawn")
        at = np.arange(len(line)) / (given.fps or 1.0)
        ax.plot(at, line[:, j], color=AFTER, linewidth=1.0, label="recorded")
        dress(ax, y=_UNITS.get(name, name))
        ax.yaxis.set_label_coords(-0.09, 0.5)
    axes[-1].set_xlabel("good frames" if given.fps is None else "time in good frames (s)")
    if other is not None:
        legend(axes[0], loc="best", ncols=2)
    return np.asarray(axes)


def head_spectra(
    recorded: Recorded,
    drawn: npt.ArrayLike | None = None,
    *,
    fps: float | None = None,
    shape: tuple[int, int] | None = None,
) -> npt.NDArray[Any]:
    """How fast the head moves: power spectra and autocorrelations, and those of a model.

    What is drawn is cut into pieces as long as the recording's stretches, for the slowest sway of a
    recording is as long as itself. Natural movement lies within the band of the pieces.

    Parameters
    ----------
    recorded, drawn, fps, shape
        As in :func:`head_movement`; ten minutes drawn make a smooth band.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2, k)
        Above power spectral densities, below autocorrelations, of each parameter that moves: the
        recording's mean over its pieces, of what was drawn mean and 5 to 95 %.

    Raises
    ------
    ValueError
        As in :func:`head_movement`; or if the frame rate is not known, or what is drawn is shorter
        than a stretch.

    Examples
    --------
    >>> run = holdstill.read_run("aligned")  # doctest: +SKIP
    >>> model = holdstill.motion.MotionModel.fit(run)  # doctest: +SKIP
    >>> axes = head_spectra(run, model.sample(15000, seed=0))  # doctest: +SKIP
    """
    given = _Movement.of(recorded, drawn, fps, shape)
    if given.fps is None:
        raise ValueError("fps: expected frames per second; the recording has no timestamps")
    length = max(2, int(np.median([len(stretch) for stretch in given.stretches])))
    ours = equal_pieces(given.stretches, length)
    theirs = None if given.drawn is None else equal_pieces([given.drawn], length)
    if not len(ours):
        raise ValueError("recorded: expected a stretch of two good frames or more")
    if theirs is not None and not len(theirs):
        raise ValueError(f"drawn: expected at least {length} frames, as a stretch recorded has")
    names = _moving(list(ours))
    if not names:
        raise ValueError("recorded: expected a head that moves, but every transform is the same")
    _, axes = grid_of_axes(2, len(names), (1.9 * len(names) + 0.6, 4.4), sharex="row")
    for column, name in zip(axes.T, names, strict=True):
        j = PARAMETERS.index(name)
        for ax, measure in zip(column, (power_spectra, autocorrelations), strict=True):
            if theirs is not None:
                at, values = _of_moving(measure(theirs[..., j : j + 1], given.fps))
                low, high = np.percentile(values, BAND, axis=0)
                ax.fill_between(at, low, high, color=BEFORE, alpha=0.25, linewidth=0)
                ax.plot(at, values.mean(axis=0), color=BEFORE, linewidth=1.2, label="drawn")
            at, values = _of_moving(measure(ours[..., j : j + 1], given.fps))
            ax.plot(at, values.mean(axis=0), color=AFTER, linewidth=1.2, label="recorded")
        above, below = column
        above.set(xscale="log", yscale="log")
        dress(above, title=name, x="frequency (Hz)")
        below.axhline(0.0, color=INK, linestyle=":", linewidth=1.0)
        below.set_ylim(-0.75, 1.05)
        dress(below, x="lag (s)")
    axes[0, 0].set_ylabel("power density", color=INK)
    axes[1, 0].set_ylabel("autocorrelation", color=INK)
    if theirs is not None:
        legend(axes[1, -1], loc="best")
    return np.asarray(axes)


class _Movement:
    """Parameters of what was recorded and drawn; rotations in degrees."""

    def __init__(
        self, stretches: list[FloatArray], drawn: FloatArray | None, fps: float | None
    ) -> None:
        self.stretches, self.drawn, self.fps = stretches, drawn, fps

    @classmethod
    def of(
        cls,
        recorded: Recorded,
        drawn: npt.ArrayLike | None,
        fps: float | None,
        shape: tuple[int, int] | None,
    ) -> _Movement:
        if isinstance(recorded, Run):
            fps = frame_rate_of(recorded) if fps is None else fps
            shape = recorded.shape if shape is None else shape
        canonical = DEFAULT_SHAPE if shape is None else shape
        stretches = [_in_degrees(decompose(s, shape=canonical)) for s in stretches_of(recorded)]
        other = None if drawn is None else _in_degrees(decompose(drawn, shape=canonical))
        return cls(stretches, other, fps)


def _moving(pieces: list[FloatArray]) -> list[str]:
    """Parameters that change within a piece: a similarity has no stretch."""
    spread = np.max([np.ptp(piece, axis=0) for piece in pieces], axis=0)
    return [name for name, s in zip(PARAMETERS, spread, strict=True) if s > _STILL]


def _of_moving(measured: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """A measure (p, m, 1) of the pieces that move as (q, m); a line of NaN where none does."""
    at, values = measured[0], measured[1][..., 0]
    known = values[np.isfinite(values).all(axis=1)]
    return at, known if len(known) else values[:1]


def _in_degrees(values: FloatArray) -> FloatArray:
    turn = np.degrees(np.unwrap(values[:, 2]))
    # One of the equal angles, so that stretches can be compared.
    values[:, 2] = turn - 360.0 * np.round(np.mean(turn) / 360.0)
    return values
