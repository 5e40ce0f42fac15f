"""Independent work on threads, its results in order; and stages of one piece of it on threads."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import NoReturn, TypeVar

from holdstill.checks import integer

Result = TypeVar("Result")
Item = TypeVar("Item")


def run_in_order(
    work: Callable[[Item, Callable[[], bool]], Result], items: Iterable[Item], threads: int
) -> Generator[Result, None, None]:
    """Run `work` on every item, on threads, and yield the results in the order of the items.

    At most `threads` items are ahead of the one that is waited for: memory stays bounded.

    Parameters
    ----------
    work : callable (item, stopped) -> result
        Asks `stopped` now and then, and returns early where it says so.
    items : iterable
        Taken one by one, in the calling thread.
    threads : int

    Yields
    ------
    result
    """
    stop = threading.Event()
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="holdstill")
    try:
        for item in items:
            waiting.append(pool.submit(work, item, stop.is_set))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def ahead(items: Iterator[Item], most: int) -> Generator[Item, None, None]:
    """Run an iterator on a thread of its own, which is a bounded number of items ahead.

    Parameters
    ----------
    items : iterator
        Closed in that thread, if it is a generator, when this one is.
    most : int
        Items that may wait.

    Yields
    ------
    item
    """
    ready: SimpleQueue[Callable[[], Item]] = SimpleQueue()
    free, stop = threading.Semaphore(most), threading.Event()

    def produce() -> None:
        try:
            while free.acquire() and not stop.is_set():
                item = next(items)
                ready.put(lambda item=item: item)  # type: ignore[misc]
        except BaseException as error:
            ready.put(partial(_raise, error))
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=produce, name="holdstill-ahead")
    thread.start()
    try:
        while True:
            try:
                item = ready.get()()
            except StopIteration:
                return
            yield item
            free.release()
    finally:
        stop.set()
        free.release()
        thread.join()


def _raise(error: BaseException) -> NoReturn:
    raise error


class Count:
    """Counts what is finished over all threads.

    Parameters
    ----------
    done, total : int
        What is finished already, and what there is.
    progress : callable (done, total), optional
        Called by one thread at a time.
    """

    def __init__(self, done: int, total: int, progress: Callable[[int, int], None] | None) -> None:
        self._done, self._total, self._progress = done, total, progress
        self._lock = threading.Lock()

    def __call__(self, more: int = 1) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += more
            self._progress(self._done, self._total)


def thread_count(threads: int | None) -> int:
    """Threads to use: as asked for, else the processors this process may run on."""
    if threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    return integer("threads", threads)
