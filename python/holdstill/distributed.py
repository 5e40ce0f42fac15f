"""Alignment on the workers of a Dask cluster: paths travel, pixels do not.

The dictionary goes to each worker once. A task is a block: thousands of frames, on one thread of a
worker, whose other threads have blocks of their own. There are few tasks at a time, however long
the job: the scheduler's memory does not grow with it. The rows are the same, bit for bit, as
without Dask.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import islice
from typing import Any

from holdstill import _core
from holdstill.alignment import Alignment
from holdstill.checks import integer
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial
from holdstill.jobs.blocks import BLOCK_FRAMES, Block, PortableBlock, Versions, plan_blocks
from holdstill.jobs.job import Job, JobIncompleteError
from holdstill.jobs.records import Record
from holdstill.jobs.task import Task
from holdstill.jobs.work import align_block, align_rows
from holdstill.optional import import_optional
from holdstill.outputs import OutputError
from holdstill.solver_options import SolverOptions
from holdstill.sources import open as open_source
from holdstill.sources.retrying import again
from holdstill.sources.source import SourceLike
from holdstill.threads import Count

TASKS_PER_THREAD = 2
"""Tasks that a worker's thread has at a time: one that it does, and one that waits."""

ATTEMPTS = 3
"""How often a block is given to workers that fail at it, or that lose what it needs."""

log = logging.getLogger("holdstill")


def align(
    source: SourceLike,
    dictionary: Dictionary,
    client: Any,
    initial: Initial = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    independent: bool = False,
    face: str = "best",
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    loss: str = "l2",
    block_frames: int = BLOCK_FRAMES,
) -> Iterator[Alignment]:
    """Align every frame of a source on the workers of a Dask cluster.

    `holdstill.run.align_to_folder` with a `client` writes a run instead, of which workers write the
    parts: only figures come back.

    Parameters
    ----------
    source : path, list of paths or FrameSource
        As :func:`holdstill.open` takes it. Workers open the same paths or URLs.
    dictionary : Dictionary
    client : dask.distributed.Client
    initial, independent, face, mu, tolerance, max_iterations, loss
        As in :func:`holdstill.align`; a callable must be one that can be pickled.
    progress : callable (done, total), optional
        Called after every block.
    block_frames : int
        Frames of a block, at least.

    Yields
    ------
    Alignment
        One for every frame, in order, without the weights of the pixels. Closing the iterator
        cancels the work.

    Raises
    ------
    TypeError
        If the source is an array in memory.
    ValueError
        If an argument is wrong.

    Examples
    --------
    >>> from dask.distributed import Client  # doctest: +SKIP
    >>> client = Client("tcp://scheduler:8786")  # doctest: +SKIP
    >>> for found in align("s3://talks/*.mp4", dictionary, client):  # doctest: +SKIP
    ...     print(found.source, found.frame, found.status)
    """
    integer("block_frames", block_frames)
    frames = open_source(source)
    task = Task.of(
        frames,
        dictionary,
        initial,
        SolverOptions(mu, tolerance, max_iterations, loss),
        independent=independent,
        face=face,
    )
    versions = Versions.of(frames)  # a worker keeps what it has learnt of a file by its version
    blocks = (
        PortableBlock.of(block, frames, versions) for block in plan_blocks(frames, block_frames)
    )
    first = next(blocks)  # of an array in memory, an error
    return _in_order(client, task, first, blocks, Count(0, len(frames), progress))


def _in_order(
    client: Any, task: Task, first: PortableBlock, blocks: Iterator[PortableBlock], count: Count
) -> Generator[Alignment, None, None]:
    there = client.scatter(task, broadcast=True, hash=False)

    def submitted(block: PortableBlock) -> Any:
        return client.submit(align_rows, there, block, pure=False, retries=ATTEMPTS - 1)

    waiting = deque([submitted(first)])
    try:
        waiting.extend(map(submitted, islice(blocks, _capacity(client) - 1)))
        while waiting:
            rows = waiting.popleft().result()
            waiting.extend(map(submitted, islice(blocks, 1)))
            count(len(rows))
            yield from rows
    finally:
        client.cancel(list(waiting))


def _capacity(client: Any) -> int:
    """Tasks to have at a time."""
    threads: int = sum(client.nthreads().values())
    return TASKS_PER_THREAD * max(1, threads)


def on_dask(
    job: Job, client: Any, progress: Callable[[int, int], None] | None = None
) -> Generator[Record, None, None]:
    """Do the blocks of a job that are pending, and yield each one's record when it is written.

    Parameters
    ----------
    job : Job
        Its folder is one that the workers can write to: a shared disk, or a URL.
    client : dask.distributed.Client
    progress : callable (done, total), optional
        Called after every block.

    Yields
    ------
    mapping
        As they come. Closing the iterator cancels the work. A block that workers failed at is left
        out, with a warning in the log; it can be done by going on with the job.

    Raises
    ------
    holdstill.outputs.OutputError
        If a worker cannot write.
    holdstill.jobs.JobIncompleteError
        If the scheduler is gone.
    ValueError, TypeError
        If initial transforms do not fit, or the source is an array in memory.
    """
    count = Count(job.rows_done, job.task.n_rows, progress)
    count(0)
    with closing(_ended(job, client)) as ended:
        for block, record in ended:
            count(len(block.rows))
            yield record


