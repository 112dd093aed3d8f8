"""The HTTP server: uvicorn, with limits of connections and of their time.

A client that connects and sends nothing, or too slowly, or doesn't read, must not cost others
anything: connections are limited below the process's file descriptors, and when there are too many
the one that has been idle longest makes room for the new one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from openbind.serving.service import Service

MAX_CONNECTIONS = 1000
"""Open at the same time; fewer if the system allows fewer file descriptors."""
SPARE_DESCRIPTORS = 400
"""For the index, decoders, files being sent, and connections that are accepted at once."""
BACKLOG = 128
"""Connections that are accepted at once, and that may wait for it."""
HEAD_SECONDS = 10
"""Time to send the head of a request."""
SEND_SECONDS = 30
"""Time without reading anything of a response."""
DISCARDED_BYTES = 1 << 20
"""Read of a body that is no longer wanted: few clients read a response before they have sent it."""
DISCARDED_SECONDS = 2.0
DRAIN_SECONDS = 20.0
"""Time for open requests to finish after a signal to stop; the rest gets 503."""
GRACE_SECONDS = 25
"""Time until connections that are still open are closed."""
LOG_SECONDS = 60.0
"""Between two lines of the log that say the same."""


class Server(uvicorn.Server):
    """Serves until a signal, then lets open requests finish.

    Args:
        app: the application.
        service: of the application.
    """

    def __init__(self, app: FastAPI, service: Service) -> None:
        self.service = service
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            loop="asyncio",  # whatever else is installed
            http=Connection,
            ws="none",
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        for name in ("uvicorn.error", "asyncio"):
            logging.getLogger(name).addFilter(REPEATS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what is open, end the service."""
        self.service.stop(DRAIN_SECONDS)
        await super().shutdown(sockets)


class Connection(H11Protocol):
    """A connection with limits of time, and of what is read in vain."""

    head_timer: asyncio.TimerHandle | None = None
    send_timer: asyncio.TimerHandle | None = None
    idle_since = 0.0
    discarded = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for a new connection, and wait for its first request."""
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > max_connections():
            known = [other for other in self.connections if isinstance(other, Connection)]
            idle = [other for other in known if other is not self and other.is_idle]
            longest = min(idle, key=lambda other: other.idle_since, default=self)
            self.logger.warning("too many connections: the longest idle is closed")
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        super().connection_lost(exc)
        self._stop_clocks()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, or discard the rest of one that has been answered."""
        if self.is_idle and self.conn.their_state is h11.SEND_BODY:
            self.discarded += len(data)
            if self.discarded > DISCARDED_BYTES:
                self.transport.abort()
                return
        super().data_received(data)
        if not self.is_idle and self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def on_response_complete(self) -> None:
        """Wait for the next request, for a while."""
        self.discarded = 0
        if not self.transport.is_closing():
            self._wait_for_head()
            if self.conn.their_state is h11.SEND_BODY:
                self.loop.call_later(DISCARDED_SECONDS, self._close_unread, self.cycle)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for a client that doesn't read, for a while."""
        super().pause_writing()
        self.send_timer = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self.send_timer is not None:
            self.send_timer.cancel()

    def _wait_for_head(self) -> None:
        self._stop_clocks()
        self.idle_since = time.monotonic()
        self.head_timer = self.loop.call_later(HEAD_SECONDS, self._close_silent)

    def _close_silent(self) -> None:
        if self.is_idle:
            self.transport.abort()

    def _close_unread(self, cycle: Any) -> None:
        """Close if the body of a request that was answered is still coming."""
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()

    def _stop_clocks(self) -> None:
        for timer in (self.head_timer, self.send_timer):
            if timer is not None:
                timer.cancel()


class RepeatFilter(logging.Filter):
    """Passes a message on once a minute, however often it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        kind = record.exc_info[0] if record.exc_info else None
        now, message = time.monotonic(), f"{str(record.msg)[:200]} {kind}"
        if now - self._last.get(message, -LOG_SECONDS) < LOG_SECONDS:
            return False
        self._last = {k: at for k, at in self._last.items() if now - at < LOG_SECONDS}
        self._last[message] = now
        return True


REPEATS = RepeatFilter()


def max_connections() -> int:
    """Return how many connections may be open."""
    with suppress(ImportError):  # not a POSIX system
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            return max(16, min(MAX_CONNECTIONS, soft - SPARE_DESCRIPTORS))
    return MAX_CONNECTIONS


def raise_descriptors() -> None:
    """Let the process open as many files as it may for all connections."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_CONNECTIONS + SPARE_DESCRIPTORS
        if soft != resource.RLIM_INFINITY and soft < wanted:
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
