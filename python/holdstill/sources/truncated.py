"""MP4 files of which the end is missing."""

from __future__ import annotations

import io
import struct
from typing import IO, cast

from .paths import open_binary

LAST_OFFSET = 2**63 - 1
"""Of a file, as operating systems count."""


class PaddedFile(io.RawIOBase):
    """A truncated MP4 or QuickTime file, with zeros to the end that its boxes promise.

    The demuxer stops at the first sample that is not there. With the zeros it lists all samples,
    with their timestamps, so that the frames cut off keep their numbers and times.
    """

    def __init__(self, file: IO[bytes], available: int, promised: int) -> None:
        super().__init__()
        self._file = file
        self._available = available
        self._promised = promised
        self._position = 0

    @classmethod
    def around(cls, path: str) -> IO[bytes]:
        """The file at a path or URL, padded if something is cut off."""
        file = open_binary(path)
        available, promised = _box_extent(file)
        if promised > available:
            return cast(IO[bytes], cls(file, available, promised))
        file.seek(0)
        return file

    @property
    def available(self) -> int:
        """Bytes that are there."""
        return self._available

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._promised}[whence]
        # A box may claim more bytes than there are offsets, to which FFmpeg then seeks.
        self._position = min(max(0, base + offset), LAST_OFFSET)
        return self._position

    def read(self, size: int = -1) -> bytes:
        rest = max(0, self._promised - self._position)
        size = rest if size < 0 else min(size, rest)
        self._file.seek(min(self._position, self._available))
        content = self._file.read(min(size, max(0, self._available - self._position)))
        self._position += size
        return content + bytes(size - len(content))

    def close(self) -> None:
        self._file.close()
        super().close()


def _box_extent(file: IO[bytes]) -> tuple[int, int]:
    """Size of a file, and where its last top-level box should end (ISO/IEC 14496-12 §4.2).

    The end is 0 for a file without such boxes, or whose index of samples is not complete.
    """
    available = file.seek(0, io.SEEK_END)
    position = 0
    has_index = False
    while position + 8 <= available:
        file.seek(position)
        header = file.read(16)
        size, name = struct.unpack(">I4s", header[:8])
        if position == 0 and name not in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip"):
            return available, 0
        if size == 1 and len(header) == 16:
            size = struct.unpack(">Q", header[8:])[0]
        if size < 8:
            return available, 0
        has_index |= name == b"moov" and position + size <= available
        position += size
    return available, position if has_index else 0
