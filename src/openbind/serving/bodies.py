"""Request bodies: JSON, counted before it is parsed, parsed off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.requests import Request

from openbind.serving.errors import ApiError

M = TypeVar("M", bound=BaseModel)

CHUNK_BYTES = 1 << 18
"""Looked at in one step; between two of them other threads go on."""
REFERENCE = "#/components/schemas/{model}"


async def read_json(
    request: Request, model: type[M], max_values: int, *, untyped: bool = False
) -> M:
    """Parse and validate the body of a request in a thread.

    Args:
        request: its body is JSON.
        model: what is expected.
        max_values: numbers, strings, lists and objects in it, at most.
        untyped: whether a client may leave its media type out.

    Raises:
        ApiError: 415, another media type; 400, too many values.
        RequestValidationError: not JSON (lone surrogates aren't), or not what is expected.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (untyped and not media_type):
        shown = repr(media_type[:80]) if media_type else "none"
        message = (
            f"expected JSON with `Content-Type: application/json`, found {shown}; with curl add "
            "`-H 'Content-Type: application/json'`; see /docs"
        )
        raise ApiError(415, message, param="body", code="unsupported_media_type")
    body = await request.body()

    def parse() -> M:
        if count_values(body, max_values) > max_values:
            message = f"more than {max_values:,} values; split it into several requests"
            raise ApiError(400, message, param="body")
        return model.model_validate_json(body)

    try:
        return await asyncio.to_thread(parse)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(found) from error


def count_values(body: bytes, most: int) -> int:
    """Count the values in JSON, at little cost whatever it is.

    Args:
        body: JSON, valid or not.
        most: counting ends beyond it.

    Returns:
        commas and opening brackets outside of strings.
    """
    count, in_string, rest = 0, False, b""
    for start in range(0, len(body), CHUNK_BYTES):
        chunk = rest + body[start : start + CHUNK_BYTES]
        end = len(chunk) - (len(chunk) - len(chunk.rstrip(b"\\"))) % 2  # cut no escape in two
        chunk, rest = chunk[:end], chunk[end:]
        pieces = chunk.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(pieces[int(in_string) :: 2])
        count += sum(map(outside.count, (b",", b"[", b"{")))
        in_string ^= len(pieces) % 2 == 0
        if count > most:
            break
    return count


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return how OpenAPI describes a route whose body is read by `read_json`."""
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def body_schemas(models: Sequence[type[BaseModel]]) -> Mapping[str, Any]:
    """Return the schemas of request bodies, by name."""
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template=REFERENCE
    )
    schemas: Mapping[str, Any] = found["$defs"]
    return schemas
