"""Was a run good: everything that can be measured of it, before alignment and after."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.canonical import eye_corners as eye_corners_of
from holdstill.canonical import roi_mask
from holdstill.evaluate.evaluation import BeforeAfter, Evaluation, Spread
from holdstill.evaluate.eye_corners import (
    EYE_CORNERS,
    EyeCornerTable,
    check_corners,
    eye_corner_errors,
    eye_corner_table,
)
from holdstill.evaluate.jitter import Jitter, JitterOfFrames, corner_jitter, point_jitter
from holdstill.evaluate.pictures import Pictures, look_at, open_shown, spread_evenly
from holdstill.evaluate.points import invertible, map_to_canonical, read_points
from holdstill.run_folder import INITIAL_TRANSFORMS, Run, read_run

STANDS_STILL = 0.02
"""Canonical pixels; a point that was not put there moves more than that."""

FARTHEST = 1.6
"""Factor by which the eyes' distance in the canonical frame may differ from the usual one."""

FACE, MOUTH = "face", "mouth"
"""Of a face: where the mean image's sharpness is measured, and variance unless told."""

KEPT = 0.7
"""Share of its pictures' sharpness that the mean of a rigid thing keeps; aligned, it is near 1."""

OWN = "region"
"""What a region without a name is called."""

NO_FACE = (
    "nothing tells that the run is of a face: variance and sharpness are of its region of interest "
    "(--region mouth measures a mouth's)"
)


