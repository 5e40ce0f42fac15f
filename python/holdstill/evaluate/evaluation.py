"""What an evaluation holds: figures of a run, before alignment and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.evaluate.eye_corners import EyeCornerTable
from holdstill.evaluate.jitter import Jitter
from holdstill.evaluate.pictures import GreyImage
from holdstill.evaluate.sharpness import Sharpness
from holdstill.evaluate.text import as_text
from holdstill.evaluate.variance import RegionVariance

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class BeforeAfter(Generic[T]):
    """A figure of the same frames before alignment and after; None where it is not known."""

    before: T | None = None
    after: T | None = None

    def __bool__(self) -> bool:
        return self.before is not None or self.after is not None

    def map(self, of: Callable[[T], U | None]) -> BeforeAfter[U]:
        """Something of each."""
        return BeforeAfter(
            None if self.before is None else of(self.before),
            None if self.after is None else of(self.after),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return both as plain numbers."""
        return {name: None if v is None else v.to_dict() for name, v in vars(self).items()}


@dataclass(frozen=True)
class Spread:
    """Mean, median, smallest and largest of a column; NaN where nothing is known."""

    mean: float
    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Spread:
        """The spread of the finite values."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if not len(known):
            return cls(np.nan, np.nan, np.nan, np.nan)
        return cls(
            float(known.mean()), float(np.median(known)), float(known.min()), float(known.max())
        )

    def to_dict(self) -> dict[str, float]:
        """Return the figures as plain numbers."""
        return dict(vars(self))


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """What a run is worth; ``print`` it.

    Before and after are of the same frames: those that are good and have a transform before
    alignment, too.

    Attributes
    ----------
    run : str
        Folder of the run.
    rows : int
        Rows: frames, or faces of them.
    status : dict of str to int
        How many rows ended how.
    good : int
        Good rows.
    compared : int
        Rows that before and after are compared on.
    complete : bool
        Whether the run came to its end.
    before : str
        What before is: the initial transforms, a fixed crop, or nothing.
    transforms : BeforeAfter of ndarray (rows, 3, 3) float64
        frame_from_canonical, NaN where a row has none; before is None where no row has one.
    iterations, residual, quality : Spread
        Over the rows that were solved.
    speed : dict
        Of ``run.json``: ``frames_per_second``, ``peak_memory_mb``, ``seconds`` by stage, as far as
        it has them.
    eye_corners : BeforeAfter of EyeCornerTable
        Empty without points.
    all_eye_corners : EyeCornerTable or None
        After alignment of every row with a transform, where some of these are not compared.
    jitter : BeforeAfter of Jitter
        Of the eye corners where there are points, else of the transforms; see
        `holdstill.evaluate.Jitter`. Before is None where it is a crop that does not move.
    of_face : bool
        Whether the run tells that it is of a face; see `holdstill.Run.of_face`.
    region : str
        Where `variance` is measured.
    variance : BeforeAfter of RegionVariance
    sharpness : BeforeAfter of Sharpness
        Of the mean image: in the face, of other things in the run's region of interest.
    mean_image : BeforeAfter of ndarray (h, w) float32
        Mean of the frames in the canonical frame, grey levels from 0 to 255.
    pictures : int
        Frames that `variance`, `sharpness` and `mean_image` are of: the compared ones, evenly
        thinned out where there are more than `holdstill.evaluate.MOST_FRAMES`.
    per_frame : dict of str to ndarray of length rows
        ``source``, ``frame``, ``face`` (of registered faces), ``status``, ``good``, ``compared``,
        ``iterations``, ``residual``, ``quality``, ``jitter`` (canonical pixels) and, with points,
        ``eye_corner_error`` (mean over the four, pixels at 100 px between the outer ones).
    notes : tuple of str
        What could not be measured, and why.
    """

    run: str
    rows: int
    status: dict[str, int]
    good: int
    compared: int
    complete: bool
    before: str
    transforms: BeforeAfter[FloatArray]
    iterations: Spread
    residual: Spread
    quality: Spread
    speed: dict[str, Any]
    eye_corners: BeforeAfter[EyeCornerTable]
    all_eye_corners: EyeCornerTable | None
    jitter: BeforeAfter[Jitter]
    of_face: bool
    region: str
    variance: BeforeAfter[RegionVariance]
    sharpness: BeforeAfter[Sharpness]
    mean_image: BeforeAfter[GreyImage]
    pictures: int
    per_frame: dict[str, npt.NDArray[Any]]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all but images and columns as plain numbers and texts."""
        left_out = ("transforms", "mean_image", "per_frame", "notes", "all_eye_corners")
        found = {
            name: value.to_dict() if hasattr(value, "to_dict") else value
            for name, value in vars(self).items()
            if name not in left_out
        }
        table = self.all_eye_corners
        found["eye_corners"]["all"] = None if table is None else table.to_dict()
        found["notes"] = list(self.notes)
        return found

    def __str__(self) -> str:
        return as_text(self)

    def __repr__(self) -> str:
        return f"Evaluation({self.run}: {self.rows} rows, {self.good} good)"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"
