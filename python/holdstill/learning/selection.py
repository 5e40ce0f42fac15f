"""Which frames make the dictionary's sample (equations §2): drawn blindly, or by looking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.canonical import Weights
from holdstill.checks import integer
from holdstill.dictionary import Dictionary
from holdstill.initial import Initialiser
from holdstill.learning.rasl import RaslResult
from holdstill.reference.motion import linear_part, map_points
from holdstill.sources import Frame, FrameSource, SourceError

SELECTIONS = ("random", "stratified", "consecutive", "coverage")

POOL = 5
"""Candidates of ``coverage`` for each frame that may be taken: its memory and time depend on n."""

ROUNDS = 4
"""Times ``coverage`` learns a dictionary: each round adds the same number of frames."""

LEAST_GAIN = 0.01
"""``coverage`` ends where a round lowers the worst residual by less than this share."""

OUTLIER = 6.0
"""Robust standard deviations above the median where a frame is an accident, not a pose."""

SHARED = 0.5
"""Cosine of the residuals of two frames from which on they lack the same."""

_THUMBNAIL = 32
"""Longer side of a thumbnail, pixels."""

log = logging.getLogger("holdstill")


@dataclass
class Sample:
    """Frames for RASL, with their initial transforms."""

    images: list[npt.NDArray[Any]] = field(default_factory=list)
    transforms: list[FloatArray] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def add(self, frame: Frame, grey: npt.NDArray[Any], transform: FloatArray) -> None:
        """Take a frame; of `frame` itself only its name is kept."""
        self.images.append(grey)
        self.transforms.append(transform)
        self.frames.append(Frame(frame.source, frame.frame, frame.time))

    def drop(self, index: int) -> Frame:
        """Remove a frame, and return its name."""
        del self.images[index], self.transforms[index]
        return self.frames.pop(index)


def check_selection(n_frames: int, n: int, selection: str) -> int:
    """The size of a sample, as an integer; one that cannot be drawn is refused.

    Raises
    ------
    ValueError
        If the selection is unknown, or n is no integer from 2 to the number of frames.
    """
    if selection not in SELECTIONS:
        raise ValueError(f"selection: expected one of {', '.join(SELECTIONS)}, got {selection!r}")
    n = integer("n", n, 2)
    if n > n_frames:
        raise ValueError(f"n: {n} frames asked for, the source has {n_frames}; give n={n_frames}")
    return n


def draw(frames: FrameSource, starts: Initialiser, n: int, selection: str, seed: int) -> Sample:
    """Draw a sample without looking at the pictures.

    Parameters
    ----------
    frames : FrameSource
    starts : Initialiser
        Of :func:`holdstill.initial.make_initial`.
    n : int
        Frames wanted; a frame that is unreadable or has no initial transform is replaced.
    selection : {"random", "stratified", "consecutive"}
    seed : int

    Returns
    -------
    Sample
        Of fewer frames where no more can be used.
    """
    order = _order(len(frames), n, selection, seed)
    sample = Sample()
    for frame, grey, transform in take(frames, starts, order, n):
        sample.add(frame, grey, transform)
    return sample


def take(
    frames: FrameSource,
    starts: Initialiser,
    order: list[int],
    n: int,
    leave_out: Container[tuple[str, int]] = (),
) -> Iterator[tuple[Frame, npt.NDArray[Any], FloatArray]]:
    """Take the first n usable frames of an order, in batches of those still wanted.

    Each batch is read by rising position: decoders read forward.

    Parameters
    ----------
    frames : FrameSource
    starts : Initialiser
    order : list of int
        Positions; those after the n-th are replacements.
    n : int
    leave_out : container of (str, int)
        Source and number of frames not to take.

    Yields
    ------
    Frame, ndarray (H, W), ndarray (3, 3)
        Fewer than n where no more can be used.
    """
    tried, taken = 0, 0
    while taken < n and tried < len(order):
        batch = sorted(order[tried : tried + n - taken])
        tried += len(batch)
        for _, frame, grey, transform in usable(frames, starts, batch, leave_out):
            taken += 1
            yield frame, grey, transform


def usable(
    frames: FrameSource,
    starts: Initialiser,
    positions: Iterable[int],
    leave_out: Container[tuple[str, int]] = (),
) -> Iterator[tuple[int, Frame, npt.NDArray[Any], FloatArray]]:
    """Read frames, each on its own, and leave out those without grey levels or a start.

    Parameters
    ----------
    frames : FrameSource
    starts : Initialiser
    positions : iterable of int
    leave_out : container of (str, int)
        Source and number of frames to leave out, too.

    Yields
    ------
    int, Frame, ndarray (H, W), ndarray (3, 3)
        Position, frame, its grey levels, its initial frame_from_canonical.
    """
    for position in positions:
        frame = frames[position]
        if (frame.source, frame.frame) in leave_out:
            continue
        grey = _grey(frame)
        if grey is None:
            continue
        transform = starts.for_track().propose(frame, position)
        if transform is not None:
            yield position, frame, grey, transform


def _grey(frame: Frame) -> npt.NDArray[Any] | None:
    """Grey levels of a frame; None where they are of no use."""
    grey = frame.grey() if frame.readable else None
    return grey if grey is not None and np.isfinite(grey).all() else None


def _grey_again(frame: Frame) -> npt.NDArray[Any]:
    """Grey levels of a frame that had some before."""
    grey = _grey(frame)
    if grey is None:
        raise SourceError(f"frame {frame.frame} of {frame.source}: it could be read once only")
    return grey


def _order(n_frames: int, n: int, selection: str, seed: int) -> list[int]:
    """Positions to try: the sample first, then its replacements."""
    random = np.random.default_rng(seed)
    if selection == "consecutive":
        return list(range(n_frames))
    permutation: list[int] = random.permutation(n_frames).tolist()
    if selection == "random":
        return permutation
    edges = np.linspace(0, n_frames, n + 1).astype(int)
    strata = [int(random.integers(a, b)) for a, b in pairwise(edges)]
    chosen = set(strata)
    return strata + [position for position in permutation if position not in chosen]


def grow(
    frames: FrameSource,
    starts: Initialiser,
    n: int,
    seed: int,
    batch: Callable[[Sample], RaslResult],
    options: Mapping[str, Any],
) -> tuple[Sample, RaslResult]:
    """Grow a sample by what its dictionary does not explain yet.

    A random pool of candidates is looked at. The first few are those whose thumbnails, seen through
    the initial transforms, lie far apart. Then, round by round, a dictionary is learnt, every other
    candidate is aligned by it, and those that it explains worst join the sample. The pool is
    decoded once a round, front to back, one frame at a time.

    Parameters
    ----------
    frames : FrameSource
    starts : Initialiser
        Asked once for each frame of the pool.
    n : int
        Largest number of frames.
    seed : int
    batch : callable
        RASL on a sample, from which it drops what cannot be used.
    options : mapping
        shape, motion, features, sigma, roi of the dictionary.

    Returns
    -------
    Sample, RaslResult
        The last sample, and RASL on it.
    """
    random = np.random.default_rng(seed)
    pool = np.sort(random.permutation(len(frames))[: POOL * n]).tolist()
    transforms: dict[int, FloatArray] = {}
    thumbnails = []
    for position, _, grey, transform in usable(frames, starts, pool):
        thumbnail = _thumbnail(grey, transform, options["shape"], options["roi"])
        if thumbnail is not None:
            transforms[position] = transform
            thumbnails.append(thumbnail)
    sample = Sample()
    positions = list(transforms)
    sizes = sorted({max(2, n * k // ROUNDS) for k in range(1, ROUNDS + 1)})
    chosen = [positions[i] for i in _spread(np.array(thumbnails), sizes[0], random)]
    worst_before = np.inf
    for wanted in (*sizes[1:], None):
        for position in sorted(chosen):
            frame = frames[position]
            sample.add(frame, _grey_again(frame), transforms.pop(position))
        result = batch(sample)
        if wanted is None:
            break
        dictionary = Dictionary.from_rasl(result, **options)
        positions, residuals = _unexplained(frames, dictionary, transforms)
        worst = float(np.linalg.norm(residuals, axis=1).max(initial=0.0))
        log.info("coverage: %d frames, worst residual of the others %.4f", len(sample), worst)
        if worst >= (1.0 - LEAST_GAIN) * worst_before:
            break
        worst_before = worst
        chosen = [positions[i] for i in worst_first(residuals, wanted - len(sample))]
        if not chosen:
            break
    return sample, result


def _thumbnail(
    grey: npt.NDArray[Any], transform: FloatArray, shape: tuple[int, int], roi: Weights
) -> FloatArray | None:
    """Unit-norm thumbnail of the region of interest; None where there is nothing to see."""
    if not abs(np.linalg.det(linear_part(transform, shape))) > 0:
        return None
    step = max(1.0, max(shape) / _THUMBNAIL)
    height, width = (max(2, round(side / step)) for side in shape)
    scale_x, scale_y = shape[1] / width, shape[0] / height
    canonical_from_thumbnail = np.array(
        [[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]]
    )
    rows = (np.arange(height) * shape[0]) // height
    columns = (np.arange(width) * shape[1]) // width
    seen = _core.linearize(
        grey,
        transform @ canonical_from_thumbnail,
        shape=(height, width),
        motion="homography",  # whatever the family of the transform: only the picture is of use
        roi=roi[np.ix_(rows, columns)],
    )
    return None if seen.norm == 0.0 or seen.outside > len(seen.vector) / 2 else seen.vector


def _spread(points: FloatArray, count: int, random: np.random.Generator) -> list[int]:
    """Points far apart: k-means++ seeds, without those that lie far from all others."""
    if len(points) == 0:
        return []
    centre = np.median(points, axis=0)
    usual = np.flatnonzero(not_outlying(np.linalg.norm(points - centre, axis=1)))
    distances = np.linalg.norm(points[usual] - centre, axis=1) ** 2
    chosen = [int(distances.argmin())]
    nearest = ((points[usual] - points[usual[chosen[0]]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(usual)):
        nearest[chosen] = 0.0
        if not nearest.any():
            break
        chosen.append(int(random.choice(len(usual), p=nearest / nearest.sum())))
        to_last = ((points[usual] - points[usual[chosen[-1]]]) ** 2).sum(axis=1)
        nearest = np.minimum(nearest, to_last)
    # Where all look the same, two of them make the smallest sample.
    others = (i for i in range(len(usual)) if i not in chosen)
    chosen += islice(others, max(0, min(2, count) - len(chosen)))
    return [int(usual[i]) for i in chosen]


def _unexplained(
    frames: FrameSource, dictionary: Dictionary, transforms: dict[int, FloatArray]
) -> tuple[list[int], npt.NDArray[np.float32]]:
    """Align the candidates: positions and residuals v - Ãx, (k, M), of those to be trusted.

    A frame is explained badly because the dictionary lacks it, or by accident: it was aligned to
    the wrong place, or a hand is in the way. An accident moved much further than the others, or
    leaves much more than they do, and something that no other frame leaves.
    """
    aligner = dictionary.aligner(search=False)
    height, width = dictionary.shape
    corners = np.array([[x, y] for x in (0.0, width - 1.0) for y in (0.0, height - 1.0)])
    positions, vectors, moves = [], [], []
    for position, start in transforms.items():
        grey = _grey_again(frames[position])
        found = aligner.align(grey, start)
        if found.status != "converged":
            continue
        end = found.frame_from_canonical
        seen = _core.linearize(
            grey,
            end,
            shape=dictionary.shape,
            motion=dictionary.motion,
            features=dictionary.features,
            sigma=dictionary.sigma,
            roi=dictionary.weights,
            lowpass_from=start,
        )
        positions.append(position)
        vectors.append((seen.vector - dictionary.atoms @ found.coefficients).astype(np.float32))
        moved = map_points(np.linalg.inv(start) @ end, corners)
        moves.append(float(np.linalg.norm(moved - corners, axis=1).max()))
    if not positions:
        return [], np.zeros((0, len(dictionary.atoms)), dtype=np.float32)
    residuals = np.stack(vectors)
    trusted = not_outlying(np.array(moves))
    trusted &= not_outlying(np.linalg.norm(residuals, axis=1)) | _shared(residuals, trusted)
    return [p for p, good in zip(positions, trusted, strict=True) if good], residuals[trusted]


def _shared(
    residuals: npt.NDArray[np.float32], among: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which rows have much in common with another of those `among`."""
    directions = residuals / np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-12)
    cosines = directions @ directions[among].T
    # Each of those has itself as one partner.
    return np.asarray((cosines >= SHARED).sum(axis=1) > among)


