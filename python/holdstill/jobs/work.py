"""Doing a block, in any process."""

from __future__ import annotations

from dataclasses import replace

from holdstill.alignment import Alignment
from holdstill.jobs.blocks import PortableBlock, Versions
from holdstill.jobs.finishing import finish_block
from holdstill.jobs.following import follow_tracks
from holdstill.jobs.records import Record
from holdstill.jobs.task import Outputs, Task
from holdstill.passes import align_pass
from holdstill.stores import scratch


def align_block(task: Task, outputs: Outputs, portable: PortableBlock) -> Record:
    """Align a block and write all that comes of it, on one thread, in any process.

    The bytes written depend on the block alone. Doing it twice, or twice at a time, does no harm.

    Parameters
    ----------
    task : Task
    outputs : Outputs
    portable : PortableBlock

    Returns
    -------
    mapping
        The block's record; see :mod:`holdstill.jobs.records`.

    Raises
    ------
    holdstill.outputs.OutputError
        If something cannot be written.
    ValueError
        If the initial transforms do not fit to the source.
    """
    block = portable.block
    frames = portable.open()
    names = [portion.name for portion in portable.portions]
    versions = Versions(dict(zip(names, portable.versions, strict=True)))
    with frames, scratch(outputs.store) as folder:
        done = [
            followed
            for tracks in block.passes
            for followed in follow_tracks(task, outputs, frames, tracks, folder)
        ]
        return finish_block(task, outputs, block, done, versions, folder)


def align_rows(task: Task, portable: PortableBlock) -> list[Alignment]:
    """Align a block and return its rows, on one thread, in any process.

    Parameters
    ----------
    task : Task
    portable : PortableBlock

    Returns
    -------
    list of Alignment
        Without the weights of the pixels.
    """
    with portable.open() as frames:
        return [
            replace(found, weights=None)
            for tracks in portable.block.passes
            for _, found in align_pass(frames, tracks, task.aligners, task.starts)
        ]
