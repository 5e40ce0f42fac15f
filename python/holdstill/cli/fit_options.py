"""Options of learning a dictionary, and what they do: of ``fit``, and of ``align`` without one."""

from __future__ import annotations

import argparse
import logging

from holdstill.cli.parsing import (
    add_initial,
    add_sampling,
    given,
    parse_index,
    parse_positive,
)
from holdstill.cli.progress import progress_of
from holdstill.dictionary import Dictionary
from holdstill.fitting import fit
from holdstill.reference.motion import MOTIONS
from holdstill.selection import SELECTIONS
from holdstill.sources import FrameSource

FIT_OPTIONS = (
    "n", "selection", "seed", "shape", "motion", "features", "sigma", "roi", "face", "threads",
)  # fmt: skip
"""Options of the command line that are keywords of `holdstill.fit`."""

log = logging.getLogger("holdstill")


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
    parser.add_argument("--face", choices=("largest", "center"), help="which face of several")
    parser.add_argument("--threads", type=parse_positive, help="threads")


def fit_dictionary(frames: FrameSource, options: argparse.Namespace) -> Dictionary:
    """Learn a dictionary from a source.

    Raises
    ------
    ValueError
        If the source is too short for one.
    """
    keywords = given(options, FIT_OPTIONS)
    if len(frames) < 2:
        raise ValueError(
            "a dictionary cannot be learnt from one frame; give more, or one by --dictionary"
        )
    if "n" not in keywords and len(frames) < _default_n():
        keywords["n"] = len(frames)
        log.info("the sample takes all %d frames: there are no more", len(frames))
    with progress_of(options, "RASL", "iterations", open_ended=True) as progress:
        return fit(frames, getattr(options, "initial", None), progress=progress, **keywords)


def _default_n() -> int:
    assert fit.__kwdefaults__ is not None
    return int(fit.__kwdefaults__["n"])
