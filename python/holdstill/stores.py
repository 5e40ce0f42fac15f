"""Where a run's folder is: on a local disk, or behind fsspec.

Whatever is written appears at once and whole: a local file is renamed into its place, and an object
store shows an object only when all of it has arrived.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from holdstill.optional import import_optional
from holdstill.outputs import OutputError, output_errors, replacing
from holdstill.sources.paths import is_folder, is_url
from holdstill.sources.retrying import again
from holdstill.tables import file_name

AT_ONCE = 8
"""Files that are read or written at a time behind a URL."""

_LOCK = ".lock"

_LOOKED_AT = 1.0
"""Seconds to wait for a lock: whoever looks whether it is held holds it for a moment."""


class Store(Protocol):
    """A folder, by the names of what is in it, with ``/`` between folders."""

    @property
    def address(self) -> str:
        """Path or URL of the folder."""

    @property
    def local(self) -> Path | None:
        """The folder on this machine's disks; None behind a URL."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; OutputError if that fails."""

    def put(self, name: str, file: Path) -> None:
        """The same with the content of a local file, which may be moved away."""

    def read(self, name: str) -> bytes:
        """Content of a file; FileNotFoundError if there is none."""

    def fetch(self, name: str, file: Path) -> None:
        """Copy a file to a local one."""

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""

    def names(self, folder: str = "") -> list[str]:
        """What is directly in a folder, sorted, without hidden files; empty if it is missing."""

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there."""


def numbers_in(store: Store, folder: str, suffix: str) -> list[int]:
    """Numbers of the files of a folder, such as ``0000012.json``, ascending; no other's files."""
    stems = (name.removesuffix(suffix) for name in store.names(folder) if name.endswith(suffix))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def open_store(address: str | os.PathLike[str]) -> Store:
    """The store at a path, or at a URL that fsspec knows.

    Parameters
    ----------
    address : str or path
        It need not exist.

    Returns
    -------
    Store

    Raises
    ------
    ImportError
        If fsspec, or its package for this kind of URL, is missing.
    OutputError
        If fsspec does not know this kind of URL.

    Examples
    --------
    >>> store = open_store("memory://runs/first")
    >>> store.write("parts/a.txt", b"abc")
    >>> store.names("parts"), store.read("parts/a.txt")
    (['a.txt'], b'abc')
    """
    text = os.fspath(address)
    return RemoteStore(text) if is_url(text) else LocalStore(text)


