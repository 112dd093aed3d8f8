"""The files of the page, and the cookie that it loads media with."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI
from starlette.responses import Response

from openbind.serving.access import Session
from openbind.serving.errors import ApiError

HTML = "text/html; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"
SCRIPTS = (
    *("address", "albums", "atlas", "docs", "dom", "filters", "gallery", "imagine", "indexing"),
    *("locate", "page", "players", "query", "recorder", "results", "service", "viewer"),
    *("welcome", "words"),
)
PAGE_TYPES = {
    "index.html": HTML,
    "docs.html": HTML,
    "page.css": "text/css; charset=utf-8",
    **{f"{name}.js": SCRIPT for name in SCRIPTS},
    "icon.svg": "image/svg+xml",
}
"""The files of the page, and their media types."""


def add_page(app: FastAPI, session: Session, *, is_open: bool) -> None:
    """Add the page, its files and the route of its cookie to an application.

    Args:
        app: the application.
        session: of the cookie.
        is_open: whether the page sets the cookie, since no key is needed.
    """
    folder = files("openbind") / "serving" / "page"
    contents = {name: (folder / name).read_bytes() for name in PAGE_TYPES}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        response = Response(contents["index.html"], media_type=HTML)
        if is_open:
            session.put_in(response)
        return response

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(contents["docs.html"], media_type=HTML)

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        if name not in contents:
            raise ApiError(404, f"the page has no file {name[:80]!r}", code="not_found")
        return Response(contents[name], media_type=PAGE_TYPES[name])

    @app.post("/v1/session", status_code=204, tags=["state"])
    async def start_session() -> Response:
        """Set a cookie that stands for the API key: images and players send no header."""
        response = Response(status_code=204)
        session.put_in(response)
        return response
