"""A file system whose answers fail to come, as a network's do."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import ClassVar

import pytest

fsspec = pytest.importorskip("fsspec")


class FlakyFiles(fsspec.get_filesystem_class("file")):
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
