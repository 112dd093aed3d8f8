"""What Prometheus reads: requests, their times, batches, what was turned away."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Edges of the histograms of times."""
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Edges of the histogram of batches."""
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The numbers of one service; two services in a process have their own."""

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
            "Items that went through a tower together",
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
        self.under_way = Gauge(
            "openbind_requests_under_way", "Requests being answered", registry=self.registry
        )

    def measure(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is asked for."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def batch_done(self, modality: str, items: int, seconds: float) -> None:
        """Take note of a batch."""
        self.batch_items.labels(modality).observe(items)
        self.batch_seconds.labels(modality).observe(seconds)

    def text(self) -> bytes:
        """Write all of it in Prometheus's format."""
        return generate_latest(self.registry)


class RequestMeter:
    """Counts requests by route and status, and takes their times.

    Args:
        app: what is measured.
        metrics: where it is kept.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and take note of how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A client that goes away before the answer gets none; 499 as in nginx.
        status = 499
        start = time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.under_way.track_inprogress():
            try:
                await self.app(scope, receive, noted)
            finally:
                # By the route's pattern: one name for all ids, and none made up by clients.
                route = getattr(scope.get("route"), "path", "none")
                self.metrics.requests.labels(route, str(status)).inc()
                self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
