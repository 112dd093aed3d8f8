"""The FastAPI application and its routes."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query
from pydantic_core import to_json
from starlette.responses import FileResponse, Response

from openbind import __version__
from openbind.evaluation.projection import Method
from openbind.media.types import media_type
from openbind.modalities.thumbnails import LARGE, draw_thumbnail
from openbind.serving import schemas
from openbind.serving.atlas import COUNTS
from openbind.serving.errors import ApiError, add_handlers
from openbind.serving.hits import UNKNOWN, find_hit, hit_row, resolve_path
from openbind.serving.memory import keep_releasing
from openbind.serving.metrics import CONTENT_TYPE, MetricsMiddleware
from openbind.serving.middleware import (
    COOKIE,
    BodyMiddleware,
    HeaderMiddleware,
    HostMiddleware,
    KeyMiddleware,
    session_token,
)
from openbind.serving.payloads import message_terms
from openbind.serving.service import Service

PAGE_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "query.js": "text/javascript; charset=utf-8",
    "gallery.js": "text/javascript; charset=utf-8",
    "atlas.js": "text/javascript; charset=utf-8",
    "service.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""The files of the page, and their media types."""
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": description}
    for status, description in {
        400: "Invalid request; `param` names the part, the message gives the reason",
        401: "Missing or wrong API key",
        403: "Host not allowed: a service without an API key serves this machine only",
        404: "No such model, item or index",
        408: "The request body timed out",
        413: "The request body is too large",
        501: "A package that this needs isn't installed; the message names it",
        503: "Server overloaded; retry after the seconds in Retry-After",
    }.items()
}
MEDIA: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"*/*": {}}},
    206: {"description": "The requested range", "content": {"*/*": {}}},
    400: {"description": "Malformed Range header", "content": {"text/plain": {}}},
    416: {"description": "Range not satisfiable", "content": {"text/plain": {}}},
}
IMAGE_TYPE = "image/jpeg"
IMAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "An image", "content": {IMAGE_TYPE: {}}}
}


def create_app(service: Service, api_key: str | None = None) -> FastAPI:
    """Return the application for a server to run.

    Args:
        service: the application closes it when it ends.
        api_key: required from clients; None serves requests to this machine's own names only.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        releasing = asyncio.create_task(keep_releasing())
        yield
        releasing.cancel()
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="openbind",
        version=__version__,
        summary="Embeddings, search and classification across modalities.",
        lifespan=lifespan,
        responses=ERRORS,
        docs_url=None,  # its scripts would be loaded from another server
        redoc_url=None,
    )
    add_handlers(app)
    app.add_middleware(BodyMiddleware, limits=service.limits)
    if api_key is None:
        app.add_middleware(HostMiddleware)
    else:
        open_paths = ["/", "/health", *(f"/page/{name}" for name in PAGE_TYPES)]
        app.add_middleware(KeyMiddleware, api_key=api_key, open_paths=open_paths)
    app.add_middleware(HeaderMiddleware)
    app.add_middleware(MetricsMiddleware, metrics=service.metrics)
    _add_embedding(app, service)
    _add_search(app, service)
    _add_items(app, service)
    _add_state(app, service)
    _add_page(app, api_key)
    _remove_422(app)
    return app


def _add_embedding(app: FastAPI, service: Service) -> None:
    @app.post("/v1/embeddings", response_model=schemas.EmbeddingResponse, tags=["vectors"])
    async def embed(request: schemas.EmbeddingRequest) -> Response:
        """Embed items of one modality, or the parts of `messages` as one vector."""
        service.check_model(request.model)
        if request.dimensions not in (None, service.space.dim):
            message = f"this space has {service.space.dim} dimensions"
            raise ApiError(400, message, param="dimensions")
        if (request.messages is None) == (request.input is None):
            raise ApiError(400, "expected either 'input' or 'messages'", param="input")
        modality = service.check_modality(request.modality)
        if request.messages is not None:
            known = service.space.modalities
            terms = await asyncio.to_thread(message_terms, request.messages, known)
            found = await service.combine(terms, "messages")
        else:
            given = [request.input] if isinstance(request.input, str) else request.input or []
            items = await service.read_items(modality, given, "input")
            found = await service.embed(modality, items, "input")
        usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
        fields = {"object": schemas.LIST, "model": service.space.name, "usage": usage}
        as_base64 = request.encoding_format == "base64"
        content = await asyncio.to_thread(_write_vectors, fields, found.vectors_NE, as_base64)
        return Response(content, media_type="application/json")

    @app.post("/v1/classify", tags=["vectors"])
    async def classify(request: schemas.ClassifyRequest) -> schemas.ClassifyResponse:
        """Compute the probability of each label for each item, zero-shot."""
        service.check_model(request.model)
        modality = service.check_modality(request.modality)
        given = [request.input] if isinstance(request.input, str) else request.input
        items = await service.read_items(modality, given, "input")
        rows_NK = await service.classify(modality, items, request.labels, request.templates)
        rows = [
            schemas.ClassifyRow(
                object="classification", index=at, labels=_rank(request.labels, probabilities_K)
            )
            for at, probabilities_K in enumerate(rows_NK)
        ]
        return schemas.ClassifyResponse(object="list", data=rows, model=service.space.name)


def _add_search(app: FastAPI, service: Service) -> None:
    @app.post("/v1/search", tags=["search"])
    async def search(request: schemas.SearchRequest) -> schemas.SearchResponse:
        """Find the items nearest to texts, images, audio, indexed items, or a weighted sum."""
        start = time.perf_counter()
        hits = await service.search(request)
        return schemas.SearchResponse(
            object="list",
            data=[hit_row(hit) for hit in hits],
            model=service.space.name,
            seconds=time.perf_counter() - start,
        )

    @app.get("/v1/atlas", tags=["search"])
    async def atlas(
        count: Annotated[int, Query(ge=1, le=COUNTS[-1])] = 800, method: Method = "tsne"
    ) -> schemas.AtlasResponse:
        """Project a sample of the index to a plane; `count` is rounded up to a few sizes."""
        return await service.map(count, method)

    @app.get("/v1/index", tags=["search"])
    async def index() -> schemas.IndexResponse:
        """Summarize the index."""
        info = await asyncio.to_thread(service.need_index().info)
        return schemas.IndexResponse(
            object="index",
            space=info.space,
            rows=info.rows,
            files=info.files,
            bytes=info.bytes,
            by_modality=dict(info.by_modality),
            roots=[root.name for root in info.roots],
            ann=info.ann,
        )


def _add_items(app: FastAPI, service: Service) -> None:
    @app.get("/v1/items/{id}", tags=["items"])
    async def item(id: str) -> schemas.HitRow:
        """Describe an indexed item."""
        return hit_row(await asyncio.to_thread(find_hit, service.need_index(), id))

    @app.get("/v1/items/{id}/thumbnail", responses=IMAGE, tags=["items"])
    async def thumbnail(id: str) -> Response:
        """Return a small image of an indexed item: a plot of audio, depth and IMU data."""
        index = service.need_index()
        hit = await asyncio.to_thread(find_hit, index, id)
        image = await asyncio.to_thread(index.thumbnail, hit.id)
        return _image(image, hit.id, "private, max-age=3600")

    @app.get("/v1/items/{id}/drawing", responses=IMAGE, tags=["items"])
    async def drawing(id: str) -> Response:
        """Return a large image of an indexed item: of depth, thermal and IMU data a plot."""
        hit = await asyncio.to_thread(find_hit, service.need_index(), id)
        path = await asyncio.to_thread(resolve_path, hit)
        image = await asyncio.to_thread(draw_thumbnail, hit.modality, path, LARGE)
        return _image(image, hit.id, "private, no-cache")

    @app.api_route("/v1/items/{id}/media", methods=["GET"], responses=MEDIA, tags=["items"])
    async def media(id: str) -> FileResponse:
        """Return an indexed item's file, or a range of it."""
        hit = await asyncio.to_thread(find_hit, service.need_index(), id)
        path = await asyncio.to_thread(resolve_path, hit)
        kind = media_type(path)
        return FileResponse(
            path,
            media_type=kind or UNKNOWN,
            filename=path.name,
            content_disposition_type="inline" if kind else "attachment",
            headers={"Content-Security-Policy": "sandbox", "Cache-Control": "private, no-cache"},
        )


