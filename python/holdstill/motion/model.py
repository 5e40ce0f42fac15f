"""A model of how a head moves, fitted to the transforms of a run, and movement drawn from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.archive import read_archive, write_archive
from holdstill.canonical import DEFAULT_SHAPE, check_shape
from holdstill.checks import integer, positive
from holdstill.motion.autoregression import Autoregression, log_densities, with_variance_at_most
from holdstill.motion.autoregression import fit as fit_process
from holdstill.motion.bounds import fold, unfold
from holdstill.motion.parameters import N_PARAMETERS, PARAMETERS, compose, decompose
from holdstill.motion.recorded import frame_rate_of, stretches_of
from holdstill.run_folder import Run

FORMAT, FORMAT_VERSION = "holdstill head movement", 1

MEMORY = 0.4
"""Longest order tried, in seconds."""

_STILL = 1e-9
"""What a parameter varies by that is but rounded."""

_OWN_ARRAYS = ("mean", "low", "high", "spread")
_PROCESS_ARRAYS = ("coefficients", "scatter", "innovations")


@dataclass(frozen=True, repr=False, eq=False)
class MotionModel:
    """How a head moves: an autoregressive process of the parameters of its transforms.

    Every parameter of :func:`decompose` is a weighted sum of its own last values about its mean,
    and an innovation. Innovations are jointly Student-t, for heads move in bursts in which all
    parameters take part; draws resample those observed. What the process draws beyond the observed
    range is folded back smoothly: with the range from -1 to 1, the identity up to 0.8, then a sine
    that reaches 1 with slope 0 and comes back.

    Attributes
    ----------
    fps : float
        Frames per second.
    shape : (int, int)
        Height and width of the canonical frame of the transforms.
    motion : str
        ``similarity`` (four parameters) or ``affine`` (six).
    mean, low, high, spread : ndarray, shape (k,), float64
        Mean, smallest and largest value and standard deviation of each parameter, as observed;
        `spread` is 0 where a parameter does not move.
    process : Autoregression
        Of the parameters that move, about their means, in units of their `spread`.
    n_frames : int
        Frames that it was fitted to.

    Examples
    --------
    >>> t = np.arange(400)[:, None] / 25.0
    >>> sway = np.cos(t * [2.0, 3.0, 1.0, 5.0]) * [9.0, 5.0, 0.1, 0.02] + [300.0, 200.0, 0.0, 0.7]
    >>> noise = np.random.default_rng(0).normal(size=(400, 4)) * [0.1, 0.1, 0.001, 0.001]
    >>> recorded = compose(sway + noise)
    >>> model = MotionModel.fit(recorded, 25.0, motion="similarity")
    >>> drawn = decompose(model.sample(1000, seed=0, start=recorded[0]), motion="similarity")
    >>> bool((drawn >= model.low - 1e-9).all() and (drawn <= model.high + 1e-9).all())
    True
    """

    fps: float
    shape: tuple[int, int]
    motion: str
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    spread: FloatArray
    process: Autoregression
    n_frames: int

    @classmethod
    def fit(
        cls,
        recorded: Run | npt.ArrayLike | Sequence[npt.ArrayLike],
        fps: float | None = None,
        *,
        shape: tuple[int, int] | None = None,
        motion: str | None = None,
    ) -> MotionModel:
        """Fit to the good frames of a run, or to transforms.

        Gaps divide the movement into stretches: a frame is explained by those before it in the
        same stretch. The order is that of the lowest BIC up to 0.4 s, the degrees of freedom those
        of the highest likelihood. Where the process that explains the frames best would wander
        farther than the recording did, its slowest poles are held back until it does not.

        Parameters
        ----------
        recorded : Run, array_like (n, 3, 3), or sequence of them
            frame_from_canonical of consecutive frames; NaN is a gap, each array a stretch.
        fps : float, optional
            Frames per second; by the timestamps of a run, where it has them.
        shape : (int, int), optional
            Height and width of the canonical frame; the run's, else 200x200.
        motion : {"similarity", "affine"}, optional
            The run's motion model, else affine.

        Returns
        -------
        MotionModel

        Raises
        ------
        ValueError
            If there are too few frames, none moves, the transforms are homographies, or an argument
            is wrong.
        ImportError
            If statsmodels is missing.
        """
        if isinstance(recorded, Run):
            fps = frame_rate_of(recorded) if fps is None else fps
            shape = recorded.shape if shape is None else shape
            motion = _motion_of(recorded) if motion is None else motion
        rate = _check_rate(fps)
        canonical = check_shape(DEFAULT_SHAPE if shape is None else shape)
        family = "affine" if motion is None else motion
        stretches = [
            decompose(stretch, shape=canonical, motion=family) for stretch in stretches_of(recorded)
        ]
        _unwrap(stretches)
        values = np.concatenate(stretches)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        moving = spread > _STILL
        if not moving.any():
            raise ValueError(
                "recorded: expected a head that moves, but every transform is the same"
            )
        try:
            process = fit_process(
                [
                    ((stretch - mean) / np.where(moving, spread, 1.0))[:, moving]
                    for stretch in stretches
                ],
                max(1, round(MEMORY * rate)),
            )
        except ValueError as error:
            raise ValueError(f"recorded: {error}") from None
        return cls(
            fps=rate,
            shape=canonical,
            motion=family,
            mean=mean,
            low=values.min(axis=0),
            high=values.max(axis=0),
            spread=np.where(moving, spread, 0.0),
            process=with_variance_at_most(process, np.ones(int(moving.sum()))),
            n_frames=len(values),
        )

    def __repr__(self) -> str:
        return (
            f"MotionModel({self.motion}, {self.fps:g} frames/s, order {self.process.order}, "
            f"from {self.n_frames} frames)"
        )

    def sample(
        self,
        n: int,
        *,
        seed: int | np.random.Generator,
        start: npt.ArrayLike | None = None,
        end: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """Draw a movement of any length, within the observed range.

        Parameters
        ----------
        n : int
            Frames.
        seed : int or numpy.random.Generator
            Equal seeds give equal movements.
        start, end : array_like, shape (3, 3) or (m, 3, 3), optional
            Transforms that the movement begins or ends with, within the observed range; m
            consecutive ones go on from a movement at its speed.

        Returns
        -------
        ndarray, shape (n, 3, 3), float64
            frame_from_canonical; each parameter lies from `low` to `high`.

        Raises
        ------
        ValueError
            If `n` is too small, or `start` or `end` are no such transforms.
        ImportError
            If statsmodels is missing and `start` or `end` is given.
        """
        generator = np.random.default_rng(seed)
        first, last = (self._given(given, name) for given, name in ((start, "start"), (end, "end")))
        n = integer("n", n, max(1, len(first) + len(last)))
        at = [*range(len(first)), *range(n - len(last), n)]
        known = self._to_process(unfold(np.concatenate([first, last]), self.low, self.high))
        drawn = self.process.draw_between(n, generator, at, known)
        values = np.tile(self.mean, (n, 1))
        values[:, self.spread > 0] += drawn * self.spread[self.spread > 0]
        return compose(fold(values, self.low, self.high), shape=self.shape)

    def log_likelihood(
        self,
        held_out: Run | npt.ArrayLike | Sequence[npt.ArrayLike],
        *,
        skip: int = 0,
    ) -> float:
        """Mean log density of frames, each given those before it, in nats.

        Of the parameters that move, in their own units (pixels, radians, logarithms), and of the
        process before it is folded: frames outside of the observed range count as well.

        Parameters
        ----------
        held_out : Run, array_like (n, 3, 3), or sequence of them
            As in :meth:`fit`.
        skip : int
            The first frames of each stretch that do not count; at least the order.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If no frame has enough frames before it.
        """
        densities = [
            log_densities(self.process, self._to_process(stretch))[skip:]
            for stretch in self._stretches(held_out)
        ]
        counted = np.concatenate(densities)
        counted = counted[np.isfinite(counted)]
        if not len(counted):
            raise ValueError(
                f"held_out: expected a stretch of more than {max(self.process.order, skip)} frames"
            )
        return float(counted.mean() - np.log(self.spread[self.spread > 0]).sum())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as a versioned ``.npz``, without pickle.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        meta = {
            "fps": self.fps,
            "shape": list(self.shape),
            "motion": self.motion,
            "degrees_of_freedom": self.process.degrees_of_freedom,
            "n_frames": self.n_frames,
        }
        arrays = {name: getattr(self, name) for name in _OWN_ARRAYS}
        process = {name: getattr(self.process, name) for name in _PROCESS_ARRAYS}
        write_archive(path, FORMAT, FORMAT_VERSION, meta, {**arrays, **process})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MotionModel:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is something else or damaged.
        """
        return read_archive(path, "model of head movement", FORMAT, FORMAT_VERSION, _from_archive)

    def _stretches(
        self, recorded: Run | npt.ArrayLike | Sequence[npt.ArrayLike]
    ) -> list[FloatArray]:
        found = [
            decompose(stretch, shape=self.shape, motion=self.motion)
            for stretch in stretches_of(recorded)
        ]
        _unwrap(found, float(self.mean[2]))
        return found

    def _to_process(self, values: FloatArray) -> FloatArray:
        moving = self.spread > 0
        return np.asarray((values - self.mean)[:, moving] / self.spread[moving])

    def _given(self, given: npt.ArrayLike | None, name: str) -> FloatArray:
        if given is None:
            return np.zeros((0, len(self.mean)))
        transforms = np.asarray(given, dtype=np.float64)
        if transforms.shape[-2:] != (3, 3) or transforms.ndim not in (2, 3):
            raise ValueError(f"{name}: expected shape (3, 3) or (m, 3, 3), got {transforms.shape}")
        transforms = transforms.reshape(-1, 3, 3)
        if not np.isfinite(transforms).all():
            raise ValueError(f"{name}: expected finite numbers")
        values = decompose(transforms, shape=self.shape, motion=self.motion)
        _unwrap([values], float(self.mean[2]))
        slack = 1e-6 * np.maximum(self.spread, 1e-3)
        outside = ((values < self.low - slack) | (values > self.high + slack)).any(axis=0)
        if outside.any():
            j = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"{name}: expected a transform within the observed range; its {PARAMETERS[j]} is "
                f"{values[:, j]} and {self.low[j]:.4g} to {self.high[j]:.4g} were observed"
            )
        return np.clip(values, self.low, self.high)


