"""The low-rank dictionary of aligned images, and everything needed to align by it later."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.canonical import DEFAULT_SIGMA, Weights, check_shape, roi_mask
from holdstill.checks import number
from holdstill.compiled_aligner import CoarseAtoms, coarse_atoms, compiled_aligner, possible
from holdstill.dictionary_file import read_dictionary, settings_of, write_dictionary
from holdstill.learning.columns import atoms_of
from holdstill.learning.rasl import RaslResult
from holdstill.learning.residuals import OwnResiduals, huber_threshold, yardstick
from holdstill.reference.warp import n_planes
from holdstill.solver_options import SolverOptions

if TYPE_CHECKING:
    from holdstill.initial import Initial
    from holdstill.learning.coverage import Coverage

ALIGNERS_KEPT = 8


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Aligned images that span what the thing looks like: Ã of the one-by-one method.

    Made by :func:`holdstill.fit`, or by :meth:`from_rasl` from a batch of your own.

    Parameters
    ----------
    atoms : ndarray, shape (M, r), float32
        Unit-norm columns; M is the number of pixels of `roi`, twice that for edges.
    shape : (int, int)
        Height and width of the canonical frame.
    motion : str
        Motion model of the alignment.
    features : str
        ``grey``, ``edges`` or ``magnitude``.
    sigma : float
        σ of edges and magnitude, canonical pixels.
    roi : ndarray (h, w), bool or float32
        Region of interest, or weights of its pixels; see :func:`holdstill.canonical.roi_mask`.
    residuals : ndarray (k,), float64
        ‖e‖₂ of images like those to come, each explained without an atom of its own; what
        :func:`holdstill.fit` measures on its sample. Empty: unknown.
    displaced_residuals : ndarray (k,), float64
        The same where they are misaligned; with `residuals`, the yardstick of `quality`. Empty:
        unknown.
    pixel_residual : float
        Median over their pixels of ``|e_i|``, of a vector of unit norm; NaN: unknown. It sets the
        threshold of the robust losses.
    robust_residuals : ndarray (k, 3), float64
        The yardstick of `quality` under the robust losses, by Geman and McClure's weights: ‖e‖₂
        relative to the image, the same where it is misaligned, and the share of the model's energy
        that is seen. Empty: unknown.
    provenance : mapping
        How it was made: numbers and strings only.

    Raises
    ------
    ValueError
        If the atoms do not fit the shape, region and feature, or one is not finite or all zero.

    Examples
    --------
    >>> columns = np.eye(16, 2, dtype=np.float32)
    >>> Dictionary(columns, shape=(4, 4), motion="affine")
    Dictionary(2 atoms, grey, affine, 4x4, 16 pixels)
    """

    atoms: npt.NDArray[np.float32]
    shape: tuple[int, int]
    motion: str
    features: str = "grey"
    sigma: float = DEFAULT_SIGMA
    roi: Weights | None = None
    residuals: FloatArray = field(default_factory=lambda: np.zeros(0))
    displaced_residuals: FloatArray = field(default_factory=lambda: np.zeros(0))
    pixel_residual: float = float("nan")
    robust_residuals: FloatArray = field(default_factory=lambda: np.zeros((0, 3)))
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = check_shape(self.shape)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "roi", roi_mask(self.roi, shape))
        for name in ("sigma", "pixel_residual"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        atoms = np.array(self.atoms, dtype=np.float32, order="F")
        rows = n_planes(self.features) * int(self.mask.sum())
        if atoms.ndim != 2 or atoms.shape[0] != rows or atoms.shape[1] < 1:
            raise ValueError(
                f"atoms: expected shape ({rows}, r) for this shape, roi and feature, "
                f"got {atoms.shape}"
            )
        if not np.isfinite(atoms).all():
            raise ValueError("atoms: expected finite entries")
        if not atoms.any(axis=0).all():
            raise ValueError("atoms: expected columns that are not zero")
        arrays: dict[str, npt.NDArray[Any]] = {"atoms": atoms}
        for name in ("residuals", "displaced_residuals"):
            norms = np.array(getattr(self, name), dtype=np.float64)
            if norms.ndim != 1 or not ((norms >= 0) & (norms < np.inf)).all():
                raise ValueError(f"{name}: expected a vector of norms, finite and at least 0")
            arrays[name] = norms
        robust = np.array(self.robust_residuals, dtype=np.float64)
        if robust.shape[1:] != (3,) or not ((robust >= 0) & (robust < np.inf)).all():
            raise ValueError(
                "robust_residuals: expected rows (misfit, displaced misfit, share seen), finite "
                "and at least 0"
            )
        arrays["robust_residuals"] = robust
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        self.aligner()  # refuses an unknown motion model or sigma now, not at the first frame

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """The pixels of the region of interest, (h, w)."""
        return np.asarray(self.weights > 0)

    @property
    def weights(self) -> Weights:
        """The region of interest as it weighs, (h, w)."""
        assert self.roi is not None
        return self.roi

    @property
    def n_atoms(self) -> int:
        """Number of atoms r."""
        return int(self.atoms.shape[1])

    def _repr_html_(self) -> str:
        from holdstill.notebook import dictionary_html  # only notebooks need it

        return dictionary_html(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the alignment depends on; provenance is not part of it."""
        content = hashlib.sha256(json.dumps(settings_of(self), sort_keys=True).encode())
        content.update(np.ascontiguousarray(self.weights, dtype=np.float32).tobytes())
        for own in (self.residuals, self.displaced_residuals, self.robust_residuals):
            content.update(own.tobytes())
        content.update(np.ascontiguousarray(self.atoms.T).tobytes())
        return content.hexdigest()

    @classmethod
    def from_rasl(
        cls,
        result: RaslResult,
        *,
        shape: tuple[int, int],
        motion: str,
        features: str = "grey",
        sigma: float = DEFAULT_SIGMA,
        roi: str | os.PathLike[str] | npt.ArrayLike | None = None,
        own: OwnResiduals | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Dictionary:
        """Take rank(A*) independent columns of a batch's low-rank part (equations §2).

        The columns stay aligned images, not singular vectors: ‖x‖₁ depends on the basis. They are
        chosen by a rank-revealing QR with column pivoting, and scaled to norm 1, so that μ means
        the same for each.

        Parameters
        ----------
        result : RaslResult
            Of :func:`holdstill.rasl` with the same `shape`, `motion`, `features`, `sigma`, `roi`.
        shape, motion, features, sigma, roi
            As in :func:`holdstill.rasl`.
        own : OwnResiduals, optional
            Of the batch; see :func:`holdstill.learning.residuals.leave_one_out`.
        provenance : mapping, optional
            Kept with the dictionary.

        Returns
        -------
        Dictionary
        """
        return cls(
            atoms_of(result),
            shape=shape,
            motion=motion,
            features=features,
            sigma=sigma,
            roi=roi_mask(roi, shape),
            residuals=np.zeros(0) if own is None else own.norms,
            displaced_residuals=np.zeros(0) if own is None else own.displaced,
            pixel_residual=float("nan") if own is None else own.pixel,
            robust_residuals=np.zeros((0, 3)) if own is None else own.robust,
            provenance=dict(provenance or {}),
        )

    def aligner(
        self,
        *,
        mu: float = _core.DEFAULT_MU,
        tolerance: float = _core.DEFAULT_TOLERANCE,
        max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
        loss: str = "l2",
        levels: int | None = None,
        search: bool = True,
        verify: bool = False,
    ) -> _core.FrameAligner:
        """The compiled aligner for this dictionary; kept, so that a second call costs nothing.

        The last eight are: each has a copy of the atoms.

        Parameters
        ----------
        mu : float
            Weight μ of ‖x‖₁ in equations §3; 0 is plain least squares.
        tolerance : float
            Stop at ‖Δτ‖₂ ≤ tolerance.
        max_iterations : int
            Cap of the outer loop.
        loss : {"l2", "huber", "l1", "geman-mcclure"}
            What a pixel's residual costs. Under the robust ones, what hides the face pulls little.
        levels : int, optional
            Octaves of the search, the finest included; as many as the region allows by default.
        search : bool
            Look further around for a frame whose start leads to no good end.
        verify : bool
            Solve over all atoms in every iteration, and certify each solve. Same result, slower.

        Returns
        -------
        holdstill._core.FrameAligner
            Safe to use from several threads at once.

        Raises
        ------
        ValueError
            If an option is out of range, or the loss needs a `pixel_residual` and there is none.
        """
        return self.aligner_for(
            SolverOptions(mu, tolerance, max_iterations, loss, levels, search, verify)
        )

    def aligner_for(self, options: SolverOptions) -> _core.FrameAligner:
        """The same, of options that are handed on."""
        options = possible(self, options)
        aligner = self._aligners.get(options)
        if aligner is None:
            aligner = self._aligners[options] = compiled_aligner(self, options, self._octaves)
            for oldest in list(self._aligners)[:-ALIGNERS_KEPT]:
                self._aligners.pop(oldest, None)  # another thread may have been here
        return aligner

    @property
    def kappa(self) -> float:
        """Residual of a pixel above which the Huber loss is linear (equations §3)."""
        return huber_threshold(self.pixel_residual)

    @property
    def misfits(self) -> tuple[float, float] | None:
        """Residuals that earn a frame a quality of 0.95 and of 0.5; None where unknown.

        See :func:`holdstill.learning.residuals.yardstick`.
        """
        return yardstick(self.residuals, self.displaced_residuals)

    @property
    def robust_misfits(self) -> tuple[float, float] | None:
        """The same under a robust loss, of what Geman and McClure's weights see."""
        return yardstick(*self.robust_residuals.T[:2])

    def __getstate__(self) -> dict[str, Any]:
        # What has been made of it is made again where it arrives.
        made = ("_aligners", "_octaves")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    @cached_property
    def _aligners(self) -> dict[SolverOptions, _core.FrameAligner]:
        return {}

    @cached_property
    def _octaves(self) -> list[CoarseAtoms]:
        return coarse_atoms(self)

    def atom_images(self) -> npt.NDArray[np.float32]:
        """The atoms as pictures, zero outside the region of interest.

        Returns
        -------
        ndarray, shape (r, h, w) or (r, 2, h, w) for edges (E_x, E_y), float32
        """
        planes = n_planes(self.features)
        pictures = np.zeros((self.n_atoms, planes, *self.shape), dtype=np.float32)
        pictures[:, :, self.mask] = self.atoms.T.reshape(self.n_atoms, planes, -1)
        return pictures if planes > 1 else pictures[:, 0]

    def coverage(
        self,
        source: Any,
        initial: Initial = None,
        *,
        n: int = 100,
        seed: int = 0,
        face: str = "best",
    ) -> Coverage:
        """Tell whether the dictionary's sample was large enough for the frames of a source.

        Frames that it was not learnt from are aligned; where the sample has what the source shows,
        they leave residuals like those of its own frames. See
        :func:`holdstill.learning.coverage.measure_coverage`.

        Parameters
        ----------
        source : path, list of paths, array (n, H, W[, 3]) or FrameSource
            The one that it was learnt from, or another that it is to align.
        initial : None, path, array_like (n, 3, 3), mapping or callable
            As in :func:`holdstill.fit`.
        n : int
            Frames to align, at most; drawn at random.
        seed : int
            Of the random choice.
        face : {"best", "largest", "center", "left", "right"}
            Which face, where the detector finds several; best: the one that is aligned best.

        Returns
        -------
        holdstill.learning.coverage.Coverage
            Numbers of every frame; ``print`` it for advice.

        Raises
        ------
        ValueError
            If `n` is no positive integer, no frame is left to hold out or can be used, or the
            dictionary does not know the residuals of its own frames: :func:`holdstill.fit` notes
            them.
        OSError
            If the source cannot be opened.

        Examples
        --------
        >>> from holdstill import fit
        >>> from holdstill.synthetic import TalkingHead
        >>> head = TalkingHead(24, size=(144, 180), shape=(40, 40), occlusion=False)
        >>> frames = np.stack([frame for frame in head])
        >>> learnt = fit(frames, head.initial(), n=8, shape=(40, 40), motion="similarity")
        >>> learnt.coverage(frames, head.initial()).residual.shape
        (16,)
        """
        from holdstill.learning.coverage import measure_coverage  # it needs this module

        return measure_coverage(self, source, initial, n=n, seed=seed, face=face)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a versioned ``.npz`` without pickle; an existing file is replaced at the end.

        Raises
        ------
        holdstill.outputs.OutputError
            If it cannot be written; an OSError.
        """
        write_dictionary(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Dictionary:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or path
            Of the file, or of the folder of a run that has one.

        Returns
        -------
        Dictionary

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no dictionary, or one of a later format version.

        Examples
        --------
        >>> import tempfile
        >>> made = Dictionary(np.eye(16, 2), shape=(4, 4), motion="similarity")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made.save(f"{folder}/two.npz")
        ...     Dictionary.load(f"{folder}/two.npz").digest == made.digest
        True
        """
        return read_dictionary(path, cls)

    def __repr__(self) -> str:
        height, width = self.shape
        return (
            f"Dictionary({self.n_atoms} atoms, {self.features}, {self.motion}, "
            f"{height}x{width}, {int(self.mask.sum())} pixels)"
        )


def expect_dictionary(dictionary: object) -> None:
    """Refuse what is no dictionary, such as the path of one."""
    if not isinstance(dictionary, Dictionary):
        raise TypeError(
            f"dictionary: expected a Dictionary, got {type(dictionary).__name__}; "
            "Dictionary.load(path) reads one"
        )
