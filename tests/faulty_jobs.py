"""Jobs that things happen to: gone on with, they are the undisturbed ones, byte for byte.

The quick tests of them belong to every test run; ``make fault`` adds those marked `fault`, with
many more moments, and prints what every fault came to.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import faults
import pytest
from clips import rows_of, run_json, texts

import holdstill
from holdstill.cli import main
from holdstill.run import align_to_folder

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("zarr")
pytest.importorskip("filelock")

BLOCK = 100  # tracks are longer: four blocks
SOURCES = ("a.mp4", "b.mp4", "c.mp4")
FILES = ("--initial", "initial.csv", "--dictionary", "dictionary.npz")
ALIGN = ("align", *SOURCES, *FILES, "--out", "run", "--zarr", "--block-frames", BLOCK, "--quiet")
RUN = Path("run")


@dataclass(frozen=True)
class Job:
    """Three clips to align in the working directory, and what they come to undisturbed."""

    folder: Path  # of the clips, to be copied
    expected: dict[str, bytes]
    rows: dict[str, list]

    def align(self, *more):
        return main(texts(*ALIGN, "--threads", 1, "--resume", *more))

    def start(self, *more, change=None, folder="."):
        """The same in a process of its own, killed at a change of the folder if need be."""
        program = ["-m", "holdstill"] if change is None else [faults.__file__, change, "run"]
        return subprocess.Popen(
            texts(sys.executable, *program, *ALIGN, "--threads", 1, "--resume", *more),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def with_meddling(
        self, meddle=None, at=None, *, sources=SOURCES, initial="initial.csv", out=RUN, **options
    ):
        """In this process; something happens when so many frames are done."""
        dictionary = holdstill.Dictionary.load("dictionary.npz")
        given = {"threads": 1, "zarr": True, "block_frames": BLOCK, "resume": True, **options}

        def progress(done, total):
            if done == at:
                meddle()

        with holdstill.open(list(sources)) as frames:
            return align_to_folder(frames, dictionary, out, initial, progress=progress, **given)

    def unreadable(self):
        """Rows that have been lost, by source; all others are as they should be."""
        found = rows_of(RUN)
        assert len(found["frame"]) == len(self.rows["frame"])
        lost = [status == "unreadable" for status in found["status"]]
        for name, column in self.rows.items():
            for k, value in enumerate(column):
                assert lost[k] or found[name][k] == value, (name, k)
        return Counter(s for s, gone in zip(found["source"], lost, strict=True) if gone)

    def is_whole(self):
        """Gone on with, whether the run is the undisturbed one."""
        assert self.align() == 0
        assert run_json(RUN)["lost"] == []
        kept = (".lock", ".zarray")
        left = [str(p) for p in RUN.rglob("*") if p.name[0] == "." and p.name not in kept]
        assert [*left, *RUN.glob("fragments"), *RUN.glob("segments")] == []
        return faults.snapshot(RUN) == self.expected


def make_job(folder, clip, dictionary):
    header, *lines = clip.initial.read_text().splitlines()
    rows = [f"{source},{line}" for source in SOURCES for line in lines]
    (folder / "initial.csv").write_text("\n".join([f"source,{header}", *rows]))
    for source in SOURCES:
        shutil.copy(clip.video, folder / source)
    shutil.copy(dictionary, folder / "dictionary.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(texts(*ALIGN, "--threads", 1)) == 0
        assert len(list((RUN / "blocks").iterdir())) == 4
        job = Job(folder, faults.snapshot(RUN), rows_of(RUN))
        shutil.rmtree(RUN)
    return job


def some(quick, thorough):
    """Parameters for every test run, and further ones for ``make fault``."""
    quick = list(quick)
    more = [pytest.param(p, marks=pytest.mark.fault) for p in thorough if p not in quick]
    return [*quick, *more]


class Table:
    """What every fault came to: times injected, frames lost meanwhile, whether all came back."""

    def __init__(self):
        self._told = {}

    def __call__(self, fault, *, lost=0, whole=True, times=1):
        before = self._told.setdefault(fault, [0, 0, True])
        self._told[fault] = [before[0] + times, before[1] + lost, before[2] and whole]
        assert whole

    def __str__(self):
        width = max(map(len, self._told), default=0)
        lines = [
            f"| {'fault'.ljust(width)} | times | frames lost meanwhile | identical in the end |",
            f"| {'-' * width} | ----: | --------------------: | -------------------- |",
        ]
        for fault, (times, lost, whole) in self._told.items():
            end = "yes" if whole else "NO"
            lines.append(f"| {fault.ljust(width)} | {times:5} | {lost:21} | {end:20} |")
        return "\n".join(lines)
