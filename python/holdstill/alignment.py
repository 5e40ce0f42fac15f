"""Align single frames and stacks against a dictionary (equations §3; paper A, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.canonical import check_shape
from holdstill.dictionary import Dictionary, expect_dictionary
from holdstill.reference.robust import LOSSES as LOSSES
from holdstill.sources import Frame
from holdstill.sources.arrays import check_frame
from holdstill.threads import thread_count

STATUSES = (
    "converged",
    "max_iterations",
    "out_of_frame",
    "singular",
    "collapsed",
    "not_found",
    "unreadable",
)
"""How the alignment of a frame can end."""

GOOD = 0.5
"""Quality from which on a converged frame is good."""


def is_good(
    status: str | npt.NDArray[np.str_] | npt.NDArray[np.object_], quality: float | FloatArray
) -> npt.NDArray[np.bool_]:
    """Whether frames converged with a quality of at least `GOOD`, or of nothing known.

    Examples
    --------
    >>> is_good(np.array(["converged"] * 3 + ["collapsed"]), np.array([0.9, 0.1, np.nan, 0.9]))
    array([ True, False,  True, False])
    """
    return np.asarray((np.asarray(status) == "converged") & ~(np.asarray(quality) < GOOD))


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """One aligned frame, or why it is not.

    Attributes
    ----------
    source : str
        File or stream of the frame.
    frame : int
        Its number there; -1 for a source that could not be opened.
    time : float or None
        Its timestamp, seconds.
    frame_from_canonical : ndarray (3, 3) float64, or None
        The transform; None where there is not even an initial one.
    status : str
        One of `STATUSES`; a cap that was reached is never called converged.
    iterations : int
        Outer iterations on the finest level.
    evaluations : int
        Linearisations on all levels.
    residual : float
        ‖e‖₂ of the unit-norm frame, e = v + JΔτ - Ãx; under a robust loss e = v - Ãx, unweighted.
        NaN where nothing was solved.
    step : float
        Last ‖Δτ‖₂. NaN where nothing was solved.
    coefficients : ndarray (r,) float64
        x; zero off its support exactly.
    quality : float
        From 0 to 1, how well the dictionary explains the frame beside how well it explains its own
        images: 0.95 as well as the median of them, 0.5 halfway to misaligned ones, 0 where nothing
        came of it. NaN where the dictionary has no such yardstick.
    weights : ndarray (h, w) float32, or None
        Under a robust loss, how much each pixel counted, from 0 to 1: where it is low, something
        hides the face. Zero outside of the region of interest. None otherwise.
    gap : float
        Duality gap of x at the returned point, over all atoms. NaN where nothing was solved.
    objective : float
        ½‖e‖₂² + μ‖x‖₁ there. NaN where nothing was solved.
    """

    source: str
    frame: int
    time: float | None
    frame_from_canonical: FloatArray | None
    status: str
    iterations: int
    evaluations: int
    residual: float
    step: float
    coefficients: FloatArray
    gap: float
    objective: float
    quality: float
    weights: npt.NDArray[np.float32] | None = None

    @property
    def converged(self) -> bool:
        """Whether the frame's status is ``converged``."""
        return self.status == "converged"

    @property
    def good(self) -> bool:
        """Whether it converged with a quality of at least 0.5, or of nothing known."""
        return bool(is_good(self.status, self.quality))

    @property
    def n_atoms(self) -> int:
        """Number of atoms in use."""
        return int(np.count_nonzero(self.coefficients))


