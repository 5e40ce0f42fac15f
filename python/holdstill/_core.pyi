from collections.abc import Sequence
from typing import Never, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

_FloatArray = npt.NDArray[np.float64]
_Frame = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
_Pixel = TypeVar("_Pixel", np.uint8, np.uint16, np.float32, np.float64)
_Shape = tuple[int, int]

class _Bound(type): ...  # pybind11's metaclass

class _Result(metaclass=_Bound):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # only the core makes one

__version__: str

DEFAULT_MU: float
REDESCENDING_SCALE: float
DEFAULT_TOLERANCE: float
DEFAULT_MAX_ITERATIONS: int

# BLAS and instruction sets

def instruction_set() -> str: ...
def instruction_sets() -> list[str]: ...
def eigen_version() -> str: ...

# Motion models

def n_parameters(motion: str) -> int: ...
def parameters_from_matrix(
    frame_from_canonical: npt.NDArray[np.number], motion: str, shape: _Shape
) -> _FloatArray: ...
def matrix_from_parameters(
    parameters: npt.NDArray[np.number],
    base: npt.NDArray[np.number],
    motion: str,
    shape: _Shape,
) -> _FloatArray: ...
def update(
    frame_from_canonical: npt.NDArray[np.number],
    step: npt.NDArray[np.number],
    motion: str,
    shape: _Shape,
) -> _FloatArray: ...
def warp_jacobian(
    frame_from_canonical: npt.NDArray[np.number],
    motion: str,
    shape: _Shape,
    points: npt.NDArray[np.number],
) -> _FloatArray: ...

# Warp

class Linearization(_Result):
    @property
    def vector(self) -> _FloatArray: ...
    @property
    def jacobian(self) -> _FloatArray: ...
    @property
    def norm(self) -> float: ...
    @property
    def outside(self) -> int: ...

def linearize(
    image: _Frame,
    frame_from_canonical: npt.NDArray[np.number],
    *,
    shape: _Shape,
    motion: str,
    features: str = "grey",
    sigma: float = 0.8,
    roi: npt.ArrayLike | None = None,
    lowpass_from: npt.ArrayLike | None = None,
    normalize: bool = True,
) -> Linearization: ...
def warp(
    image: npt.NDArray[_Pixel], frame_from_canonical: npt.NDArray[np.number], shape: _Shape
) -> npt.NDArray[_Pixel]: ...

# l1-regularised least squares

