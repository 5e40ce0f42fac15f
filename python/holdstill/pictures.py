"""Pictures to look at: frames seen in the canonical frame, and sheets of many of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.alignment import warp
from holdstill.optional import import_optional
from holdstill.sources import Frame

Rgb = npt.NDArray[np.uint8]

MOST_CELLS = 400
"""Pictures on a contact sheet at most: those of a longer run are evenly chosen."""

DARK = 32
"""Levels of 255 within which a picture is as good as black."""

_CELL_HEIGHT = 112
_LINE = 12
_GAP = 4
_GOOD, _BAD, _PAPER = (30, 120, 30), (180, 40, 30), 250


def canonical_picture(
    frame: Frame, frame_from_canonical: FloatArray | None, shape: tuple[int, int]
) -> Rgb:
    """A frame seen in the canonical frame, as 8-bit RGB; black where it has no transform.

    Parameters
    ----------
    frame : Frame
    frame_from_canonical : ndarray (3, 3), or None
    shape : (int, int)
        Height and width of the picture.

    Returns
    -------
    ndarray, shape (h, w, 3), uint8
    """
    if frame_from_canonical is None or frame.image is None:
        return np.zeros((*shape, 3), dtype=np.uint8)
    if not np.isfinite(frame_from_canonical).all():
        return np.zeros((*shape, 3), dtype=np.uint8)
    return as_rgb8(warp(frame.image, frame_from_canonical, shape))


def as_rgb8(picture: npt.NDArray[Any]) -> Rgb:
    """A picture of any dtype, grey or RGB, as 8-bit RGB."""
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = grey_as_shown(picture, white_of_floats(picture))
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    return np.ascontiguousarray(picture)


def white_of_floats(picture: npt.NDArray[Any]) -> float:
    """The level of a picture of floats that is white: 1 where none is above it, else 255."""
    return 1.0 if np.nan_to_num(picture).max(initial=0.0) <= 1.0 else 255.0


def white_of_means(*pictures: npt.NDArray[Any]) -> float:
    """The level that is white in means of frames that are shown beside one another.

    That of floats, but levels of another range, 12 bits say, have their maximum.

    Examples
    --------
    >>> frame = np.full((2, 2), 0.5, np.float32)
    >>> white_of_means(frame), white_of_means(100 * frame), white_of_means(frame, 1000 * frame)
    (1.0, 255.0, 500.0)
    """
    brightest = np.array([np.nan_to_num(picture).max(initial=0.0) for picture in pictures])
    white = white_of_floats(brightest)
    top = float(brightest.max(initial=0.0))
    return white if top <= 1.0 or DARK <= top <= white else top


def grey_as_shown(picture: npt.NDArray[Any], white: float) -> npt.NDArray[np.uint8]:
    """Levels from 0 to `white` as those from 0 to 255; others are clipped, NaN is black."""
    levels = np.nan_to_num(picture.astype(np.float32))
    return np.asarray(np.clip(levels * (255.0 / white) + 0.5, 0, 255), dtype=np.uint8)


@dataclass
class ContactSheet:
    """Faces of a run in a grid, each with what is known about it below.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the canonical frame, for the proportions of a cell.
    n_frames : int
        Frames to come.

    Raises
    ------
    ImportError
        If Pillow is missing.

    Examples
    --------
    >>> sheet = ContactSheet((64, 64), 1)
    >>> face = Frame("ann.png", 0, None, np.zeros((90, 90), np.uint8))
    >>> sheet.add(face, np.eye(3), ["ann", "converged"], good=True)
    >>> sheet.draw().dtype
    dtype('uint8')
    """

    shape: tuple[int, int]
    n_frames: int
    _cells: list[tuple[Rgb, list[str], bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Asked for now, not after an hour's work.
        self._pillow = import_optional("PIL.Image", "writing pictures")

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width of the picture in a cell."""
        return _CELL_HEIGHT, max(1, round(_CELL_HEIGHT * self.shape[1] / self.shape[0]))

    def wants(self, row: int) -> bool:
        """Whether the frame of this row is shown."""
        return row % -(-max(1, self.n_frames) // MOST_CELLS) == 0

    def add(
        self,
        frame: Frame,
        frame_from_canonical: FloatArray | None,
        lines: list[str],
        good: bool,
    ) -> None:
        """Show a face; without a transform the whole frame stands in its place."""
        if len(self._cells) >= MOST_CELLS:
            return
        height, width = self.cell
        if frame_from_canonical is None and frame.image is not None:
            picture = self._whole(frame.image)
        else:
            if frame_from_canonical is not None:
                to_cell = np.diag([self.shape[1] / width, self.shape[0] / height, 1.0])
                frame_from_canonical = frame_from_canonical @ to_cell
            picture = canonical_picture(frame, frame_from_canonical, (height, width))
        self._cells.append((picture, lines, good))

    def _whole(self, image: npt.NDArray[Any]) -> Rgb:
        small = self._pillow.fromarray(as_rgb8(image))
        small.thumbnail(self.cell[::-1])
        shown = np.full((*self.cell, 3), 90, dtype=np.uint8)
        pixels = np.asarray(small)
        top, left = ((np.array(self.cell) - pixels.shape[:2]) // 2).tolist()
        shown[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return shown

    def draw(self) -> Rgb | None:
        """The sheet, (H, W, 3) uint8; None where nothing was added."""
        if not self._cells:
            return None
        height, width = self.cell
        n_lines = max(len(lines) for _, lines, _ in self._cells)
        count = len(self._cells)
        columns = min(count, max(6, int(np.ceil(np.sqrt(count)))))
        step = height + n_lines * _LINE + 2 * _GAP, width + 2 * _GAP
        size = step[1] * columns, step[0] * -(-count // columns)
        sheet = self._pillow.new("RGB", size, (_PAPER,) * 3)
        draw = import_optional("PIL.ImageDraw", "writing pictures").Draw(sheet)
        for number, (picture, lines, good) in enumerate(self._cells):
            y, x = (number // columns) * step[0] + _GAP, (number % columns) * step[1] + _GAP
            sheet.paste(self._pillow.fromarray(picture), (x, y))
            for k, line in enumerate(lines):
                text = _fitting(draw, line, width)
                draw.text((x, y + height + k * _LINE), text, fill=_GOOD if good else _BAD)
        return np.asarray(sheet)


def _fitting(draw: Any, line: str, width: int) -> str:
    """What of a line fits; the end of a name tells more than its beginning."""
    # Pillow's built-in font knows Latin letters only.
    text = line.encode("latin-1", "replace").decode("latin-1")
    if draw.textlength(text) <= width:
        return text
    while text and draw.textlength("..." + text) > width:
        text = text[1:]
    return "..." + text
