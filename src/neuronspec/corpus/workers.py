"""Work on many blocks of text in processes of their own, in order, with few blocks in memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from types import TracebackType
from typing import TypeVar

from neuronspec.core.errors import CorpusError

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW = 8
"""With fewer items than this the work is done in this process: starting others would take longer."""


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Applies functions to items in `number` processes. Use as a context manager: they end with the block.

    Results come in the order of the items, whatever the number of processes.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function(item)` of every item, in order. Function, items and results travel between processes by pickle.

        Raises:
            CorpusError: a worker process was killed.
        """
        rest = iter(items)
        first = list(islice(rest, FEW))
        if self._number == 1 or len(first) < FEW:
            yield from map(function, chain(first, rest))
        else:
            yield from self._map_in_processes(function, chain(first, rest))

    def _map_in_processes(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        if self._pool is None:
            self._pool = _start(self._number)
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(function, item))
                if len(waiting) > 2 * self._number:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise CorpusError(
                f"a worker process that prepares text was killed, or could not start; if memory ran out, set "
                f"corpus.workers below {self._number}. (A Python script that calls this needs the guard "
                'if __name__ == "__main__".)'
            ) from None


def _start(number: int) -> ProcessPoolExecutor:
    # Not by fork: this process has threads (Arrow, tokenizers, the progress bar) that a copy of it would miss.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        # Imported once for all workers; pyarrow would import pandas in each.
        context.set_forkserver_preload(
            ["neuronspec.corpus.ingest", "neuronspec.corpus.tokenize", "tokenizers", "pandas"]
        )
    return ProcessPoolExecutor(number, mp_context=context, initializer=_prepare_worker)


def _prepare_worker() -> None:
    """One thread a process; Ctrl-C is the parent's to handle; the worker ends with its parent, however that ends."""
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
