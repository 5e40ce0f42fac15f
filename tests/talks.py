"""Talks to align as jobs of blocks: stacks and a video of the head, and what their runs write."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from clips import write_video
from stacks import content_of

import holdstill
from holdstill import Dictionary
from holdstill.run import align_to_folder
from holdstill.synthetic import TalkingHead

pytest.importorskip("pyarrow")
pytest.importorskip("av")
pytest.importorskip("zarr")

BLOCK = 100


@dataclass(frozen=True)
class Talk:
    """Sources on a disk, their frames' initial transforms, and a dictionary of the first."""

    folder: Path
    sources: list[str]
    initial: npt.NDArray[np.float64]
    dictionary: Dictionary

    def frames(self) -> holdstill.sources.FrameSource:
        return holdstill.open(self.sources)

    def align(self, out, **options):
        given = {"block_frames": BLOCK, "zarr": True, "threads": 1, **options}
        return align_to_folder(self.frames(), self.dictionary, out, self.initial, **given)


def make_talk(folder: Path, *lengths: int) -> Talk:
    """A video of the last length, after stacks of the others."""
    head = TalkingHead(sum(lengths), size=(64, 80), shape=(32, 32), occlusion=False)
    pictures, initial = np.stack(list(head)), head.initial(1.0)
    *stacks, last = np.split(pictures, np.cumsum(lengths)[:-1])
    sources = [str(folder / f"{name}.npy") for name in "abc"[: len(stacks)]]
    for source, stack in zip(sources, stacks, strict=True):
        np.save(source, stack)
    sources.append(str(write_video(folder / f"{'abc'[len(stacks)]}.mp4", last)))
    dictionary = holdstill.fit(
        pictures[:100], initial[:100], n=12, shape=(32, 32), motion="similarity"
    )
    return Talk(folder, sources, initial, dictionary)


def written(folder: Path) -> dict[str, str]:
    """Digests of what must not depend on how a run was done."""
    elsewhere = {"run.json", "job.json", "blocks", ".lock", "aligned.zarr"}
    found = {"aligned.zarr": hashlib.sha256(content_of(folder / "aligned.zarr")).hexdigest()}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.is_file() and name.parts[0] not in elsewhere:
            found[str(name)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found
