"""Requests are counted by route pattern, batches by modality."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from starlette.types import Message, Receive, Scope, Send

from openbind.serving.metrics import Metrics, MetricsMiddleware


def request(metrics: Metrics, status: int | None, route: str | None) -> None:
    """Run one request, answered or not."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if route is not None:
            scope["route"] = SimpleNamespace(path=route)
        assert metrics.registry.get_sample_value("openbind_requests_in_progress") == 1
        if status is None:
            raise RuntimeError("unexpected")
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Message) -> None:
        assert message["status"] == status

    async def receive() -> Message:
        raise AssertionError

    asyncio.run(MetricsMiddleware(app, metrics)({"type": "http", "path": "/x/1"}, receive, send))


def test_requests() -> None:
    """Requests are counted and timed by route and status; unmatched paths share one label."""
    metrics = Metrics()
    for status, route in ((200, "/x/{id}"), (200, "/x/{id}"), (404, None)):
        request(metrics, status, route)
    with pytest.raises(RuntimeError, match="unexpected"):
        request(metrics, None, "/x/{id}")
    value = metrics.registry.get_sample_value
    assert value("openbind_requests_total", {"route": "/x/{id}", "status": "200"}) == 2
    assert value("openbind_requests_total", {"route": "none", "status": "404"}) == 1
    assert value("openbind_request_seconds_count", {"route": "/x/{id}"}) == 3
    assert value("openbind_requests_in_progress") == 0


def test_batches_and_gauges() -> None:
    """Gauges are read at each scrape; two services share nothing."""
    metrics, other = Metrics(), Metrics()
    metrics.batch_done("audio", 5, 0.2)
    level = [1.0]
    metrics.add_gauge("level", "A level", lambda: level[0])
    level[0] = 7.0
    text = metrics.text().decode()
    assert 'openbind_batch_items_sum{modality="audio"} 5.0' in text
    assert "level 7.0" in text
    assert "audio" not in other.text().decode()
