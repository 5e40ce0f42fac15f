"""A run as one page to look at: ``holdstill report``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from holdstill.evaluate import EYE_CORNERS, evaluate_run, read_points
from holdstill.outputs import replacing
from holdstill.report import sections
from holdstill.report.page import render
from holdstill.report.pictures import make_pictures
from holdstill.report.plots import plot_section
from holdstill.report.rows import shown_rows, worst_rows
from holdstill.run_folder import Run, read_run
from holdstill.run_layout import REPORT
from holdstill.stores import refuse_url

__all__ = ["write_report"]


def write_report(
    run: Run | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    initial: str | os.PathLike[str] | None = None,
    points: str | os.PathLike[str] | npt.ArrayLike | None = None,
    eye_corners: Sequence[int] = EYE_CORNERS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a run as one page: verdict, player, timeline, worst frames, plots, head, facts.

    The page is one file that loads nothing. That of 10,000 frames stays below 10 MB: of a long run
    the player shows every k-th frame, and those that are not good, and says so.

    Parameters
    ----------
    run : Run, str or path
        Of :func:`holdstill.read_run`, or its folder; complete or interrupted.
    path : path, optional
        The page; ``report.html`` in the run's folder by default. An older one is replaced.
    initial : path, optional
        File of transforms to compare with, in place of those that the run started from.
    points, eye_corners
        Annotated points, as :func:`holdstill.evaluate.evaluate_run` takes them.
    progress : callable (done, total), optional
        Called as the frames are read.

    Returns
    -------
    dict
        ``report``, the path; ``bytes``; ``verdict``, the sentence at the page's top; ``frames``;
        ``pictures``, how many of them the player shows; ``shown``, which.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run, or a file given is not there.
    ValueError
        If the run's files are damaged, or a file given does not fit it.
    holdstill.outputs.OutputError
        If the page cannot be written.

    Examples
    --------
    >>> write_report("no-such-run")
    Traceback (most recent call last):
    ...
    holdstill.run_folder.NotARunError: no-such-run: not the folder of a run (no transforms in it)
    """
    if not isinstance(run, Run):
        run = read_run(run)
    if path is None:
        refuse_url(run.address, "a report")
    target = run.folder / REPORT if path is None else Path(path)
    worst = worst_rows(run)
    shown = shown_rows(run, worst)
    if isinstance(points, (str, os.PathLike)):
        points = read_points(points, run.rows["frame"])
    both = _Passes(progress, len(shown.rows))
    found = evaluate_run(
        run, points=points, eye_corners=eye_corners, initial=initial, progress=both.first
    )
    pictures = make_pictures(run, found, shown.rows, worst, progress=both.second)
    plots = plot_section(run, found, points, eye_corners)
    page = render(run, found, shown, worst, pictures, plots)
    # A name that is no text is shown as far as it is.
    content = page.encode("utf-8", "replace")
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    return {
        "report": str(target),
        "bytes": len(content),
        "verdict": sections.verdict(run, found),
        "frames": len(run),
        "pictures": len(shown.rows) if pictures.video else 0,
        "shown": str(shown),
    }


class _Passes:
    """The progress of two passes over frames as that of one."""

    def __init__(self, progress: Callable[[int, int], None] | None, to_come: int) -> None:
        self._progress, self._to_come, self._done = progress, to_come, 0

    def first(self, done: int, total: int) -> None:
        """The pass before the one whose length was known."""
        self._done = done
        if self._progress is not None:
            self._progress(done, total + self._to_come)

    def second(self, done: int, total: int) -> None:
        """The one that was to come."""
        if self._progress is not None:
            self._progress(self._done + done, self._done + total)