def _image(content: bytes | None, row_id: str, cache: str) -> Response:
    if content is None:
        message = f"item {row_id!r} has no image"
        raise ApiError(404, message, param="id", code="image_not_found")
    return Response(content, media_type=IMAGE_TYPE, headers={"Cache-Control": cache})


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", tags=["state"])
    async def models() -> schemas.ModelsResponse:
        """List the space of this service."""
        return schemas.ModelsResponse(object="list", data=[service.model()])

    @app.get("/v1/models/{name}", tags=["state"])
    async def model(name: str) -> schemas.ModelRow:
        """Describe the space."""
        service.check_model(name)
        return service.model()

    @app.get("/health", tags=["state"])
    async def health() -> schemas.Health:
        """Return 200 while the service is up."""
        return schemas.Health(status="ok", model=service.space.name)

    @app.get("/metrics", tags=["state"], responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Return the metrics for Prometheus."""
        text = await asyncio.to_thread(service.metrics.text)
        return Response(text, media_type=CONTENT_TYPE)


def _add_page(app: FastAPI, api_key: str | None) -> None:
    folder = files("openbind") / "serving" / "page"
    contents = {name: (folder / name).read_bytes() for name in PAGE_TYPES}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(contents["index.html"], media_type=PAGE_TYPES["index.html"])

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        if name not in contents:
            raise ApiError(404, f"the page has no file {name[:80]!r}", code="not_found")
        return Response(contents[name], media_type=PAGE_TYPES[name])

    @app.post("/v1/session", status_code=204, tags=["state"])
    async def session() -> Response:
        """Set a cookie that stands for the API key: images and players send no header."""
        response = Response(status_code=204)
        if api_key is not None:
            response.set_cookie(COOKIE, session_token(api_key), httponly=True, samesite="strict")
        return response


def _remove_422(app: FastAPI) -> None:
    """Remove FastAPI's 422 from the OpenAPI description; such requests are answered with 400."""
    description = app.openapi()
    for path in description["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        description["components"]["schemas"].pop(name, None)


def _write_vectors(fields: dict[str, Any], vectors_NE: np.ndarray, as_base64: bool) -> bytes:
    """Return a JSON response with vectors, as numbers or as base64 of little-endian float32."""
    rows = (
        [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors_NE]
        if as_base64
        else vectors_NE.tolist()
    )
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    return to_json({**fields, "data": data})


def _rank(labels: Sequence[str], probabilities_K: np.ndarray) -> list[schemas.LabelProbability]:
    order = np.argsort(-probabilities_K, kind="stable")
    return [
        schemas.LabelProbability(label=labels[k], probability=float(probabilities_K[k]))
        for k in order
    ]
