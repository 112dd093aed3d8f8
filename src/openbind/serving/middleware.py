"""Middleware: allowed hosts, the API key, headers for browsers, limits of request bodies."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbind.serving.errors import ApiError, overloaded
from openbind.serving.limits import Limits

COOKIE = "openbind_session"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
RETRY_SECONDS = 2
"""When to retry while too many bodies are being received."""
BROWSER_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
METHODS_WITHOUT_BODY = frozenset(["GET", "HEAD", "OPTIONS"])


def session_token(api_key: str) -> str:
    """Return the value of the page's cookie: a hash, from which the key can't be recovered."""
    return hashlib.blake2b(api_key.encode(), digest_size=32, person=b"openbind-page").hexdigest()


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    return host in ("localhost", "::1") or host.startswith("127.")


class HostMiddleware:
    """Rejects requests with another Host header, against DNS rebinding.

    A page of another site, whose name was made to resolve to this machine, sends its own name.

    Args:
        app: the application to protect.
        hosts: allowed names, without port.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = LOOPBACK_HOSTS) -> None:
        self.app = app
        self.hosts = tuple(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, or reject it with 403."""
        if scope["type"] != "http" or await self._is_allowed(scope, receive):
            await self.app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")[:80]
        message = f"Host {host!r} not allowed; set an API key to serve other hosts"
        await ApiError(403, message, code="host_not_allowed").response()(scope, receive, send)

    async def _is_allowed(self, scope: Scope, receive: Receive) -> bool:
        """Let Starlette compare the header; only its plain-text response is replaced."""
        allowed = False

        async def accept(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal allowed
            allowed = True

        async def ignore(message: Message) -> None:
            return

        check = TrustedHostMiddleware(accept, self.hosts, www_redirect=False)
        await check(scope, receive, ignore)
        return allowed


class KeyMiddleware:
    """Rejects requests without the API key.

    Args:
        app: the application to protect.
        api_key: expected as `Authorization: Bearer …`, or as the cookie of a session.
        open_paths: served without it: the page, its files, the health check.
    """

    def __init__(self, app: ASGIApp, api_key: str, open_paths: Iterable[str]) -> None:
        self.app = app
        self.api_key = api_key
        self.session = session_token(api_key)
        self.open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, or reject it with 401."""
        is_open = scope["type"] != "http" or scope["path"] in self.open_paths
        if is_open or self._has_key(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        error = ApiError(
            401,
            "missing or wrong API key; expected the header `Authorization: Bearer KEY`",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await error.response()(scope, receive, send)

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _equal(given.strip(), self.api_key):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and _equal(cookie.value, self.session)


def _equal(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(given.encode(), expected.encode())


class HeaderMiddleware:
    """Adds security headers for browsers to every response.

    Args:
        app: the application to protect.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, and add the headers to its response."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in BROWSER_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, add if scope["type"] == "http" else send)


class BodyMiddleware:
    """Receives request bodies before the routes do, within limits of size, memory and time.

    Args:
        app: the application to protect.
        limits: of one body, of all bodies together, of the wait between two chunks.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request with its whole body, or reject it."""
        if scope["type"] != "http" or scope["method"] in METHODS_WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        body = _Body()
        try:
            error = await self._receive(body, receive)
            if error is not None:
                await error.response()(scope, receive, send)
            elif not body.disconnected:
                await self.app(scope, body.replay(receive), send)
        finally:
            self.held_bytes -= body.size

    async def _receive(self, body: _Body, receive: Receive) -> ApiError | None:
        discarded = 0
        error: ApiError | None = None
        while True:
            try:
                message = await asyncio.wait_for(receive(), self.limits.body_seconds)
            except asyncio.TimeoutError:
                reason = f"request body timed out after {self.limits.body_seconds:g} s"
                return ApiError(408, reason, code="body_timeout")
            if message["type"] == "http.disconnect":
                body.disconnected = True
                return error
            chunk = message.get("body", b"")
            if error is None:
                body.add(chunk)
                self.held_bytes += len(chunk)
                error = self._check(body)
                if error is not None:
                    self.held_bytes -= body.size
                    body.drop()
            else:
                # Keep reading for a while: a client that is still sending doesn't read responses.
                discarded += len(chunk)
                if discarded > self.limits.drain_bytes:
                    return error
            if not message.get("more_body", False):
                return error

    def _check(self, body: _Body) -> ApiError | None:
        if body.size > self.limits.body_bytes:
            limit = self.limits.body_bytes
            message = f"request body exceeds {limit:,} bytes; split it into several requests"
            return ApiError(413, message, code="body_too_large")
        if self.held_bytes > self.limits.held_bytes:
            return overloaded(RETRY_SECONDS)
        return None


class _Body:
    """A request body while it is received."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.disconnected = False

    def add(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)

    def drop(self) -> None:
        self.chunks.clear()
        self.size = 0

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
