"""What every benchmark shares: the folder of real images, the machine, the table, the claims."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill.config import processor

FloatArray = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

OUT = Path(__file__).parent / "out"
"""Where benchmarks write their pictures; not part of the project."""


class Claims:
    """Prints whether each claim holds, and remembers whether one did not that should.

    Examples
    --------
    >>> claims, speed = Claims(), 3.3
    >>> claims.check(2 + 2 == 4, "two and two are four")
    holds: two and two are four
    >>> claims.check(speed >= 5, f"{speed} times as fast, at least 5", missed=speed >= 2.5)
    missed: 3.3 times as fast, at least 5
    >>> claims.exit_code()
    0
    """

    def __init__(self) -> None:
        self._broken = 0

    def check(self, holds: bool, claim: str, *, missed: bool | None = None) -> None:
        """Print the claim; it names what was found.

        Parameters
        ----------
        holds : bool
        claim : str
        missed : bool, optional
            Of a claim that docs/benchmarks.md says is missed, and of no other: whether what was
            found is about as good as there. Where it is, the miss is no failure; worse is one.
        """
        if holds:
            verdict = "holds" if missed is None else "holds, its mark as missed can go"
        elif missed:
            verdict = "missed"
        else:
            verdict = "BROKEN" if missed is None else "BROKEN, worse than the known miss"
            self._broken += 1
        print(f"{verdict}: {claim}", flush=True)

    def exit_code(self) -> int:
        """0 where nothing is broken, else 1."""
        return 1 if self._broken else 0


def data_folder(name: str) -> Path | None:
    """Folder of real images, or None, having said so, where it is absent.

    Parameters
    ----------
    name : str
        Path below the folder that the environment variable HOLDSTILL_DATA names, else below
        ``../shared/data`` beside the project's root.

    Returns
    -------
    Path or None
    """
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("HOLDSTILL_DATA", root.parent / "shared" / "data")) / name
    if folder.is_dir():
        return folder
    print(f"{folder} is absent: nothing is measured on it (HOLDSTILL_DATA names another folder)")
    return None


def parser_of(doc: str) -> argparse.ArgumentParser:
    """Of a benchmark's options; its ``--help`` begins with the first paragraph of its docstring.

    Examples
    --------
    >>> parser_of("A claim of two\\nlines.\\n\\nWhat it means.").description
    'A claim of two\\nlines.'
    """
    return argparse.ArgumentParser(description=doc.partition("\n\n")[0])


def add_fit_and_align(parser: argparse.ArgumentParser) -> None:
    """``--fit`` and ``--align``: keywords of `holdstill.fit`, and of whatever aligns."""
    for name in ("--fit", "--align"):
        parser.add_argument(
            name, action=_Keywords, nargs="*", default={}, metavar="NAME=VALUE", help="of holdstill"
        )


class _Keywords(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, keywords(values))


def keywords(pairs: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE of a command line as keywords; what is no Python literal is a string.

    Examples
    --------
    >>> keywords(["mu=1e-4", "features=edges"])
    {'mu': 0.0001, 'features': 'edges'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            found[name] = value
    return found


def machine_line(packages: Sequence[str] = ()) -> str:
    """Processor, cores, instruction set in use, and versions.

    Parameters
    ----------
    packages : sequence of str
        Distributions whose versions matter, beside holdstill, NumPy and SciPy.

    Returns
    -------
    str
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("holdstill", "numpy", "scipy", *packages)
    ]
    return (
        f"{processor()}, {cores} cores, {_core.instruction_set()}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def print_table(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    packages: Sequence[str] = (),
) -> None:
    """Print a Markdown table under its title and the machine it was measured on.

    Parameters
    ----------
    title : str
        What was measured, with units.
    headers : sequence of str
        Names of the columns.
    rows : iterable of sequences
        Cells; a number goes in as the text that shows its digits.
    packages : sequence of str
        See `machine_line`.
    """
    table = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    print(f"\n{title}\n{machine_line(packages)}\n")
    for first, *others in table:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def peer(module: str) -> Any:
    """Import a library to compare with; without it the benchmark ends, having said so.

    Raises
    ------
    SystemExit
        With code 0, if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        print(f'nothing is measured: {error}; pip install "holdstill[bench]"')
        raise SystemExit(0) from None
