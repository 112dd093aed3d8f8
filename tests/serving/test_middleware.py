"""Bodies are bounded one by one and together; the key and the host are checked before all else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from openbind.serving.limits import Limits
from openbind.serving.middleware import (
    COOKIE,
    AccessMiddleware,
    BodyMiddleware,
    HeaderMiddleware,
    is_loopback,
    session_value,
)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body."""
    message = await receive()
    assert not message.get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(message.get("body", b""))})


def ask(
    app: Any, parts: list[bytes], *, headers: dict[str, str] | None = None, path: str = "/x"
) -> tuple[int, bytes, dict[str, str]]:
    """Send one request; an empty list of parts never ends."""
    given = iter(
        [
            {"type": "http.request", "body": part, "more_body": at < len(parts) - 1}
            for at, part in enumerate(parts)
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


def test_bodies_come_whole() -> None:
    """In however many parts they were sent."""
    guard = BodyMiddleware(echo, Limits())
    assert ask(guard, [b"ab", b"", b"cde"])[:2] == (200, b"5")
    assert guard.held_bytes == 0


def test_a_large_body() -> None:
    """It is refused at the limit and its rest dropped, however it was announced."""
    guard = BodyMiddleware(echo, Limits(body_bytes=10))
    assert ask(guard, [b"x" * 10])[0] == 200
    status, body, _ = ask(guard, [b"x" * 4] * 50)
    assert status == 413
    assert "more than 10 bytes" in json.loads(body)["error"]["message"]
    assert guard.held_bytes == 0
    # A sender that goes on and on isn't listened to for ever.
    endless = BodyMiddleware(echo, Limits(body_bytes=10, drain_bytes=20))
    assert ask(endless, [b"x" * 15] * 1000)[0] == 413


def test_bodies_under_way_are_bounded_together() -> None:
    """Beyond the limit of all together: come back later."""
    guard = BodyMiddleware(echo, Limits(held_bytes=20))
    guard.held_bytes = 15
    status, _, headers = ask(guard, [b"x" * 3, b"x" * 3])
    assert (status, headers["retry-after"]) == (503, "2")
    assert ask(guard, [b"x" * 5])[0] == 200
    assert guard.held_bytes == 15


def test_a_body_that_stops_coming() -> None:
    """The client is told, and nothing is held for it."""
    guard = BodyMiddleware(echo, Limits(body_seconds=0.01))
    assert ask(guard, [])[0] == 408
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
        ({"Cookie": f"a=b; {COOKIE}={session_value('key')}"}, 200),
        ({"Cookie": f"{COOKIE}=key"}, 401),
        ({"Cookie": "\x01=;;"}, 401),
    ],
)
def test_key(headers: dict[str, str], status: int) -> None:
    """As a bearer, or as the cookie that a session gave; open paths need none."""
    guard = AccessMiddleware(echo, "key", ["/open"])
    assert ask(guard, [b""], headers=headers)[0] == status
    assert ask(guard, [b""], headers=headers, path="/open")[0] == 200
    assert ask(guard, [b""], path="/open/../x")[0] == 401


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
def test_host_without_a_key(host: str, status: int) -> None:
    """Only this machine's own names."""
    assert ask(AccessMiddleware(echo, None, []), [b""], headers={"Host": host})[0] == status


def test_loopback() -> None:
    """What needs no key."""
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "localhost", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.1.5", "example.org", ""]))


def test_headers_for_browsers() -> None:
    """Nothing from elsewhere, no guessing of types."""
    headers = ask(HeaderMiddleware(echo), [b""])[2]
    assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in headers["content-security-policy"]
