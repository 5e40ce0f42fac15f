"""Register frames to a face model: subspace-based holistic registration (equations §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.face_model import FaceModel
from holdstill.reference.registration import Options, register_frame
from holdstill.sources import Frame

FloatArray = npt.NDArray[np.float64]

DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Registration:
    """One registered frame, or why it is not.

    Attributes
    ----------
    frame_from_canonical : ndarray (3, 3) float64
        The transform.
    status : str
        One of `holdstill.alignment.STATUSES`; a cap that was reached is never called converged.
    iterations : int
        Gauss-Newton steps, or moves of the simplex, on the finest octave.
    evaluations : int
        Times that the frame was warped, on all octaves and from all starts.
    log_likelihood : float
        Of the registered frame under the model. NaN where nothing came of it; so are the next four.
    difs, dffs : float
        Its squared distances in the face space and from it.
    step : float
        How far the last step moved a corner of the region, canonical pixels; of the simplex, its
        last extent.
    coefficients : ndarray (M,) float64
        Of the principal components.
    user : str or None
        Whose template it was registered to; None for the mean face.
    """

    frame_from_canonical: FloatArray
    status: str
    iterations: int
    evaluations: int
    log_likelihood: float
    difs: float
    dffs: float
    step: float
    coefficients: FloatArray
    user: str | None

    @property
    def converged(self) -> bool:
        """Whether the status is ``converged``."""
        return self.status == "converged"


def register(
    frame: npt.ArrayLike,
    model: FaceModel,
    initial: npt.ArrayLike,
    *,
    search: str = "gradient",
    user: str | None = None,
    motion: str = DEFAULT.motion,
    distance: str = DEFAULT.distance,
    tolerance: float = DEFAULT.tolerance,
    max_iterations: int = DEFAULT.max_iterations,
    largest_offset: float = DEFAULT.largest_offset,
    levels: int | None = None,
) -> Registration:
    """Find the transform under which a frame is most likely to be a face of the model.

    Parameters
    ----------
    frame : array_like, shape (H, W) or (H, W, 3)
        uint8, uint16 or float.
    model : FaceModel
        Of :meth:`FaceModel.fit`.
    initial : array_like, shape (3, 3) or (k, 3, 3)
        frame_from_canonical to start from, such as :func:`holdstill.transforms.from_box` makes of a
        detector's box. Of several starts the likeliest end counts.
    search : {"gradient", "simplex"}
        Gauss-Newton steps, or a downhill simplex.
    user : str, optional
        Register to this user's template instead of the mean face.
    motion : str
        Motion model: similarity is the paper's Procrustes transformation.
    distance : {"both", "difs", "dffs"}
        What is minimised: the Mahalanobis distance, or its part in the face space or beside it.
    tolerance : float
        Canonical pixels of a corner of the region at which the search rests.
    max_iterations : int
        Cap of the steps on each octave; of the simplex, a quarter of its evaluations.
    largest_offset : float
        Of the simplex's first vertices, as a share of the canonical width.
    levels : int, optional
        Octaves of the search; by default all of the model's for the gradient, and the finest alone
        for the simplex.

    Returns
    -------
    Registration
        A frame that cannot be registered gets a status; it raises nothing.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong shape, dtype or range, or the user is not enrolled.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> y, x = np.mgrid[:48, :48]
    >>> def face(width):
    ...     eyes = np.exp(-((np.abs(x - 24) - 8) ** 2 + (y - 20) ** 2) / width)
    ...     return 100 - 80 * eyes - 40 * np.exp(-((x - 24) ** 2 / 4 + (y - 34) ** 2) / width)
    >>> model = FaceModel.fit(np.stack([face(w) for w in rng.uniform(6, 12, 12)]), components=2)
    >>> found = register(face(9.0), model, [[1, 0, 1.5], [0, 1, -1], [0, 0, 1]])
    >>> found.status, bool(np.abs(found.frame_from_canonical - np.eye(3)).max() < 0.1)
    ('converged', True)
    """
    if not isinstance(model, FaceModel):
        raise TypeError(f"model: expected a FaceModel, got {type(model).__name__}")
    for name, value in (("tolerance", tolerance), ("largest_offset", largest_offset)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, got {value!r}")
    if int(max_iterations) < 1:
        raise ValueError(f"max_iterations: expected at least 1, got {max_iterations!r}")
    gaussians = model.gaussians(user)
    if levels is None:
        levels = 1 if search == "simplex" else len(gaussians)
    if not 1 <= levels <= len(gaussians):
        raise ValueError(f"levels: expected 1 to {len(gaussians)} for this model, got {levels}")
    options = Options(
        motion, model.features, model.sigma, distance, float(tolerance), int(max_iterations),
        float(largest_offset),
    )  # fmt: skip
    found = register_frame(
        _grey(frame), gaussians[:levels], initial, search=search, options=options
    )
    return Registration(**vars(found), user=user)


def _grey(frame: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return Frame("array", 0, None, np.asarray(frame)).grey()
    except ValueError as error:
        raise ValueError(f"frame: {error}") from None
