"""Image files: one frame a file, all of them one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from holdstill.optional import import_optional

from .frame import Frame
from .paths import open_binary
from .size_limits import refuse_large_picture
from .stream import Stream

_STORED_AS_THEY_ARE = ("L", "RGB", "F")


def read_image(path: str) -> npt.NDArray[Any]:
    """Decode one image file, turned upright by its EXIF orientation.

    Parameters
    ----------
    path : str
        A file or an fsspec URL in a format that Pillow reads. Of several pictures in a file the
        first is taken.

    Returns
    -------
    ndarray, shape (H, W) or (H, W, 3), uint8, uint16 or float32
        Grey files stay grey, with 16 bits or float if they have them; colour (palette, CMYK, ...)
        becomes 8-bit RGB. Alpha is dropped: the colours are those stored, not composited on
        anything.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    Exception
        Whatever Pillow raises for a damaged file.
    """
    pillow = import_optional("PIL.Image", f"reading {path!r}")
    with open_binary(path) as file:
        return _decode(file, pillow)


def _decode(file: IO[bytes], pillow: Any) -> npt.NDArray[Any]:
    orient = import_optional("PIL.ImageOps", "reading images").exif_transpose
    with pillow.open(file) as image:
        refuse_large_picture(image.height, image.width)
        image.load()
        image = orient(image)
        mode: str = image.mode
        if mode.startswith("I"):
            return _grey_from_integers(np.asarray(image))
        if mode not in _STORED_AS_THEY_ARE:
            image = image.convert("L" if mode in ("1", "LA", "La") else "RGB")
        return np.array(image)


def _grey_from_integers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As uint16, which Pillow widens in some formats, or float32 where that is too small."""
    if values.size and (values.min() < 0 or values.max() > 65535):
        return values.astype(np.float32)
    return values.astype(np.uint16)


class ImageFiles:
    """Reads image files as one stream; their sizes may differ.

    Parameters
    ----------
    name : str
        Name of the stream.
    paths : sequence of str
        The files, in order.
    numbers : range, optional
        Their frame numbers; from 0 by default.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """

    def __init__(self, name: str, paths: Sequence[str], numbers: range | None = None) -> None:
        import_optional("PIL.Image", "reading images")
        self._numbers = range(len(paths)) if numbers is None else numbers
        self.stream = Stream(name, self._numbers.stop)
        self._paths = tuple(paths)

    def files(self, numbers: range) -> tuple[str, ...]:
        """Paths of the frames of these numbers."""
        return tuple(self._paths[self._numbers.index(number)] for number in numbers)

    def run_up(self, number: int) -> int:
        return 0

    def frame(self, number: int) -> Frame:
        path = self._paths[self._numbers.index(number)]
        try:
            return Frame(path, number, image=read_image(path))
        # A damaged file makes Pillow raise nearly anything (OSError, SyntaxError, struct.error,
        # IndexError, ...), and no single file may stop a run.
        except Exception as error:
            return Frame(path, number, error=f"{type(error).__name__}: {error}")

    def frames(self, numbers: range) -> Iterator[Frame]:
        return map(self.frame, numbers)

    def release(self) -> None:
        """Nothing stays open."""
