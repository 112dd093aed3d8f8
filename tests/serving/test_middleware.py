"""Bodies are bounded singly and together; hosts and keys are checked before anything else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from openbind.serving.limits import Limits
from openbind.serving.middleware import (
    COOKIE,
    BodyMiddleware,
    HeaderMiddleware,
    HostMiddleware,
    KeyMiddleware,
    is_loopback,
    session_token,
)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the size of the body."""
    message = await receive()
    assert not message.get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(message.get("body", b""))})


def request(
    app: Any, chunks: list[bytes], *, headers: dict[str, str] | None = None, path: str = "/x"
) -> tuple[int, bytes, dict[str, str]]:
    """Send one request; a body without chunks never ends."""
    given = iter(
        [
            {"type": "http.request", "body": chunk, "more_body": at < len(chunks) - 1}
            for at, chunk in enumerate(chunks)
        ]
    )
    sent: list[Message] = []

    async def receive() -> Message:
        message = next(given, None)
        if message is None:
            await asyncio.sleep(60)
            raise AssertionError
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(k.lower().encode(), v.encode("latin-1")) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
    asyncio.run(app(scope, receive, send))
    if not sent:
        return 0, b"", {}
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]), found


def test_bodies_arrive_whole() -> None:
    """In however many chunks they were sent."""
    guard = BodyMiddleware(echo, Limits())
    assert request(guard, [b"ab", b"", b"cde"])[:2] == (200, b"5")
    assert guard.held_bytes == 0


def test_a_large_body() -> None:
    """It is rejected at the limit, and the rest is discarded."""
    guard = BodyMiddleware(echo, Limits(body_bytes=10))
    assert request(guard, [b"x" * 10])[0] == 200
    status, body, _ = request(guard, [b"x" * 4] * 50)
    assert status == 413
    assert json.loads(body)["error"]["code"] == "body_too_large"
    assert guard.held_bytes == 0
    # A client that never stops sending is disconnected.
    endless = BodyMiddleware(echo, Limits(body_bytes=10, drain_bytes=20))
    assert request(endless, [b"x" * 15] * 1000)[0] == 413


def test_bodies_are_bounded_together() -> None:
    """Beyond the limit of all bodies together, clients get 503."""
    guard = BodyMiddleware(echo, Limits(held_bytes=20))
    guard.held_bytes = 15
    status, _, headers = request(guard, [b"x" * 3, b"x" * 3])
    assert (status, headers["retry-after"]) == (503, "2")
    assert request(guard, [b"x" * 5])[0] == 200
    assert guard.held_bytes == 15


def test_a_body_that_stalls() -> None:
    """It times out, and no memory stays reserved for it."""
    guard = BodyMiddleware(echo, Limits(body_seconds=0.01))
    assert request(guard, [])[0] == 408
    assert guard.held_bytes == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer key"}, 200),
        ({"authorization": "bearer  key "}, 200),
        ({"Authorization": "Bearer KEY"}, 401),
        ({"Authorization": "key"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic key"}, 401),
        ({"Authorization": "Bearer ü"}, 401),
        ({"Cookie": f"a=b; {COOKIE}={session_token('key')}"}, 200),
        ({"Cookie": f"{COOKIE}=key"}, 401),
        ({"Cookie": "\x01=;;"}, 401),
    ],
)
def test_key(headers: dict[str, str], status: int) -> None:
    """As a bearer token, or as the cookie of a session; open paths need none."""
    guard = KeyMiddleware(echo, "key", ["/open"])
    assert request(guard, [b""], headers=headers)[0] == status
    assert request(guard, [b""], headers=headers, path="/open")[0] == 200
    assert request(guard, [b""], path="/open/../x")[0] == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        ("LOCALHOST:1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:80", 403),
        ("", 403),
    ],
)
def test_host(host: str, status: int) -> None:
    """Without a key only this machine's own names are served (DNS rebinding)."""
    assert request(HostMiddleware(echo), [b""], headers={"Host": host})[0] == status


def test_loopback() -> None:
    """Addresses that need no key."""
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "localhost", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.1.5", "example.org", ""]))


def test_headers_for_browsers() -> None:
    """Nothing is loaded from elsewhere, no type is sniffed."""
    headers = request(HeaderMiddleware(echo), [b""])[2]
    assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in headers["content-security-policy"]
