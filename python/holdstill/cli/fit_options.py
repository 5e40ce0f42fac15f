"""Options of learning a dictionary: of ``fit``, and of ``align`` without one."""

from __future__ import annotations

import argparse

from holdstill.cli.parsing import (
    add_initial,
    add_sampling,
    add_threads,
    parse_index,
    parse_positive,
)
from holdstill.initial import FACES
from holdstill.learning.selection import SELECTIONS
from holdstill.reference.motion import MOTIONS

FIT_OPTIONS = (
    "n", "selection", "seed", "shape", "motion", "features", "sigma", "roi", "face", "threads",
)  # fmt: skip
"""Options of the command line that are keywords of `holdstill.fit`."""


def add_fit_options(parser: argparse.ArgumentParser) -> None:
    """What is learnt."""
    group = parser.add_argument_group("dictionary")
    group.add_argument("--n", type=parse_positive, help="frames in the sample")
    group.add_argument("--selection", choices=SELECTIONS, help="how the sample is drawn")
    group.add_argument("--seed", type=parse_index, help="of the random choice")
    group.add_argument("--motion", choices=MOTIONS, help="motion model")
    add_sampling(group)


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """Where it is learnt from, and by how many."""
    add_initial(parser)
    parser.add_argument(
        "--face",
        choices=FACES,
        help="which of several (default: the largest is learnt, the best aligned is followed)",
    )
    add_threads(parser)