@dataclass(frozen=True, slots=True, eq=False)
class AlignmentBatch:
    """The fields of :class:`Alignment` as arrays of length n, in the order of the frames."""

    frame_from_canonical: FloatArray
    status: npt.NDArray[np.str_]
    iterations: npt.NDArray[np.int32]
    evaluations: npt.NDArray[np.int32]
    residual: FloatArray
    step: FloatArray
    coefficients: FloatArray
    gap: FloatArray
    objective: FloatArray
    quality: FloatArray

    def __len__(self) -> int:
        return len(self.status)

    def _repr_html_(self) -> str:
        from holdstill.notebook import batch_html  # only notebooks need it

        return batch_html(self)

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Which frames' status is ``converged``."""
        return np.asarray(self.status == "converged")

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which frames converged with a quality of at least 0.5, or of nothing known."""
        return is_good(self.status, self.quality)


def align_frame(
    frame: npt.ArrayLike,
    dictionary: Dictionary,
    initial: npt.ArrayLike,
    *,
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    loss: str = "l2",
    levels: int | None = None,
    search: bool = True,
    verify: bool = False,
) -> Alignment:
    """Align one frame: min over x, τ of ½‖v(τ) - Ãx‖₂² + μ‖x‖₁ (equations §3).

    Parameters
    ----------
    frame : array_like, shape (H, W) or (H, W, 3)
        uint8, uint16 or float. Colour becomes grey by :func:`holdstill.sources.grey_from_rgb`.
    dictionary : Dictionary
        Of :func:`holdstill.fit`.
    initial : array_like, shape (3, 3)
        frame_from_canonical to start from, of the dictionary's motion model.
    mu : float
        Weight of ‖x‖₁; 0 is plain least squares.
    tolerance : float
        Stop at ‖Δτ‖₂ ≤ tolerance.
    max_iterations : int
        Cap of the outer loop.
    loss : {"l2", "huber", "l1", "geman-mcclure"}
        What a pixel's residual costs: its square; the square, but linear above a threshold from the
        dictionary's own residuals, so that what hides the face pulls little; its magnitude; or,
        from Huber's solution on, a bounded cost, so that it pulls no more.
    levels : int, optional
        Octaves of the search, coarse to fine; as many as the region allows by default, 1 for the
        finest alone. They change where the finest starts, not where it ends.
    search : bool
        Look further around, a third of the width, 45° and a factor of 1.6 away, for a frame whose
        start leads to no good end. Without a yardstick in the dictionary, convergence is good.
    verify : bool
        Solve every iteration over all atoms, and certify it. Same result, slower.

    Returns
    -------
    Alignment
        A frame that cannot be aligned gets a status; it raises nothing.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong shape, dtype or range, or `initial` is outside of the motion
        model's family.

    Examples
    --------
    >>> y, x = np.mgrid[:60, :60]
    >>> blob = np.exp(-((x - 30.0) ** 2 + (y - 28.0) ** 2) / 60).astype(np.float32)
    >>> template = warp(blob, [[1, 0, 10], [0, 1, 10], [0, 0, 1]], (40, 40)).reshape(-1, 1)
    >>> atoms = template / np.linalg.norm(template)
    >>> found = align_frame(
    ...     blob, Dictionary(atoms, shape=(40, 40), motion="translation"),
    ...     [[1, 0, 11.5], [0, 1, 9], [0, 0, 1]],
    ... )
    >>> found.status, found.frame_from_canonical[:2, 2].round(2).tolist()
    ('converged', [10.0, 10.0])
    """
    expect_dictionary(dictionary)
    aligner = dictionary.aligner(
        mu=mu,
        tolerance=tolerance,
        max_iterations=max_iterations,
        loss=loss,
        levels=levels,
        search=search,
        verify=verify,
    )
    image = np.asarray(frame)
    check_frame("frame", image.shape)
    return align_read(Frame("array", 0, None, image), aligner, np.asarray(initial))


def align_batch(
    frames: npt.ArrayLike,
    dictionary: Dictionary,
    initial: npt.ArrayLike,
    *,
    threads: int | None = None,
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    loss: str = "l2",
    levels: int | None = None,
    search: bool = True,
    verify: bool = False,
) -> AlignmentBatch:
    """Align a stack of frames in one call into the compiled core.

    Parameters
    ----------
    frames : array_like, shape (n, H, W)
        Grey, uint8, uint16 or float32.
    dictionary : Dictionary
        Of :func:`holdstill.fit`.
    initial : array_like, shape (n, 3, 3)
        frame_from_canonical to start from, for each frame.
    threads : int, optional
        Threads over the frames; as many as there are processors by default. The result does not
        depend on it.
    mu, tolerance, max_iterations, loss, levels, search, verify
        As in :func:`align_frame`.

    Returns
    -------
    AlignmentBatch

    Raises
    ------
    ValueError, TypeError
        As :func:`align_frame`.
    """
    try:
        stack = np.asarray(frames)
    except ValueError:  # rows of different lengths
        raise ValueError(
            "frames: expected images of one size, shape (n, H, W); align_frame takes one of any "
            "size at a time"
        ) from None
    if stack.dtype == np.float64:
        stack = stack.astype(np.float32)
    expect_dictionary(dictionary)
    aligner = dictionary.aligner(
        mu=mu,
        tolerance=tolerance,
        max_iterations=max_iterations,
        loss=loss,
        levels=levels,
        search=search,
        verify=verify,
    )
    found = aligner.align_batch(stack, np.asarray(initial), threads=thread_count(threads))
    for column in (found["residual"], found["step"], found["gap"], found["objective"]):
        column[found["iterations"] == 0] = np.nan
    return AlignmentBatch(
        frame_from_canonical=found["frame_from_canonical"],
        status=np.array(found["status"]),
        iterations=found["iterations"],
        evaluations=found["evaluations"],
        residual=found["residual"],
        step=found["step"],
        coefficients=found["coefficients"],
        gap=found["gap"],
        objective=found["objective"],
        quality=found["quality"],
    )


def warp(
    frame: npt.ArrayLike, frame_from_canonical: npt.ArrayLike, shape: tuple[int, int]
) -> npt.NDArray[Any]:
    """The frame seen in the canonical frame: (I∘τ)(u) = I(W(u; τ)) (equations §0).

    Parameters
    ----------
    frame : array_like, shape (H, W) or (H, W, channels)
        uint8, uint16, float32 or float64.
    frame_from_canonical : array_like, shape (3, 3)
        Transform; canonical pixels to frame pixels.
    shape : (int, int)
        Height and width of the result.

    Returns
    -------
    ndarray, shape (h, w[, channels]), dtype of `frame`
        Bilinear samples; outside of the frame its nearest border pixel.

    Raises
    ------
    ValueError
        If a shape or dtype does not fit, or the transform is not finite.

    Examples
    --------
    >>> picture = np.arange(12, dtype=np.float32).reshape(3, 4)
    >>> warp(picture, [[1, 0, 0.5], [0, 1, 1], [0, 0, 1]], (2, 2)).tolist()
    [[4.5, 5.5], [8.5, 9.5]]
    """
    size = check_shape(shape)
    return np.asarray(_core.warp(np.asarray(frame), np.asarray(frame_from_canonical), size))


def align_read(frame: Frame, aligner: _core.FrameAligner, initial: FloatArray) -> Alignment:
    """Align a readable frame of a source; what :func:`align_frame` and whole runs share."""
    try:
        found = aligner.align(frame.grey(), initial)
    except ValueError as error:
        raise ValueError(f"frame {frame.frame} of {frame.source}: {error}") from None
    solved = found.iterations > 0
    return Alignment(
        source=frame.source,
        frame=frame.frame,
        time=frame.time,
        frame_from_canonical=found.frame_from_canonical,
        status=found.status,
        iterations=found.iterations,
        evaluations=found.evaluations,
        coefficients=found.coefficients,
        quality=found.quality,
        weights=found.weights,
        residual=found.residual if solved else float("nan"),
        step=found.step if solved else float("nan"),
        gap=found.gap if solved else float("nan"),
        objective=found.objective if solved else float("nan"),
    )


def without_transform(frame: Frame, status: str) -> Alignment:
    """The row of a frame that never came to an alignment."""
    nan = float("nan")
    nothing = np.zeros(0)
    return Alignment(
        frame.source, frame.frame, frame.time, None, status, 0, 0, nan, nan, nothing, nan, nan, 0.0
    )
