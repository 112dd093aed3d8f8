"""Numbers by the pattern of a route, whatever clients ask for; batches by modality."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from starlette.types import Message, Receive, Scope, Send

from openbind.serving.metrics import Metrics, RequestMeter


def ask(metrics: Metrics, status: int | None, route: str | None) -> None:
    """Let one request through, answered or not."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if route is not None:
            scope["route"] = SimpleNamespace(path=route)
        assert metrics.registry.get_sample_value("openbind_requests_under_way") == 1
        if status is None:
            raise RuntimeError("fault")
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Message) -> None:
        assert message["status"] == status

    async def receive() -> Message:
        raise AssertionError

    asyncio.run(RequestMeter(app, metrics)({"type": "http", "path": "/x/1"}, receive, send))


def test_requests() -> None:
    """Counted and timed by route and status; those that match no route are one."""
    metrics = Metrics()
    for status, route in ((200, "/x/{id}"), (200, "/x/{id}"), (404, None)):
        ask(metrics, status, route)
    with pytest.raises(RuntimeError, match="fault"):
        ask(metrics, None, "/x/{id}")
    value = metrics.registry.get_sample_value
    assert value("openbind_requests_total", {"route": "/x/{id}", "status": "200"}) == 2
    assert value("openbind_requests_total", {"route": "none", "status": "404"}) == 1
    assert value("openbind_request_seconds_count", {"route": "/x/{id}"}) == 3
    assert value("openbind_requests_under_way") == 0


def test_batches_and_gauges() -> None:
    """Batches by modality; gauges are read when asked for; two services share nothing."""
    metrics, other = Metrics(), Metrics()
    metrics.batch_done("audio", 5, 0.2)
    level = [1.0]
    metrics.measure("level", "A level", lambda: level[0])
    level[0] = 7.0
    text = metrics.text().decode()
    assert 'openbind_batch_items_sum{modality="audio"} 5.0' in text
    assert "level 7.0" in text
    assert "audio" not in other.text().decode()
