"""Files that clients send ahead: named by a search, described, and returned to the page alone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi import FastAPI

import openbind
from openbind import Index
from openbind.serving.app import create_app
from openbind.serving.service import Service

Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


def test_a_file_that_is_kept(live: httpx.Client, media: Path) -> None:
    """A search by its id finds what the file itself finds."""
    content = (media / "dog.webp").read_bytes()
    kept = live.post("/v1/files", params={"name": "my dog.webp"}, content=content).json()
    assert (kept["filename"], kept["bytes"]) == ("my dog.webp", len(content))
    assert live.get(f"/v1/files/{kept['id']}").json()["id"] == kept["id"]
    found = live.get(f"/v1/files/{kept['id']}/content")
    assert (found.content, found.headers["content-type"]) == (content, "image/webp")
    assert found.headers["content-security-policy"] == "sandbox"
    body = {"parts": [{"file": kept["id"], "modality": "image"}], "top_k": 1}
    (hit,) = live.post("/v1/search", json=body).json()["data"]
    assert hit["path"].endswith("dog.webp")
    assert hit["score"] > 0.99


def test_others_get_nothing(live: httpx.Client) -> None:
    """Pages without the cookie don't; ids that aren't kept are 404."""
    kept = live.post("/v1/files", content=b"content").json()
    stranger = httpx.get(str(live.base_url.join(f"/v1/files/{kept['id']}/content")))
    assert stranger.status_code == 403
    assert live.get("/v1/files/nonsense").status_code == 404
    assert live.post("/v1/files", content=b"").status_code == 400


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are Unicode there")
def test_names_that_are_not_unicode(
    starter: openbind.Space, media: Path, tmp_path: Path, running: Running
) -> None:
    """Every route answers, the name has a mark in place of the byte, the file comes."""
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/al\xffbum"))
    root.mkdir()
    for name in (b"dog\xff.webp", b"dog 2.webp"):
        shutil.copy(media / "dog.webp", os.fsencode(root) + b"/" + name)
    index = Index.create(tmp_path / "index", starter, [root])
    index.update(starter)
    with running(create_app(Service(starter, index))) as client:
        client.get("/")  # the page's cookie
        found = client.post("/v1/search", json={"parts": [{"input": "dog"}]}).json()["data"]
        named = next(hit for hit in found if "\ufffd.webp" in hit["path"])
        assert named["path"] == "al\ufffdbum/dog\ufffd.webp"
        media_of = client.get(named["media_url"])
        assert media_of.content == (media / "dog.webp").read_bytes()
        for route in ("/v1/facets", "/v1/sample", "/v1/atlas", "/v1/index", named["drawing_url"]):
            assert client.get(route).status_code == 200, route
        assert client.get("/v1/index").json()["roots"] == ["al\ufffdbum"]
