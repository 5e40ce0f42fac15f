"""What can be said of a row in one word, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdstill.run_folder import Run

GOOD, DOUBTFUL = "good", "doubtful"


class State(NamedTuple):
    """What a state means, its remedy, and its mark: an SVG path about the origin, 10 units wide."""

    meaning: str
    remedy: str
    mark: str


STATES: dict[str, State] = {
    GOOD: State(
        "Converged, and the dictionary explains the frame well.", "Use it.", "M-2-2h4v4h-4z"
    ),
    DOUBTFUL: State(
        "Converged, but the dictionary explains the frame badly: its quality is below 0.5.",
        "Look at it: something hides the face, it turned away, or the dictionary lacks it.",
        "M0-5L5 0L0 5L-5 0z",
    ),
    "max_iterations": State(
        "The iterations ran out before the last step was small.",
        "A larger --tolerance, a larger --roi, or a simpler --motion.",
        "M-4-4h8v8h-8z",
    ),
    "out_of_frame": State(
        "More than half of the region left the picture.",
        "A better initial transform, unless the face is cut off.",
        "M0-5L5 4H-5z",
    ),
    "singular": State(
        "Nothing to align by: a black or flat picture, or a singular initial transform.",
        "Check the frame and its initial transform.",
        "M-1.5-5h3v3.5H5v3H1.5V5h-3V1.5H-5v-3h3.5z",
    ),
    "collapsed": State(
        "The motion scaled or stretched by a factor of two, or folded over.",
        "A better initial transform, or a simpler --motion.",
        "M0 5L-5-4H5z",
    ),
    "not_found": State(
        "No face was detected, none that the dictionary knows, or no initial transform was given.",
        "Give one by --initial.",
        "M-5-3L-3-5L0-2L3-5L5-3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0z",
    ),
    "unreadable": State(
        "The frame could not be decoded, or is not finite.",
        "Repair the file; its row keeps the count right.",
        "M-5-1.5H5v3H-5z",
    ),
}
"""The states in the order in which they are told; `converged` is either good or doubtful."""

_UNKNOWN = State("A state that this version does not know.", "", "M-4-4h8v8h-8z")


def state_of(name: str) -> State:
    """A state by name; one of a later version has no meaning here, but a mark all the same."""
    return STATES.get(name, _UNKNOWN)


def states(run: Run) -> npt.NDArray[np.object_]:
    """State of every row, (n,)."""
    found = run.status.copy()
    converged = found == "converged"
    found[converged] = DOUBTFUL
    found[run.good] = GOOD
    return found
