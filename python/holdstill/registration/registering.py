"""Register frames to a face model: subspace-based holistic registration (equations §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.alignment import is_good
from holdstill.checks import floats, integer, positive
from holdstill.reference.registration import SEARCHES, Options
from holdstill.registration.model import FaceModel
from holdstill.sources import Frame

DEFAULT = Options()


@dataclass(frozen=True, slots=True, eq=False)
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
        Of the registered frame under the model. NaN where nothing came of it; so are the next six.
    difs, dffs : float
        Its squared distances in the face space and from it.
    residual : float
        ε: what mean (or template) and components leave of its unit norm.
    quality : float
        How likely it is a face in its place, in [0, 1], whoever it is; see
        :meth:`FaceModel.quality`.
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
    residual: float
    quality: float
    step: float
    coefficients: FloatArray
    user: str | None

    @property
    def converged(self) -> bool:
        """Whether the status is ``converged``."""
        return self.status == "converged"

    @property
    def good(self) -> bool:
        """Whether it converged with a quality of at least 0.5, or of nothing known."""
        return bool(is_good(self.status, self.quality))


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
    """Find the transform under which a frame is most likely to be a face (equations §4).

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
        Octaves of the search, coarse to fine. By default the finest alone; and where a gradient
        does not come to rest there, or more than two pixels of the coarsest octave away, all of the
        model's as well: the likelier end counts.

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
    most = len(model.octaves)
    asked = 1 if levels is None else integer("levels", levels, 1, most)
    if search not in SEARCHES:
        raise ValueError(f"search: expected one of {', '.join(SEARCHES)}, got {search!r}")
    starts = _starts(initial)
    registrar = model.registrar(
        users=user is not None,
        motion=motion,
        distance=distance,
        tolerance=positive("tolerance", tolerance),
        max_iterations=integer("max_iterations", max_iterations),
        largest_offset=positive("largest_offset", largest_offset),
    )
    template = 0 if user is None else model.user_index(user)
    image = _grey(frame)
    found = []
    for start in starts:
        end = registrar.register(image, start, template=template, search=search, levels=asked)
        found.append(end)
        if levels is None and search == "gradient" and _far(start, end, model):
            found.append(registrar.register(image, start, template=template, levels=most))
    volume = model.log_volume(users=user is not None)
    best = _likeliest(found)
    residual = model.residual_of(best.dffs, users=user is not None)
    # Whether it is a face is for the model of all faces to say.
    general = residual if user is None else model.residual(image, best.frame_from_canonical)
    return Registration(
        best.frame_from_canonical,
        best.status,
        best.iterations,
        sum(end.evaluations for end in found),
        -0.5 * (best.difs + best.dffs + volume),
        best.difs,
        best.dffs,
        residual,
        model.quality(general),
        best.step,
        best.coefficients,
        user,
    )


def _starts(initial: npt.ArrayLike) -> FloatArray:
    starts = floats("initial", initial, "(3, 3) or (k, 3, 3)")
    starts = starts[None] if starts.ndim == 2 else starts
    if starts.ndim != 3 or starts.shape[1:] != (3, 3) or len(starts) == 0:
        raise ValueError(f"initial: expected shape (3, 3) or (k, 3, 3), got {np.shape(initial)}")
    return starts


def _likeliest(found: list[_core.FrameRegistration]) -> _core.FrameRegistration:
    """The least distance of those that came to rest; of all, where none did."""

    def rank(end: _core.FrameRegistration) -> tuple[bool, float]:
        distance = end.difs + end.dffs
        return end.status != "converged", distance if np.isfinite(distance) else np.inf

    return min(found, key=rank)


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """One frame registered to every enrolled user.

    Attributes
    ----------
    users : tuple of str
        Who is enrolled, in the order of the arrays.
    frame_from_canonical : ndarray (U, 3, 3) float64
        The transform for each.
    status : ndarray (U,) of str
        As in `Registration`.
    log_likelihood : ndarray (U,) float64
        Of the frame, registered to each; NaN where nothing came of it. They share a covariance: the
        largest is the smallest distance.
    difs, dffs : ndarray (U,) float64
        The distances.
    evaluations : int
        Times that the frame was warped, for all of them.
    """

    users: tuple[str, ...]
    frame_from_canonical: FloatArray
    status: npt.NDArray[np.str_]
    log_likelihood: FloatArray
    difs: FloatArray
    dffs: FloatArray
    evaluations: int

    @property
    def best(self) -> str | None:
        """The likeliest user; None where nothing came of any."""
        if np.isnan(self.log_likelihood).all():
            return None
        return self.users[int(np.nanargmax(self.log_likelihood))]


