"""The route that draws images, with progress while it draws."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from openbind.errors import InputError, OpenbindError
from openbind.search.query import common_modality
from openbind.serving import schemas
from openbind.serving.bodies import json_body, read_json
from openbind.serving.drawing import Drawing
from openbind.serving.errors import ApiError, api_error, internal_error
from openbind.serving.parts import note_parts
from openbind.serving.service import Service

if TYPE_CHECKING:
    from PIL.Image import Image

POLL_SECONDS = 0.2
"""Between two events of a request's progress."""
EVENTS = "text/event-stream"
PREFIX = "image_generation"
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": schemas.ImagesResponse,
        "description": "The images; with `stream` server-sent events of progress, the images last",
        "content": {EVENTS: {}},
    }
}


def add_generation(app: FastAPI, service: Service) -> None:
    """Add the route to an application."""

    @app.post(
        "/v1/images/generations",
        responses=RESPONSES,
        openapi_extra=json_body(schemas.ImagesRequest),
        tags=["images"],
    )
    async def draw(http: Request) -> Response:
        """Draw images of a text, or of a weighted sum of parts of any modality."""
        request = await read_json(http, schemas.ImagesRequest, service.limits.json_values)
        service.check_model(request.model)
        client = http.client.host if http.client else ""
        parts = _parts(request)
        notes = note_parts(parts, service.space)
        drawing = await _start(service, request, parts, client)
        if request.stream:
            return StreamingResponse(_events(drawing, notes), media_type=EVENTS)
        try:
            images = await asyncio.wrap_future(drawing.future)
        finally:
            drawing.future.cancel()
        return JSONResponse(await asyncio.to_thread(_write, images, notes))


def _parts(request: schemas.ImagesRequest) -> list[schemas.QueryPart]:
    """Return what to draw; a prompt is one text.

    Raises:
        InputError: neither a prompt nor parts, or both.
    """
    if (request.prompt is None) == (request.parts is None):
        raise InputError("parts", "expected either 'prompt' or 'parts'")
    return request.parts or [schemas.QueryPart.model_validate({"input": request.prompt})]


async def _start(
    service: Service,
    request: schemas.ImagesRequest,
    parts: list[schemas.QueryPart],
    client: str,
) -> Drawing:
    """Embed the query of a request, and queue its images.

    Raises:
        ApiError: 404, the space has no decoder.
        InputError: a part can't be used.
        OverloadedError: too much work is queued.
    """
    space = service.space
    if space.generator is None:
        message = f"{space.name} has no decoder; see docs/generation.md"
        raise ApiError(404, message, code="decoder_not_found")
    terms, vector_E = await service.embed_parts(parts, client)
    draw = partial(
        space.generate,
        vector_E,
        modality=common_modality(terms),
        n=request.n,
        candidates=request.candidates,
        seed=request.seed,
        steps=request.steps,
        guidance=request.guidance,
    )
    return service.drawings.add(lambda note: draw(progress=note), request.n, client)


async def _events(drawing: Drawing, notes: list[str]) -> AsyncIterator[str]:
    """Yield events of progress, then the images or an error; leaving early cancels the drawing."""
    images = asyncio.wrap_future(drawing.future)
    try:
        while not (await asyncio.wait({images}, timeout=POLL_SECONDS))[0]:
            yield _event("progress", done=drawing.done, total=drawing.total)
        yield _event("completed", **await asyncio.to_thread(_write, images.result(), notes))
    except OpenbindError as error:
        yield _event("failed", error=api_error(error).plain())
    except Exception:
        yield _event("failed", error=internal_error().plain())
        raise
    finally:
        drawing.future.cancel()


def _event(kind: str, **fields: Any) -> str:
    return f"data: {json.dumps({'type': f'{PREFIX}.{kind}', **fields})}\n\n"


def _write(images: list[Image], notes: list[str]) -> dict[str, Any]:
    """Return images in OpenAI's shape, as base64 of PNG."""
    data = []
    for image in images:
        content = io.BytesIO()
        image.save(content, "PNG")
        data.append({"b64_json": base64.b64encode(content.getvalue()).decode()})
    return {"created": int(time.time()), "data": data, "notes": notes}
