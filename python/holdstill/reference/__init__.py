"""The kernels of holdstill in vectorised NumPy, readable as the equations.

The twin of the compiled core: the same names and signatures, float64 throughout. It is slower, and
it is what the core is tested against.
"""

from .aligner import FrameAlignment, align_frame
from .image import gaussian_kernel, low_pass, lowpass_sigma
from .l1 import L1Result, l1_from_products, l1_least_squares, least_squares, soft_threshold
from .motion import (
    MOTIONS,
    matrix_from_parameters,
    n_parameters,
    parameters_from_matrix,
    update,
    warp_jacobian,
)
from .rasl_inner import RaslStep, rasl_alm, rasl_apg, upper_bound
from .registration import FrameRegistration, register_frame
from .robust import LOSSES, RobustResult, group_soft_threshold, huber, robust_least_squares
from .search import search
from .simplex import minimize_simplex
from .status import STATUSES
from .subspace import (
    Subspace,
    distances,
    gauss_newton_step,
    log_likelihood,
    normal_equations,
)
from .warp import FEATURES, Linearization, linearize, warp

__all__ = [
    "FEATURES",
    "LOSSES",
    "MOTIONS",
    "STATUSES",
    "FrameAlignment",
    "FrameRegistration",
    "L1Result",
    "Linearization",
    "RaslStep",
    "RobustResult",
    "Subspace",
    "align_frame",
    "distances",
    "gauss_newton_step",
    "gaussian_kernel",
    "group_soft_threshold",
    "huber",
    "l1_from_products",
    "l1_least_squares",
    "least_squares",
    "linearize",
    "log_likelihood",
    "low_pass",
    "lowpass_sigma",
    "matrix_from_parameters",
    "minimize_simplex",
    "n_parameters",
    "normal_equations",
    "parameters_from_matrix",
    "rasl_alm",
    "rasl_apg",
    "register_frame",
    "robust_least_squares",
    "search",
    "soft_threshold",
    "update",
    "upper_bound",
    "warp",
    "warp_jacobian",
]
