"""The files of hits: found by the row's id alone, and only inside the indexed folders."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.report.media_urls import media_type
from openbind.search.index import Index
from openbind.search.results import Hit
from openbind.serving.errors import ApiError
from openbind.serving.schemas import HitRow

UNKNOWN = "application/octet-stream"


def find_hit(index: Index, row_id: str) -> Hit:
    """Look a row up.

    Raises:
        ApiError: 404, there is none.
    """
    try:
        return index.hit(row_id)
    except InputError as error:
        raise ApiError(404, f"no item {row_id[:80]!r} in the index", param="id") from error


def locate(hit: Hit) -> Path:
    """Return the file of a row, links followed.

    Raises:
        ApiError: 404, it is gone, or it lies outside its indexed folder: a link that was put in
            its place must not lead to other files.
    """
    gone = ApiError(404, f"the file of item {hit.id!r} is no longer there; update the index")
    try:
        path = hit.path.resolve(strict=True)
        home = hit.root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise gone from error
    if not path.is_file() or not path.is_relative_to(home):
        raise gone
    return path


def shown_path(hit: Hit) -> str:
    """Write a file's path as clients see it: from its root's name on."""
    try:
        return (Path(hit.root.name) / hit.path.relative_to(hit.root)).as_posix()
    except ValueError:
        return hit.path.name


def hit_row(hit: Hit) -> HitRow:
    """Write a hit as it goes over the wire."""
    return HitRow(
        object="hit",
        id=hit.id,
        modality=hit.modality,
        path=shown_path(hit),
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
