"""Writing files so that nothing half-valid ever stands under a final name."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from holdstill.sources.errors import SourceError
from holdstill.sources.paths import is_url


class OutputError(OSError):
    """An output could not be written: a full disk, a folder without permission."""


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into OutputError that name the path.

    What is written may be read meanwhile: a source that has gone remains a SourceError.
    """
    try:
        yield
    except (OutputError, SourceError):
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def refuse_missing_folder(path: str | os.PathLike[str]) -> None:
    """Raise OutputError where a file has no folder to be in: now, not after the work."""
    if not Path(path).absolute().parent.is_dir():
        raise OutputError(f"{os.fspath(path)}: its folder does not exist")


def refuse_input(out: str | os.PathLike[str], inputs: Iterable[str]) -> None:
    """Raise FileExistsError where what is to be written is one of the files that are read."""
    if not os.path.isfile(out):
        return
    for name in inputs:
        if os.path.exists(name) and os.path.samefile(out, name):
            raise FileExistsError(
                f"{os.fspath(out)} is what this is made of, and would be replaced; choose another "
                "name (--out)"
            )


def refuse_unwritable_folder(path: str | os.PathLike[str]) -> None:
    """Raise OutputError where a local folder cannot be written: now, not after the work."""
    if is_url(os.fspath(path)):
        return
    folder = Path(path).absolute()
    new = [above for above in (folder, *folder.parents) if not above.exists()]
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        finally:
            for made in new:
                made.rmdir()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, which then becomes `path` at once."""
    temporary = _hidden(path)
    try:
        with output_errors(path):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """The same for a folder, new or empty: a hidden one is given, which becomes `path` at once."""
    temporary = _hidden(path)
    try:
        with output_errors(path):
            temporary.mkdir()
            yield temporary
            if path.is_dir():
                path.rmdir()
            os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _hidden(path: Path) -> Path:
    # A name of its own: others may be writing the same file.
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def as_json(value: Any) -> str:
    """A value as JSON text; NumPy values and paths become plain ones, NaN and infinity null."""
    return json.dumps(as_plain(value), indent=2, allow_nan=False)


def as_plain(value: Any) -> Any:
    """Turn NumPy values and paths into plain ones, and numbers that are not finite into None."""
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return as_plain(value.tolist())
    if isinstance(value, (list, tuple, set)):
        return [as_plain(item) for item in value]
    if isinstance(value, np.generic):
        return as_plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
