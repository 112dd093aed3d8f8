"""Results over HTTP: found by the row's id alone, their files only inside the indexed folders."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.media.types import media_type
from openbind.search.index import Index
from openbind.search.results import Hit
from openbind.serving.errors import ApiError
from openbind.serving.schemas import HitRow

UNKNOWN = "application/octet-stream"


def find_hit(index: Index, row_id: str) -> Hit:
    """Look up a row.

    Raises:
        ApiError: 404, no such row.
    """
    try:
        return index.hit(row_id)
    except InputError as error:
        message = f"no item {row_id[:80]!r} in the index"
        raise ApiError(404, message, param="id", code="item_not_found") from error


def resolve_path(hit: Hit) -> Path:
    """Return the file of a row, links resolved.

    Raises:
        ApiError: 404, it no longer exists, or lies outside its indexed folder: a link put in its
            place must not lead to other files.
    """
    gone = ApiError(
        404,
        f"the file of item {hit.id!r} no longer exists; update the index",
        param="id",
        code="file_not_found",
    )
    try:
        path = hit.path.resolve(strict=True)
        root = hit.root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise gone from error
    if not path.is_file() or not path.is_relative_to(root):
        raise gone
    return path


def public_path(hit: Hit) -> str:
    """Return a file's path as clients see it: relative, the root's name first."""
    try:
        return (Path(hit.root.name) / hit.path.relative_to(hit.root)).as_posix()
    except ValueError:
        return hit.path.name


def hit_row(hit: Hit) -> HitRow:
    """Return a result as it is sent to clients."""
    return HitRow(
        object="hit",
        id=hit.id,
        modality=hit.modality,
        path=public_path(hit),
        score=hit.score,
        start_seconds=hit.start_s,
        end_seconds=hit.end_s,
        size_bytes=hit.size,
        modified=hit.modified.isoformat(),
        width=hit.width,
        height=hit.height,
        duration_seconds=hit.duration,
        media_type=media_type(hit.path),
        media_url=f"v1/items/{hit.id}/media",
        thumbnail_url=f"v1/items/{hit.id}/thumbnail",
        drawing_url=f"v1/items/{hit.id}/drawing",
    )
