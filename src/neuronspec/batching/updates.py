"""The micro-batches of each update, over all processes and ahead of their time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from neuronspec.batching.stream import TrainingBatch, TrainingBatches
from neuronspec.core.processes import Processes

Item = TypeVar("Item")

AHEAD = 2
"""Updates that are made ready before they are needed."""


@dataclass(frozen=True, slots=True)
class Update:
    """What one update is made from.

    Args:
        micro_batches: those of this process.
        target_tokens: of all processes' micro-batches together.
        state: of the stream after it, for `TrainingBatches.restore`.
    """

    micro_batches: list[TrainingBatch]
    target_tokens: int
    state: dict[str, Any]


class Updates(Iterator[Update]):
    """The updates of a stream of micro-batches, dealt out to the processes in turn.

    N processes with A micro-batches each see in every update what one process with N * A would.

    Args:
        batches: the stream; every process has the same one.
        accumulation: micro-batches of one process in an update.
        processes: how many there are, and which this is.
        pin: put the tensors into memory that a GPU copies from while it computes.
    """

    def __init__(self, batches: TrainingBatches, accumulation: int, processes: Processes, pin: bool = False) -> None:
        self._batches, self._accumulation, self._processes, self._pin = batches, accumulation, processes, pin

    def __next__(self) -> Update:
        draws = [self._batches.draw() for _ in range(self._accumulation * self._processes.size)]
        own = [self._batches.make(draw) for draw in self._processes.share(draws)]
        if self._pin:
            own = [replace(one, batch=one.batch.pinned()) for one in own]
        return Update(own, sum(map(self._batches.target_tokens, draws)), self._batches.state())


class Prefetched(Iterator[Item], Generic[Item]):
    """The items of an iterator, made ahead in a thread of its own. Use as a context manager.

    The iterator's errors come where its item is taken. Nobody else may use the iterator until the block has ended.
    """

    def __init__(self, items: Iterator[Item], ahead: int = AHEAD) -> None:
        self._items = items
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._waiting: deque[Future[Item]] = deque(self._request() for _ in range(ahead))

    def _request(self) -> Future[Item]:
        return self._thread.submit(next, self._items)

    def __next__(self) -> Item:
        self._waiting.append(self._request())
        return self._waiting.popleft().result()

    def __enter__(self) -> Prefetched[Item]:
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
