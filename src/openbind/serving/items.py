"""Routes of single items: indexed ones with their files, and files that clients sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import Depends, FastAPI, Request, params
from starlette.responses import FileResponse, Response

from openbind.media.types import is_recording, media_type
from openbind.search.results import Hit
from openbind.serving import index_schemas, schemas
from openbind.serving.access import Session
from openbind.serving.errors import ApiError
from openbind.serving.hits import (
    UNKNOWN,
    find_hit,
    has_images,
    hit_row,
    public_name,
    resolve_path,
)
from openbind.serving.kept import KeptFile
from openbind.serving.playing import AUDIO_TYPE, VIDEO_TYPE
from openbind.serving.service import Service

MAX_NAME = 255
"""Characters of a file's name."""
SANDBOX = {"Content-Security-Policy": "sandbox", "Cache-Control": "private, no-cache"}
"""Headers of files: whatever they are, they run no scripts here."""
MEDIA: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"*/*": {}}},
    206: {"description": "The requested range", "content": {"*/*": {}}},
    400: {"description": "Malformed Range header", "content": {"text/plain": {}}},
    416: {"description": "Range not satisfiable", "content": {"text/plain": {}}},
}
PLAYABLE: dict[int | str, dict[str, Any]] = {
    **MEDIA,
    200: {"description": "The recording", "content": {VIDEO_TYPE: {}, AUDIO_TYPE: {}}},
}
RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {UNKNOWN: {"schema": {"type": "string", "format": "binary"}}},
    }
}
IMAGE_TYPE = "image/jpeg"
IMAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "An image", "content": {IMAGE_TYPE: {}}}
}


def add_items(app: FastAPI, service: Service, session: Session) -> None:
    """Add the routes to an application; files need the session's cookie, or a header."""

    def check_page(request: Request) -> None:
        """Keep other sites' pages from loading files: only ours has the cookie."""
        if "authorization" not in request.headers and not session.is_in(request.headers):
            message = (
                "files are for the service's own page, and for clients that send the header "
                "`Authorization: Bearer KEY` (without a key any word)"
            )
            raise ApiError(403, message, code="session_required")

    async def find(id: str) -> Hit:
        return await asyncio.to_thread(find_hit, service.need_index(), service.ids, id)

    page_only = [Depends(check_page)]

    @app.get("/v1/items/{id}", tags=["items"])
    async def item(id: str) -> schemas.HitRow:
        """Describe an indexed item."""
        return hit_row(await find(id), service.ids)

    @app.get("/v1/items/{id}/thumbnail", responses=IMAGE, tags=["items"], dependencies=page_only)
    async def thumbnail(id: str) -> Response:
        """Return a small image of an indexed item: a plot of audio, depth and IMU data."""
        hit = await find(id)
        image = await asyncio.to_thread(service.thumbnail, hit)
        return _image(image, id, "private, max-age=3600")

    @app.get("/v1/items/{id}/drawing", responses=IMAGE, tags=["items"], dependencies=page_only)
    async def drawing(id: str) -> Response:
        """Return a large image of an indexed item: of depth, thermal and IMU data a plot."""
        image = await asyncio.to_thread(service.draw, await find(id))
        return _image(image, id, "private, no-cache")

    @app.get("/v1/items/{id}/media", responses=MEDIA, tags=["items"], dependencies=page_only)
    async def media(id: str) -> FileResponse:
        """Return an indexed item's file, or a range of it."""
        path = await asyncio.to_thread(resolve_path, await find(id))
        kind = media_type(path)
        return FileResponse(
            path,
            media_type=kind or UNKNOWN,
            filename=public_name(path.name),
            content_disposition_type="inline" if kind else "attachment",
            headers=SANDBOX,
        )

    @app.get("/v1/items/{id}/playable", responses=PLAYABLE, tags=["items"], dependencies=page_only)
    async def playable(id: str) -> FileResponse:
        """Return an indexed recording converted to MP4, or a range of it."""
        hit = await find(id)
        if not is_recording(hit.path):
            raise ApiError(415, "no recording", param="id", code="not_playable")
        path = await asyncio.to_thread(resolve_path, hit)
        shown = has_images(hit)
        made = await service.playables.get(path, images=shown)
        return FileResponse(made, media_type=VIDEO_TYPE if shown else AUDIO_TYPE, headers=SANDBOX)

    _add_files(app, service, page_only)


def _add_files(app: FastAPI, service: Service, page_only: Sequence[params.Depends]) -> None:
    @app.post("/v1/files", openapi_extra=RAW, tags=["items"])
    async def keep(http: Request, name: str = "file") -> index_schemas.FileResponse:
        """Keep a file for a while: searches name it by `file` instead of sending it again."""
        file = service.kept.add(name[:MAX_NAME], await http.body())
        return _describe(file)

    @app.get("/v1/files/{id}", tags=["items"])
    async def kept(id: str) -> index_schemas.FileResponse:
        """Describe a file that is kept."""
        return _describe(service.kept.get(id))

    @app.get("/v1/files/{id}/content", responses=MEDIA, tags=["items"], dependencies=page_only)
    async def kept_content(id: str) -> Response:
        """Return a file that is kept."""
        file = service.kept.get(id)
        kind = media_type(file.name)
        return Response(file.content, media_type=kind or UNKNOWN, headers=SANDBOX)


def _describe(file: KeptFile) -> index_schemas.FileResponse:
    return index_schemas.FileResponse(
        object="file",
        id=file.id,
        filename=file.name,
        bytes=len(file.content),
        expires_at=int(file.expires),
    )


def _image(content: bytes | None, public_id: str, cache: str) -> Response:
    if content is None:
        message = f"item {public_id!r} has no image"
        raise ApiError(404, message, param="id", code="image_not_found")
    return Response(content, media_type=IMAGE_TYPE, headers={"Cache-Control": cache})
