"""Learning a dictionary: what ``fit``, and ``align`` without one, do."""

from __future__ import annotations

import argparse
import logging

from holdstill.cli.fit_options import FIT_OPTIONS
from holdstill.cli.parsing import given
from holdstill.cli.progress import progress_of
from holdstill.dictionary import Dictionary
from holdstill.learning.fitting import fit
from holdstill.sources import FrameSource

log = logging.getLogger("holdstill")


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
        log.info(
            "%d frames are fewer than a sample's %d: all are looked at", len(frames), _default_n()
        )
    with progress_of(options, "RASL", "iterations", open_ended=True) as progress:
        return fit(frames, getattr(options, "initial", None), progress=progress, **keywords)


def _default_n() -> int:
    assert fit.__kwdefaults__ is not None
    return int(fit.__kwdefaults__["n"])
