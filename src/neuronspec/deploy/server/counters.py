"""What Prometheus reads at `/metrics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server.

    Args:
        waiting: returns how many characters are in the queue.
        loaded: returns how many models are in memory.
    """

    def __init__(self, waiting: Callable[[], int], loaded: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        names: Any = {"namespace": "neuronspec", "registry": self.registry}
        self.requests = Counter("requests", "Requests answered, by path and status.", ["path", "status"], **names)
        self.texts = Counter("texts", "Texts translated, by direction.", ["direction"], **names)
        self.characters = Counter("characters", "Characters translated, by direction.", ["direction"], **names)
        self.seconds = Histogram("request_seconds", "Seconds to an answer.", ["path"], buckets=_SECONDS, **names)
        self.batch_seconds = Histogram("batch_seconds", "Seconds of a call of the model.", buckets=_SECONDS, **names)
        self.batch_requests = Histogram("batch_requests", "Requests in a call of the model.", buckets=_SIZES, **names)
        Gauge("queue_characters", "Characters that wait.", **names).set_function(waiting)
        Gauge("loaded_models", "Models in memory.", **names).set_function(loaded)

    def observe_batch(self, jobs: int, lines: int, seconds: float) -> None:
        """Count a call of the model."""
        self.batch_requests.observe(jobs)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self.registry)
