"""Weaviate's dialect: what its module multi2vec-bind asks an inference service for.

Source: the module's client in Weaviate's repository. It sends no media type, and no key but what is
in the address that it was configured with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import Response

from openbind import __version__
from openbind.errors import InputError
from openbind.modalities import TEXT
from openbind.serving.bodies import json_body, read_json
from openbind.serving.limits import MAX_ITEMS
from openbind.serving.schemas import Strict
from openbind.serving.service import Service

OPEN_PATHS = ("/.well-known/ready", "/.well-known/live")
"""Served without a key."""
STATUSES = (400, 401, 403, 404, 408, 413, 415, 501, 503)
"""Of errors, which have this dialect's shape (`openbind.serving.errors.SHAPES`)."""
Items = Annotated[list[str], Field(max_length=MAX_ITEMS)] | None
Vectors = list[list[float]] | None


class VectorizeRequest(Strict):
    """Items by modality: texts, and files in base64 or as data URLs."""

    texts: Items = None
    images: Items = None
    audio: Items = None
    video: Items = None
    imu: Items = None
    thermal: Items = None
    depth: Items = None


class VectorizeResponse(BaseModel):
    """The unit vectors of each list that was given, in its order."""

    textVectors: Vectors = None
    imageVectors: Vectors = None
    audioVectors: Vectors = None
    videoVectors: Vectors = None
    imuVectors: Vectors = None
    thermalVectors: Vectors = None
    depthVectors: Vectors = None


class VectorizeError(BaseModel):
    """What is wrong."""

    error: str


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": VectorizeError, "description": "What is wrong"} for status in STATUSES
}


class Meta(BaseModel):
    """The space."""

    model: str
    dim: int
    modalities: list[str]
    license: str
    version: str = Field(description="of openbind")


def add_weaviate(app: FastAPI, service: Service) -> None:
    """Add the routes to an application."""

    @app.post(
        "/vectorize",
        response_model=VectorizeResponse,
        responses=ERRORS,
        openapi_extra=json_body(VectorizeRequest),
        tags=["weaviate"],
    )
    async def vectorize(http: Request) -> Response:
        """Embed items of several modalities, as Weaviate's module multi2vec-bind asks for."""
        limit = service.limits.json_values
        request = await read_json(http, VectorizeRequest, limit, untyped=True)
        client = http.client.host if http.client else ""
        vectors = await _embed(service, request, client)
        return Response(await asyncio.to_thread(_write, vectors), media_type="application/json")

    @app.get("/meta", tags=["weaviate"])
    async def meta() -> Meta:
        """Describe the space."""
        space = service.space
        return Meta(
            model=space.name,
            dim=space.dim,
            modalities=list(space.modalities),
            license=space.card.license,
            version=__version__,
        )

    async def ready() -> Response:
        """Return 204 while the service is up."""
        return Response(status_code=204)

    for path in OPEN_PATHS:
        app.add_api_route(path, ready, status_code=204, tags=["weaviate"])


async def _embed(service: Service, request: VectorizeRequest, client: str) -> dict[str, np.ndarray]:
    """Return modality → (items, dim), for each list that has items.

    Raises:
        InputError: no items, too many, or one that can't be used.
        OverloadedError: too much work is queued.
    """
    given = {key: items for key, items in request if items}
    if not given:
        names = ", ".join(VectorizeRequest.model_fields)
        raise InputError("body", f"expected items in one or more of {names}")
    service.check_count(sum(map(len, given.values())), "body")
    payloads = {}
    for key, items in given.items():
        modality = service.check_modality(key.removesuffix("s"), key)
        urls = items if modality == TEXT else [*map(_data_url, items)]
        payloads[modality] = (key, await service.read_items(modality, urls, key))
    return {
        modality: (await service.embed(modality, items, key, client)).vectors_NE
        for modality, (key, items) in payloads.items()
    }


def _data_url(given: str) -> str:
    """Return base64 as a data URL, which it may be already."""
    return given if given[:5].lower() == "data:" else f"data:;base64,{given}"


def _write(vectors: Mapping[str, np.ndarray]) -> bytes:
    return to_json({f"{modality}Vectors": rows.tolist() for modality, rows in vectors.items()})
