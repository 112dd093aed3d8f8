"""What stands before the routes: who may ask, and how much may be sent."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbind.serving.errors import ApiError, overloaded
from openbind.serving.limits import Limits

COOKIE = "openbind_session"
LOOPBACK_NAMES = frozenset(["localhost", "127.0.0.1", "[::1]"])
"""What a service without a key lets itself be called: a page of another site whose name was made
to point here (DNS rebinding) calls it something else."""
RETRY_SECONDS = 2
"""When to come back while too many bodies are under way."""
BROWSER_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
BODILESS = frozenset(["GET", "HEAD", "OPTIONS"])


def session_value(api_key: str) -> str:
    """What the page's cookie holds in place of the key, which can't be told from it."""
    return hashlib.blake2b(api_key.encode(), digest_size=32, person=b"openbind-page").hexdigest()


def is_loopback(host: str) -> bool:
    """Return an address that only this machine reaches."""
    return host in ("localhost", "::1") or host.startswith("127.")


class AccessMiddleware:
    """Asks for the key, if there is one; without one, answers to this machine's own names only.

    Args:
        app: what is guarded.
        api_key: that clients have to know (`Authorization: Bearer …`), or None.
        open_paths: served to everyone: the page, its files, whether the service is up.
    """

    def __init__(self, app: ASGIApp, api_key: str | None, open_paths: Iterable[str]) -> None:
        self.app = app
        self.api_key = api_key
        self.session = session_value(api_key) if api_key else ""
        self.open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            error_response = self._judge(scope["path"], Headers(scope=scope))
            if error_response is not None:
                await error_response.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _judge(self, path: str, headers: Headers) -> ApiError | None:
        if self.api_key is None:
            host = headers.get("host", "")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name.lower() in LOOPBACK_NAMES:
                return None
            return ApiError(403, f"this service has no key and isn't called {name[:80]!r}")
        if path in self.open_paths or self._knows_key(headers):
            return None
        return ApiError(
            401,
            "expected the service's key, as in `Authorization: Bearer KEY`",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _knows_key(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self.api_key or ""):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self.session)


def _same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return secrets.compare_digest(given.encode(), expected.encode())


class HeaderMiddleware:
    """Says to browsers what they may do with what is served.

    Args:
        app: what is guarded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add headers to the answer."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in BROWSER_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, add if scope["type"] == "http" else send)


class BodyMiddleware:
    """Reads bodies before the routes do, none larger than a limit, not too many at once.

    Args:
        app: what is guarded.
        limits: of one body, of all of them, of the time between two parts.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body, or refuse it."""
        if scope["type"] != "http" or scope["method"] in BODILESS:
            await self.app(scope, receive, send)
            return
        body = _Body()
        try:
            error_response = await self._read(body, receive)
            if error_response is not None:
                await error_response.response()(scope, receive, send)
            elif not body.gone:
                await self.app(scope, body.replay(receive), send)
        finally:
            self.held_bytes -= body.size

    async def _read(self, body: _Body, receive: Receive) -> ApiError | None:
        dropped = 0
        error_response: ApiError | None = None
        while True:
            try:
                message = await asyncio.wait_for(receive(), self.limits.body_seconds)
            except asyncio.TimeoutError:
                return ApiError(408, f"nothing came for {self.limits.body_seconds:g} s")
            if message["type"] == "http.disconnect":
                body.gone = True
                return error_response
            part = message.get("body", b"")
            if error_response is None:
                body.add(part)
                self.held_bytes += len(part)
                error_response = self._judge(body)
                if error_response is not None:
                    self.held_bytes -= body.size
                    body.drop()
            else:
                # Read on for a while: a client that is still writing doesn't read the answer.
                dropped += len(part)
                if dropped > self.limits.drain_bytes:
                    return error_response
            if not message.get("more_body", False):
                return error_response

    def _judge(self, body: _Body) -> ApiError | None:
        if body.size > self.limits.body_bytes:
            most = self.limits.body_bytes
            message = f"a body of more than {most:,} bytes; send less, or in several requests"
            return ApiError(413, message, code="body_too_large")
        if self.held_bytes > self.limits.held_bytes:
            return overloaded(RETRY_SECONDS)
        return None


class _Body:
    """A request's body as it comes in."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.gone = False

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        self.size += len(part)

    def drop(self) -> None:
        self.parts.clear()
        self.size = 0

    def replay(self, receive: Receive) -> Receive:
        """Return the whole body as one message, then what the client says next."""
        waiting = [b"".join(self.parts)]
        self.parts.clear()

        async def replayed() -> Message:
            if waiting:
                message: dict[str, Any] = {"type": "http.request", "body": waiting.pop()}
                return message | {"more_body": False}
            return await receive()

        return replayed
