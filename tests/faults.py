"""What can go wrong with a long run, made to happen at chosen moments."""

from __future__ import annotations

import os
import signal
import sys
from collections import defaultdict
from pathlib import Path
from typing import ClassVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def die_at(change, folder):
    """Have this process killed right before the k-th change to what is in a folder.

    Parameters
    ----------
    change : int
        From 1; 0 counts only, and prints the number when the process ends.
    folder : str
    """
    folder, seen = os.path.abspath(folder), 0

    def watch(event, arguments):
        nonlocal seen
        writes = (
            event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        )
        if not (writes or event in _CHANGES) or not isinstance(arguments[0], (str, os.PathLike)):
            return
        if os.path.abspath(arguments[0]).startswith(folder):
            seen += 1
            if seen == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return lambda: seen


class FlakyFiles(LocalFileSystem):
    """Local files at ``flaky:///path`` whose every reading and writing may fail.

    `failures` says how often in a row something fails before it works, by the method's name.
    """

    protocol = "flaky"
    cachable = False
    failures: ClassVar[dict[str, int]] = {}
    _failed: ClassVar[defaultdict[tuple[str, str, int], int]] = defaultdict(int)
    injected = 0

    @classmethod
    def fails(cls, **failures):
        cls.failures, cls.injected = failures, 0
        cls._failed.clear()

    @classmethod
    def _maybe(cls, method, path, offset=0):
        key = method, str(path), offset
        if cls._failed[key] < cls.failures.get(method, 0):
            cls._failed[key] += 1
            cls.injected += 1
            raise ConnectionResetError(104, f"Connection reset by peer: {method} {path}")

    def _open(self, path, mode="rb", **kwargs):
        self._maybe("open", path)
        file = super()._open(path, mode, **kwargs)
        read = file.read

        def flaky_read(size=-1):
            self._maybe("read", path, file.tell())
            return read(size)

        file.read = flaky_read
        return file

    def cat_file(self, path, *arguments, **kwargs):
        self._maybe("cat_file", path)
        return super().cat_file(path, *arguments, **kwargs)

    def pipe_file(self, path, value, **kwargs):
        self._maybe("pipe_file", path)
        os.makedirs(os.path.dirname(self._strip_protocol(path)), exist_ok=True)
        return super().pipe_file(path, value, **kwargs)

    def put_file(self, lpath, rpath, *arguments, **kwargs):
        self._maybe("put_file", rpath)
        os.makedirs(os.path.dirname(self._strip_protocol(rpath)), exist_ok=True)
        return super().put_file(lpath, rpath, *arguments, **kwargs)

    def info(self, path, **kwargs):
        if isinstance(path, str):  # else an entry of a listing
            self._maybe("info", path)
        return super().info(path, **kwargs)


fsspec.register_implementation("flaky", FlakyFiles, clobber=True)


def snapshot(folder):
    """Bytes of all that a run's frames came to: parts, video, pictures."""
    folder = Path(folder)
    found = {
        str(file.relative_to(folder)): file.read_bytes()
        for name in ("transforms.parquet", "aligned.zarr")
        for file in sorted((folder / name).rglob("*"))
        if file.is_file()
    }
    return {**found, "aligned.mp4": (folder / "aligned.mp4").read_bytes()}


def flip(file, at=0.5):
    """Change one bit of a file; its times stay."""
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x10
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(file, to=0.5):
    """Shorten a file."""
    os.truncate(file, int(to * file.stat().st_size))


if __name__ == "__main__":  # the command line, killed at a change: K FOLDER ARGUMENTS...
    from holdstill.cli import main

    count = die_at(int(sys.argv[1]), sys.argv[2])
    code = main(sys.argv[3:])
    print(count())
    sys.exit(code)
