"""The page and the description of the routes are served from the package alone."""

from __future__ import annotations

import re

import httpx2 as httpx

from openbind.serving.site import PAGE_TYPES


def test_files_of_the_page(live: httpx.Client) -> None:
    """Each with its media type; no others."""
    for name, kind in PAGE_TYPES.items():
        found = live.get(f"/page/{name}")
        assert (found.status_code, found.headers["content-type"]) == (200, kind)
    assert live.get("/page/secret.js").status_code == 404


def test_docs(live: httpx.Client) -> None:
    """`/docs` loads files of this service only."""
    found = live.get("/docs")
    assert found.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', found.text)
    assert loaded
    assert not [address for address in loaded if "//" in address]


def test_the_card(live: httpx.Client) -> None:
    """What was measured, with chance and number; languages by name."""
    found = live.get("/v1/card").json()
    assert found["languages"] == ["English"]
    assert found["limits"]
    assert all(own["count"] >= 0 and own["data"] for own in found["measurements"])
