"""A job: a source, a dictionary, a folder, and what of it is done."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

from holdstill import _core
from holdstill.checks import integer
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial
from holdstill.jobs.blocks import BLOCK_FRAMES, Block, PortableBlock, Versions, plan_blocks
from holdstill.jobs.crops import Crops
from holdstill.jobs.manifest import (
    manifest_of,
    read_manifest,
    refuse_changes,
    write_manifest,
)
from holdstill.jobs.records import (
    Record,
    digest_of_file,
    frames_of,
    holds,
    read_record,
)
from holdstill.jobs.summary import summarise
from holdstill.jobs.task import Outputs, Task
from holdstill.parts import load_pyarrow
from holdstill.recording import clear, refuse_other_contents, write_csv, write_summary
from holdstill.run_layout import (
    CROPS,
    DICTIONARY,
    EVALUATED_FRAMES,
    EVALUATION,
    RECORDS,
    REPORT,
    SEGMENTS,
    SUMMARY,
    VIDEO,
    record_name,
    segment_name,
)
from holdstill.segments import as_rate, concatenate, load_av
from holdstill.solver_options import SolverOptions
from holdstill.sources import FrameSource
from holdstill.stores import AT_ONCE, lock, open_store, scratch
from holdstill.streaming import frame_rate
from holdstill.threads import run_in_order

log = logging.getLogger("holdstill")


class JobIncompleteError(RuntimeError):
    """Some blocks of a job failed; the others are written, and the job can be gone on with."""


class Job:
    """A run in blocks, which any number of threads and processes may share.

    A context manager, which holds the run's folder for this process. Do every block of
    :meth:`pending` (here by :func:`holdstill.jobs.on_threads`, elsewhere by
    :func:`holdstill.jobs.align_block` with :attr:`task`, :attr:`outputs` and what :meth:`portable`
    makes of it), in any order, give the records to :meth:`add`, then call :meth:`finish`.

    Parameters
    ----------
    frames : FrameSource
        Of :func:`holdstill.open`.
    dictionary : Dictionary
    folder : str or path
        Of the run: new, empty or, with `resume`, that of the same job; a path or an fsspec URL.
    initial, independent, face, mu, tolerance, max_iterations, loss
        As in :func:`holdstill.align`.
    video : bool
        Write ``aligned.mp4``.
    zarr : bool
        Write ``aligned.zarr``.
    block_frames : int
        Frames of a block, at least.
    resume : bool
        Go on with what the folder holds: blocks that are there, to the byte, are not done again.
        Where it holds nothing, begin.
    facts : mapping
        Further entries for ``run.json``.

    Raises
    ------
    FileExistsError
        If the folder holds something else, or a run (without `resume`).
    JobChangedError
        If inputs, options or dictionary are not those of the job that the folder holds.
    holdstill.outputs.OutputError
        If it cannot be written to, or another process writes there.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import holdstill
    >>> from holdstill.jobs import align_block
    >>> from holdstill.synthetic import TalkingHead
    >>> head = TalkingHead(12, size=(144, 180), shape=(40, 40), occlusion=False)
    >>> stack, initial = np.stack(list(head)), head.initial()
    >>> dictionary = holdstill.fit(stack, initial, n=8, shape=(40, 40), motion="similarity")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/head.npy", stack)
    ...     frames = holdstill.open(f"{folder}/head.npy")
    ...     with Job(frames, dictionary, f"{folder}/run", initial, video=False) as job:
    ...         for block in job.pending():  # wherever you like
    ...             job.add(align_block(job.task, job.outputs, job.portable(block)))
    ...         summary = job.finish()
    >>> summary["status"]
    {'converged': 12}
    """

    def __init__(
        self,
        frames: FrameSource,
        dictionary: Dictionary,
        folder: str | os.PathLike[str],
        initial: Initial = None,
        *,
        independent: bool = False,
        face: str = "best",
        mu: float = _core.DEFAULT_MU,
        tolerance: float = _core.DEFAULT_TOLERANCE,
        max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
        loss: str = "l2",
        video: bool = True,
        zarr: bool = False,
        block_frames: int = BLOCK_FRAMES,
        resume: bool = False,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        load_pyarrow()
        if video:
            load_av()
        self.block_frames = integer("block_frames", block_frames)
        self.frames, self.folder, self._facts = frames, folder, dict(facts or {})
        _refuse_repeated(stream.name for stream in frames.streams)
        self._open = ExitStack()
        self._store = store = open_store(folder)
        self._started = time.perf_counter()
        solver = SolverOptions(mu, tolerance, max_iterations, loss)
        self.options: dict[str, Any] = {
            "independent": independent, "face": face,
            "mu": solver.mu, "tolerance": solver.tolerance,
            "max_iterations": solver.max_iterations, "loss": solver.loss,
        }  # fmt: skip
        crops = Crops(store, len(frames), dictionary.shape, _is_colour(frames)) if zarr else None
        self.outputs = Outputs(store, frame_rate(frames), video, crops)
        self.task = Task.of(frames, dictionary, initial, solver, independent=independent, face=face)
        self._records: dict[int, Record] = {}
        self._done_before: set[int] = set()
        self._joined: dict[str, str] = {}
        self._is_new = False
        try:
            self._begin(resume)
        except BaseException:
            self._leave()
            raise

    def _begin(self, resume: bool) -> None:
        what = {"video": self.outputs.video, "zarr": self.outputs.crops is not None}
        manifest = manifest_of(
            self.frames,
            self.task.initial,
            self.task.dictionary.digest,
            {**self.options, **what, "block_frames": self.block_frames},
            self._facts,
        )
        known = dict(manifest["inputs"])
        self.versions = Versions(
            {s.name: known[s.name] for s in self.frames.streams if s.name in known}
        )
        self._before(resume)
        self._open.enter_context(lock(self._store))
        before = self._before(resume)  # another process may have been quicker
        if before is not None:
            refuse_changes(self._store.address, before, manifest)
            if before.get("instruction_set") != manifest["instruction_set"]:
                log.warning(
                    "this processor's kernels are for %s, the run's were for %s: the last bits of "
                    "new blocks may differ (HOLDSTILL_ISA chooses)",
                    manifest["instruction_set"],
                    before.get("instruction_set"),
                )
            self._write_dictionary()  # it may be missing or damaged
            self._look_around()
            return
        self._is_new = True
        if self._store.local is not None:
            _sweep(self._store.local)
        write_manifest(self._store, manifest)  # first: without it nobody goes on
        self._write_dictionary()
        if self.outputs.crops is not None:
            self.outputs.crops.create()

    def _before(self, resume: bool) -> dict[str, Any] | None:
        """The manifest of the job to go on with; None where the folder is to be a new one's."""
        before = read_manifest(self._store) if resume else None
        if before is None:
            refuse_other_contents(self.folder, going_on=resume)
        return before

    def _write_dictionary(self) -> None:
        with scratch(self._store) as folder:
            self.task.dictionary.save(folder / DICTIONARY)
            self._store.put(DICTIONARY, folder / DICTIONARY)

    def _look_around(self) -> None:
        """Find out what is done already."""
        if self._store.local is not None:
            _sweep(self._store.local)
        there = set(self._store.names(RECORDS))
        planned = plan_blocks(self.frames, self.block_frames)
        blocks = [b for b in planned if record_name(b.index).rpartition("/")[2] in there]
        with closing(run_in_order(self._read, blocks, AT_ONCE)) as read:
            found = [(b, r) for b, r in zip(blocks, read, strict=True) if r is not None]
        lost = any(record["lost"] for _, record in found)
        self._joined = {} if lost else self._files_of_finished()
        crops, apart = self.outputs.crops, list[int]()
        if crops is not None:
            crops.create()
            apart = crops.fragments()

        def whole(one: tuple[Block, Record], stopped: object) -> bool:
            joined = bool(self._joined)
            return not one[1]["lost"] and holds(
                self._store, *one, crops, apart, video_is_there=joined
            )

        with closing(run_in_order(whole, found, AT_ONCE)) as hold:
            self._records = {
                block.index: record
                for (block, record), holding in zip(found, hold, strict=True)
                if holding
            }
        self._done_before = set(self._records)

    def _read(self, block: Block, stopped: object) -> Record | None:
        return read_record(self._store, block.index)

    def _files_of_finished(self) -> dict[str, str]:
        """The joined video with its digest, if it is there to the byte."""
        try:
            expected = json.loads(self._store.read(SUMMARY))["files"][VIDEO]
            with scratch(self._store) as folder:
                fetched = folder / VIDEO
                self._store.fetch(VIDEO, fetched)
                return {VIDEO: expected} if digest_of_file(fetched) == expected else {}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        with self._open, contextlib.suppress(OSError):
            if self._is_new and not self._store.names(RECORDS):
                # Without a block there is nothing to keep, and the rest would bar the next run.
                clear(self._store)

    @property
    def rows_done(self) -> int:
        """Rows of the blocks that are done."""
        return sum(map(frames_of, self._records.values()))

    def pending(self) -> Iterator[Block]:
        """The blocks that are still to be done, in the order of the rows, made one by one."""
        done = self._done_before
        for block in plan_blocks(self.frames, self.block_frames):
            if block.index not in done:
                yield block

    def portable(self, block: Block) -> PortableBlock:
        """A block as :func:`holdstill.jobs.align_block` takes it, in any process.

        Raises
        ------
        TypeError
            If the source is an array in memory.
        """
        return PortableBlock.of(block, self.frames, self.versions)

    def add(self, record: Record) -> None:
        """Take the record of a block that has been done."""
        self._records[record["block"]] = record

    def finish(
        self, *, csv: bool = False, facts: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Join the video and the pictures, and write ``run.json``.

        Parameters
        ----------
        csv : bool
            Write ``transforms.csv`` beside.
        facts : mapping, optional
            Further options of this session for ``run.json``.

        Returns
        -------
        dict
            The contents of ``run.json``.

        Raises
        ------
        JobIncompleteError
            If blocks have not been done.
        holdstill.outputs.OutputError
            If something cannot be written.
        """
        planned = plan_blocks(self.frames, self.block_frames)
        missing = [block for block in planned if block.index not in self._records]
        if missing:
            rows = sum(len(block.rows) for block in missing)
            raise JobIncompleteError(
                f"{len(missing)} blocks with {rows} frames are not done; the rest is in "
                f"{self._store.address}: go on with --resume"
            )
        new = [r for k, r in sorted(self._records.items()) if k not in self._done_before]
        if new:  # figures and a page of an earlier state would be taken for the run's
            for name in (EVALUATION, EVALUATED_FRAMES, REPORT):
                self._store.remove(name)
        files = self._join()
        if csv:
            write_csv(self._store, self.task.columns)
        summary = summarise(
            [self._records[k] for k in sorted(self._records)],
            new,
            seconds=time.perf_counter() - self._started,
            facts={
                **self._facts,
                "options": {**(facts or {}), **self.options},
                "dictionary": {
                    "sha256": self.task.dictionary.digest,
                    "summary": repr(self.task.dictionary),
                },
                "files": files,
            },
        )
        write_summary(self._store, summary)
        if not summary["lost"]:  # else the video is joined anew when the sources are back
            self._store.remove(SEGMENTS)
        if self._store.local is not None:  # what is left of workers that were killed
            _sweep(self._store.local)
        return summary

    def _join(self) -> dict[str, str]:
        if self.outputs.crops is not None:
            self.outputs.crops.join()
        if not self.outputs.video:
            return {}
        if self._joined:
            return self._joined
        with scratch(self._store) as folder:
            joined = folder / VIDEO
            concatenate(self._segments(folder), as_rate(self.outputs.fps), joined)
            found = {VIDEO: digest_of_file(joined)}
            self._store.put(VIDEO, joined)
        return found

    def _segments(self, folder: Path) -> Iterator[Path]:
        indices = sorted(self._records)
        if self._store.local is not None:
            yield from (self._store.local / segment_name(index) for index in indices)
            return

        def fetch(index: int, stopped: object) -> Path:
            fetched = folder / f"{index}.mp4"
            self._store.fetch(segment_name(index), fetched)
            return fetched

        with closing(run_in_order(fetch, indices, AT_ONCE)) as files:
            for file in files:
                yield file
                file.unlink()


def dictionary_of(folder: str | os.PathLike[str]) -> Dictionary | None:
    """The dictionary of the job that a folder holds; None if it holds none that is whole.

    Raises
    ------
    JobChangedError
        If the job's own file is damaged.
    """
    store = open_store(folder)
    if read_manifest(store) is None:
        return None
    with scratch(store) as place:
        try:
            store.fetch(DICTIONARY, place / DICTIONARY)
            return Dictionary.load(place / DICTIONARY)
        except (FileNotFoundError, ValueError):
            return None  # the job knows its digest


def _refuse_repeated(names: Iterable[str]) -> None:
    """Raise ValueError where rows could not be told apart by source and frame number."""
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"source {name}: given twice")


def _is_colour(frames: FrameSource) -> bool:
    """Whether the first readable picture is."""
    first = next((frame.image for frame in frames if frame.image is not None), None)
    return first is not None and first.ndim == 3


def _sweep(folder: Path) -> None:
    """Remove what a killed process left under hidden names."""
    unfinished = folder.glob(".scratch-*"), folder.rglob(".*.tmp")
    for left in chain(*unfinished, (folder / CROPS).rglob("*.partial")):  # the last are zarr's
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
