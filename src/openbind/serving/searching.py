"""Routes of the index: search, what it can be filtered by, its map and its summary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from fastapi import FastAPI, Query, Request

from openbind.errors import InputError
from openbind.evaluation.projection import Method
from openbind.search.query import expect_unrelated
from openbind.search.results import Hit
from openbind.search.unrelated import refine_card
from openbind.serving import index_schemas, schemas
from openbind.serving.atlas import COUNTS
from openbind.serving.bodies import json_body, read_json
from openbind.serving.errors import as_param
from openbind.serving.hits import hit_row, public_name
from openbind.serving.parts import note_parts
from openbind.serving.service import Service


def add_search(app: FastAPI, service: Service) -> None:
    """Add the routes to an application."""

    @app.post("/v1/search", openapi_extra=json_body(schemas.SearchRequest), tags=["search"])
    async def search(http: Request) -> schemas.SearchResponse:
        """Find the items nearest to texts, images, audio, indexed items, or a weighted sum."""
        start = time.perf_counter()
        request = await read_json(http, schemas.SearchRequest, service.limits.json_values)
        hits, totals = await find(service, request, http.client.host if http.client else "")
        return schemas.SearchResponse(
            object="list",
            data=[hit_row(hit, service.ids) for hit in hits],
            totals=dict(totals),
            model=service.space.name,
            seconds=time.perf_counter() - start,
            notes=note_parts(request.parts, service.space),
        )

    @app.get("/v1/facets", tags=["search"])
    async def facets() -> index_schemas.FacetsResponse:
        """Count the files by each property that they can be filtered by."""
        service.need_index()
        assert service.facets is not None
        return await asyncio.to_thread(service.facets.count)

    @app.get("/v1/atlas", tags=["search"])
    async def atlas(
        count: Annotated[int, Query(ge=1, le=COUNTS[-1])] = 800, method: Method = "tsne"
    ) -> index_schemas.AtlasResponse:
        """Project a sample of the index to a plane; `count` is rounded up to a few sizes."""
        return await service.map(count, method)

    @app.get("/v1/index", tags=["search"])
    async def index() -> index_schemas.IndexResponse:
        """Summarize the index."""
        info = await asyncio.to_thread(service.need_index().info)
        return index_schemas.IndexResponse(
            object="index",
            space=info.space,
            rows=info.rows,
            files=info.files,
            bytes=info.bytes,
            by_modality=dict(info.by_modality),
            roots=[public_name(root.name) for root in info.roots],
            ann=info.ann,
            summary=info.summary.plain() if info.summary else None,
            updating=service.updater.updating if service.updater else None,
            problem=service.updater.problem if service.updater else None,
        )

    @app.get("/v1/sample", tags=["search"])
    async def sample(
        count: Annotated[int, Query(ge=1, le=100)] = 24, seed: int = 0
    ) -> index_schemas.SampleResponse:
        """Draw random items of the index, to look around."""
        hits, _ = await asyncio.to_thread(service.need_index().sample, count, abs(seed))
        np.random.default_rng(abs(seed)).shuffle(hits)  # they come in the index's order
        data = [hit_row(hit, service.ids) for hit in hits]
        return index_schemas.SampleResponse(object="list", data=data)


async def find(
    service: Service, request: schemas.SearchRequest, client: str
) -> tuple[list[Hit], Mapping[str, int]]:
    """Find the indexed items nearest to the weighted sum of the parts.

    Returns:
        results, best first, of each modality in turn if the request says so; and the number of
        files searched, of each modality.

    Raises:
        InputError: a part, a modality or the filter can't be used.
        ApiError: 404, no index, or no such item.
        OverloadedError: too much work is queued.
    """
    index = service.need_index()
    if request.top_k > service.limits.results:
        raise InputError("top_k", f"exceeds the limit of {service.limits.results} results")
    if request.skip + request.top_k > service.limits.depth:
        raise InputError("skip", f"with `top_k` exceeds the limit of {service.limits.depth:,}")
    for at, name in enumerate(request.modalities):
        service.check_modality(name, f"modalities[{at}]")
    terms, query_E = await service.embed_parts(request.parts, client)

    def search() -> tuple[list[Hit], Mapping[str, int]]:
        with as_param("where"):
            totals = index.count_files(request.modalities, request.where)
            lanes = [[name] for name in totals] if request.lanes else [request.modalities]
            unrelated = expect_unrelated(refine_card(service.space.card, index.folder), terms)
            hits: list[Hit] = []
            for modalities in lanes:
                count = request.skip + request.top_k
                found = index.search(
                    query_E,
                    count,
                    modalities=modalities,
                    where=request.where,
                    unrelated=unrelated,
                )
                hits += found[request.skip :]
            return hits, totals

    return await asyncio.to_thread(search)
