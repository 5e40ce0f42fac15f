"""Whether a dictionary's sample was large enough: what held-out frames say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill import _core
from holdstill._typing import FloatArray
from holdstill.checks import integer
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial
from holdstill.learning.selection import take
from holdstill.reference.motion import map_points
from holdstill.sources.opened import opened
from holdstill.streaming import initialiser_for

SLACK = 1.25
"""A frame is explained up to this times the 95 % quantile of the dictionary's own residuals."""

ENOUGH = 0.90
"""Share of the held-out frames that has to be explained."""

STEADY = 0.0025
"""Share of the canonical frame's longer side that the halves may disagree by, on 95 % of frames."""

WORST_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Coverage:
    """How a dictionary does on m frames that it was not learnt from.

    Attributes
    ----------
    source : ndarray (m,), str
        File or stream of each held-out frame.
    frame : ndarray (m,), int64
        Its number there.
    status : ndarray (m,), str
        How its alignment ended.
    residual : ndarray (m,), float64
        ‖e‖₂ of the unit-norm frame; NaN unless it converged.
    own : ndarray (k,), float64
        The same of the frames that the dictionary was learnt from.
    limit : float
        A frame is explained where its residual is no larger.
    disagreement : ndarray (m,), float64
        Canonical pixels, root mean square over the region of interest, between the frame's
        alignments by two halves of the dictionary; NaN where one of them failed.
    tolerance : float
        Canonical pixels; `STEADY` of the frame.
    n : int
        Frames that the dictionary was learnt from.
    advised_n : int
        `n` where it was enough, else an estimate of what would be, no more than the source has.
    """

    source: npt.NDArray[np.str_]
    frame: npt.NDArray[np.int64]
    status: npt.NDArray[np.str_]
    residual: FloatArray
    own: FloatArray
    limit: float
    disagreement: FloatArray
    tolerance: float
    n: int
    advised_n: int

    @property
    def explained(self) -> npt.NDArray[np.bool_]:
        """Which held-out frames converged to a residual within the limit, (m,)."""
        return np.asarray(self.residual <= self.limit)

    @property
    def share_explained(self) -> float:
        """Their share."""
        return float(self.explained.mean())

    @property
    def enough(self) -> bool:
        """Whether the sample has what the held-out frames show, and enough of it."""
        return self.share_explained >= ENOUGH and self._unsteadiness() <= 1.0

    def worst(self) -> npt.NDArray[np.intp]:
        """Positions in the arrays: frames that did not converge, then by falling residual, (m,)."""
        return np.argsort(-np.nan_to_num(self.residual, nan=np.inf), kind="stable")

    def __str__(self) -> str:
        failed = int((self.status != "converged").sum())
        lines = [
            f"{len(self.frame)} held-out frames, dictionary of {self.n}: {self.share_explained:.0%}"
            f" explained (residual at most {self.limit:.4f}), {failed} failed",
            f"{'':<30}{'median':>8}{'95 %':>8}{'max':>8}",
            _quantiles("residual, held-out frames", self.residual),
            _quantiles("residual, the dictionary's own", self.own),
            _quantiles("halves of it disagree by, px", self.disagreement)
            + f"   (95 % tolerated: {self.tolerance:.4f})",
            "worst: " + ", ".join(self._name(i) for i in self.worst()[:WORST_SHOWN]),
            self._advice(),
        ]
        return "\n".join(lines)

    def _name(self, i: int) -> str:
        number = f"{self.residual[i]:.4f}" if self.status[i] == "converged" else self.status[i]
        of = f" of {self.source[i]}" if (self.source != self.source[0]).any() else ""
        return f"frame {self.frame[i]}{of} {number}"

    def _advice(self) -> str:
        if self.enough:
            return f"n = {self.n} was enough"
        if self.share_explained < 0.5:
            return (
                f"the {self.n} frames do not stand for this source: draw them from all of it, "
                'with selection="coverage" or "random"'
            )
        if self.advised_n == self.n:
            return "learn it from these frames, too; look at the worst first"
        return f"take n ≈ {self.advised_n}; look at the worst first"

    def _unsteadiness(self) -> float:
        """The disagreement that 95 % of the frames stay below, in terms of what is tolerated."""
        known = self.disagreement[np.isfinite(self.disagreement)]
        return float(np.quantile(known, 0.95)) / self.tolerance if len(known) else 0.0


def _quantiles(name: str, values: FloatArray) -> str:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return f"{name:<30}{'–':>8}"
    return f"{name:<30}" + "".join(f"{q:8.4f}" for q in np.quantile(known, (0.5, 0.95, 1.0)))


