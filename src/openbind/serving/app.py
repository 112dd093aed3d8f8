"""The routes."""

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
from openbind.evaluation.report.media_urls import media_type
from openbind.modalities.thumbnails import LARGE, draw_thumbnail
from openbind.serving import schemas
from openbind.serving.atlas import Method
from openbind.serving.errors import ApiError, add_handlers
from openbind.serving.files import UNKNOWN, find_hit, hit_row, locate
from openbind.serving.memory import keep_releasing
from openbind.serving.metrics import CONTENT_TYPE, RequestMeter
from openbind.serving.middleware import (
    COOKIE,
    AccessMiddleware,
    BodyMiddleware,
    HeaderMiddleware,
    session_value,
)
from openbind.serving.payloads import message_parts
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
"""All that can be had of the page's folder."""
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": description}
    for status, description in {
        400: "The request can't be used; the message says which part and why",
        401: "The service's key is missing or wrong",
        403: "The service has no key and was called by another name than this machine's own",
        404: "There is no such model, item or index",
        408: "The body stopped coming",
        413: "The body is too large",
        501: "The service lacks a package that this needs; the message names it",
        503: "Too much is waiting; the header Retry-After says when to come back",
    }.items()
}
MEDIA: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"*/*": {}}},
    206: {"description": "The part asked for with Range", "content": {"*/*": {}}},
    400: {"description": "A Range that can't be read", "content": {"text/plain": {}}},
    416: {"description": "A Range outside the file", "content": {"text/plain": {}}},
}
THUMBNAIL_TYPE = "image/jpeg"
THUMBNAIL: dict[int | str, dict[str, Any]] = {
    200: {"description": "A image", "content": {THUMBNAIL_TYPE: {}}}
}


