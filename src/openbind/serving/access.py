"""Who is served: middleware for hosts, origins and the API key, and headers for browsers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbind.serving.errors import ApiError
from openbind.serving.middleware import CLOSE

COOKIE = "openbind_session"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
BROWSER_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Session:
    """The cookie of the service's own page; other sites' pages can't send or read it.

    Args:
        name: differs between services of one host, since cookies don't know ports.
        token: its value.
    """

    name: str
    token: str

    @classmethod
    def of(cls, secret: str) -> Session:
        """Return the session of a secret, which can't be recovered from it."""
        token, name = (
            hashlib.blake2b(secret.encode(), digest_size=size, person=person).hexdigest()
            for size, person in ((32, b"openbind-page"), (4, b"openbind-name"))
        )
        return cls(f"{COOKIE}_{name}", token)

    def is_in(self, headers: Headers) -> bool:
        """Return whether a request has the cookie."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.name)
        except CookieError:
            return False
        return cookie is not None and _equal(cookie.value.encode(), self.token.encode())

    def put_in(self, response: Response) -> None:
        """Set the cookie."""
        response.set_cookie(self.name, self.token, httponly=True, samesite="strict")


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
        api_key: expected as `Authorization: Bearer …`, in UTF-8 or Latin-1; or as the password of
            `Basic`, which clients send that know an address only (`http://x:KEY@host`).
        session: its cookie stands for the key.
        open_paths: served without it: the page, its files, the health check.
    """

    def __init__(
        self, app: ASGIApp, api_key: str, session: Session, open_paths: Iterable[str]
    ) -> None:
        self.app = app
        self.keys = [api_key.encode()]
        with suppress(UnicodeEncodeError):
            self.keys.append(api_key.encode("latin-1"))
        self.session = session
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
        # Starlette reads headers as Latin-1, whatever the client wrote.
        scheme, _, given = headers.get("authorization", "").partition(" ")
        sent = given.strip().encode("latin-1")
        if scheme.lower() == "basic":
            sent = _password(sent)
        is_known = scheme.lower() in ("bearer", "basic")
        is_right = is_known and any(_equal(sent, key) for key in self.keys)
        return is_right or self.session.is_in(headers)


def _password(credentials: bytes) -> bytes:
    """Return the password of HTTP's basic authentication (RFC 7617); empty if there is none."""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _equal(given: bytes, expected: bytes) -> bool:
    """Compare in constant time."""
    return secrets.compare_digest(given, expected)


class OriginMiddleware:
    """Rejects requests of other sites' pages, and requests with two lengths.

    Browsers say where a request comes from (`Sec-Fetch-Site`). Only a link to the page itself may
    come from elsewhere.

    Args:
        app: the application to protect.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, or reject it with 400 or 403."""
        error = self._check(scope) if scope["type"] == "http" else None
        if error is None:
            await self.app(scope, receive, send)
        else:
            await error.response()(scope, receive, send)

    def _check(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers and "content-length" in headers:
            message = "expected either Content-Length or Transfer-Encoding, found both"
            return ApiError(400, message, code="two_lengths", headers=CLOSE)
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        is_link = scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        if is_foreign and not is_link:
            return ApiError(403, "other sites' pages are not served", code="cross_site")
        return None


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