def measure_coverage(
    dictionary: Dictionary,
    source: Any,
    initial: Initial = None,
    *,
    n: int = 100,
    seed: int = 0,
    face: str = "best",
) -> Coverage:
    """Align frames that a dictionary was not learnt from: was its sample large enough?

    Two questions, and neither answers the other. Does the sample have what the source shows? Then
    held-out frames leave residuals like those of its own frames, aligned alone as any other: at
    least `ENOUGH` of them stay below `SLACK` times the 95 % quantile of those. And is there enough
    of it? Residuals fall for ever as n grows, so they cannot tell; but where each half of the atoms
    aligns a frame to the same place, which frames happened to be drawn no longer matters. As the
    halves disagree about in inverse proportion to n, that scales to an advised n; where frames are
    not explained, it is at least twice n.

    Parameters
    ----------
    dictionary : Dictionary
        Of :func:`holdstill.fit`.
    source : path, list of paths, array (n, H, W[, 3]) or FrameSource
        Whatever :func:`holdstill.open` takes.
    initial : None, path, array_like (n, 3, 3), mapping or callable
        As in :func:`holdstill.fit`.
    n : int
        Frames to hold out, at most. Time grows with it, not with the source.
    seed : int
        Of the random choice.
    face : {"best", "largest", "center", "left", "right"}
        Which face, where the detector finds several; best: the one that the dictionary aligns
        best.

    Returns
    -------
    Coverage

    Raises
    ------
    ValueError
        If `n` is no positive integer, no frame can be held out, or the dictionary does not know the
        residuals of its own frames.
    OSError
        If the source cannot be opened.

    Examples
    --------
    >>> from holdstill import fit
    >>> from holdstill.synthetic import TalkingHead
    >>> head = TalkingHead(24, size=(144, 180), shape=(40, 40), occlusion=False)
    >>> frames = np.stack([frame for frame in head])
    >>> learnt = fit(frames, head.initial(), n=8, shape=(40, 40), motion="similarity")
    >>> measure_coverage(learnt, frames, head.initial(), n=10).status.tolist().count("converged")
    10
    """
    n, seed = integer("n", n), integer("seed", seed, 0)
    own = dictionary.residuals
    if len(own) == 0 or "sample" not in dictionary.provenance:
        raise ValueError(
            "dictionary: it does not know the residuals of the frames it was learnt from; "
            "learn it by holdstill.fit"
        )
    aligner = dictionary.aligner()
    halves = [
        replace(dictionary, atoms=dictionary.atoms[:, k::2]).aligner()
        for k in range(min(2, dictionary.n_atoms))
    ]
    points = np.argwhere(dictionary.mask)[:, ::-1].astype(np.float64)
    learnt_from = {(name, number) for name, number in dictionary.provenance["sample"]}
    names, statuses, residuals, disagreements = [], [], [], []
    with opened(source) as frames:
        starts = initialiser_for(frames, dictionary, initial, independent=True, face=face)
        order = np.random.default_rng(seed).permutation(len(frames)).tolist()
        for frame, grey, start in take(frames, starts, order, n, learnt_from):
            found, *by_half = (one.align(grey, start) for one in (aligner, *halves))
            names.append((frame.source, frame.frame))
            statuses.append(found.status)
            residuals.append(found.residual if found.status == "converged" else np.nan)
            disagreements.append(_disagreement(by_half, points))
    if not names:
        raise ValueError(
            "source: no frame is left to hold out: all are in the dictionary's sample, unreadable, "
            "or without an initial transform"
        )
    coverage = Coverage(
        source=np.array([name for name, _ in names]),
        frame=np.array([number for _, number in names], dtype=np.int64),
        status=np.array(statuses),
        residual=np.array(residuals),
        own=own,
        limit=SLACK * float(np.quantile(own, 0.95)),
        disagreement=np.array(disagreements),
        tolerance=STEADY * max(dictionary.shape),
        n=len(learnt_from),
        advised_n=len(learnt_from),
    )
    return coverage if coverage.enough else _with_advice(coverage, len(frames))


def _disagreement(by_half: list[_core.FrameAlignment], points: FloatArray) -> float:
    """How far apart the two halves put the points, root mean square; NaN where one cannot."""
    if len(by_half) < 2 or any(half.status != "converged" for half in by_half):
        return float("nan")
    first, second = (half.frame_from_canonical for half in by_half)
    apart = map_points(np.linalg.inv(first) @ second, points) - points
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


def _with_advice(coverage: Coverage, most: int) -> Coverage:
    factor = max(coverage._unsteadiness(), 2.0 if coverage.share_explained < ENOUGH else 1.0)
    wanted = min(int(np.ceil(factor * coverage.n)), most)
    return replace(coverage, advised_n=max(coverage.n, wanted))