def create_app(service: Service, api_key: str | None = None) -> FastAPI:
    """Make the application that a server runs.

    Args:
        service: what it offers; it is closed when the application ends.
        api_key: that clients have to know; None answers to this machine's own names only.
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
        docs_url=None,  # its scripts would come from another server
        redoc_url=None,
    )
    page = [f"/page/{name}" for name in PAGE_TYPES]
    add_handlers(app)
    app.add_middleware(BodyMiddleware, limits=service.limits)
    app.add_middleware(AccessMiddleware, api_key=api_key, open_paths=["/", "/health", *page])
    app.add_middleware(HeaderMiddleware)
    app.add_middleware(RequestMeter, metrics=service.metrics)
    _add_embedding(app, service)
    _add_search(app, service)
    _add_items(app, service)
    _add_state(app, service)
    _add_page(app, api_key)
    _describe(app)
    return app


def _add_embedding(app: FastAPI, service: Service) -> None:
    @app.post("/v1/embeddings", response_model=schemas.EmbeddingResponse, tags=["vectors"])
    async def embed(request: schemas.EmbeddingRequest) -> Response:
        """Embed items of one modality, or the parts of `messages` as one vector."""
        service.check_model(request.model)
        if request.dimensions not in (None, service.space.dim):
            raise ApiError(
                400, f"this space has {service.space.dim} dimensions", param="dimensions"
            )
        if (request.messages is None) == (request.input is None):
            raise ApiError(400, "expected either 'input' or 'messages'", param="input")
        modality = service.check_modality(request.modality)
        if request.messages is not None:
            parts = await asyncio.to_thread(
                message_parts, request.messages, service.space.modalities
            )
            found = await service.combine(parts, "messages")
        else:
            given = [request.input] if isinstance(request.input, str) else request.input or []
            items = await service.read_items(modality, given, "input")
            found = await service.embed(modality, items, "input")
        usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
        answer = {"object": schemas.LIST, "model": service.space.name, "usage": usage}
        packed = request.encoding_format == "base64"
        content = await asyncio.to_thread(_write_vectors, answer, found.vectors_NE, packed)
        return Response(content, media_type="application/json")

    @app.post("/v1/classify", tags=["vectors"])
    async def classify(request: schemas.ClassifyRequest) -> schemas.ClassifyResponse:
        """Return items a probability for each label, without training."""
        service.check_model(request.model)
        modality = service.check_modality(request.modality)
        given = [request.input] if isinstance(request.input, str) else request.input
        items = await service.read_items(modality, given, "input")
        chances_QK = await service.classify(modality, items, request.labels, request.templates)
        rows = [
            schemas.ClassifyRow(
                object="classification", index=at, labels=_ranked(request.labels, chances_K)
            )
            for at, chances_K in enumerate(chances_QK)
        ]
        return schemas.ClassifyResponse(object="list", data=rows, model=service.space.name)


def _add_search(app: FastAPI, service: Service) -> None:
    @app.post("/v1/search", tags=["search"])
    async def search(request: schemas.SearchRequest) -> schemas.SearchResponse:
        """Find what is nearest to words, images, sounds, indexed items, or a sum of them."""
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
        count: Annotated[int, Query(ge=1, le=2000)] = 800, method: Method = "tsne"
    ) -> schemas.AtlasResponse:
        """Lay items drawn from the index out on a plane, all modalities together."""
        service.need_index()
        assert service.atlas is not None
        return await asyncio.to_thread(service.atlas.draw, count, method)

    @app.get("/v1/index", tags=["search"])
    async def index() -> schemas.IndexResponse:
        """Return what is indexed."""
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

    @app.get("/v1/items/{id}/thumbnail", responses=THUMBNAIL, tags=["items"])
    async def thumbnail(id: str) -> Response:
        """Return a small image of an indexed item: of sounds, depth and motion a drawing."""
        index = service.need_index()
        hit = await asyncio.to_thread(find_hit, index, id)
        image = await asyncio.to_thread(index.thumbnail, hit.id)
        if image is None:
            raise ApiError(404, f"item {hit.id!r} has no image")
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(image, media_type=THUMBNAIL_TYPE, headers=headers)

    @app.get("/v1/items/{id}/drawing", responses=THUMBNAIL, tags=["items"])
    async def drawing(id: str) -> Response:
        """Draw an indexed item large: what a browser can't show of depth, heat and motion."""
        hit = await asyncio.to_thread(find_hit, service.need_index(), id)
        path = await asyncio.to_thread(locate, hit)
        image = await asyncio.to_thread(draw_thumbnail, hit.modality, path, LARGE)
        if image is None:
            raise ApiError(404, f"item {hit.id!r} can't be drawn")
        headers = {"Cache-Control": "private, no-cache"}
        return Response(image, media_type=THUMBNAIL_TYPE, headers=headers)

    @app.api_route("/v1/items/{id}/media", methods=["GET"], responses=MEDIA, tags=["items"])
    async def media(id: str) -> FileResponse:
        """Return an indexed item's file, or the part of it asked for with Range."""
        index = service.need_index()
        hit = await asyncio.to_thread(find_hit, index, id)
        path = await asyncio.to_thread(locate, hit)
        kind = media_type(path)
        return FileResponse(
            path,
            media_type=kind or UNKNOWN,
            filename=path.name,
            content_disposition_type="inline" if kind else "attachment",
            headers={"Content-Security-Policy": "sandbox", "Cache-Control": "private, no-cache"},
        )


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", tags=["state"])
    async def models() -> schemas.ModelsResponse:
        """List the one space there is."""
        return schemas.ModelsResponse(object="list", data=[service.model()])

    @app.get("/v1/models/{name}", tags=["state"])
    async def model(name: str) -> schemas.ModelRow:
        """Describe the space."""
        service.check_model(name)
        return service.model()

    @app.get("/health", tags=["state"])
    async def health() -> schemas.Health:
        """Say that the service is up."""
        return schemas.Health(status="ok", model=service.space.name)

    @app.get("/metrics", tags=["state"], responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Return what Prometheus reads."""
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
            raise ApiError(404, f"no file {name[:80]!r} of the page")
        return Response(contents[name], media_type=PAGE_TYPES[name])

    @app.post("/v1/session", status_code=204, tags=["state"])
    async def session() -> Response:
        """Let a browser that knows the key show images and play sounds, which send no header."""
        response = Response(status_code=204)
        if api_key is not None:
            response.set_cookie(COOKIE, session_value(api_key), httponly=True, samesite="strict")
        return response


def _describe(app: FastAPI) -> None:
    """Make the description true: what FastAPI would answer with 422 is answered with 400."""
    description = app.openapi()
    for path in description["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        description["components"]["schemas"].pop(name, None)


def _write_vectors(answer: dict[str, Any], vectors_NE: np.ndarray, packed: bool) -> bytes:
    """Write an answer with vectors, as numbers or as base64 of little-endian float32."""
    rows = (
        [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors_NE]
        if packed
        else vectors_NE.tolist()
    )
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    return to_json({**answer, "data": data})


def _ranked(labels: Sequence[str], chances_K: np.ndarray) -> list[schemas.LabelChance]:
    order = np.argsort(-chances_K, kind="stable")
    return [schemas.LabelChance(label=labels[k], probability=float(chances_K[k])) for k in order]
