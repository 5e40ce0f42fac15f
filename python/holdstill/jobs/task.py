"""What all blocks of a job have in common."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from holdstill.dictionary import Dictionary
from holdstill.initial import Initial, Initialiser, make_initial
from holdstill.initial_rows import ANGLES
from holdstill.jobs.crops import Crops
from holdstill.parts import COLUMNS
from holdstill.solver_options import SolverOptions
from holdstill.sources import FrameSource
from holdstill.stores import Store
from holdstill.tracking import Aligners
from holdstill.transforms import read_transforms


@dataclass(frozen=True)
class Outputs:
    """Where the blocks of a job are written, and as what.

    Attributes
    ----------
    store : Store
        The run's folder.
    fps : float
        Of the aligned video.
    video : bool
        Whether there is one.
    crops : Crops or None
        The array of aligned pictures, if there is one.
    """

    store: Store
    fps: float
    video: bool
    crops: Crops | None


log = logging.getLogger("holdstill")


@dataclass(frozen=True)
class Task:
    """What all blocks of a job have in common; a worker needs it once.

    Attributes
    ----------
    dictionary : Dictionary
    initial : None, array, mapping or callable
        As :func:`holdstill.initial.make_initial` takes it, files read already.
    options : SolverOptions
    independent, face
        As in :func:`holdstill.align`.
    n_rows, n_streams : int
        Rows of the job, and its readable streams.
    """

    dictionary: Dictionary
    initial: Initial
    options: SolverOptions
    independent: bool
    face: str
    n_rows: int
    n_streams: int

    @classmethod
    def of(
        cls,
        frames: FrameSource,
        dictionary: Dictionary,
        initial: Initial,
        options: SolverOptions,
        *,
        independent: bool,
        face: str,
    ) -> Task:
        """That of a source; wrong arguments are refused here, and not on a worker."""
        n_rows, n_streams = len(frames), frames.n_readable
        task = cls(dictionary, initial, options, independent, face, n_rows, n_streams)
        _ = task.aligners
        longest = max((s.frames for s in frames.streams if s.error is None), default=0)
        last = task.starts.last_frame
        if last is not None and last >= longest > 0:
            log.warning(
                "the initial transforms go on to frame %d, the sources to frame %d at most: are "
                "they about another video, or another frame rate?",
                last,
                longest - 1,
            )
        return task

    @cached_property
    def aligners(self) -> Aligners:
        """What aligns frames, made once in each process."""
        return Aligners.of(self.dictionary, self.options)

    @cached_property
    def starts(self) -> Initialiser:
        """Where initial transforms come from, made once in each process."""
        return make_initial(
            self.initial,
            self.dictionary.shape,
            independent=self.independent,
            face=self.face,
            n_rows=self.n_rows,
            n_streams=self.n_streams,
        )

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns of the parts."""
        return {**COLUMNS, **dict.fromkeys(ANGLES if self.starts.has_angles else (), "float64")}

    def __getstate__(self) -> dict[str, Any]:
        made = ("aligners", "starts")
        state = {name: value for name, value in self.__dict__.items() if name not in made}
        if isinstance(self.initial, (str, os.PathLike)):  # a file that others may not see
            state["initial"] = read_transforms(self.initial, shape=self.dictionary.shape)
        return state
