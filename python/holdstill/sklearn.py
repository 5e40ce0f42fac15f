"""Alignment as a step of a scikit-learn pipeline (the extra ``[sklearn]``)."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise ImportError(
        'holdstill.sklearn needs scikit-learn: pip install "holdstill[sklearn]"'
    ) from error

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.alignment import AlignmentBatch, align_batch, warp
from holdstill.checks import integer
from holdstill.dictionary import Dictionary
from holdstill.learning.fitting import fit
from holdstill.threads import thread_count

__all__ = ["RaslAligner"]

_FLOATS = (np.float64, np.float32)

ARRIVED = ("converged", "max_iterations")
"""Statuses whose transform an image is seen through: at the cap it circles about its place."""


class RaslAligner(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Align images to one another; learn from some what all have in common.

    A transformer for images that are rows, as scikit-learn keeps them: `fit` learns a low-rank
    dictionary by RASL, `transform` aligns every row on its own against it (equations §1 to §3).

    Parameters
    ----------
    shape : (int, int), optional
        Height and width of an image: a row has ``height * width`` values. None means square ones.
    motion : {"translation", "euclidean", "similarity", "affine", "homography"}
        What may move.
    features : {"grey", "edges", "magnitude"}
        What is compared.
    roi : str or array_like of `shape`
        Where, as in :func:`holdstill.fit`.
    n : int
        Images that the dictionary is learnt from, at most; a random choice of more.
    loss : {"l2", "huber", "l1", "geman-mcclure"}
        What a pixel's residual costs in `transform`.
    mu : float
        Weight of the coefficients' l1 norm.
    n_jobs : int, optional
        Threads: None is one, -1 all processors, -2 all but one.
    random_state : int, RandomState instance, optional
        Of the random choice.

    Attributes
    ----------
    dictionary_ : Dictionary
        What was learnt.
    shape_ : (int, int)
        Height and width of an image.
    n_features_in_ : int
        Pixels of an image.
    feature_names_in_ : ndarray of str
        Where `fit` was given a table with names.

    Notes
    -----
    The images are their own starts: what `transform` can undo is bounded by how far the search
    reaches, about a third of the width. Where a tracker knows better, give its transforms, which
    take pixels of the aligned image to those of the image, as `initial`.

    An image that cannot be aligned stays at its start; `align` tells which do, and how certain the
    others are.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> digits = load_digits()
    >>> threes = np.kron(digits.images[digits.target == 3][:30], np.ones((4, 4))).reshape(30, -1)
    >>> pipeline = make_pipeline(RaslAligner(motion="similarity"), PCA(5))
    >>> pipeline.fit_transform(threes).shape
    (30, 5)
    """

    def __init__(
        self,
        shape: tuple[int, int] | None = None,
        *,
        motion: str = "affine",
        features: str = "grey",
        roi: str | npt.ArrayLike = "full",
        n: int = 100,
        loss: str = "l2",
        mu: float = _core.DEFAULT_MU,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.shape = shape
        self.motion = motion
        self.features = features
        self.roi = roi
        self.n = n
        self.loss = loss
        self.mu = mu
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: npt.ArrayLike, y: Any = None, *, initial: npt.ArrayLike | None = None
    ) -> RaslAligner:
        """Learn the dictionary.

        Parameters
        ----------
        X : array_like, shape (n_images, height * width)
        y : ignored
        initial : array_like, shape (n_images, 3, 3), optional
            Where the alignment of each begins; by default where the image is.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the rows are no images of `shape`, or too few of them can be used.
        """
        rows = validate_data(self, X, dtype=_FLOATS, ensure_min_samples=2, ensure_min_features=2)
        shape = self._shape_of(rows.shape[1])
        rng = check_random_state(self.random_state)
        self.dictionary_: Dictionary = fit(
            rows.reshape(-1, *shape),
            _starts(initial, len(rows)),
            n=min(integer("n", self.n, 2), len(rows)),
            seed=int(rng.randint(2**31 - 1)),
            shape=shape,
            motion=self.motion,
            features=self.features,
            roi=self.roi,
            threads=self._threads(),
        )
        self.shape_ = shape
        self._n_features_out = rows.shape[1]
        return self

    def transform(
        self, X: npt.ArrayLike, *, initial: npt.ArrayLike | None = None
    ) -> npt.NDArray[Any]:
        """Aligned images.

        Parameters
        ----------
        X : array_like, shape (n_images, height * width)
        initial : array_like, shape (n_images, 3, 3), optional
            As in `fit`.

        Returns
        -------
        ndarray, shape (n_images, height * width), dtype of `X` if floating

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the rows are no images of the shape that was fitted.
        """
        rows, starts, found = self._align(X, initial)
        arrived = np.isin(found.status, ARRIVED)
        matrices = np.where(arrived[:, None, None], found.frame_from_canonical, starts)
        images = rows.reshape(-1, *self.shape_)
        aligned = np.empty_like(images)
        for out, image, matrix in zip(aligned, images, matrices, strict=True):
            out[:] = warp(image, matrix, self.shape_)
        return aligned.reshape(rows.shape)

    def fit_transform(
        self, X: npt.ArrayLike, y: Any = None, *, initial: npt.ArrayLike | None = None
    ) -> npt.NDArray[Any]:
        """`fit`, then `transform` of the same images."""
        return self.fit(X, y, initial=initial).transform(X, initial=initial)

    def align(self, X: npt.ArrayLike, *, initial: npt.ArrayLike | None = None) -> AlignmentBatch:
        """The transforms themselves, with status and quality of every image.

        Parameters
        ----------
        X : array_like, shape (n_images, height * width)
        initial : array_like, shape (n_images, 3, 3), optional
            As in `fit`.

        Returns
        -------
        AlignmentBatch
        """
        return self._align(X, initial)[2]

    def _align(
        self, X: npt.ArrayLike, initial: npt.ArrayLike | None
    ) -> tuple[npt.NDArray[Any], FloatArray, AlignmentBatch]:
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=_FLOATS, reset=False)
        starts = _starts(initial, len(rows))
        found = align_batch(
            rows.reshape(-1, *self.shape_),
            self.dictionary_,
            starts,
            threads=self._threads(),
            loss=self.loss,
            mu=self.mu,
        )
        return rows, starts, found

    def _shape_of(self, n_features: int) -> tuple[int, int]:
        if self.shape is None:
            side = math.isqrt(n_features)
            if side * side != n_features:
                raise ValueError(
                    f"shape: expected height and width of the images, for {n_features} pixels "
                    "are no square"
                )
            return side, side
        height, width = self.shape
        if height * width != n_features:
            raise ValueError(
                f"shape: expected images of {height * width} pixels ({height}x{width}), got rows "
                f"of {n_features}"
            )
        return int(height), int(width)

    def _threads(self) -> int:
        jobs = 1 if self.n_jobs is None else self.n_jobs
        if not isinstance(jobs, Integral) or jobs == 0:
            raise ValueError(f"n_jobs: expected None or an integer other than 0, got {jobs!r}")
        return int(jobs) if jobs > 0 else max(1, thread_count(None) + 1 + int(jobs))


def _starts(initial: npt.ArrayLike | None, n: int) -> FloatArray:
    if initial is None:
        return np.tile(np.eye(3), (n, 1, 1))
    starts = np.asarray(initial, dtype=np.float64)
    if starts.shape != (n, 3, 3):
        raise ValueError(f"initial: expected shape ({n}, 3, 3), got {starts.shape}")
    return starts