def evaluate_run(
    run: Run | str | os.PathLike[str],
    *,
    points: str | os.PathLike[str] | npt.ArrayLike | None = None,
    eye_corners: Sequence[int] = EYE_CORNERS,
    region: str | os.PathLike[str] | npt.ArrayLike | None = None,
    initial: str | os.PathLike[str] | None = None,
    frames: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a run: dispersion of the eye corners, jitter, variance, sharpness (equations §5).

    Parameters
    ----------
    run : Run, str or path
        Of :func:`holdstill.read_run`, or its folder; complete or interrupted.
    points : path or array_like, shape (n, k, 2), optional
        Annotated points, (x, y) in frame pixels, NaN where unknown: in the order of the rows, or a
        file for :func:`holdstill.evaluate.read_points`.
    eye_corners : four int
        Which points are the outer left, inner left, inner right and outer right eye corner; left
        and right are the image's.
    region : str, path or array_like (h, w), optional
        Where variance is measured: a name or mask as in :func:`holdstill.canonical.roi_mask`.
        Weights do not count. By default the mouth where the run is of a face
        (:attr:`holdstill.Run.of_face`), else the run's region of interest.
    initial : path, optional
        File of transforms to compare with, in place of those that the run started from; see
        :meth:`holdstill.Run.before`.
    frames : bool
        Look at the frames. Without it there is no variance and no sharpness.
    progress : callable (done, total), optional
        Called after every frame that is looked at.

    Returns
    -------
    Evaluation

    Raises
    ------
    FileNotFoundError
        If the folder holds no run or has lost its dictionary, or a file given is not there.
    ValueError
        If the run's files are damaged, a point or region does not exist, or a file does not fit.

    Examples
    --------
    >>> evaluate_run("no-such-run")
    Traceback (most recent call last):
    ...
    holdstill.run_folder.NotARunError: no-such-run: not the folder of a run (no transforms in it)
    """
    if not isinstance(run, Run):
        run = read_run(run)
    mask, region_name = _region(region, run)
    positions = None if points is None else _points(points, eye_corners, run)
    before, caption = run.before(initial)
    after = run.frame_from_canonical
    has_before = bool(invertible(before).any())
    compared = run.good & invertible(after) & (invertible(before) | (not has_before))
    notes = _notes(run, has_before, compared)

    eyes, all_eyes, errors = _eye_corners(run, before, compared, positions, eye_corners, has_before)
    notes += _other_points(eyes)
    if positions is not None and has_before and compared.any():
        outer = positions[compared][:, [eye_corners[0], eye_corners[3]]]
        notes += _points_of_the_start(before[compared], outer)
    jitter, moves = _jitter(run, before, compared, positions, eye_corners, caption)
    if frames and region is None and not run.of_face:
        notes.append(NO_FACE)
    seen = BeforeAfter[Pictures]()
    if frames and compared.any():
        sides = [before, after] if has_before else [after]
        seen = _look(run, sides, np.flatnonzero(compared), mask, progress, notes)
        notes += [] if run.of_face else _blurred(seen)
    solved = run.rows["iterations"] > 0
    return Evaluation(
        run=run.address,
        rows=len(run),
        status=dict(sorted(Counter(run.status.tolist()).items())),
        good=int(run.good.sum()),
        compared=int(compared.sum()),
        complete=run.complete,
        before=caption,
        transforms=BeforeAfter(before if has_before else None, after),
        iterations=Spread.of(run.rows["iterations"][solved]),
        residual=Spread.of(_column(run, "residual")[solved]),
        quality=Spread.of(_column(run, "quality")[solved]),
        speed=_speed(run.facts),
        eye_corners=eyes,
        all_eye_corners=all_eyes,
        jitter=jitter,
        of_face=run.of_face,
        region=region_name,
        variance=seen.map(lambda pictures: pictures.variance),
        sharpness=seen.map(lambda pictures: pictures.sharpness),
        mean_image=seen.map(lambda pictures: pictures.mean_image),
        pictures=seen.after.n_frames if seen.after else 0,
        per_frame=_per_frame(run, compared, moves, errors),
        notes=tuple(notes),
    )


def _per_frame(
    run: Run, compared: npt.NDArray[np.bool_], jitter: FloatArray, errors: FloatArray | None
) -> dict[str, npt.NDArray[Any]]:
    """The rows of ``evaluation.parquet``, as columns."""
    return {
        **{name: run.rows[name] for name in ("source", "frame", "face") if name in run.rows},
        "status": run.status,
        "good": run.good,
        "compared": compared,
        "iterations": run.rows["iterations"],
        "residual": _column(run, "residual"),
        "quality": _column(run, "quality"),
        "jitter": jitter,
        **({} if errors is None else {"eye_corner_error": errors}),
    }


def _region(region: Any, run: Run) -> tuple[npt.NDArray[np.bool_], str]:
    if region is None:
        if not run.of_face:
            return run.dictionary().mask, OWN
        region = MOUTH
    try:
        mask = np.asarray(roi_mask(region, run.shape) > 0)
    except ValueError as error:
        raise ValueError(str(error).replace("roi:", "region:", 1)) from None
    return mask, os.fspath(region) if isinstance(region, (str, os.PathLike)) else OWN


def _points(points: Any, eye_corners: Sequence[int], run: Run) -> FloatArray:
    if isinstance(points, (str, os.PathLike)):
        positions = read_points(points, run.rows["frame"])
    else:
        positions = np.asarray(points, dtype=np.float64)
    if positions.ndim == 3 and len(positions) != len(run):
        raise ValueError(
            f"points: expected one entry for each of {len(run)} rows, got {len(positions)}"
        )
    check_corners(eye_corners, positions)
    return positions


def _column(run: Run, name: str) -> FloatArray:
    """A column of numbers, NaN where the run has none."""
    return np.asarray(run.rows.get(name, np.full(len(run), np.nan)), dtype=np.float64)


def _other_points(eyes: BeforeAfter[EyeCornerTable]) -> list[str]:
    """Points that are no eye corners lie elsewhere in the canonical frame."""
    if eyes.after is None:
        return []
    left, right = eye_corners_of(eyes.after.shape)
    expected, found = float(np.hypot(*(right - left))), eyes.after.eye_distance
    if FARTHEST**-1 * expected < found < FARTHEST * expected:
        return []
    return [
        f"the points of --eye-corners lie {found:.0f} px apart in the canonical frame, outer eye "
        f"corners about {expected:.0f}: are they others? (FGNET's are 27,29,34,32, those of dlib's "
        "68 points 36,39,42,45)"
    ]


def _blurred(seen: BeforeAfter[Pictures]) -> list[str]:
    """A sample that RASL left in two places has a dictionary of both, and every frame is good."""
    kept = seen.after.sharpness.kept if seen.after else 1.0
    if not kept < KEPT:
        return []
    return [
        f"the mean picture keeps {kept:.0%} of the sharpness of its frames: they differ, are noisy "
        "or, good or not, lie apart; of a thing that does not change try --features grey"
    ]


def _points_of_the_start(before: FloatArray, outer: FloatArray) -> list[str]:
    """Points that do not move before alignment are where the transforms were taken from."""
    seen = map_to_canonical(before, outer)
    known = np.isfinite(seen).all(axis=(1, 2))
    if known.sum() < 2 or seen[known].std(axis=0).max() > STANDS_STILL:
        return []
    return [
        "before alignment the outer eye corners stand still: the frames started from these very "
        "points, whose own noise now counts as motion; measure with others"
    ]


def _notes(run: Run, has_before: bool, compared: npt.NDArray[np.bool_]) -> list[str]:
    notes = []
    if not run.complete:
        notes.append(f"the run was interrupted: this is about the {len(run)} rows written so far")
    doubtful = run.rows["frame"][(run.status == "converged") & ~run.good]
    if len(doubtful):
        shown = ", ".join(str(number) for number in doubtful[:10])
        more = f" and {len(doubtful) - 10} more" if len(doubtful) > 10 else ""
        notes.append(f"converged, but doubtful: frames {shown}{more}")
    if not run.good.any():
        notes.append("no frame is good: there is nothing to measure")
    elif not compared.any():
        notes.append("no good frame has a transform before alignment: there is nothing to compare")
    elif has_before and compared.sum() < run.good.sum():
        missing = int(run.good.sum() - compared.sum())
        notes.append(f"{missing} good rows have no transform before alignment and do not count")
    return notes


def _speed(facts: Mapping[str, Any]) -> dict[str, Any]:
    seconds = dict(facts.get("seconds") or {})
    if "seconds_of_fit" in facts:
        seconds = {"fit": facts["seconds_of_fit"], **seconds}
    names = ("frames_per_second", "peak_memory_mb")
    found = {name: facts[name] for name in names if facts.get(name) is not None}
    return {**found, **({"seconds": seconds} if seconds else {})}


def _eye_corners(
    run: Run,
    before: FloatArray,
    compared: npt.NDArray[np.bool_],
    points: FloatArray | None,
    corners: Sequence[int],
    has_before: bool,
) -> tuple[BeforeAfter[EyeCornerTable], EyeCornerTable | None, FloatArray | None]:
    """Tables before, after, of all rows; and the error of every row after alignment."""
    if points is None:
        return BeforeAfter(), None, None
    after, shape = run.frame_from_canonical, run.shape

    def table(transforms: FloatArray, use: npt.NDArray[np.bool_] | None) -> EyeCornerTable:
        return eye_corner_table(transforms, points, corners, shape, use)

    tables = BeforeAfter(table(before, compared) if has_before else None, table(after, compared))
    with_transform = invertible(after)
    everything = table(after, None) if (with_transform & ~compared).any() else None
    errors = eye_corner_errors(after, points, corners, compared if compared.any() else None)
    return tables, everything, errors.mean(axis=1)


def _jitter(
    run: Run,
    before: FloatArray,
    compared: npt.NDArray[np.bool_],
    points: FloatArray | None,
    corners: Sequence[int],
    caption: str,
) -> tuple[BeforeAfter[Jitter], FloatArray]:
    """Before and after, and that of every row after alignment."""
    if run.independent:
        return BeforeAfter(), np.full(len(run), np.nan)

    def measure(transforms: FloatArray) -> JitterOfFrames:
        used = np.where(compared[:, None, None], transforms, np.nan)
        if points is None:
            return corner_jitter(used, run.shape, run.rows["frame"], run.stream)
        eyes = points[:, check_corners(corners, points)]
        return point_jitter(used, eyes, run.rows["frame"], run.stream)

    after = measure(run.frame_from_canonical)
    # The corners of a fixed crop do not move at all.
    moving = points is not None or caption == INITIAL_TRANSFORMS
    start = measure(before).overall if moving else None
    return BeforeAfter(start, after.overall), after.per_frame


def _look(
    run: Run,
    sides: list[FloatArray],
    rows: npt.NDArray[np.int64],
    region: npt.NDArray[np.bool_],
    progress: Callable[[int, int], None] | None,
    notes: list[str],
) -> BeforeAfter[Pictures]:
    """The frames before and after; where they have gone, what the aligned video shows."""
    rows = spread_evenly(rows)
    thing, _ = _region(FACE if run.of_face else None, run)
    frames, missing = open_shown(run)
    if frames is None:
        notes.append(f"no variance and no sharpness: {missing}")
        return BeforeAfter()
    position = run.position
    if missing:
        notes.append(f"variance and sharpness are of aligned.mp4, after alignment only: {missing}")
        position, sides = np.arange(len(run)), [np.tile(np.eye(3), (len(run), 1, 1))]
    with frames:
        seen = look_at(
            frames, position[rows], [side[rows] for side in sides], region, thing, progress
        )
    return BeforeAfter(seen[0] if len(seen) > 1 else None, seen[-1] if seen else None)
