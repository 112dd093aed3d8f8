"""Errors of the service: what is wrong, in which part of the request, and why.

They have OpenAI's shape, on routes of other dialects theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from openbind.errors import InputError, MissingExtraError, OpenbindError
from openbind.serving.work import OverloadedError

INVALID = "invalid_request_error"
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    503: "overloaded_error",
}
"""OpenAI's `type` of an error by its status; other 4xx are invalid requests."""
MAX_LISTED = 3
"""Problems of one request that are listed; there may be one for each of thousands of items."""


class ApiError(Exception):
    """An error response.

    Args:
        status: the HTTP status.
        message: what was found, what was expected, what to do.
        param: the part of the request that is wrong.
        code: a short identifier for programs.
        headers: additional response headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def plain(self) -> dict[str, Any]:
        """Return it in OpenAI's shape."""
        kind = TYPES.get(self.status, INVALID if self.status < 500 else "server_error")
        return {"message": self.message, "type": kind, "param": self.param, "code": self.code}

    def response(self) -> ErrorResponse:
        """Return the response to send."""
        return ErrorResponse(self)


SHAPES: dict[str, Callable[[ApiError], dict[str, Any]]] = {
    "/vectorize": lambda error: {"error": error.message},
    "/v2/embed": lambda error: {"message": error.message},
}
"""Path of a route in another dialect than OpenAI's → the body of its errors."""


class ErrorResponse(JSONResponse):
    """A response in the shape of the route that it comes from, whoever sends it.

    Args:
        error: to send.
    """

    def __init__(self, error: ApiError) -> None:
        super().__init__({"error": error.plain()}, error.status, error.headers)
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if shape := SHAPES.get(scope["path"]):
            error = self.error
            await JSONResponse(shape(error), error.status, error.headers)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def overloaded(seconds: int, headers: Mapping[str, str] | None = None) -> ApiError:
    """Return the 503 that asks a client to retry, with more headers if any."""
    return ApiError(
        503,
        f"server overloaded; retry in {seconds} s",
        code="overloaded",
        headers={"Retry-After": str(seconds), **(headers or {})},
    )


def add_handlers(app: FastAPI) -> None:
    """Make an application answer every exception in this shape."""
    app.add_exception_handler(ApiError, _handle_api_error)
    app.add_exception_handler(OpenbindError, _handle_openbind_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(Exception, _handle_unexpected)


def api_error(error: OpenbindError) -> ApiError:
    """Return the error response of an error of this package."""
    if isinstance(error, OverloadedError):
        return overloaded(error.retry_seconds)
    if isinstance(error, MissingExtraError):
        return ApiError(501, f"not installed here: {error}", code="package_missing")
    return ApiError(400, str(error), param=getattr(error, "item", None))


def internal_error() -> ApiError:
    """Return the response to an unexpected error: its text may hold paths, and is only logged."""
    return ApiError(500, "internal error; see the server's log", code="internal_error")


async def _handle_api_error(request: Request, error: Any) -> Response:
    response: Response = error.response()
    return response


async def _handle_openbind_error(request: Request, error: Any) -> Response:
    return api_error(error).response()


async def _handle_validation_error(request: Request, error: Any) -> Response:
    problems: Sequence[Mapping[str, Any]] = error.errors()
    listed = [f"{_param(problem)}: {problem['msg']}" for problem in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        listed.append(f"and {len(problems) - MAX_LISTED} more")
    return ApiError(400, "; ".join(listed), param=_param(problems[0])).response()


def _param(problem: Mapping[str, Any]) -> str:
    """Write ("body", "parts", 0, "input") as `parts[0].input`."""
    inside = [step for step in problem["loc"] if step not in ("body", "query", "path")]
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inside)
    return written.removeprefix(".") or "body"


async def _handle_http_error(request: Request, error: Any) -> Response:
    message, code = error.detail, None
    if error.status_code == 404:
        message, code = f"not found: {request.url.path}; see /openapi.json", "not_found"
    elif error.status_code == 405:
        message = f"{request.method} not allowed for {request.url.path}; see /openapi.json"
        code = "method_not_allowed"
    return ApiError(error.status_code, message, code=code, headers=error.headers).response()


async def _handle_unexpected(request: Request, error: Exception) -> Response:
    return internal_error().response()


@contextmanager
def as_param(name: str) -> Iterator[None]:
    """Make errors name a part of the request, or a place in it."""
    try:
        yield
    except InputError as error:
        place = error.item if error.item.startswith(f"{name}.") else name
        raise InputError(place, error.reason) from error