class L1Result(_Result):
    @property
    def coefficients(self) -> _FloatArray: ...
    @property
    def step(self) -> _FloatArray: ...
    @property
    def residual(self) -> _FloatArray: ...
    @property
    def objective(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def iterations(self) -> int: ...
    @property
    def converged(self) -> bool: ...

class L1Solver(metaclass=_Bound):
    def __init__(
        self, gram: npt.NDArray[np.number], *, mu: float, bregman_iterations: int = ...
    ) -> None: ...
    def solve(
        self,
        n: npt.NDArray[np.number],
        beta: npt.NDArray[np.number],
        energy: float,
        initial: npt.ArrayLike | None = None,
    ) -> tuple[_FloatArray, float, int, bool]: ...

def l1_least_squares(
    dictionary: npt.ArrayLike,
    target: npt.ArrayLike,
    jacobian: npt.ArrayLike | None = None,
    *,
    mu: float,
    nu: float | None = None,
    bregman_iterations: int = 20,
    initial: npt.ArrayLike | None = None,
    max_active_set_steps: int = 1000,
) -> L1Result: ...

# RASL's inner problem

class RaslStep(_Result):
    @property
    def low_rank(self) -> _FloatArray: ...
    @property
    def sparse(self) -> _FloatArray: ...
    @property
    def delta(self) -> _FloatArray: ...
    @property
    def multipliers(self) -> _FloatArray: ...
    @property
    def rank(self) -> int: ...
    @property
    def iterations(self) -> int: ...
    @property
    def objective(self) -> float: ...
    @property
    def penalty(self) -> float: ...
    @property
    def lower_bound(self) -> float: ...
    @property
    def converged(self) -> bool: ...

def rasl_alm(
    D: npt.NDArray[np.number],
    Q: npt.NDArray[np.number],
    B: npt.ArrayLike | None = None,
    *,
    lam: float,
    rho: float = 1.25,
    tol: float = 1e-7,
    max_iterations: int = 1000,
    threads: int = 0,
    start: RaslStep | None = None,  # used up
    penalty: float | None = None,
    max_penalty: float = ...,
    certify: bool = True,
) -> RaslStep: ...
def rasl_apg(
    D: npt.NDArray[np.number],
    Q: npt.NDArray[np.number],
    B: npt.ArrayLike | None = None,
    *,
    lam: float,
    tol: float = 1e-7,
    max_iterations: int = 3000,
    threads: int = 0,
) -> RaslStep: ...

# One-by-one alignment

class FrameAlignment(_Result):
    @property
    def frame_from_canonical(self) -> _FloatArray: ...
    @property
    def status(self) -> str: ...
    @property
    def iterations(self) -> int: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def n_atoms(self) -> int: ...
    @property
    def residual(self) -> float: ...
    @property
    def quality(self) -> float: ...
    @property
    def step(self) -> float: ...
    @property
    def objective(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def worst_gap(self) -> float: ...
    @property
    def outside(self) -> float: ...
    @property
    def coefficients(self) -> _FloatArray: ...
    @property
    def weights(self) -> npt.NDArray[np.float32] | None: ...

class _FrameAlignments(TypedDict):
    frame_from_canonical: _FloatArray
    status: list[str]
    iterations: npt.NDArray[np.int32]
    evaluations: npt.NDArray[np.int32]
    n_atoms: npt.NDArray[np.int32]
    residual: _FloatArray
    quality: _FloatArray
    step: _FloatArray
    objective: _FloatArray
    gap: _FloatArray
    worst_gap: _FloatArray
    outside: _FloatArray
    coefficients: _FloatArray

class FrameAligner(metaclass=_Bound):
    def __init__(
        self,
        atoms: npt.NDArray[np.number],
        *,
        shape: _Shape,
        motion: str,
        features: str = "grey",
        sigma: float = 0.8,
        roi: npt.ArrayLike | None = None,
        mu: float = 0.001,
        tolerance: float = 1e-06,
        max_iterations: int = 300,
        loss: str = "l2",
        kappa: float = 0.0,
        acceleration: int = 4,
        verify: bool = False,
        coarse: Sequence[tuple[npt.ArrayLike, npt.ArrayLike | None, float]] = ...,
        search: bool = False,
        misfits: tuple[float, float] | None = None,
        visible: float = 1.0,
    ) -> None: ...
    def align(self, frame: _Frame, initial: npt.NDArray[np.number]) -> FrameAlignment: ...
    def align_batch(
        self, frames: _Frame, initial: npt.NDArray[np.number], *, threads: int = 0
    ) -> _FrameAlignments: ...

def search(
    image: _Frame,
    atoms: npt.NDArray[np.number],
    initial: npt.NDArray[np.number],
    *,
    shape: _Shape,
    motion: str,
    features: str = "grey",
    sigma: float = 0.8,
    roi: npt.ArrayLike | None = None,
    kept: int = 6,
) -> tuple[_FloatArray, _FloatArray]: ...

# Registration to a subspace

class FrameRegistration(_Result):
    @property
    def frame_from_canonical(self) -> _FloatArray: ...
    @property
    def status(self) -> str: ...
    @property
    def iterations(self) -> int: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def step(self) -> float: ...
    @property
    def difs(self) -> float: ...
    @property
    def dffs(self) -> float: ...
    @property
    def coefficients(self) -> _FloatArray: ...

class _FrameRegistrations(TypedDict):
    frame_from_canonical: _FloatArray
    status: list[str]
    difs: _FloatArray
    dffs: _FloatArray
    step: _FloatArray
    evaluations: int

class FrameRegistrar(metaclass=_Bound):
    def __init__(
        self,
        levels: Sequence[
            tuple[
                npt.NDArray[np.number],
                npt.NDArray[np.number],
                float,
                npt.NDArray[np.number],
                npt.ArrayLike | None,
            ]
        ],
        *,
        shape: _Shape,
        motion: str = "similarity",
        features: str = "edges",
        sigma: float = 0.8,
        distance: str = "both",
        tolerance: float = 0.01,
        max_iterations: int = 100,
        largest_offset: float = 0.05,
        acceleration: int = 2,
    ) -> None: ...
    def register(
        self,
        frame: _Frame,
        initial: npt.NDArray[np.number],
        *,
        template: int = 0,
        search: str = "gradient",
        levels: int = 1,
    ) -> FrameRegistration: ...
    def distances(
        self,
        frame: _Frame,
        frame_from_canonical: npt.NDArray[np.number],
        *,
        template: int = 0,
    ) -> tuple[float, float]: ...
    def register_all(
        self,
        frame: _Frame,
        initial: npt.NDArray[np.number],
        *,
        lowpass_from: npt.NDArray[np.number],
    ) -> _FrameRegistrations: ...
