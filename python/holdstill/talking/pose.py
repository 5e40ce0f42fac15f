"""Which frames of a run show a mouth whose pose is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.reference.motion import map_points
from holdstill.run_frames import RunFrames
from holdstill.talking.region import outline

LEAST_SEEN = 0.5
"""Share of the region's border that has to be in a frame for its mouth to be replaced."""


def seen_share(rows: RunFrames) -> FloatArray:
    """Share of the mouth's outline inside of every frame, (n,); 0 where a frame is not good."""
    border = outline(rows.shape)
    share = np.zeros(len(rows))
    for row in np.flatnonzero(rows.run.good):
        height, width = rows.own_size(int(row))
        matrix = rows.run.frame_from_canonical[row]
        if np.isfinite(matrix).all():
            x, y = map_points(matrix, border).T
            inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
            share[row] = inside.mean()
    return share


def usable_rows(rows: RunFrames) -> npt.NDArray[np.bool_]:
    """Frames whose lips may be taken, (n,): good ones that show the whole region."""
    return np.asarray(seen_share(rows) == 1.0)
