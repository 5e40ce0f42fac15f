"""What the parsers of all commands share."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from holdstill import __version__, _core
from holdstill.canonical import ROIS
from holdstill.config import processor
from holdstill.reference.warp import FEATURES

Output = tuple[dict[str, Any], str]
"""What a command returns: its results as an object, and as text."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the line that matters, and where to read more."""

    def error(self, message: str) -> NoReturn:
        """End with what is wrong, on stderr."""
        self.exit(2, f"{self.prog}: {message}\n({self.prog} --help tells what there is)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse what is not known here, where the command has its name."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


class HelpWithDefaults(argparse.RawDescriptionHelpFormatter):
    """Help that tells the defaults, which functions hold.

    Parameters
    ----------
    prog : str
        As argparse gives it.
    holders : sequence of callable
        Functions whose keywords the options are named as.
    """

    def __init__(self, prog: str, holders: tuple[Callable[..., Any], ...] = ()) -> None:
        super().__init__(prog)
        self._defaults: dict[str, Any] = {}
        for holder in holders:
            for name, parameter in inspect.signature(holder).parameters.items():
                self._defaults.setdefault(name, parameter.default)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = self._defaults.get(action.dest)
        if isinstance(default, tuple):
            default = "x".join(map(str, default))  # HEIGHTxWIDTH
        told = isinstance(default, (int, float, str)) and not isinstance(default, bool)
        if not told or not action.help or "default" in action.help:
            return action.help
        return f"{action.help} (default: {default})"


def given(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the named options that stand on the command line."""
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def sources_of(options: argparse.Namespace) -> Any:
    """What `holdstill.open` takes."""
    sources: list[str] = options.sources
    return sources[0] if len(sources) == 1 else sources


def facts_of(options: argparse.Namespace) -> dict[str, Any]:
    """What run.json says about how a run was made."""
    return {
        "holdstill": __version__,
        "command": options.command_line,
        "processor": processor(),
        "instruction_set": _core.instruction_set(),
        "sources": sources_of(options),
        "initial": getattr(options, "initial", None),
    }


def command(
    commands: Any, name: str, summary: str, example: str, *holders: Callable[..., Any]
) -> argparse.ArgumentParser:
    """A command with its example, and what all commands have; `holders` have its defaults."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=partial(HelpWithDefaults, holders=holders),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--quiet", action="store_true", default=False, help="no progress, warnings only"
    )
    parser.add_argument(
        "--json", action="store_true", default=False, help="print one object with the results"
    )
    return parser


def add_sources(parser: argparse.ArgumentParser) -> None:
    """The images that a command works on."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="video, folder or glob of images or videos, .npy stack, .zarr array, or a URL of one",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """The folder that a command writes a run into."""
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder of the run, new or empty"
    )
    parser.add_argument("--csv", action="store_true", default=False, help="transforms.csv as well")


def add_initial(parser: argparse.ArgumentParser) -> None:
    """Where the faces are, if no detector is to look for them."""
    parser.add_argument(
        "--initial",
        metavar="FILE",
        help="CSV or Parquet of initial transforms, eye points or boxes; else a face detector",
    )


def add_sampling(group: Any, default_shape: str = "") -> None:
    """How the canonical frame is seen by what is learnt; its default where no signature has it."""
    told = f" (default: {default_shape})" if default_shape else ""
    group.add_argument(
        "--shape", type=parse_shape, metavar="HxW", help=f"canonical frame, pixels{told}"
    )
    group.add_argument("--features", choices=FEATURES, help="what is compared")
    group.add_argument("--sigma", type=float, help="of edges and magnitude, canonical pixels")
    group.add_argument(
        "--roi", help=f"region of interest: {', '.join(ROIS)}, or the path of a mask image"
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """By how many the work is done."""
    parser.add_argument(
        "--threads", type=parse_positive, help="threads (default: one for each processor)"
    )


def parse_shape(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 200x200, got {text!r}")
    return int(match[1]), int(match[2])


def parse_npz(text: str) -> str:
    """The name of an archive to write; that of a video, say, by mistake would replace it."""
    if not text.lower().endswith(".npz"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .npz, got {text!r}")
    return text


def parse_index(text: str) -> int:
    """An integer from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0, got {text!r}")
    return int(text)


def parse_positive(text: str) -> int:
    """An integer from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return int(text)


def parse_four_indices(text: str) -> tuple[int, ...]:
    """Four indices, separated by commas."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected four indices such as 36,39,42,45, got {text!r}")
    return tuple(int(part) for part in parts)


def parse_indices(text: str) -> tuple[int, ...]:
    """Two indices or more, separated by commas."""
    parts = text.split(",")
    if len(parts) < 2 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected indices such as 36,45,39, got {text!r}")
    return tuple(int(part) for part in parts)


def parse_components(text: str) -> int | float:
    """A number of components, or a share of the variance."""
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a number such as 30, or a share such as 0.8, got {text!r}"
        ) from None


def parse_rho(text: str) -> str | float:
    """A reading of rho by name, or its value."""
    try:
        return float(text)
    except ValueError:
        return text
