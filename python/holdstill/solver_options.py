"""What the solver of single frames is told: one type for whoever hands it on (equations §3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdstill import _core
from holdstill.checks import at_least_zero, integer, positive
from holdstill.reference.robust import LOSSES

NEAR_ITERATIONS = 50
"""Most iterations from the frame before: one that takes more has lost its way."""


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """Options of :meth:`holdstill.Dictionary.aligner`, which says what they mean.

    How many `levels` there may be is for the dictionary to say.

    Raises
    ------
    ValueError
        If one is out of range.

    Examples
    --------
    >>> SolverOptions(max_iterations=200).near().max_iterations
    50
    >>> SolverOptions(mu=-1)
    Traceback (most recent call last):
    ...
    ValueError: mu: expected a number of at least 0, got -1
    """

    mu: float = _core.DEFAULT_MU
    tolerance: float = _core.DEFAULT_TOLERANCE
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS
    loss: str = "l2"
    levels: int | None = None
    search: bool = True
    verify: bool = False

    def __post_init__(self) -> None:
        checked = {
            "mu": at_least_zero("mu", self.mu),
            "tolerance": positive("tolerance", self.tolerance),
            "max_iterations": integer("max_iterations", self.max_iterations),
            "search": bool(self.search),
            "verify": bool(self.verify),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.loss not in LOSSES:
            raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {self.loss!r}")

    def near(self) -> SolverOptions:
        """The finest octave alone and few iterations, for starts from the frame before."""
        iterations = min(self.max_iterations, NEAR_ITERATIONS)
        return replace(self, levels=1, search=False, max_iterations=iterations)


DEFAULT_OPTIONS = SolverOptions()
