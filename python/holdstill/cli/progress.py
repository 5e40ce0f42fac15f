"""Progress of long work on stderr: done, per second, time left."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TextIO


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
        self._shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Report that `done` of `total` are finished."""
        now = time.monotonic()
        if self._started is None:  # the work begins with its first report, not with its preparation
            self._started = now
            self._shown = 0.0 if self._terminal else now
        every = 0.2 if self._terminal else 10.0
        if self._quiet or (now - self._shown < every and done < total):
            return
        self._shown = now
        rate = done / max(now - self._started, 1e-9)
        line = f"{self._label}: {done}/{total} {self._unit}"
        if now > self._started:
            line += f", {rate:.3g}/s"
        if self._open_ended:
            line = f"{self._label}: {done} {self._unit}, {now - self._started:.0f} s"
        elif done and now > self._started:
            line += f", {_clock((total - done) / rate)} left"
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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextlib.contextmanager
def progress_of(
    options: argparse.Namespace, label: str, unit: str, open_ended: bool = False
) -> Iterator[Progress]:
    """The progress of a command, which ends its line however the command ends."""
    progress = Progress(label, unit, quiet=options.quiet, open_ended=open_ended)
    try:
        yield progress
    finally:
        progress.close()
