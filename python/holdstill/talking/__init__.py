"""Make a talking head: other lips on a face that keeps its own motion."""

from .replacing import MouthReplacement, replace_mouth
from .selection import choose_mouths, viterbi
from .space import MouthSpace

__all__ = ["MouthReplacement", "MouthSpace", "choose_mouths", "replace_mouth", "viterbi"]
