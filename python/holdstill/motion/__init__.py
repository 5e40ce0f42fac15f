"""Head movement: parameters of transforms, a model that draws new movement, and smoothing."""

from holdstill.motion.model import MotionModel
from holdstill.motion.parameters import N_PARAMETERS, PARAMETERS, compose, decompose
from holdstill.motion.smoothing import smooth

__all__ = ["N_PARAMETERS", "PARAMETERS", "MotionModel", "compose", "decompose", "smooth"]
