"""The FastAPI application and its routes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.responses import Response

from openbind import __version__
from openbind.serving import index_schemas, schemas
from openbind.serving.access import (
    HeaderMiddleware,
    HostMiddleware,
    KeyMiddleware,
    OriginMiddleware,
    Session,
)
from openbind.serving.bodies import body_schemas, json_body, read_json
from openbind.serving.cohere import CohereRequest, add_cohere
from openbind.serving.errors import ApiError, add_handlers
from openbind.serving.generation import add_generation
from openbind.serving.items import add_items
from openbind.serving.locating import add_locating
from openbind.serving.memory import keep_releasing
from openbind.serving.metrics import CONTENT_TYPE, MetricsMiddleware
from openbind.serving.middleware import BodyMiddleware, TimeMiddleware
from openbind.serving.payloads import message_terms
from openbind.serving.searching import add_search
from openbind.serving.service import Service
from openbind.serving.site import PAGE_TYPES, add_page
from openbind.serving.weaviate import OPEN_PATHS, VectorizeRequest, add_weaviate
from openbind.space.language import LANGUAGES, note_foreign

CLOSE_SECONDS = 3
"""Time to end the threads when no request is open any more."""
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": description}
    for status, description in {
        400: "Invalid request; `param` names the part, the message gives the reason",
        401: "Missing or wrong API key",
        403: "Host or origin not allowed: other sites' pages, and other machines without a key",
        404: "No such model, item or index",
        408: "The request body timed out",
        413: "The request body is too large",
        415: "The body isn't JSON, or isn't said to be",
        501: "A package that this needs isn't installed; the message names it",
        503: "Server overloaded; retry after the seconds in Retry-After",
    }.items()
}
BODIES = (
    schemas.EmbeddingRequest,
    schemas.ClassifyRequest,
    schemas.SearchRequest,
    schemas.ImagesRequest,
    schemas.LocateRequest,
    CohereRequest,
    VectorizeRequest,
)


def create_app(service: Service, api_key: str | None = None) -> FastAPI:
    """Return the application for a server to run.

    Args:
        service: the application starts it, and closes it when it ends.
        api_key: required from clients; None serves requests to this machine's own names only.
    """
    session = Session.of(api_key or service.secret.hex())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        releasing = asyncio.create_task(keep_releasing())
        starting = asyncio.create_task(asyncio.to_thread(service.start))
        yield
        releasing.cancel()
        await starting
        await asyncio.to_thread(service.close, CLOSE_SECONDS)

    app = FastAPI(
        title="openbind",
        version=__version__,
        summary="Embeddings, search and classification across modalities.",
        lifespan=lifespan,
        responses=ERRORS,
        docs_url=None,  # its scripts would be loaded from another server
        redoc_url=None,
    )
    app.state.service = service
    add_handlers(app)
    app.add_middleware(BodyMiddleware, limits=service.limits)
    app.add_middleware(TimeMiddleware, limits=service.limits, stopping=service.stopping)
    if api_key is None:
        app.add_middleware(HostMiddleware)
    else:
        open_paths = ["/", "/health", *OPEN_PATHS, *(f"/page/{name}" for name in PAGE_TYPES)]
        app.add_middleware(KeyMiddleware, api_key=api_key, session=session, open_paths=open_paths)
    app.add_middleware(OriginMiddleware)
    app.add_middleware(HeaderMiddleware)
    app.add_middleware(MetricsMiddleware, metrics=service.metrics)
    _add_embedding(app, service)
    add_search(app, service)
    add_items(app, service, session)
    _add_state(app, service)
    add_generation(app, service)
    add_locating(app, service)
    add_cohere(app, service)
    add_weaviate(app, service)
    add_page(app, session, is_open=api_key is None)
    _describe(app)
    return app


def _add_embedding(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/embeddings",
        response_model=schemas.EmbeddingResponse,
        openapi_extra=json_body(schemas.EmbeddingRequest),
        tags=["vectors"],
    )
    async def embed(http: Request) -> Response:
        """Embed items of one modality, or the parts of `messages` as one vector."""
        request = await read_json(http, schemas.EmbeddingRequest, service.limits.json_values)
        service.check_model(request.model)
        if request.dimensions not in (None, service.space.dim):
            message = f"this space has {service.space.dim} dimensions"
            raise ApiError(400, message, param="dimensions")
        if (request.messages is None) == (request.input is None):
            raise ApiError(400, "expected either 'input' or 'messages'", param="input")
        modality = service.check_modality(request.modality)
        if request.messages is not None:
            known = service.space.modalities
            parts = sum(map(schemas.Message.count, request.messages))
            service.check_count(parts, "messages")
            terms = await asyncio.to_thread(message_terms, request.messages, known)
            found = await service.combine(terms, "messages", _client(http))
        else:
            given = [request.input] if isinstance(request.input, str) else request.input or []
            items = await service.read_items(modality, given, "input")
            found = await service.embed(modality, items, "input", _client(http), request.truncate)
        usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
        fields = {"object": schemas.LIST, "model": service.space.name, "usage": usage}
        as_base64 = request.encoding_format == "base64"
        content = await asyncio.to_thread(_write_vectors, fields, found.vectors_NE, as_base64)
        return Response(content, media_type="application/json")

    @app.post(
        "/v1/classify",
        response_model=schemas.ClassifyResponse,
        openapi_extra=json_body(schemas.ClassifyRequest),
        tags=["vectors"],
    )
    async def classify(http: Request) -> Response:
        """Compute the probability of each label for each item, zero-shot."""
        request = await read_json(http, schemas.ClassifyRequest, service.limits.json_values)
        service.check_model(request.model)
        modality = service.check_modality(request.modality)
        given = [request.input] if isinstance(request.input, str) else request.input
        items = await service.read_items(modality, given, "input")
        labels, templates = request.labels, request.templates
        rows_NK = await service.classify(modality, items, labels, templates, _client(http))
        space = service.space
        notes = note_foreign(labels, space.card.languages, space.name)
        fields = {"object": schemas.LIST, "model": space.name, "notes": notes}
        content = await asyncio.to_thread(_write_probabilities, fields, labels, rows_NK)
        return Response(content, media_type="application/json")


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

    @app.get("/v1/card", tags=["state"])
    async def card() -> index_schemas.CardResponse:
        """Return what the model was measured on, and what it can't."""
        card = service.space.card
        return index_schemas.CardResponse(
            object="card",
            model=service.space.name,
            summary=card.summary,
            limits=[*card.limits],
            languages=[LANGUAGES.get(code, code) for code in card.languages],
            measurements=[
                index_schemas.Measured(
                    task=own.task,
                    metric=own.metric,
                    value=own.value,
                    chance=own.chance,
                    data=own.data,
                    count=own.count,
                )
                for own in card.measurements
            ],
        )

    @app.get("/health", tags=["state"])
    async def health() -> schemas.Health:
        """Return 200 while the service is up."""
        return schemas.Health(status="ok", model=service.space.name)

    @app.get("/metrics", tags=["state"], responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Return the metrics for Prometheus."""
        text = await asyncio.to_thread(service.metrics.text)
        return Response(text, media_type=CONTENT_TYPE)


def _client(http: Request) -> str:
    """Return who sent a request: clients share the machine equally."""
    return http.client.host if http.client else ""


def _describe(app: FastAPI) -> None:
    """Complete the OpenAPI description: bodies; and invalid requests are a 400, not a 422."""
    description = app.openapi()
    for path in description["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    known = description["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    known.update(body_schemas(BODIES))


def _write_vectors(fields: dict[str, Any], vectors_NE: np.ndarray, as_base64: bool) -> bytes:
    """Return a JSON response with vectors, as numbers or as base64 of little-endian float32."""

    def write(at: int, row_E: np.ndarray) -> bytes:
        encoded = base64.b64encode(row_E.astype("<f4").tobytes()).decode() if as_base64 else None
        return to_json({"object": "embedding", "index": at, "embedding": encoded or row_E.tolist()})

    return _write_list(fields, map(write, range(len(vectors_NE)), vectors_NE))


def _write_probabilities(
    fields: dict[str, Any], labels: Sequence[str], rows_NK: np.ndarray
) -> bytes:
    """Return a JSON response with each item's labels, most probable first."""

    def write(at: int, row_K: np.ndarray) -> bytes:
        order = np.argsort(-row_K, kind="stable")
        ranked = [{"label": labels[k], "probability": float(row_K[k])} for k in order]
        return to_json({"object": "classification", "index": at, "labels": ranked})

    return _write_list(fields, map(write, range(len(rows_NK)), rows_NK))


def _write_list(fields: dict[str, Any], rows: Iterable[bytes]) -> bytes:
    """Return a JSON response with rows that are written one by one: other threads go on."""
    return to_json(fields)[:-1] + b',"data":[' + b",".join(rows) + b"]}"
