"""What can go wrong with a long run, made to happen at chosen moments."""

from __future__ import annotations

import os
import signal
import sys

from stacks import content_of

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


def snapshot(folder):
    """Bytes of all that a run's frames came to: parts, video, pictures."""
    files = [*sorted((folder / "transforms.parquet").iterdir()), folder / "aligned.mp4"]
    found = {file.name: file.read_bytes() for file in files}
    return {**found, "aligned.zarr": content_of(folder / "aligned.zarr")}


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
