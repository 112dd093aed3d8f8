"""Prometheus metrics: requests and their latency, batches, backlog."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bucket bounds of durations."""
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Bucket bounds of batch sizes."""
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
CLIENT_CLOSED = 499
"""Recorded for a client that disconnects before the response, as in nginx."""


class Metrics:
    """The metrics of one service; two services in a process have separate ones."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "openbind_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "openbind_request_seconds",
            "Time to answer a request",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_items = Histogram(
            "openbind_batch_items",
            "Items in a batch",
            ["modality"],
            buckets=ITEMS,
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "openbind_batch_seconds",
            "Time of a batch in its tower",
            ["modality"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "openbind_requests_in_progress", "Requests being answered", registry=self.registry
        )

    def add_gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read at every scrape."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def batch_done(self, modality: str, items: int, seconds: float) -> None:
        """Record a batch."""
        self.batch_items.labels(modality).observe(items)
        self.batch_seconds.labels(modality).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Counts and times requests by route and status.

    Args:
        app: the application to measure.
        metrics: where to record.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request and record it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = CLIENT_CLOSED
        start = time.perf_counter()

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, record_status)
            finally:
                # The route's pattern: one label for all ids, and none invented by clients.
                route = getattr(scope.get("route"), "path", "none")
                self.metrics.requests.labels(route, str(status)).inc()
                self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
