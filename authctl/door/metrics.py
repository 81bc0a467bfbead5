"""GET /metrics: counts and durations for Prometheus. With several workers, those of all of them."""

import os
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from authctl.door.answers import Answer
from authctl.door.requests import Request

if TYPE_CHECKING:
    from authctl.door.application import Door

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with the folder in which workers share their counts. The library reads it when it is imported."""

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 2.5, 10)


class Metrics:
    """The counts of one process, each label looked up once."""

    def __init__(self) -> None:
        self._collectors = CollectorRegistry()
        requests = Counter(
            "authctl_door_requests", "Requests by route and status.", ("route", "status"), registry=self._collectors
        )
        seconds = Histogram(
            "authctl_door_request_seconds",
            "Time from a request's headers to its answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._collectors,
        )
        self._of_route = seconds.labels
        self._of_answer = requests.labels
        self._kept: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        kept = self._kept.get((route, status))
        if kept is None:
            kept = self._kept[route, status] = (self._of_answer(route, str(status)), self._of_route(route))
        kept[0].inc()
        kept[1].observe(seconds)

    def text(self) -> bytes:
        """All counts in Prometheus's text format."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._collectors)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


async def answer(door: "Door", request: Request) -> Answer:  # noqa: ARG001  # as every route has it
    """Answer with the counts."""
    return Answer(200, door.metrics.text(), ((b"content-type", CONTENT_TYPE_LATEST.encode()),))
