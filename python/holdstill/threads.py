"""Independent jobs on threads, their results in order."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_in_order(
    work: Callable[[Job, Callable[[], bool]], Result], jobs: Sequence[Job], threads: int
) -> Generator[Result, None, None]:
    """Run `work` on every job, on threads, and yield the results in the order of the jobs.

    At most `threads` jobs are ahead of the one that is waited for: memory stays bounded.

    Parameters
    ----------
    work : callable (job, stopped) -> result
        Asks `stopped` now and then, and returns early where it says so.
    jobs : sequence
    threads : int

    Yields
    ------
    result
    """
    stop = threading.Event()
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="holdstill")
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job, stop.is_set))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def thread_count(threads: int | None) -> int:
    """Threads to use: as asked for, else the processors this process may run on."""
    if threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if int(threads) != threads or threads < 1:
        raise ValueError(f"threads: expected an integer of at least 1, got {threads!r}")
    return int(threads)
