"""The command line: thin wrappers around the Python functions, which hold the defaults."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from holdstill.cli.commands import COMMANDS
from holdstill.cli.options import build_parser
from holdstill.jobs.job import JobIncompleteError
from holdstill.learning.fitting import NothingToAlignError
from holdstill.outputs import OutputError, as_json
from holdstill.run import NothingAlignedError
from holdstill.sources.paths import is_url

OK, INCOMPLETE, USAGE, NOTHING_ALIGNED, OUTPUT, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0: every frame has a row. 1: workers failed at some blocks. 2: wrong usage, or no source
        readable. 3: no frame could be aligned. 4: output could not be written. 130: interrupted, by
        Ctrl-C or SIGTERM.

    Examples
    --------
    >>> main(["evaluate", "no-such-run", "--quiet"])
    2
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = build_parser().parse_args(given)
    options.command_line = shlex.join(["holdstill", *given])
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        with _stopped_by_sigterm(), _own_messages(options.quiet):
            result, text = COMMANDS[options.command](options)
    except KeyboardInterrupt:
        return _fail(_interrupted(options), INTERRUPTED)
    except JobIncompleteError as error:
        return _fail(error, INCOMPLETE)
    except NothingAlignedError as error:
        if options.json:
            print(as_json(error.summary))
        return _fail(error, NOTHING_ALIGNED)
    except NothingToAlignError as error:
        return _fail(error, NOTHING_ALIGNED)
    except OutputError as error:
        return _fail(error, OUTPUT)
    except (ValueError, TypeError, OSError, ImportError) as error:
        return _fail(error, USAGE)
    try:
        print(as_json(result) if options.json else text, flush=True)
    except BrokenPipeError:  # who reads has seen enough; Python would say so again as it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


@contextlib.contextmanager
def _own_messages(quiet: bool) -> Iterator[None]:
    """Show what holdstill is at, unless `quiet`; what other packages are at is not of interest."""
    log = logging.getLogger("holdstill")
    before = log.level
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which schedulers stop a job, do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _interrupted(options: argparse.Namespace) -> str:
    """What there is after an interruption, and how to go on."""
    from holdstill.jobs.status import job_status  # only interrupted runs need it

    out, written = getattr(options, "out", None), ""
    if out is not None and not is_url(out):
        if not os.path.exists(out):
            return "interrupted before anything was written"
        with contextlib.suppress(ValueError, OSError):  # of another command, or damaged
            status = job_status(out)
            written = f" with {status['frames_done']} of {status['frames']} frames written"
    return (
        f"interrupted{written}; what has been written under its final name is complete, and a run "
        "of 'holdstill align' goes on by --resume"
    )


def _fail(message: object, code: int) -> int:
    print(f"holdstill: {message}", file=sys.stderr)
    return code
