"""The route that says where and when in an indexed item a query is."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from fastapi import FastAPI, Request

from openbind.errors import InputError
from openbind.modalities import MODALITIES
from openbind.search.locating import Found, locate_file
from openbind.search.results import Hit
from openbind.serving import schemas
from openbind.serving.bodies import json_body, read_json
from openbind.serving.hits import find_hit, resolve_path
from openbind.serving.service import Service

LONGEST_SECONDS = 1800.0
"""Of a recording; longer ones are located on the command line."""
POINTS = 512
"""Of a curve, at most."""
DIGITS = 4


def add_locating(app: FastAPI, service: Service) -> None:
    """Add the route to an application."""

    @app.post(
        "/v1/items/{id}/locate",
        openapi_extra=json_body(schemas.LocateRequest),
        tags=["items"],
    )
    async def locate(id: str, http: Request) -> schemas.LocateResponse:
        """Find where in an indexed image, and when in a recording, a weighted sum of parts is."""
        request = await read_json(http, schemas.LocateRequest, service.limits.json_values)
        hit = await asyncio.to_thread(find_hit, service.need_index(), service.ids, id)
        client = http.client.host if http.client else ""
        _, query_E = await service.embed_parts(request.parts, client)
        path = await asyncio.to_thread(resolve_path, hit)
        _check_length(hit)
        # One at a time, in fair order among clients.
        waiting = service.drawings.add(lambda _: [_find(service, hit, path, query_E)], 1, client)
        try:
            (found,) = await asyncio.wrap_future(waiting.future)
        finally:
            waiting.future.cancel()
        return _response(found)


def _check_length(hit: Hit) -> None:
    """Refuse what would take minutes.

    Raises:
        InputError: names the limit.
    """
    if hit.duration is not None and hit.duration > LONGEST_SECONDS:
        reason = f"lasts {hit.duration:.0f} s, more than {LONGEST_SECONDS:.0f} s; "
        raise InputError("id", reason + "use `openbind locate` for long recordings")


def _find(service: Service, hit: Hit, path: Any, query_E: np.ndarray) -> Found:
    kind = MODALITIES.get(hit.modality)
    if kind.thumbnail is None:
        raise InputError("id", f"{hit.modality} has neither places nor moments")
    return locate_file(service.space.with_limits(service.limits.item), path, query_E, hit.modality)


def _response(found: Found) -> schemas.LocateResponse:
    where = None
    if found.where is not None:
        own = found.where
        where = schemas.Where(
            heat=np.round(own.heat, DIGITS).tolist(),
            area=list(own.area),
            boxes=[list(box) for box in own.boxes],
            peak=list(own.peak),
            width=own.size[0],
            height=own.size[1],
            present=own.present,
            method=own.method,
            seconds=found.seconds,
        )
    tracks = [
        schemas.Track(
            modality=track.modality,
            duration_seconds=track.curve.total,
            moments=[list(moment) for moment in track.moments],
            curve=_thin(track.curve.seconds_T, track.curve.scores_T),
        )
        for track in found.tracks
    ]
    return schemas.LocateResponse(
        object="location", modality=found.modality, where=where, tracks=tracks
    )


def _thin(seconds_T: np.ndarray, scores_T: np.ndarray) -> list[list[float]]:
    """Return a curve of at most `POINTS` points, of more the highest of each few."""
    step = -(-len(seconds_T) // POINTS)
    parts = [slice(start, start + step) for start in range(0, len(seconds_T), step)]
    tops = [part.start + int(scores_T[part].argmax()) for part in parts]
    curve: list[list[float]] = np.stack([seconds_T[tops], scores_T[tops]], axis=1).tolist()
    return [[round(number, DIGITS) for number in point] for point in curve]
