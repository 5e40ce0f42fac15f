"""The pictures of a report: one video of frames before and after alignment, and thumbnails."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.evaluate import Evaluation
from holdstill.evaluate.pictures import open_shown
from holdstill.pictures import as_rgb8, canonical_picture
from holdstill.report.rows import Rows
from holdstill.run_folder import Run
from holdstill.segments import load_av
from holdstill.sources import Frame, FrameSource

Rgb = npt.NDArray[np.uint8]

SIDE = 288
"""Longer side of the player's pictures."""

THUMBNAIL = 120
"""Longer side of the gallery's."""

VIDEO_BYTES = 5_200_000
"""Size of the video at most: in base64 it is a third more."""

FPS = 25


@dataclass(frozen=True)
class Pictures:
    """What a report shows of the frames.

    Attributes
    ----------
    video : bytes
        H.264 in MP4, 25 pictures a second, one for every row asked for: before alignment at the
        left, aligned at the right; the aligned alone where `before` is None. Empty without frames.
    shape : (int, int)
        Height and width of one picture.
    before : str or None
        What is shown before alignment.
    missing : str or None
        Why there is no picture before alignment, or none at all.
    thumbnails : mapping of int to bytes
        JPEG by row.
    """

    video: bytes
    shape: tuple[int, int]
    before: str | None
    missing: str | None
    thumbnails: Mapping[int, bytes]


def make_pictures(
    run: Run,
    found: Evaluation,
    rows: Rows,
    worst: Rows,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Read the frames of a run once and make its pictures.

    Parameters
    ----------
    run : Run
    found : Evaluation
        Of the run: it knows the transforms before alignment.
    rows : ndarray of int64
        Rows that the video shows, in order.
    worst : ndarray of int64
        Rows, among them, that get a thumbnail.
    progress : callable (done, total), optional
        Called after every picture.
    """
    canonical = run.shape
    shape = _fitted(canonical, SIDE, even=True)
    before, after = found.transforms.before, run.frame_from_canonical
    frames, missing = open_shown(run)
    if frames is None:
        return Pictures(b"", shape, None, missing, {})
    sides = [after] if missing or before is None else [before, after]
    positions = rows if missing else run.position[rows]
    thumbnails: dict[int, bytes] = {}
    wanted = set(worst.tolist())
    with frames:
        video = _Video(len(sides), shape, len(rows))
        for done, (row, frame) in enumerate(
            zip(rows.tolist(), _frames_at(frames, positions), strict=True), start=1
        ):
            if missing:
                halves = [_resized(frame, canonical, shape)]
            else:
                halves = [_seen(frame, side[row], canonical, shape) for side in sides]
            video.write(np.concatenate(halves, axis=1))
            if row in wanted:
                thumbnails[row] = _thumbnail(halves[-1], frame, after[row])
            if progress is not None:
                progress(done, len(rows))
    what = found.before if len(sides) > 1 else None
    return Pictures(video.close(), shape, what, missing, thumbnails)


def _frames_at(frames: FrameSource, positions: npt.NDArray[np.int64]) -> Iterator[Frame]:
    """Frames at some positions of a source, which rise; each stream is decoded once."""
    ends = np.cumsum([len(numbers) for numbers in frames.numbers])
    for stream, numbers in enumerate(frames.numbers):
        first = int(ends[stream]) - len(numbers)
        wanted = positions[(positions >= first) & (positions < ends[stream])].tolist()
        if not wanted:
            continue
        if not any(frames.run_up(stream, numbers[at - first]) for at in wanted):
            yield from (frames[at] for at in wanted)
            continue
        start, stop = numbers[wanted[0] - first], numbers[wanted[-1] - first] + 1
        turn = Counter(wanted)  # several faces of a frame are several rows
        for at, frame in enumerate(frames.read(stream, start, stop, numbers.step), wanted[0]):
            yield from repeat(frame, turn[at])


def _seen(
    frame: Frame,
    transform: FloatArray,
    canonical: tuple[int, int],
    shape: tuple[int, int],
) -> Rgb:
    # The centres of the pixels in the corners onto each other.
    y, x = ((old - 1) / max(1, new - 1) for old, new in zip(canonical, shape, strict=True))
    return canonical_picture(frame, transform @ np.diag([x, y, 1.0]), shape)


def _resized(frame: Frame, canonical: tuple[int, int], shape: tuple[int, int]) -> Rgb:
    from PIL import Image

    if frame.image is None:
        return np.zeros((*shape, 3), dtype=np.uint8)
    height, width = canonical  # without the row and column that an odd size was padded by
    picture = Image.fromarray(as_rgb8(frame.image)[:height, :width])
    return np.asarray(picture.resize(shape[::-1], Image.Resampling.BICUBIC))


def _fitted(shape: tuple[int, int], side: int, even: bool = False) -> tuple[int, int]:
    """A shape of the same proportions whose longer side is given."""
    unit = 2 if even else 1
    height, width = (max(1, round(edge * side / max(shape) / unit)) * unit for edge in shape)
    return height, width


def _thumbnail(aligned: Rgb, frame: Frame, transform: FloatArray) -> bytes:
    """A frame as it was aligned; the whole of it where it was not."""
    from PIL import Image

    image = None if np.isfinite(transform).all() else frame.image
    picture = aligned if image is None else as_rgb8(image)
    height, width = _fitted((picture.shape[0], picture.shape[1]), THUMBNAIL)
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=80, optimize=True)
    return file.getvalue()


class _Video:
    """An MP4 in memory whose size is bounded and in which any picture is quickly found."""

    def __init__(self, columns: int, shape: tuple[int, int], n_pictures: int) -> None:
        av = load_av()
        self._av, self._count, self._file = av, 0, io.BytesIO()
        self._container = av.open(self._file, "w", format="mp4")
        rate = VIDEO_BYTES * 8 * FPS // max(1, n_pictures)
        options = {
            "preset": "fast", "crf": "24", "bf": "0", "g": "24",
            # The quality is constant unless the size would become too much.
            "maxrate": str(rate), "bufsize": str(rate),
        }  # fmt: skip
        self._stream = self._container.add_stream("libx264", rate=FPS, options=options)
        self._stream.height, self._stream.width = shape[0], shape[1] * columns
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, FPS)

    def write(self, rgb: Rgb) -> None:
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, FPS)
        self._container.mux(self._stream.encode(frame))
        self._count += 1

    def close(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue()