def identify(
    frame: npt.ArrayLike,
    model: FaceModel,
    initial: npt.ArrayLike,
    *,
    motion: str = DEFAULT.motion,
    distance: str = DEFAULT.distance,
    refined: int = 20,
) -> Identification:
    """Register a frame to every enrolled user, sharing what the registrations have in common.

    The frame is registered to the mean face first, and from there to each template. Templates that
    send it to within a fraction of a pixel of each other share the frame's second-order expansion,
    in which each searches on its own. That leaves some hundredths of a pixel; the likeliest are
    then brought to rest on their own.

    Parameters
    ----------
    frame : array_like, shape (H, W) or (H, W, 3)
        uint8, uint16 or float.
    model : FaceModel
        With users.
    initial : array_like, shape (3, 3)
        frame_from_canonical to start from.
    motion, distance
        As in :func:`register`.
    refined : int
        How many of the likeliest users are registered to the end; the others' distances are upper
        bounds.

    Returns
    -------
    Identification

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong shape, dtype or range, or nobody is enrolled.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> faces = rng.normal(size=(12, 24, 24))
    >>> names = ["ann", "bob", "cem"] * 4
    >>> model = FaceModel.fit(faces, users=names, components=4, roi="full")
    >>> identify(faces[1], model, np.eye(3)).best
    'bob'
    """
    refined = integer("refined", refined, 0)
    first = floats("initial", initial, "(3, 3)")
    if first.shape != (3, 3):
        raise ValueError(f"initial: expected shape (3, 3), got {first.shape}")
    general = register(frame, model, first, motion=motion, distance=distance)
    registrar = model.registrar(users=True, motion=motion, distance=distance)
    start = general.frame_from_canonical if general.converged else first
    image = _grey(frame)
    found = registrar.register_all(image, start, lowpass_from=first)
    evaluations = general.evaluations + found["evaluations"]
    likeliest = np.argsort(found["difs"] + found["dffs"])[:refined]  # NaN last
    for k in likeliest:
        if not np.isfinite(found["dffs"][k]):
            break
        end = registrar.register(image, found["frame_from_canonical"][k], template=int(k))
        evaluations += end.evaluations
        if not end.difs + end.dffs <= found["difs"][k] + found["dffs"][k]:
            continue
        found["frame_from_canonical"][k] = end.frame_from_canonical
        found["status"][k] = end.status
        found["difs"][k], found["dffs"][k] = end.difs, end.dffs
    volume = model.log_volume(users=True)
    return Identification(
        model.users,
        found["frame_from_canonical"],
        np.array(found["status"]),
        -0.5 * (found["difs"] + found["dffs"] + volume),
        found["difs"],
        found["dffs"],
        evaluations,
    )


def _far(start: FloatArray, end: _core.FrameRegistration, model: FaceModel) -> bool:
    """Whether the finest octave alone may have ended in the wrong place."""
    if len(model.octaves) == 1:
        return False
    if end.status != "converged":
        return True
    height, width = model.shape
    (a, b, *_), (c, d, *_), _ = end.frame_from_canonical.tolist()
    far = abs(a * d - b * c) * 4.0 ** len(model.octaves)
    pair = end.frame_from_canonical.tolist(), start.tolist()
    for x in (0.0, width - 1.0):
        for y in (0.0, height - 1.0):
            (u, v), (u0, v0) = (_mapped(transform, x, y) for transform in pair)
            if (u - u0) ** 2 + (v - v0) ** 2 > far:
                return True
    return False


def _mapped(transform: list[list[float]], x: float, y: float) -> tuple[float, float]:
    # Of a single point: NumPy's calls would cost as much as a warp.
    (a, b, c), (d, e, f), (g, h, i) = transform
    w = g * x + h * y + i
    return (a * x + b * y + c) / w, (d * x + e * y + f) / w


def _grey(frame: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return Frame("array", 0, None, np.asarray(frame)).grey()
    except ValueError as error:
        raise ValueError(f"frame: {error}") from None
