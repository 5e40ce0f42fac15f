"""One frame of a source: its name, number, time and picture, or why there is none."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .grey import grey_from_rgb


class Picture(Protocol):
    """A decoded picture that is converted only when, and only to what, it is asked for."""

    def image(self) -> npt.NDArray[Any]:
        """Colour (H, W, 3), or (H, W) where the picture has none."""

    def grey(self) -> npt.NDArray[Any]:
        """Luma (H, W)."""


class ArrayPicture:
    """A picture that is an array already, (H, W) or (H, W, 3)."""

    __slots__ = ("_grey", "_image")

    def __init__(self, image: npt.NDArray[Any]) -> None:
        if image.dtype.kind == "f":
            image = image.astype(np.float32, copy=False)
        self._image = image
        self._grey = image if image.ndim == 2 else None

    def image(self) -> npt.NDArray[Any]:
        return self._image

    def grey(self) -> npt.NDArray[Any]:
        if self._grey is None:
            self._grey = grey_from_rgb(self._image)
        return self._grey


class Frame:
    """One frame of a source.

    Parameters
    ----------
    source : str
        The path as given, of its own file for an image; ``"array"`` for an array in memory.
    frame : int
        Number within its stream, from 0, in order of presentation; for images the position among
        the images of the source; -1 for a source that cannot be opened at all.
    time : float or None
        Timestamp in seconds, for videos.
    image : ndarray (H, W) or (H, W, 3), uint8, uint16 or float; Picture; or None
        Grey or RGB; any float becomes float32. None if the frame is unreadable.
    error : str or None
        Why it is unreadable.

    Examples
    --------
    >>> import numpy as np
    >>> frame = Frame("array", 3, image=np.zeros((576, 720, 3), np.uint8))
    >>> frame, frame.grey().shape
    (Frame('array', 3, 720x576 uint8 RGB), (576, 720))
    """

    __slots__ = ("_error", "_frame", "_picture", "_source", "_time")

    def __init__(
        self,
        source: str,
        frame: int,
        time: float | None = None,
        image: npt.NDArray[Any] | Picture | None = None,
        error: str | None = None,
    ) -> None:
        self._source = source
        self._frame = frame
        self._time = time
        self._picture = ArrayPicture(image) if isinstance(image, np.ndarray) else image
        self._error = error if image is not None or error is not None else "no picture"

    @property
    def source(self) -> str:
        """The path as given; ``"array"`` for an array in memory."""
        return self._source

    @property
    def frame(self) -> int:
        """Number within its stream, from 0; -1 for a source that cannot be opened."""
        return self._frame

    @property
    def time(self) -> float | None:
        """Timestamp in seconds; None for images and arrays."""
        return self._time

    @property
    def error(self) -> str | None:
        """Why the frame is unreadable; None if it is readable."""
        return self._error

    @property
    def readable(self) -> bool:
        """Whether the frame has a picture."""
        return self._picture is not None

    @property
    def image(self) -> npt.NDArray[Any] | None:
        """(H, W) grey or (H, W, 3) RGB, uint8, uint16 or float32; None if unreadable.

        The RGB of a video frame is computed when it is first asked for.
        """
        return None if self._picture is None else self._picture.image()

    def grey(self) -> npt.NDArray[Any]:
        """Luma, (H, W), in the dtype of the picture; of a video frame without the way through RGB.

        Raises
        ------
        ValueError
            If the frame is unreadable.
        """
        if self._picture is None:
            raise ValueError(
                f"frame {self._frame} of {self._source!r} is unreadable: {self._error}"
            )
        return self._picture.grey()

    def __reduce__(self) -> tuple[Any, ...]:
        return Frame, (self._source, self._frame, self._time, self.image, self._error)

    def __repr__(self) -> str:
        time = "" if self._time is None else f", {self._time:.3f} s"
        if self._picture is None:
            return f"Frame({self._source!r}, {self._frame}{time}, unreadable: {self._error})"
        image = self._picture.image()
        height, width = image.shape[:2]
        kind = "grey" if image.ndim == 2 else "RGB"
        return (
            f"Frame({self._source!r}, {self._frame}{time}, {width}x{height} {image.dtype} {kind})"
        )
