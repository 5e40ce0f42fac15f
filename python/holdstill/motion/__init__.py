"""Head movement: the parameters of transforms, and a model that draws new movement."""

from holdstill.motion.model import MotionModel
from holdstill.motion.parameters import N_PARAMETERS, PARAMETERS, compose, decompose

__all__ = ["N_PARAMETERS", "PARAMETERS", "MotionModel", "compose", "decompose"]
