"""Middleware for requests on their way: limits of the size and time of bodies and requests."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbind.serving.errors import ApiError, overloaded
from openbind.serving.limits import Limits

RETRY_SECONDS = 2
"""When to retry while too many bodies are being received, and after a request took too long."""
CLOSE = {"Connection": "close"}
"""Header of responses to requests whose body isn't read to its end."""
METHODS_WITHOUT_BODY = frozenset(["GET", "HEAD", "OPTIONS"])


class Stopping:
    """Tells open requests that the service stops."""

    def __init__(self) -> None:
        self._now = asyncio.Event()

    def begin(self, seconds: float) -> None:
        """End open requests in so many seconds; call it in the event loop."""
        asyncio.get_running_loop().call_later(seconds, self._now.set)

    async def wait(self) -> None:
        """Wait until open requests have to end."""
        await self._now.wait()


class TimeMiddleware:
    """Gives requests up whose client has left, that take too long, or that are open at the end.

    Giving up cancels the request, and so its work. Its client gets 503, unless the response has
    begun: a file that is being sent is sent to its end.

    Args:
        app: the application to protect.
        limits: of the time of a request.
        stopping: when the service stops.
    """

    def __init__(self, app: ASGIApp, limits: Limits, stopping: Stopping) -> None:
        self.app = app
        self.seconds = limits.request_seconds
        self.stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, or give it up."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        work = asyncio.ensure_future(self.app(scope, exchange.receive, exchange.send))
        left = asyncio.ensure_future(exchange.wait_until_left())
        end = asyncio.ensure_future(self.stopping.wait())
        try:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait({work, left, end}, timeout=self.seconds, return_when=first)
            if exchange.started:
                await asyncio.wait({work, left}, return_when=first)
            if work.done() or exchange.ended:
                await work
                return
            work.cancel()
            await asyncio.wait({work})
            if not left.done() and not exchange.started:
                await overloaded(RETRY_SECONDS, CLOSE).response()(scope, receive, send)
        finally:
            for task in (work, left, end):
                task.cancel()


class _Exchange:
    """A request and its response while they are transferred."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._received = asyncio.Event()
        self._left = asyncio.Event()
        self.started = self.ended = False
        if scope["method"] in METHODS_WITHOUT_BODY:
            self._received.set()

    async def receive(self) -> Message:
        """Return the next part of the body; after the last, wait until the client leaves."""
        if self._received.is_set():
            await self._left.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left.set()
        if not message.get("more_body", False):
            self._received.set()
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        self.started = True
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def wait_until_left(self) -> None:
        """Wait until the client has left."""
        await self._received.wait()
        while not self._left.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self._left.set()


class BodyMiddleware:
    """Receives request bodies before the routes do, within limits of size, memory and time.

    Args:
        app: the application to protect.
        limits: of one body, of all bodies together, of their time.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request with its whole body, or reject it, and read no more of it."""
        if scope["type"] != "http" or scope["method"] in METHODS_WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        body = _Body()
        try:
            claimed = Headers(scope=scope).get("content-length", "0")
            error = self._check_size(int(claimed)) if claimed.isdecimal() else None
            error = error or await self._receive(body, receive)
            if error is not None:
                await error.response()(scope, receive, send)
            elif not body.disconnected:
                await self.app(scope, body.replay(receive), send)
        finally:
            self.held_bytes -= body.size

    async def _receive(self, body: _Body, receive: Receive) -> ApiError | None:
        start = time.perf_counter()
        while True:
            end = start + self.limits.body_seconds + body.size / self.limits.body_rate
            wait = min(self.limits.body_seconds, end - time.perf_counter())
            try:
                message = await asyncio.wait_for(receive(), max(wait, 0))
            except asyncio.TimeoutError:
                reason = "request body timed out: it came too slowly, or stopped"
                return ApiError(408, reason, code="body_timeout", headers=CLOSE)
            if message["type"] == "http.disconnect":
                body.disconnected = True
                return None
            chunk = message.get("body", b"")
            body.add(chunk)
            self.held_bytes += len(chunk)
            error = self._check_size(body.size)
            if error is None and self.held_bytes > self.limits.held_bytes:
                error = overloaded(RETRY_SECONDS, CLOSE)
            if error is not None or not message.get("more_body", False):
                return error

    def _check_size(self, size: int) -> ApiError | None:
        if size <= self.limits.body_bytes:
            return None
        limit = self.limits.body_bytes
        message = f"request body exceeds {limit:,} bytes; split it into several requests"
        return ApiError(413, message, code="body_too_large", headers=CLOSE)


class _Body:
    """A request body while it is received."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.disconnected = False

    def add(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)

    def replay(self, receive: Receive) -> Receive:
        """Return a `receive` that yields the whole body as one message, then the client's next."""
        pending = [b"".join(self.chunks)]
        self.chunks.clear()

        async def replayed() -> Message:
            if pending:
                message: dict[str, Any] = {"type": "http.request", "body": pending.pop()}
                return message | {"more_body": False}
            return await receive()

        return replayed
