"""Requests that arrive together are translated together: a bounded queue and one thread that empties it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from neuronspec.translation.engine import Translations

Translate = Callable[[list[str], str, Callable[[int], None]], Translations]


class QueueFull(Exception):
    """There is no room for a request now."""


class _Dropped(Exception):
    """Nobody waits for a call of the model any more."""


@dataclass(slots=True, eq=False)
class Job:
    """Lines of one request; the future gets their translations."""

    lines: list[str]
    direction: str
    future: Future[Translations] = field(default_factory=Future)
    dropped: bool = False


class Batcher:
    """Translates jobs in the order they came, those of one direction together.

    Args:
        translate: `Translator.translate`; ends with what its `progress` raises.
        queue: characters that may wait; a job that finds an empty queue is always taken.
        batch: characters of one call of `translate`, unless a single job has more.
        gather: seconds to wait for more jobs when one comes to an idle server.
        observe: called after each call of the model with the number of jobs, of lines, and the seconds it took.
    """

    def __init__(
        self,
        translate: Translate,
        *,
        queue: int = 200_000,
        batch: int = 20_000,
        gather: float = 0.003,
        observe: Callable[[int, int, float], None] = lambda jobs, lines, seconds: None,
    ) -> None:
        self._translate, self._observe = translate, observe
        self._queue, self._batch, self._gather = queue, batch, gather
        self._jobs: deque[Job] = deque()
        self._running: list[Job] = []
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="translating", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Characters in the queue."""
        return self._waiting

    def submit(self, lines: list[str], direction: str) -> Future[Translations]:
        """Add a job.

        Raises:
            QueueFull: too much is waiting, or the server is shutting down.
        """
        job = Job(lines, direction)
        size = _size(job)
        with self._changed:
            if self._closed or (self._jobs and self._waiting + size > self._queue):
                raise QueueFull
            self._jobs.append(job)
            self._waiting += size
            self._changed.notify()
        return job.future

    def drop(self, future: Future[Translations]) -> None:
        """Give up a job: one that waits leaves the queue, one that runs is ended once all that run with it are."""
        with self._changed:
            for job in [*self._jobs, *self._running]:
                job.dropped |= job.future is future
            left = [job for job in self._jobs if job.dropped]
            self._jobs = deque(job for job in self._jobs if not job.dropped)
            self._waiting -= sum(map(_size, left))
        future.cancel()

    def close(self, timeout: float | None = None) -> None:
        """Take no more jobs, finish those that wait."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if not self._jobs:
                    return
            time.sleep(self._gather)
            with self._changed:
                jobs = self._running = self._next() if self._jobs else []
            self._serve([job for job in jobs if job.future.set_running_or_notify_cancel()])

    def _next(self) -> list[Job]:
        """The oldest job, and those of its direction that fit with it."""
        first = self._jobs[0]
        taken, size = [], 0
        for job in self._jobs:
            if job.direction == first.direction and (job is first or size + _size(job) <= self._batch):
                taken.append(job)
                size += _size(job)
        chosen = set(map(id, taken))
        self._jobs = deque(job for job in self._jobs if id(job) not in chosen)
        self._waiting -= size
        return taken

    def _serve(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        lines = [line for job in jobs for line in job.lines]
        start = time.perf_counter()

        def go_on(sentences: int) -> None:
            if all(job.dropped for job in jobs):
                raise _Dropped

        try:
            found = self._translate(lines, jobs[0].direction, go_on)
        except Exception as error:  # noqa: BLE001 (whatever it is, the requests must get an answer)
            for job in jobs:
                job.future.set_exception(error)
            return
        self._observe(len(jobs), len(lines), time.perf_counter() - start)
        first = 0
        for job in jobs:
            job.future.set_result(_part(found, first, len(job.lines)))
            first += len(job.lines)


def _size(job: Job) -> int:
    return sum(map(len, job.lines)) + len(job.lines)


def _part(found: Translations, first: int, size: int) -> Translations:
    own: Any = found[first : first + size]
    return Translations(own, nbest=found.nbest[first : first + size], composed=found.composed)
