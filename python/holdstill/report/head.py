"""The section on movement: a head's pose, where the run knows it, and how far and fast it moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from holdstill._typing import FloatArray
from holdstill.motion import decompose
from holdstill.motion.recorded import frame_rate_of, stretches_of
from holdstill.report.markup import row_of_numbers, table
from holdstill.report.plots import WIDE, themed_figure
from holdstill.run_folder import Run

LEAST_FRAMES = 25
"""Good frames in a row from which on there is a movement to tell of."""

_SAYS = {
    "yaw": "to the image's right is positive",
    "pitch": "down is positive",
    "roll": "clockwise is positive",
}


def head_section(run: Run, of_face: bool) -> str:
    """Head pose and movement, of a head or another thing; empty where a run tells of neither."""
    parts = [*_pose(run), *_movement(run, "Head movement" if of_face else "Movement")]
    if not parts:
        return ""
    body = "\n".join(parts)
    what = "the head" if of_face else "it"
    return (
        '<section aria-labelledby="head-title">\n'
        f'<h2 id="head-title">How {what} moved</h2>\n{body}\n</section>'
    )


def _pose(run: Run) -> Iterator[str]:
    known = run.angles
    if not known:
        return
    rows = [
        row_of_numbers(
            f"{name.capitalize()} (°, {_SAYS[name]})",
            [f"{np.nanmean(angle):.1f}", *(f"{q:.1f}" for q in np.nanpercentile(angle, (5, 95)))],
        )
        for name, angle in known.items()
    ]
    head = {"Head pose, as the initial transforms tell": False}
    yield table("numbers", {**head, "mean": True, "5 %": True, "95 %": True}, rows)
    if run.independent:
        return
    try:
        from holdstill import plot
    except ImportError:
        return
    caption = "Head pose over time, of the initial transforms' tracker."
    figure = themed_figure(plot.head_pose(run), "pose", caption, WIDE, 2.8)
    yield f'<div class="figures">{figure}</div>'


def _movement(run: Run, title: str) -> Iterator[str]:
    stretches = _stretches(run)
    if max(map(len, stretches), default=0) < LEAST_FRAMES or not _moves(stretches):
        return
    fps = frame_rate_of(run)
    head = {f"{title}, as the transforms tell": False, "range": True, "deviation": True}
    if fps is not None:
        head["speed, a second"] = True
    yield table("numbers", head, _sizes(stretches, fps))
    if fps is None:
        return
    try:
        from holdstill import plot
    except ImportError:
        return
    axes = plot.head_spectra(run)
    caption = "Power spectra and autocorrelations of the movement."
    figure = themed_figure(axes[0, 0], "movement", caption, WIDE, 4.4)
    yield f'<div class="figures">{figure}</div>'


def _moves(stretches: list[FloatArray]) -> bool:
    return max(float(np.ptp(stretch, axis=0).max()) for stretch in stretches) > 1e-6


def _stretches(run: Run) -> list[FloatArray]:
    """Parameters of the good frames in a row; none of photographs and homographies."""
    try:
        return [decompose(stretch, shape=run.shape) for stretch in stretches_of(run)]
    except ValueError:
        return []


def _sizes(stretches: list[FloatArray], fps: float | None) -> Iterator[str]:
    values = np.concatenate(stretches)
    turn = np.unwrap(values[:, 2], period=2 * np.pi)
    columns = {
        "To the side (frame px)": (values[:, 0], 1),
        "Up and down (frame px)": (values[:, 1], 1),
        "Tilt (°)": (np.degrees(turn), 2),
        "Size (%)": (100.0 * values[:, 3], 2),  # of a logarithm: per cent of the size
    }
    ends = np.cumsum([len(stretch) for stretch in stretches])[:-1]
    for name, (column, digits) in columns.items():
        cells = [np.ptp(column), column.std()]
        if fps is not None:
            steps = np.concatenate([np.diff(part) for part in np.split(column, ends)])
            cells.append(fps * np.sqrt(np.mean(steps**2)))
        yield row_of_numbers(name, [f"{cell:.{digits}f}" for cell in cells])
