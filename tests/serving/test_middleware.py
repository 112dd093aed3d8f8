"""Bodies are bounded singly, together and in time; requests end with their clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from openbind.serving.limits import Limits
from openbind.serving.middleware import BodyMiddleware, Stopping, TimeMiddleware

RequestOf = Callable[..., tuple[int, bytes, dict[str, str]]]


def test_bodies_arrive_whole(echo: Any, request_of: RequestOf) -> None:
    """In however many chunks they were sent."""
    guard = BodyMiddleware(echo, Limits())
    assert request_of(guard, [b"ab", b"", b"cde"])[:2] == (200, b"5")
    assert guard.held_bytes == 0


def test_a_large_body(echo: Any, request_of: RequestOf) -> None:
    """It is rejected at the limit, and no more of it is read; by its length, nothing at all."""
    guard = BodyMiddleware(echo, Limits(body_bytes=10))
    assert request_of(guard, [b"x" * 10])[0] == 200
    status, body, headers = request_of(guard, [b"x" * 4] * 50)
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(body)["error"]["code"] == "body_too_large"
    assert request_of(guard, [], headers={"Content-Length": "11"})[0] == 413
    assert guard.held_bytes == 0


def test_bodies_are_bounded_together(echo: Any, request_of: RequestOf) -> None:
    """Beyond the limit of all bodies together, clients get 503."""
    guard = BodyMiddleware(echo, Limits(held_bytes=20))
    guard.held_bytes = 15
    status, _, headers = request_of(guard, [b"x" * 3, b"x" * 3])
    assert (status, headers["retry-after"]) == (503, "2")
    assert request_of(guard, [b"x" * 5])[0] == 200
    assert guard.held_bytes == 15


def test_a_body_that_stalls(echo: Any, request_of: RequestOf) -> None:
    """It times out, and no memory stays reserved for it."""
    guard = BodyMiddleware(echo, Limits(body_seconds=0.01))
    assert request_of(guard, [])[0] == 408
    assert guard.held_bytes == 0


def test_a_body_that_drips(echo: Any) -> None:
    """A byte now and then isn't enough: bodies have to keep up a rate."""
    guard = BodyMiddleware(echo, Limits(body_seconds=0.2, body_rate=1000))
    sent: list[Message] = []

    async def drip() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
    asyncio.run(asyncio.wait_for(guard(scope, drip, send), 10))
    assert sent[0]["status"] == 408


class Endless:
    """An application that works until it is cancelled."""

    def __init__(self, *, begins: bool = False) -> None:
        self.begins = begins
        self.cancelled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


@pytest.mark.parametrize(("reason", "status"), [("left", 0), ("time", 503), ("stopping", 503)])
def test_requests_are_given_up(reason: str, status: int) -> None:
    """When their client leaves, after their time, and when the service stops."""
    app, stopping = Endless(), Stopping()
    limits = Limits(request_seconds=0.05 if reason == "time" else 60)
    sent: list[Message] = []
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.05 if reason == "left" else 60)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        if reason == "stopping":
            stopping.begin(0.05)
        scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
        await TimeMiddleware(app, limits, stopping)(scope, receive, send)

    asyncio.run(asyncio.wait_for(run(), 10))
    assert app.cancelled
    assert [m["status"] for m in sent if "status" in m] == ([status] if status else [])


def test_a_response_that_has_begun_goes_on() -> None:
    """A file that is being sent isn't cut when the request's time is over."""
    app, sent = Endless(begins=True), list[Message]()
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.3)
        assert not app.cancelled
        return {"type": "http.disconnect"}

    async def run() -> None:
        scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
        guard = TimeMiddleware(app, Limits(request_seconds=0.05), Stopping())
        await guard(scope, receive, send)

    asyncio.run(asyncio.wait_for(run(), 10))
    assert app.cancelled
    assert [message["type"] for message in sent] == ["http.response.start"]
