"""Hosts, origins and keys are checked before anything else."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from openbind.serving.access import (
    HeaderMiddleware,
    HostMiddleware,
    KeyMiddleware,
    OriginMiddleware,
    Session,
    is_loopback,
)

RequestOf = Callable[..., tuple[int, bytes, dict[str, str]]]
SESSION = Session.of("key")


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
        ({"Cookie": f"a=b; {SESSION.name}={SESSION.token}"}, 200),
        ({"Cookie": f"{SESSION.name}=key"}, 401),
        ({"Cookie": f"other={SESSION.token}"}, 401),
        ({"Cookie": "\x01=;;"}, 401),
    ],
)
def test_key(echo: Any, request_of: RequestOf, headers: dict[str, str], status: int) -> None:
    """As a bearer token, or as the cookie of a session; open paths need none."""
    guard = KeyMiddleware(echo, "key", SESSION, ["/open"])
    assert request_of(guard, [b""], headers=headers)[0] == status
    assert request_of(guard, [b""], headers=headers, path="/open")[0] == 200
    assert request_of(guard, [b""], path="/open/../x")[0] == 401


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
def test_host(echo: Any, request_of: RequestOf, host: str, status: int) -> None:
    """Without a key only this machine's own names are served (DNS rebinding)."""
    assert request_of(HostMiddleware(echo), [b""], headers={"Host": host})[0] == status


def test_loopback() -> None:
    """Addresses that need no key."""
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "localhost", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.1.5", "example.org", ""]))


def test_headers_for_browsers(echo: Any, request_of: RequestOf) -> None:
    """Nothing is loaded from elsewhere, no type is sniffed."""
    headers = request_of(HeaderMiddleware(echo), [b""])[2]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "unsafe" not in headers["content-security-policy"]


def test_keys_beyond_ascii(echo: Any, request_of: RequestOf) -> None:
    """In UTF-8, as most clients send them, or in Latin-1 where it has the characters."""
    for key in ("schlüssel", "鍵"):
        guard = KeyMiddleware(echo, key, SESSION, [])
        sent = {"Authorization": f"Bearer {key}".encode()}
        assert request_of(guard, [b""], headers=sent)[0] == 200
    guard = KeyMiddleware(echo, "schlüssel", SESSION, [])
    assert request_of(guard, [b""], headers={"Authorization": "Bearer schlüssel"})[0] == 200
    assert request_of(guard, [b""], headers={"Authorization": "Bearer schl?ssel"})[0] == 401


@pytest.mark.parametrize(
    ("credentials", "status"),
    [(b"x:key", 200), (b":key", 200), (b"x:other", 401), (b"key", 401), (b"", 401)],
)
def test_basic(echo: Any, request_of: RequestOf, credentials: bytes, status: int) -> None:
    """The key is the password of clients that know an address only."""
    guard = KeyMiddleware(echo, "key", SESSION, [])
    sent = {"Authorization": b"Basic " + base64.b64encode(credentials)}
    assert request_of(guard, [b""], headers=sent)[0] == status
    assert request_of(guard, [b""], headers={"Authorization": "Basic ???"})[0] == 401


def test_sessions_of_services_differ() -> None:
    """By name too: cookies of one host don't know ports."""
    other = Session.of("other")
    assert other.name != SESSION.name
    assert other.token != SESSION.token
    assert "key" not in SESSION.name + SESSION.token


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/models", {}, 200),
        ("/v1/models", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("/v1/models", {"Sec-Fetch-Site": "none"}, 200),
        ("/v1/models", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("/v1/models", {"Sec-Fetch-Site": "same-site"}, 403),
        ("/v1/models", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("/x", {"Content-Length": "1", "Transfer-Encoding": "chunked"}, 400),
        ("/x", {"Content-Length": "1"}, 200),
    ],
)
def test_origin(
    echo: Any, request_of: RequestOf, path: str, headers: dict[str, str], status: int
) -> None:
    """Other sites' pages may link to the page, nothing else; a request has one length."""
    found = request_of(OriginMiddleware(echo), [b""], headers=headers, path=path)
    assert found[0] == status
    assert ("connection" in found[2]) == (status == 400)