def worst_first(residuals: npt.NDArray[np.float32], count: int) -> list[int]:
    """Order of the rows by what is left of them once the rows before are explained.

    The pivots of a Cholesky factorisation of their Gram matrix: neighbours in a video leave the
    same residual, and one of them is enough.

    Parameters
    ----------
    residuals : ndarray, shape (k, M)
    count : int
        Rows wanted.

    Returns
    -------
    list of int
        At most `count` rows; fewer where the others are combinations of those.

    Examples
    --------
    >>> worst_first(np.array([[3, 0], [4, 0.1], [0, 1]], dtype=np.float32), 2)
    [1, 2]
    """
    gram = (residuals @ residuals.T).astype(np.float64)
    left = np.diag(gram).copy()
    least = 1e-6 * left.max(initial=0.0)
    factor = np.zeros((len(gram), min(count, len(gram))))
    chosen: list[int] = []
    for k in range(factor.shape[1]):
        pivot = int(left.argmax())
        if left[pivot] <= least:
            break
        factor[:, k] = (gram[:, pivot] - factor[:, :k] @ factor[pivot, :k]) / np.sqrt(left[pivot])
        left -= factor[:, k] ** 2
        left[pivot] = 0.0
        chosen.append(pivot)
    return chosen


def not_outlying(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Which values are no more than `OUTLIER` robust standard deviations above the median."""
    middle = np.median(values)
    deviation = 1.4826 * np.median(np.abs(values - middle))
    return np.asarray(values <= middle + OUTLIER * deviation + 1e-12)
