"""Viola-Jones face detection: where a track starts, and where it was lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.checks import positive
from holdstill.optional import import_optional

FACES = ("largest", "center", "left", "right")
"""Which face is taken, where several are found."""

CASCADE = "haarcascade_frontalface_default.xml"

_SEARCH_SIDE = 360
"""A frame is reduced to this longer side: a box is only a start, and time goes with the area."""

_SMALLEST_WINDOW = 24
"""Side of the cascade's window in pixels; smaller faces do not exist for it."""

_SMALLEST_FACE = 0.1
"""Smallest face looked for, as a fraction of the frame's shorter side."""

_LARGEST_SIDE = 4096
"""A frame is enlarged for small faces up to this longer side."""

_INSTALL = 'pip install "holdstill[cli]"'


class FaceDetector:
    """Viola-Jones detector of frontal faces: one box per frame, or all of them.

    A frame is searched twice at most: as it is, and where nothing was found once more with an
    equalised histogram and a laxer threshold. The object may be used from several threads: each has
    a cascade of its own, since OpenCV's is not safe to share.

    Parameters
    ----------
    minimum_size : float or None
        Smallest face looked for: side of its box in frame pixels. None is a tenth of the frame's
        shorter side. Below 24, the side of the detector's window, frames are enlarged.
    face : {"largest", "center", "left", "right"}
        Which box `detect` takes where there are several: the largest, the one whose centre is
        nearest to the frame's, or the one farthest to the image's left or right.

    Attributes
    ----------
    calls : int
        Number of frames searched so far.

    Raises
    ------
    ValueError
        If `minimum_size` is not a positive number or `face` is unknown.
    ImportError
        If OpenCV is missing, or is of a line that no longer ships this detector.

    Examples
    --------
    >>> detector = FaceDetector()
    >>> detector.detect(np.zeros((120, 160), np.uint8)) is None
    True
    >>> detector.calls
    1
    """

    def __init__(self, minimum_size: float | None = None, face: str = "largest") -> None:
        if minimum_size is not None:
            minimum_size = positive("minimum_size", minimum_size)
        if face not in FACES:
            raise ValueError(f"face: expected one of {', '.join(FACES)}, got {face!r}")
        self.minimum_size = minimum_size
        self.face = face
        self.calls = 0
        self._cv2 = _opencv()
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def detect(self, grey: npt.ArrayLike) -> FloatArray | None:
        """Find the face of a frame.

        Parameters
        ----------
        grey : array_like, shape (h, w), uint8 or any other real dtype
            Grey frame. Other dtypes than uint8 are scaled between their 0.1 and 99.9 percentiles.

        Returns
        -------
        ndarray, shape (4,), float64, or None
            x, y of the top left pixel, width and height in frame pixels; None if no face is found.

        Raises
        ------
        ValueError
            If `grey` is not a grey frame.
        """
        boxes = self.detect_all(grey)
        return self._choose(boxes, np.shape(grey)) if len(boxes) else None

    def detect_all(self, grey: npt.ArrayLike) -> FloatArray:
        """Find all faces of a frame.

        Parameters
        ----------
        grey : array_like, shape (h, w)
            As in :meth:`detect`.

        Returns
        -------
        ndarray, shape (n, 4), float64
            Boxes as :meth:`detect` returns them, from the topmost to the lowest, then from left to
            right.

        Raises
        ------
        ValueError
            If `grey` is not a grey frame.
        """
        image = _to_uint8(grey)
        with self._lock:
            self.calls += 1
        smallest = self.minimum_size or _SMALLEST_FACE * min(image.shape)
        # Only a size that was asked for enlarges a frame: a tenth of a small one is no face.
        limit = 1.0 if self.minimum_size is None else max(1.0, _LARGEST_SIDE / max(image.shape))
        rescale = max(min(1.0, _SEARCH_SIDE / max(image.shape)), _SMALLEST_WINDOW / smallest)
        rescale = min(rescale, limit)
        small = image
        if rescale != 1.0:
            size = [max(1, round(side * rescale)) for side in image.shape]
            how = self._cv2.INTER_AREA if rescale < 1.0 else self._cv2.INTER_LINEAR
            small = self._cv2.resize(image, size[::-1], interpolation=how)
        side = max(_SMALLEST_WINDOW, round(smallest * rescale))
        if min(small.shape) < side:
            return np.zeros((0, 4))
        boxes = self._search(small, side, neighbours=5)
        if len(boxes) == 0:
            boxes = self._search(self._cv2.equalizeHist(small), side, neighbours=2)
        # Pixel centres lie on integers: position q of the resized image is (q + 1/2)/r - 1/2.
        found = np.empty_like(boxes)
        per_axis = np.array(image.shape[::-1]) / np.array(small.shape[::-1])
        found[:, :2] = (boxes[:, :2] + 0.5) * per_axis - 0.5
        found[:, 2:] = boxes[:, 2:] * per_axis
        # OpenCV returns the boxes in no fixed order.
        return np.asarray(found[np.lexsort((found[:, 0], found[:, 1]))])

    def _search(self, image: npt.NDArray[np.uint8], side: int, neighbours: int) -> FloatArray:
        if not hasattr(self._of_thread, "cascade"):
            self._of_thread.cascade = _cascade(self._cv2)
        boxes = self._of_thread.cascade.detectMultiScale(
            image, scaleFactor=1.1, minNeighbors=neighbours, minSize=(side, side)
        )
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)

    def _choose(self, boxes: FloatArray, shape: tuple[int, ...]) -> FloatArray:
        offsets = boxes[:, :2] + boxes[:, 2:] / 2.0 - np.array(shape[::-1]) / 2.0
        wanted = {
            "largest": boxes[:, 2] * boxes[:, 3],
            "center": -np.hypot(offsets[:, 0], offsets[:, 1]),
            "left": -offsets[:, 0],
            "right": offsets[:, 0],
        }
        return np.array(boxes[np.argmax(wanted[self.face])])


def _opencv() -> Any:
    cv2 = import_optional("cv2", "face detection", name="OpenCV 4")
    if not hasattr(cv2, "CascadeClassifier"):
        raise ImportError(
            f"face detection needs OpenCV 4; {cv2.__version__} dropped the detector: {_INSTALL}"
        )
    return cv2


def _cascade(cv2: Any) -> Any:
    path = Path(cv2.data.haarcascades) / CASCADE
    cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
    if cascade is None or cascade.empty():
        raise ImportError(f"OpenCV {cv2.__version__} came without {CASCADE}: {_INSTALL}")
    return cascade


def _to_uint8(grey: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    image = np.asarray(grey)
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
        raise ValueError(
            f"grey: expected a real array of shape (h, w), got {image.dtype} {image.shape}"
        )
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    values = image.astype(np.float32)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(finite, (0.1, 99.9))
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(
        high - low, np.finfo(np.float32).tiny
    )
    return np.asarray(np.rint(255.0 * np.clip(scaled, 0.0, 1.0)), dtype=np.uint8)
