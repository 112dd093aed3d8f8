"""Cohere's dialect: `POST /v2/embed`, with texts, images or inputs of several parts.

Source: Cohere's API reference, and the classes of its Python client.
"""

from __future__ import annotations

import asyncio
import base64
import math
import uuid
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import Response

from openbind.errors import InputError
from openbind.modalities import IMAGE, TEXT
from openbind.serving.bodies import json_body, read_json
from openbind.serving.errors import ApiError
from openbind.serving.limits import MAX_ITEMS
from openbind.serving.long_texts import Truncate
from openbind.serving.payloads import message_terms
from openbind.serving.schemas import ContentPart, Message, Strict
from openbind.serving.service import Service
from openbind.serving.work import EmbeddingResult

STATUSES = (400, 401, 403, 404, 408, 413, 415, 501, 503)
"""Of errors, which have this dialect's shape (`openbind.serving.errors.SHAPES`)."""
SPREAD = 4.0
"""Standard deviations of a random unit vector's components that 8 bits reach."""
Strings = Annotated[list[str], Field(min_length=1, max_length=MAX_ITEMS)] | None
Kind = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]


class Input(Strict):
    """Parts that make one vector: `text`, and `X_url` for any other modality X."""

    content: Annotated[list[ContentPart], Field(min_length=1, max_length=MAX_ITEMS)]


class CohereRequest(Strict):
    """Texts, images or inputs, one vector each."""

    model: str | None = Field(None, description="name of the space; a service has one")
    input_type: Literal[
        "search_document", "search_query", "classification", "clustering", "image"
    ] = Field("search_document", description="all are embedded alike")
    texts: Strings = None
    images: Strings = Field(None, description="data URLs (data:image/png;base64,…)")
    inputs: Annotated[list[Input], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    embedding_types: Annotated[list[Kind], Field(min_length=1, max_length=6)] = Field(
        default=["float"]
    )
    output_dimension: int | None = Field(None, description="if given, the dimension of the space")
    truncate: Literal["END", "NONE"] = Field(
        "END", description="long `texts` lose their end, or are refused"
    )
    priority: int | None = Field(None, description="ignored: clients are served equally")


class Embeddings(BaseModel):
    """Rows of each type that was asked for."""

    floats: list[list[float]] | None = Field(None, alias="float")
    int8: list[list[int]] | None = None
    uint8: list[list[int]] | None = None
    binary: list[list[int]] | None = None
    ubinary: list[list[int]] | None = None
    base64: list[str] | None = Field(None, description="of little-endian float32")


class CohereResponse(BaseModel):
    """The vectors, in the order of what was given."""

    id: str
    response_type: Literal["embeddings_by_type"]
    embeddings: Embeddings
    texts: list[str] | None = Field(None, description="as given")
    meta: dict[str, Any] = Field(description="version of the dialect, tokens of all texts")


class CohereError(BaseModel):
    """What is wrong."""

    message: str


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": CohereError, "description": "What is wrong"} for status in STATUSES
}


def add_cohere(app: FastAPI, service: Service) -> None:
    """Add the route to an application."""

    @app.post(
        "/v2/embed",
        response_model=CohereResponse,
        responses=ERRORS,
        openapi_extra=json_body(CohereRequest),
        tags=["cohere"],
    )
    async def embed(http: Request) -> Response:
        """Embed texts, images, or inputs of several parts, as Cohere's API."""
        request = await read_json(http, CohereRequest, service.limits.json_values)
        service.check_model(request.model)
        if request.output_dimension not in (None, service.space.dim):
            message = f"output_dimension: this space has {service.space.dim} dimensions"
            raise ApiError(400, message, param="output_dimension")
        found = await _embed(service, request, http.client.host if http.client else "")
        content = await asyncio.to_thread(_write, request, found)
        return Response(content, media_type="application/json")


async def _embed(service: Service, request: CohereRequest, client: str) -> EmbeddingResult:
    """Return one vector for each text, image or input.

    Raises:
        InputError: none of these lists or several, or an item that can't be used.
        OverloadedError: too much work is queued.
    """
    given = [each for each in (request.texts, request.images, request.inputs) if each is not None]
    if len(given) != 1:
        raise InputError("body", "expected one of 'texts', 'images' and 'inputs'")
    if request.inputs is not None:
        return await _embed_inputs(service, request.inputs, client)
    name, modality = ("texts", TEXT) if request.texts is not None else ("images", IMAGE)
    service.check_modality(modality, name)
    items = await service.read_items(modality, request.texts or request.images or [], name)
    truncate: Truncate = "end" if request.truncate == "END" else "refuse"
    return await service.embed(modality, items, name, client, truncate)


async def _embed_inputs(service: Service, inputs: Sequence[Input], client: str) -> EmbeddingResult:
    """Return the sum of each input's parts as a unit vector, see `_embed`."""
    messages = [Message(role="user", content=each.content) for each in inputs]
    service.check_count(sum(map(Message.count, messages)), "inputs")
    known = service.space.modalities
    terms = iter(await asyncio.to_thread(message_terms, messages, known, "inputs"))
    sums = [
        service.combine([*islice(terms, message.count())], f"inputs[{at}].content", client)
        for at, message in enumerate(messages)
    ]
    found = await asyncio.gather(*sums)
    vectors_NE = np.concatenate([each.vectors_NE for each in found])
    return EmbeddingResult(vectors_NE, sum(each.tokens for each in found))


def _write(request: CohereRequest, found: EmbeddingResult) -> bytes:
    """Return the response."""
    kinds = dict.fromkeys(request.embedding_types)
    fields = {
        "id": str(uuid.uuid4()),
        "response_type": "embeddings_by_type",
        "embeddings": {kind: KINDS[kind](found.vectors_NE) for kind in kinds},
        "texts": request.texts,
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"input_tokens": found.tokens},
        },
    }
    return to_json({key: value for key, value in fields.items() if value is not None})


def to_int8(vectors_NE: np.ndarray) -> np.ndarray:
    """Quantize unit vectors linearly to int8; cosines change by some hundredths at most.

    All vectors have the same step, so that products of two sets compare; components beyond
    `SPREAD` standard deviations of a random vector's are clipped.
    """
    step = SPREAD / math.sqrt(vectors_NE.shape[1]) / 127
    return np.clip(np.rint(vectors_NE / step), -128, 127).astype(np.int8)


def to_bits(vectors_NE: np.ndarray) -> np.ndarray:
    """Pack the signs of eight components into a byte, the first one highest."""
    return np.packbits(vectors_NE > 0, axis=1)


KINDS: dict[str, Callable[[np.ndarray], list[Any]]] = {
    "float": lambda vectors_NE: vectors_NE.tolist(),
    "int8": lambda vectors_NE: to_int8(vectors_NE).tolist(),
    "uint8": lambda vectors_NE: (to_int8(vectors_NE).astype(np.int16) + 128).tolist(),
    "binary": lambda vectors_NE: (to_bits(vectors_NE).astype(np.int16) - 128).tolist(),
    "ubinary": lambda vectors_NE: to_bits(vectors_NE).tolist(),
    "base64": lambda vectors_NE: [
        base64.b64encode(row_E.astype("<f4").tobytes()).decode() for row_E in vectors_NE
    ],
}
"""Type of embeddings → its rows."""
