"""Every error of the service in OpenAI's shape: what was wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from openbind.errors import MissingExtraError, OpenbindError
from openbind.serving.request_queue import OverloadedError

INVALID = "invalid_request_error"
KINDS = {
    401: "authentication_error",
    403: "permission_error",
    503: "overloaded_error",
}
"""OpenAI's `type` of an error by its status; other 4xx are invalid requests."""
SHOWN_ERRORS = 3
"""Faults of one request that are named; there may be one for each of thousands of items."""


class ApiError(Exception):
    """An answer that isn't what was asked for.

    Args:
        status: of HTTP.
        message: what was found, what was expected, what to do.
        param: the part of the request that it is about.
        code: a short name for programs.
        headers: of the answer.
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

    def response(self) -> JSONResponse:
        """Return the answer."""
        kind = KINDS.get(self.status, INVALID if self.status < 500 else "server_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": error}, self.status, self.headers)


def overloaded(seconds: int) -> ApiError:
    """Turn a request away for now."""
    return ApiError(
        503,
        f"too much work is waiting; try again in {seconds} s",
        code="overloaded",
        headers={"Retry-After": str(seconds)},
    )


def add_handlers(app: FastAPI) -> None:
    """Make an application answer in this shape whatever goes wrong."""
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(OverloadedError, _handle_overload)
    app.add_exception_handler(OpenbindError, _refuse_input)
    app.add_exception_handler(RequestValidationError, _refuse_shape)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(Exception, _refuse_fault)


async def _refuse(request: Request, error: Any) -> Response:
    response: Response = error.response()
    return response


async def _handle_overload(request: Request, error: Any) -> Response:
    return overloaded(error.retry_seconds).response()


async def _refuse_input(request: Request, error: Any) -> Response:
    if isinstance(error, MissingExtraError):
        return ApiError(501, f"this service lacks a package: {error}").response()
    return ApiError(400, str(error), param=getattr(error, "item", None)).response()


async def _refuse_shape(request: Request, error: Any) -> Response:
    faults: Sequence[Mapping[str, Any]] = error.errors()
    named = [f"{_place(fault)}: {fault['msg']}" for fault in faults[:SHOWN_ERRORS]]
    if len(faults) > SHOWN_ERRORS:
        named.append(f"and {len(faults) - SHOWN_ERRORS} more")
    return ApiError(400, "; ".join(named), param=_place(faults[0])).response()


def _place(fault: Mapping[str, Any]) -> str:
    """Write ("body", "parts", 0, "input") as `parts[0].input`."""
    inside = [step for step in fault["loc"] if step not in ("body", "query", "path")]
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inside)
    return written.removeprefix(".") or "body"


async def _refuse_http(request: Request, error: Any) -> Response:
    message = error.detail
    if error.status_code == 404:
        message = f"nothing is at {request.url.path}; /openapi.json lists what there is"
    elif error.status_code == 405:
        message = f"{request.method} isn't for {request.url.path}; see /openapi.json"
    return ApiError(error.status_code, message, headers=error.headers).response()


async def _refuse_fault(request: Request, error: Exception) -> Response:
    # The text of an unexpected error may hold paths of the server; its log has it.
    return ApiError(500, "the service failed at this request; its log says why").response()