class LocalStore:
    """A folder on a disk."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    @property
    def address(self) -> str:
        return str(self._folder)

    @property
    def local(self) -> Path:
        return self._folder

    def write(self, name: str, content: bytes) -> None:
        with self._replacing(name) as temporary:
            temporary.write_bytes(content)

    def put(self, name: str, file: Path) -> None:
        with self._replacing(name) as temporary:
            shutil.move(file, temporary)

    @contextlib.contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        path = self._folder / name
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except NotADirectoryError as error:  # it would be inside a file
            raise FileNotFoundError(str(error)) from None

    def fetch(self, name: str, file: Path) -> None:
        shutil.copyfile(self._folder / name, file)

    def exists(self, name: str) -> bool:
        return (self._folder / name).exists()

    def names(self, folder: str = "") -> list[str]:
        try:
            found = os.listdir(self._folder / folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in found if not name.startswith("."))

    def remove(self, name: str) -> None:
        path = self._folder / name
        with output_errors(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


class RemoteStore:
    """A folder behind an fsspec URL, such as ``s3://bucket/runs/first``."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        fsspec = import_optional("fsspec", f"writing {url!r}")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self._url)
        except ValueError as error:
            raise OutputError(f"cannot write {url}: {error}") from error

    @property
    def address(self) -> str:
        return self._url

    @property
    def local(self) -> None:
        return None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else str(self._root)

    def write(self, name: str, content: bytes) -> None:
        with self._output_errors(name):
            again(lambda: self._files.pipe_file(self._path(name), content))

    def put(self, name: str, file: Path) -> None:
        with self._output_errors(name):
            again(lambda: self._files.put_file(str(file), self._path(name)))

    def read(self, name: str) -> bytes:
        content: bytes = again(lambda: self._files.cat_file(self._path(name)))
        return content

    def fetch(self, name: str, file: Path) -> None:
        again(lambda: self._files.get_file(self._path(name), str(file)))

    def exists(self, name: str) -> bool:
        self._files.invalidate_cache()
        try:
            again(lambda: self._files.info(self._path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def names(self, folder: str = "") -> list[str]:
        return [name for name, _ in self._listing(folder)]

    def _listing(self, folder: str) -> list[tuple[str, str]]:
        """Names and types of what is directly in a folder."""
        self._files.invalidate_cache()
        path = self._path(folder)
        try:
            found = again(lambda: self._files.ls(path, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return []
        # An object store lists a file as what is in itself, and a folder's marker as in it.
        kinds = {entry["name"].rstrip("/"): entry["type"] for entry in found}
        names = {p.rpartition("/")[2]: kinds[p] for p in kinds if p.strip("/") != path.strip("/")}
        return sorted((n, kind) for n, kind in names.items() if not n.startswith("."))

    def remove(self, name: str) -> None:
        path = glob.escape(self._path(name))  # fsspec would take it for a pattern
        with self._output_errors(name), contextlib.suppress(FileNotFoundError):
            again(lambda: self._files.rm(path, recursive=True))

    def copy(self, folder: str, place: Path) -> None:
        """Copy the files directly in a folder into a local one, many at a time."""
        names = [name for name, kind in self._listing(folder) if kind == "file"]
        place.mkdir(exist_ok=True)
        paths = [self._path(f"{folder}/{name}".lstrip("/")) for name in names]
        again(lambda: self._files.get(paths, [str(place / name) for name in names]))

    @contextlib.contextmanager
    def _output_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise OutputError(f"cannot write {self._url}/{name}: {error}") from error


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    # One for each process: threads do not follow into one that is forked.
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="holdstill-write")


def in_background(store: Store, work: Callable[[], None]) -> Future[None]:
    """Write something on a thread of its own where that is to wait for an answer, else now.

    Parameters
    ----------
    store : Store
        Where it is written.
    work : callable

    Returns
    -------
    Future
        Its `result` raises what the work has raised.
    """
    if store.local is None:
        return _pool(os.getpid()).submit(work)
    done: Future[None] = Future()
    work()
    done.set_result(None)
    return done


def copy_of(url: str, place: Path) -> Path:
    """Copy a file, or the files directly in a folder, from behind a URL.

    Parameters
    ----------
    url : str
    place : path
        A local folder.

    Returns
    -------
    path
        The copy, of the same name.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    """
    store, copy = RemoteStore(url), place / (file_name(url) or "copy")
    if not store.exists(""):
        raise FileNotFoundError(f"{url}: no such file or folder")
    if is_folder(url):
        store.copy("", copy)
    else:
        store.fetch("", copy)
    return copy


def refuse_url(folder: str | os.PathLike[str], what: str) -> None:
    """Raise OutputError where something is written into a run's folder on a disk only."""
    if is_url(os.fspath(folder)):
        raise OutputError(
            f"{os.fspath(folder)}: {what} is written into a folder on a disk; copy the run to one"
        )


@contextlib.contextmanager
def scratch(store: Store) -> Iterator[Path]:
    """A folder for unfinished files: beside what they become, or a temporary one."""
    if store.local is not None:
        with output_errors(store.local):
            store.local.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=store.local) as folder:
        yield Path(folder)


@contextlib.contextmanager
def lock(store: Store) -> Iterator[None]:
    """Hold a run's folder for this process alone.

    The operating system lets go of it when the process ends, however it ends. Behind a URL there
    are no locks: two runs there would write the same bytes, each for nothing.

    Raises
    ------
    OutputError
        If another process holds it.
    ImportError
        If filelock is missing.
    """
    if store.local is None:
        yield
        return
    with output_errors(store.local):
        store.local.mkdir(parents=True, exist_ok=True)
    filelock = import_optional("filelock", "writing a run")
    held = filelock.FileLock(store.local / _LOCK, thread_local=False)  # left by any thread
    try:
        held.acquire(timeout=_LOOKED_AT, poll_interval=0.05)
    except filelock.Timeout:
        raise OutputError(
            f"{store.local}: another process is writing this run; wait for its end, or choose "
            f"another folder (--out)"
        ) from None
    except OSError as error:
        raise OutputError(f"cannot write {store.local}: {error.strerror or error}") from error
    try:
        yield
    finally:
        held.release()


def is_locked(store: Store) -> bool:
    """Whether some process is writing there; False where that cannot be known."""
    if store.local is None or not (store.local / _LOCK).exists():
        return False
    filelock = import_optional("filelock", "looking at a run")
    held = filelock.FileLock(store.local / _LOCK)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return False
    held.release()
    return False
