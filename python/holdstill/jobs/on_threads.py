"""A job on the threads of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from holdstill.jobs.blocks import Block
from holdstill.jobs.job import Job
from holdstill.jobs.records import Record
from holdstill.jobs.work import Followed, finish_block, follow_tracks
from holdstill.passes import run_passes
from holdstill.stores import scratch
from holdstill.threads import Count
from holdstill.tracks import Track


def on_threads(
    job: Job, threads: int, progress: Callable[[int, int], None] | None = None
) -> Generator[Record, None, None]:
    """Do the blocks of a job that are pending, and yield each one's record when it is written.

    Threads work on passes, of several blocks at a time if need be.

    Parameters
    ----------
    job : Job
    threads : int
    progress : callable (done, total), optional
        Called after every frame, from the threads that align.

    Yields
    ------
    mapping
        In the order of the blocks. Closing the iterator stops the work.
    """
    task, outputs, open_blocks = job.task, job.outputs, deque[Block]()
    count = Count(job.rows_done, task.n_rows, progress)

    def passes() -> Iterator[list[Track]]:
        for block in job.pending():
            open_blocks.append(block)
            yield from map(list, block.passes)

    with scratch(outputs.store) as folder:

        def work(
            tracks: list[Track], stopped: Callable[[], bool], staged: bool
        ) -> Iterator[Followed]:
            return follow_tracks(
                task,
                outputs,
                job.frames,
                tracks,
                folder,
                stopped=stopped,
                staged=staged,
                count=count,
            )

        done: list[Followed] = []
        # Closed before the folder goes, come what may: the threads write into it.
        with closing(run_passes(work, passes(), threads)) as results:
            for followed in results:
                done.append(followed)
                if len(done) == len(open_blocks[0].tracks):
                    block = open_blocks.popleft()
                    yield finish_block(task, outputs, block, done, job.versions, folder)
                    done = []
