"""Connections cost little, whatever their clients do: silent, slow, flooding or not reading."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI

import openbind
from openbind.serving import server
from openbind.serving.app import create_app
from openbind.serving.limits import Limits
from openbind.serving.server import RepeatFilter, max_connections
from openbind.serving.service import Service

Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.fixture
def impatient(
    starter: openbind.Space, running: Running, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    """A service with short times and few connections."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(server, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(server, "DISCARDED_SECONDS", 0.5)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    limits = Limits(body_seconds=0.5, body_rate=1000)
    with running(create_app(Service(starter, limits=limits))) as client:
        yield client


def connect(client: httpx.Client) -> socket.socket:
    made = socket.create_connection((client.base_url.host, client.base_url.port or 0))
    made.settimeout(10)
    return made


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of a connection."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /health HT",
        HEAD + b"X-Slow: ",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\n{",
    ],
    ids=["silent", "half a line", "half a head", "idle", "half a body"],
)
def test_slow_clients_are_disconnected(impatient: httpx.Client, sent: bytes) -> None:
    """At every stage of a request."""
    with connect(impatient) as slow:
        slow.sendall(sent)
        start = time.perf_counter()
        assert is_closed(slow)
        assert time.perf_counter() - start < 20


def test_a_flood_of_connections(impatient: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    """The longest idle make room: others are served at once, and the log gets a line."""
    silent = [connect(impatient) for _ in range(100)]
    for _ in range(5):
        start = time.perf_counter()
        with httpx.Client(base_url=impatient.base_url) as client:
            assert client.get("/health").status_code == 200
        assert time.perf_counter() - start < 8
    for connection in silent:
        connection.close()
    assert len([r for r in caplog.records if "too many connections" in r.message]) <= 1


@pytest.mark.parametrize("length", ["Content-Length: 99999999999", "Transfer-Encoding: chunked"])
def test_no_more_is_read_after_a_refusal(impatient: httpx.Client, length: str) -> None:
    """The response can be read; then the connection ends, however much is still sent."""
    with connect(impatient) as pouring:
        pouring.sendall(
            HEAD.replace(b"/v1/embeddings", b"/nothing") + length.encode() + b"\r\n\r\n"
        )
        chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        sent = 0
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while sent < 1 << 30:
                sent += pouring.send(chunk)
        assert sent < 100 << 20


def test_two_lengths(impatient: httpx.Client) -> None:
    """Servers in front may read another one: a 400, and the connection ends."""
    with connect(impatient) as smuggling:
        lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        smuggling.sendall(HEAD + lengths + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        response = b""
        while received := smuggling.recv(1 << 16):
            response += received
        assert response.startswith(b"HTTP/1.1 400")
        assert response.count(b"HTTP/1.1") == 1


def test_repeated_messages() -> None:
    """Once a minute; others pass."""

    def record(message: str) -> logging.LogRecord:
        return logging.LogRecord("x", logging.ERROR, "x", 1, message, (), None)

    repeats: Any = RepeatFilter()
    passed = [repeats.filter(record(message)) for message in ("a", "a", "b", "a")]
    assert passed == [True, False, True, False]


def test_connections_stay_below_descriptors() -> None:
    """Files and decoders need some too."""
    assert 16 <= max_connections() <= server.MAX_CONNECTIONS