def _ended(job: Job, client: Any) -> Generator[tuple[Block, Record], None, None]:
    """The blocks of a job that are pending, each with its record when it is written."""
    dask = import_optional("dask.distributed", "aligning on workers", "dask")
    crew = _Crew(client, job)
    pending = job.pending()
    running = dask.as_completed(loop=client.loop)
    try:
        for block in islice(pending, _capacity(client)):
            running.add(crew.submit(block))
        for future in running:
            block, record = crew.result_of(future)
            if record is not None:
                yield block, record
            elif crew.may_try_again(block):
                running.add(crew.submit(block))
            # Workers may have come or gone.
            free = max(0, _capacity(client) - running.count())
            for following in islice(pending, free):
                running.add(crew.submit(following))
    except OutputError:
        raise
    except OSError as error:
        raise JobIncompleteError(
            f"the scheduler is gone ({error}); what has been done is there: go on with --resume"
        ) from error
    finally:
        with suppress(OSError):
            client.cancel(crew.futures)


class _Crew:
    """The workers, what they hold, and which block each of them is at."""

    def __init__(self, client: Any, job: Job) -> None:
        self._client, self._job = client, job
        self._dask = import_optional("dask.distributed", "aligning on workers", "dask")
        self._blocks: dict[str, Block] = {}
        self._attempts: dict[int, int] = {}
        self._futures: dict[str, Any] = {}
        self._task: Any = None

    @property
    def futures(self) -> list[Any]:
        """Of the blocks that are under way."""
        return list(self._futures.values())

    def submit(self, block: Block) -> Any:
        """Have a block done."""
        if self._task is None:
            # A worker that has just died may still be among those that it is sent to.
            self._task = again(
                lambda: self._client.scatter(self._job.task, broadcast=True, hash=False)
            )
        future = self._client.submit(
            align_block, self._task, self._job.outputs, self._job.portable(block), pure=False
        )
        self._blocks[future.key], self._futures[future.key] = block, future
        self._attempts[block.index] = self._attempts.get(block.index, 0) + 1
        return future

    def result_of(self, future: Any) -> tuple[Block, Record | None]:
        """The block of a future that has ended, and its record; None where it failed."""
        block = self._blocks.pop(future.key)
        del self._futures[future.key]
        try:
            record: Record = future.result()
        except (OutputError, ValueError, TypeError):
            raise
        except self._dask.CancelledError:
            # All workers that held the dictionary have died: it cannot be computed again.
            self._task = None
            log.warning("block %d: its workers are gone; it is given to others", block.index)
            return block, None
        except self._dask.KilledWorker:
            # Dask has given it to several workers already.
            self._attempts[block.index] = ATTEMPTS
            log.warning("block %d: its workers die of it", block.index)
            return block, None
        except Exception as error:
            log.warning("block %d failed: %s", block.index, error)
            return block, None
        self._attempts.pop(block.index)
        return block, record

    def may_try_again(self, block: Block) -> bool:
        """Whether a block that failed is worth another attempt."""
        return self._attempts[block.index] < ATTEMPTS


def workers_of(client: Any) -> dict[str, Any]:
    """What ``run.json`` says of a cluster: its address, workers and their threads."""
    threads = client.nthreads()
    return {
        "dask": client.scheduler.address,
        "workers": len(threads),
        "threads": sum(threads.values()),
    }


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of a cluster by its address, or of one on this machine.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` (or any other address of a scheduler), or ``local:N`` for N worker
        processes of one thread each, which end with it.

    Yields
    ------
    dask.distributed.Client

    Raises
    ------
    ValueError
        If it is neither.
    ImportError
        If dask.distributed is missing.
    OSError
        If there is no scheduler.
    """
    dask = import_optional("dask.distributed", "aligning on workers", "dask")
    config = import_optional("dask.config", "aligning on workers", "dask")
    kind, _, number = address.partition(":")
    if kind == "local":
        if not number.isdecimal() or int(number) < 1:
            raise ValueError(f"dask: expected local:N with N from 1, got {address!r}")
        with (
            _messages_from(logging.WARNING),
            # Their profiler keeps an hour of call stacks, which is most of what a worker grows by.
            config.set({"distributed.worker.profile.enabled": False}),
            dask.LocalCluster(
                n_workers=int(number), threads_per_worker=1, dashboard_address=None
            ) as cluster,
            dask.Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    if "://" not in address:
        raise ValueError(f"dask: expected tcp://host:port or local:N, got {address!r}")
    try:
        client = dask.Client(address, timeout="10s", set_as_default=False)
    except ValueError as error:
        raise ValueError(f"dask: {address!r}: {error}") from None
    with ExitStack() as until_closed, client:
        try:
            yield client
        except JobIncompleteError:
            # The client of a scheduler that is gone tells of every comm that it closes now.
            until_closed.enter_context(_messages_from(logging.CRITICAL))
            raise


@contextmanager
def _messages_from(level: int) -> Iterator[None]:
    """Have Dask tell of nothing below a level."""
    dask = logging.getLogger("distributed")
    before = dask.level
    dask.setLevel(level)
    try:
        yield
    finally:
        dask.setLevel(before)
