"""Progress of long work: done, per second, time left; a line on stderr, or a bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO


class Progress:
    """A callable (done, total) that writes one line, again and again.

    On a terminal the line replaces itself; elsewhere (a log file) there is one every ten seconds.

    Parameters
    ----------
    label : str
        What is being done.
    unit : str
        What is counted.
    quiet : bool
        Write nothing.
    open_ended : bool
        The total is a cap that is seldom reached: no time left is shown.
    stream : text file, optional
        stderr by default.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        *,
        quiet: bool = False,
        open_ended: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self._open_ended = open_ended
        self._label, self._unit, self._quiet = label, unit, quiet
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._started: float | None = None
        self._before = 0  # done when the first report came
        self._shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Report that `done` of `total` are finished."""
        now = time.monotonic()
        if self._started is None:  # the work begins with its first report, not with its preparation
            self._started, self._before = now, done
            self._shown = 0.0 if self._terminal else now
        every = 0.2 if self._terminal else 10.0
        if self._quiet or (now - self._shown < every and done < total):
            return
        self._shown = now
        rate = (done - self._before) / max(now - self._started, 1e-9)
        line = f"{self._label}: {done}/{total} {self._unit}"
        if now > self._started:
            line += f", {rate:.3g}/s"
        if self._open_ended:
            line = f"{self._label}: {done} {self._unit}, {now - self._started:.0f} s"
        elif rate and now > self._started:
            line += f", {clock((total - done) / rate)} left"
        if self._terminal:
            self._stream.write(f"\r{line}\033[K" + ("\n" if done >= total else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """End the line where the work ended before its total."""
        if self._terminal and not self._quiet and self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()


def clock(seconds: float) -> str:
    """Seconds as a clock shows them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class _Bar:
    """A bar of tqdm that begins with the first report."""

    def __init__(self, bar_of: Callable[..., Any], label: str, unit: str) -> None:
        self._bar_of, self._label, self._unit = bar_of, label, unit
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is not None and done < self._bar.n:  # the next piece of work
            self._bar.close()
            self._bar = None
        if self._bar is None:
            self._bar = self._bar_of(total=total, desc=self._label or None, unit=self._unit)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()
            self._bar = None


def progress_bar(label: str = "", unit: str = "frame") -> Callable[[int, int], None]:
    """A progress bar for whatever takes a `progress`, in notebooks and terminals.

    With tqdm installed it is its bar, which notebooks show as a widget; else a line on stderr.

    Parameters
    ----------
    label : str
        What is being done.
    unit : str
        What is counted.

    Returns
    -------
    callable (done, total)
        Takes one piece of work after another: it begins anew where the count falls.

    Examples
    --------
    >>> import numpy as np
    >>> import holdstill
    >>> from holdstill.synthetic import TalkingHead
    >>> head = TalkingHead(6, size=(144, 180), shape=(40, 40), occlusion=False)
    >>> frames, initial = np.stack(list(head)), head.initial()
    >>> options = {"n": 4, "shape": (40, 40), "motion": "similarity"}
    >>> learnt = holdstill.fit(frames, initial, **options, progress=progress_bar("RASL"))
    """
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return Progress(label or "done", f"{unit}s")
    return _Bar(tqdm, label, unit)
