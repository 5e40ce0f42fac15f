"""Giving pictures a head movement: ``holdstill animate``."""

from holdstill.animation.film import animate
from holdstill.animation.head_warp import HeadWarp, displacement

__all__ = ["HeadWarp", "animate", "displacement"]