def _motion_of(run: Run) -> str:
    motion = run.dictionary().motion
    if motion == "homography":
        raise ValueError("recorded: expected transforms up to affine ones, got homographies")
    return "affine" if motion == "affine" else "similarity"


def _check_rate(fps: float | None) -> float:
    if fps is None:
        raise ValueError("fps: expected frames per second; the recording has no timestamps")
    return positive("fps", fps)


def _unwrap(stretches: Sequence[FloatArray], middle: float | None = None) -> None:
    """Rotations within half a turn of their mean direction, in place."""
    if middle is None:
        rotations = np.concatenate([stretch[:, 2] for stretch in stretches])
        middle = float(np.angle(np.exp(1j * rotations).mean()))
    for stretch in stretches:
        stretch[:, 2] = middle + np.angle(np.exp(1j * (stretch[:, 2] - middle)))


def _from_archive(meta: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> MotionModel:
    own, of_process = (
        {name: np.asarray(arrays[name], dtype=np.float64) for name in names}
        for names in (_OWN_ARRAYS, _PROCESS_ARRAYS)
    )
    if not all(np.isfinite(array).all() for array in (*own.values(), *of_process.values())):
        raise ValueError("its numbers are not finite")
    process = Autoregression(**of_process, degrees_of_freedom=float(meta["degrees_of_freedom"]))
    moving = int((own["spread"] > 0).sum())
    expected = [(N_PARAMETERS[meta["motion"]],)] * 4 + [(moving, moving)]
    shapes = [array.shape for array in own.values()] + [process.scatter.shape]
    if shapes != expected or len(process.coefficients) != moving:
        raise ValueError(f"its arrays have the shapes {shapes}")
    if process.innovations.ndim != 2 or process.innovations.shape[1] != moving:
        raise ValueError("its innovations do not fit")
    return MotionModel(
        fps=_check_rate(meta["fps"]),
        shape=check_shape(tuple(meta["shape"])),
        motion=meta["motion"],
        process=process,
        n_frames=int(meta["n_frames"]),
        **own,
    )
