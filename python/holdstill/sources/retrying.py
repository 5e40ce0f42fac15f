"""Trying again what a network may fail at."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from typing import IO, TypeVar

Result = TypeVar("Result")

ATTEMPTS = 4
"""How often something behind a URL is tried before it is given up."""

FIRST_WAIT = 0.2
"""Seconds before the second attempt; each further one waits twice as long."""

_FINAL = (
    FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError,
    ValueError, TypeError, LookupError, ImportError, AttributeError,
)  # fmt: skip
"""Errors about the file or about what was asked for, and not about the way to it."""


def again(work: Callable[[], Result]) -> Result:
    """Do something, up to `ATTEMPTS` times while the way to it fails.

    Raises
    ------
    OSError
        That of the last attempt, at once where another would end alike. What else a network's
        package raises, such as botocore's or aiohttp's own errors, is an OSError here.

    Examples
    --------
    >>> answers = iter([OSError("reset by peer"), 7])
    >>> def ask():
    ...     answer = next(answers)
    ...     if isinstance(answer, OSError):
    ...         raise answer
    ...     return answer
    >>> again(ask)
    7
    """
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except _FINAL:
            raise
        except Exception as error:
            if attempt < ATTEMPTS - 1:
                time.sleep(FIRST_WAIT * 2**attempt)
            elif isinstance(error, OSError):
                raise
            else:
                raise OSError(f"{type(error).__name__}: {error}") from error
    raise AssertionError


class RetryingFile(io.RawIOBase):
    """A file to read and seek in, whose every reading is tried again.

    Parameters
    ----------
    open_file : callable
        Opens the file; again after a failure, since a broken connection stays broken.
    """

    def __init__(self, open_file: Callable[[], IO[bytes]]) -> None:
        super().__init__()
        self._open_file = open_file
        self._file: IO[bytes] | None = None
        self._position = 0
        again(self._opened)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = self._open_file()
            self._file.seek(self._position)
        return self._file

    def _attempt(self, work: Callable[[IO[bytes]], Result]) -> Result:
        def attempt() -> Result:
            try:
                return work(self._opened())
            except Exception:
                self._drop()
                raise

        return again(attempt)

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(Exception):  # it may be what failed
                file.close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        content = self._attempt(lambda file: file.read(-1 if size is None else size))
        self._position += len(content)
        return content

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        def move(file: IO[bytes]) -> int:
            if whence == io.SEEK_CUR:
                return file.seek(self._position + offset)
            return file.seek(offset, whence)

        self._position = self._attempt(move)
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._drop()
        super().close()
