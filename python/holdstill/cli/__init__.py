"""The command line: thin wrappers around the Python functions, which hold the defaults."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence

from holdstill.cli.commands import COMMANDS
from holdstill.cli.options import build_parser
from holdstill.fitting import NothingToAlignError
from holdstill.outputs import OutputError, as_json
from holdstill.run import NothingAlignedError

OK, USAGE, NOTHING_ALIGNED, OUTPUT, INTERRUPTED = 0, 2, 3, 4, 130
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
        0: every frame has a row. 2: wrong usage, or no source readable. 3: no frame could be
        aligned. 4: output could not be written. 130: interrupted.

    Examples
    --------
    >>> main(["evaluate", "no-such-run", "--quiet"])
    2
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = build_parser().parse_args(given)
    options.command_line = shlex.join(["holdstill", *given])
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.ERROR if options.quiet else logging.INFO,
        format="%(message)s",
    )
    try:
        result, text = COMMANDS[options.command](options)
    except KeyboardInterrupt:
        return _fail(
            "interrupted; what has been written under its final name is complete", INTERRUPTED
        )
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
    print(as_json(result) if options.json else text)
    return OK


def _fail(message: object, code: int) -> int:
    print(f"holdstill: {message}", file=sys.stderr)
    return code
