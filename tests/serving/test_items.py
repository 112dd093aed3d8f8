"""Files that clients send ahead: named by a search, described, and returned to the page alone."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx


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
