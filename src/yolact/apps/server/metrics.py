"""Figures for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from yolact.apps.server.jobs import Answer

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TOGETHER = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counted since the server began."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        by_model = ["model"]
        self._requests = Counter(
            "yolact_requests", "Requests answered, by status", ["model", "status"], registry=registry
        )
        self._seconds = Histogram(
            "yolact_request_seconds",
            "From a request's arrival to its answer",
            by_model,
            buckets=SECONDS,
            registry=registry,
        )
        self._images = Counter(
            "yolact_images",
            "Photographs that were taken from the queue",
            ["model", "outcome"],
            registry=registry,
        )
        self._batches = Histogram(
            "yolact_batch_images",
            "Photographs that shared the batch of each photograph",
            by_model,
            buckets=TOGETHER,
            registry=registry,
        )
        self._restarts = Counter(
            "yolact_process_restarts", "Processes that were started in the place of one that ended", by_model,
            registry=registry,
        )  # fmt: skip
        self._queue = Gauge("yolact_queue_images", "Photographs that wait or are computed", by_model, registry=registry)
        self._held = Gauge("yolact_held_bytes", "Bodies of requests in memory", registry=registry)

    def watch(self, model: str, length: Callable[[], int]) -> None:
        """Show a model, whether or not anybody has asked it."""
        self._queue.labels(model).set_function(length)
        for metric in (self._seconds, self._batches, self._restarts):
            metric.labels(model)

    def watch_held(self, held: Callable[[], int]) -> None:
        self._held.set_function(held)

    def answered(self, model: str, status: int, seconds: float) -> None:
        self._requests.labels(model, str(status)).inc()
        self._seconds.labels(model).observe(seconds)

    def took(self, model: str, answer: Answer) -> None:
        self._images.labels(model, answer.refusal or "found").inc()
        if answer.refusal is None:
            self._batches.labels(model).observe(answer.batch)

    def restarted(self, model: str) -> None:
        self._restarts.labels(model).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
