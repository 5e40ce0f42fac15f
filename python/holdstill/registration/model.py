"""What registered faces look like: their mean and principal components, and single users' own."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SIGMA
from holdstill.checks import number
from holdstill.learning.residuals import yardstick
from holdstill.reference.registration import Level, Options
from holdstill.reference.subspace import Subspace
from holdstill.reference.warp import n_planes
from holdstill.registration.covariance import (
    Covariance,
    check_rho,
    covariances,
    refuse_unknown_within,
)
from holdstill.registration.enrolment import enrolled
from holdstill.registration.learning import learn_faces
from holdstill.registration.model_file import read_model, write_model
from holdstill.registration.octave import Octave, check_octaves
from holdstill.registration.quality import quality
from holdstill.sources import Frame

DEFAULT_COMPONENTS = 0.8


@dataclass(frozen=True, eq=False)
class FaceModel:
    """Gaussian of registered faces in a principal subspace and beside it (equations §4).

    Made by :meth:`fit`. It does not change: :meth:`enrol` returns another one.

    Parameters
    ----------
    octaves : tuple of Octave
        The finest first.
    features : str
        ``grey``, ``edges`` or ``magnitude``.
    sigma : float
        σ of edges and magnitude, canonical pixels.
    rho : {"existing", "all"} or float
        Variance in the directions beside the subspace. The mean of the eigenvalues beyond M: of the
        K - M that are not zero, or of all D - M, which is smaller by far where images are fewer
        than pixels. A number is that of the finest octave.
    n_images : int
        Images it was learnt from.
    face : ndarray (h, w), uint8
        Their mean picture.
    users : tuple of str
        Who is enrolled.
    thumbnails : ndarray (U, h, w), uint8
        Their pictures.
    landmarks : ndarray (k, 2), float64
        Mean of the points that the images were registered by, canonical pixels; may be empty.
    unseen : ndarray (K, 2), float64
        ε of its images under models of the others, in place and displaced; may be empty.
    """

    octaves: tuple[Octave, ...]
    features: str
    sigma: float
    rho: str | float
    n_images: int
    face: npt.NDArray[np.uint8]
    users: tuple[str, ...] = ()
    thumbnails: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 0), np.uint8))
    landmarks: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    unseen: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))

    def __post_init__(self) -> None:
        check_rho(self.rho)
        check_octaves(self.octaves, n_planes(self.features), len(self.users))
        if self.unseen.shape[1:] != (2,) or not np.isfinite(self.unseen).all():
            raise ValueError(f"unseen: expected finite rows of 2, got shape {self.unseen.shape}")
        if len(self.thumbnails) != len(self.users):
            raise ValueError(
                f"thumbnails: expected one for each of {len(self.users)} users, "
                f"got {len(self.thumbnails)}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the canonical frame."""
        height, width = self.octaves[0].roi.shape
        return height, width

    def quality(self, residual: float) -> float:
        """How likely a face with this ε is one that is in its place, in [0, 1].

        0.95 as well explained as the median of the model's own images by models of the others, 0.5
        halfway to the same displaced by a tenth of the eye distance. NaN where there were too few
        images to tell.
        """
        return quality(residual, self._misfits)

    def residual_of(self, dffs: float, *, users: bool = False) -> float:
        """ε of a registration, from its distance to the face space, or to that of the users."""
        return math.sqrt(dffs * self._scale(users)[0])

    def residual(self, frame: npt.ArrayLike, frame_from_canonical: FloatArray) -> float:
        """ε of a frame at a transform: what mean and components leave of its unit norm.

        NaN where the frame cannot be read or shows nothing there, or half of the face lies outside
        of it.
        """
        projective = frame_from_canonical[2, :2].any()
        registrar = self.registrar(motion="homography" if projective else "affine")
        try:
            grey = Frame("array", 0, None, np.asarray(frame)).grey()
            return self.residual_of(registrar.distances(grey, frame_from_canonical)[1])
        except ValueError:
            return float("nan")

    @property
    def n_components(self) -> int:
        """M on the finest octave."""
        return int(self.octaves[0].basis.shape[1])

    @classmethod
    def fit(
        cls,
        images: Sequence[npt.ArrayLike] | npt.NDArray[Any],
        frame_from_canonical: npt.ArrayLike | None = None,
        *,
        points: npt.ArrayLike | None = None,
        eye_corners: tuple[int, int] = (0, 1),
        users: Sequence[Hashable] | None = None,
        shape: tuple[int, int] | None = None,
        features: str = "edges",
        sigma: float = DEFAULT_SIGMA,
        roi: str | os.PathLike[str] | npt.ArrayLike | None = "face",
        components: int | float = DEFAULT_COMPONENTS,
        rho: str | float = "existing",
        levels: int | None = None,
    ) -> FaceModel:
        """Learn what faces look like from registered images, or from images and points on them.

        Parameters
        ----------
        images : sequence of array_like (H_i, W_i[, 3]), or ndarray (n, H, W[, 3])
            At least three, of at least two people for a model of faces in general.
        frame_from_canonical : array_like, shape (n, 3, 3), optional
            Their transforms. Without them and without points the images are registered already:
            each is a canonical picture.
        points : array_like, shape (n, k, 2), optional
            (x, y) of the same k ≥ 2 points on each face, in its image's pixels: the images are
            registered to the points' mean shape by similarities.
        eye_corners : (int, int)
            Which points are the outer eye corners, image left and image right.
        users : sequence, optional
            Who is on each image; text, or anything with one. Users with an image are enrolled, with
            the mean of their vectors as the template; what differs between images of the same user
            becomes the covariance within users.
        shape : (int, int), optional
            Height and width of the canonical frame; of registered images by default theirs, else
            64×64.
        features : {"edges", "grey", "magnitude"}
        sigma : float
            σ of edges and magnitude, canonical pixels.
        roi : str, path, array_like (h, w) or None
            As in :func:`holdstill.canonical.roi_mask`.
        components : int or float
            M; or, below 1, the share of the variance that the components make up at least. Within
            users the same, or as many as there are.
        rho : {"existing", "all"} or float
            See the class.
        levels : int, optional
            Octaves for coarse to fine; as many as the region allows by default.

        Returns
        -------
        FaceModel

        Raises
        ------
        ValueError
            If arguments do not fit each other, points are fractions of the image, there are fewer
            images than components need, or an image shows nothing or lies more than half outside of
            its frame.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> FaceModel.fit(rng.normal(size=(9, 24, 24)), components=4, roi="full")
        FaceModel(4 components of 9 images, edges, 24x24, 2 octaves)
        """
        check_rho(rho)
        sigma = number("sigma", sigma)
        learnt = learn_faces(
            images,
            frame_from_canonical,
            points=points,
            eye_corners=eye_corners,
            users=users,
            shape=shape,
            features=features,
            sigma=sigma,
            roi=roi,
            components=components,
            levels=levels,
        )
        return cls(
            features=features,
            sigma=sigma,
            rho=rho if isinstance(rho, str) else float(rho),
            **learnt._asdict(),
        )

    def enrol(
        self,
        user: str,
        image: npt.ArrayLike | Sequence[npt.ArrayLike],
        frame_from_canonical: npt.ArrayLike | None = None,
    ) -> FaceModel:
        """Add a user's template; one image is enough. A user who is enrolled is replaced.

        Parameters
        ----------
        user : str
        image : array_like (H, W[, 3]), or a list of them
            Of several, the template is the mean.
        frame_from_canonical : array_like, shape (3, 3) or (n, 3, 3), optional
            Where the face is, as :func:`holdstill.register` finds it; without it the image is a
            canonical picture.

        Returns
        -------
        FaceModel
            This one, with the user.

        Raises
        ------
        ValueError
            If the model does not know how images of one user differ, an image shows nothing, or the
            user is called ``all``, which ``holdstill register`` takes for everybody.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> faces = rng.normal(size=(12, 24, 24))
        >>> model = FaceModel.fit(faces, users=["ann", "bob", "cem"] * 4, components=4, roi="full")
        >>> model.enrol("dan", rng.normal(size=(24, 24))).users
        ('ann', 'bob', 'cem', 'dan')
        """
        return enrolled(self, user, image, frame_from_canonical)

    def gaussians(self, user: str | None = None) -> list[Level]:
        """The Gaussians that a frame is registered to, the finest octave first.

        Parameters
        ----------
        user : str, optional
            With this user's template for the mean and the covariance within users.

        Returns
        -------
        list of holdstill.reference.registration.Level

        Raises
        ------
        ValueError
            If the user is not enrolled, or the covariance within users is unknown.
        """
        index = None if user is None else self.user_index(user)
        levels = []
        for octave, (basis, variances, rho) in self._octaves_with(users=index is not None):
            mean = octave.mean if index is None else octave.templates[index]
            vectors = mean.astype(np.float64), basis.astype(np.float64)
            levels.append(Level(Subspace(*vectors, variances, rho), octave.roi))
        return levels

    def user_index(self, user: str) -> int:
        """Position of a user among `users`.

        Raises
        ------
        ValueError
            If the user is not enrolled, or the covariance within users is unknown.
        """
        if user not in self.users:
            raise ValueError(f"user: {user!r} is not enrolled; {len(self.users)} others are")
        refuse_unknown_within(self.octaves)
        return self.users.index(user)

    def registrar(self, *, users: bool = False, **options: Any) -> _core.FrameRegistrar:
        """The compiled search for this model; kept, so that a second call costs nothing.

        Parameters
        ----------
        users : bool
            With the users' templates and the covariance within users, instead of the mean face.
        **options
            motion, distance, tolerance, max_iterations and largest_offset as in
            :func:`holdstill.register`, with the same defaults.

        Returns
        -------
        holdstill._core.FrameRegistrar
            Safe to use from several threads at once.

        Raises
        ------
        ValueError
            If an option is out of range, or nobody is enrolled.
        TypeError
            If an option is unknown.
        """
        chosen = Options(features=self.features, sigma=self.sigma, **options)
        if (users, chosen) in self._registrars:
            return self._registrars[users, chosen]
        if users and not self.users:
            raise ValueError("model: nobody is enrolled")
        levels = [
            (*covariance, octave.templates.T if users else octave.mean[:, None], octave.roi)
            for octave, covariance in self._octaves_with(users=users)
        ]
        made = _core.FrameRegistrar(levels, shape=self.shape, **vars(chosen))
        self._registrars[users, chosen] = made
        return made

    def log_volume(self, *, users: bool = False) -> float:
        """What the log-likelihood has beside the distance; see `reference.subspace.log_volume`.

        Parameters
        ----------
        users : bool
            Of the covariance within users.

        Returns
        -------
        float
        """
        return self._scale(users)[1]

    def _scale(self, users: bool) -> tuple[float, float]:
        """ρ of the finest octave, and `log_volume`."""
        if users not in self._scales:
            finest = covariances(self.octaves[:1], self.rho, within=users)[0]
            self._scales[users] = finest.rho, finest.log_volume()
        return self._scales[users]

    @cached_property
    def _scales(self) -> dict[bool, tuple[float, float]]:
        return {}

    @cached_property
    def _misfits(self) -> tuple[float, float] | None:
        return yardstick(*self.unseen.T)

    def __getstate__(self) -> dict[str, Any]:
        # What has been made of it is made again where it arrives.
        made = ("_registrars", "_scales", "_misfits")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    @cached_property
    def _registrars(self) -> dict[tuple[bool, Options], _core.FrameRegistrar]:
        return {}

    def _octaves_with(self, *, users: bool) -> Iterator[tuple[Octave, Covariance]]:
        return zip(self.octaves, covariances(self.octaves, self.rho, within=users), strict=True)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a versioned ``.npz`` without pickle; an existing file is replaced at the end.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        holdstill.outputs.OutputError
            If it cannot be written; an OSError.
        """
        write_model(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FaceModel:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        FaceModel

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no face model, or one of a later format version.

        Examples
        --------
        >>> import tempfile
        >>> faces = np.random.default_rng(0).normal(size=(9, 24, 24))
        >>> made = FaceModel.fit(faces, components=4, roi="full")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made.save(f"{folder}/faces.npz")
        ...     FaceModel.load(f"{folder}/faces.npz")
        FaceModel(4 components of 9 images, edges, 24x24, 2 octaves)
        """
        return read_model(path, cls)

    def __repr__(self) -> str:
        height, width = self.shape
        users = f", {len(self.users)} users" if self.users else ""
        return (
            f"FaceModel({self.n_components} components of {self.n_images} images, "
            f"{self.features}, {height}x{width}, {len(self.octaves)} octaves{users})"
        )
