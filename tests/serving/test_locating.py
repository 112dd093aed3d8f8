"""The route that locates: an image, a sound, what it refuses; a photo of the page."""

from __future__ import annotations

from collections.abc import Callable

import httpx2 as httpx
import numpy as np

from openbind.serving.locating import POINTS, _thin


def ids_of(live: httpx.Client) -> dict[str, str]:
    """Path → id of what is indexed."""
    body = {"parts": [{"input": "a dog"}], "top_k": 20}
    rows = live.post("/v1/search", json=body).raise_for_status().json()["data"]
    return {row["path"].split("/")[-1]: row["id"] for row in rows}


def test_image_and_sound(live: httpx.Client) -> None:
    """An image has a map and boxes, a sound a curve and moments, a depth map windows."""
    ids = ids_of(live)
    by_name = {name.split(".")[0] + name[name.rindex(".") :]: id for name, id in ids.items()}
    image = next(id for name, id in by_name.items() if name in ("dog.webp", "dog.png"))
    sound = next(id for name, id in by_name.items() if name in ("dog.flac", "dog.ogg"))
    parts = [{"input": "a dog"}, {"id": ids["kitchen-1.png"], "weight": 0.1}]
    found = live.post(f"/v1/items/{image}/locate", json={"parts": parts}).raise_for_status().json()
    where = found["where"]
    assert (found["object"], found["modality"], found["tracks"]) == ("location", "image", [])
    assert np.abs(where["heat"]).max() <= 1
    assert 0 <= where["peak"][0] < where["width"]
    assert all(len(box) == 5 for box in where["boxes"])
    assert where["present"] in (True, False)
    found = live.post(f"/v1/items/{sound}/locate", json={"parts": parts}).raise_for_status().json()
    (track,) = found["tracks"]
    assert found["where"] is None
    assert track["modality"] == "audio"
    start, end, _ = track["moments"][0]
    assert 0 <= start < end <= track["duration_seconds"]
    assert len(track["curve"]) <= POINTS


def test_refusals(live: httpx.Client) -> None:
    """Unknown items, no parts, motion."""
    ids, parts = ids_of(live), [{"input": "a dog"}]
    motion = next(id for name, id in ids.items() if name.endswith(".csv"))
    post: Callable[..., httpx.Response] = live.post
    assert post("/v1/items/nothing/locate", json={"parts": parts}).status_code == 404
    assert post(f"/v1/items/{motion}/locate", json={"parts": []}).status_code == 400
    assert post(f"/v1/items/{motion}/locate", json={"parts": [{"input": 3}]}).status_code == 400


def test_long_curves_keep_their_tops() -> None:
    """The highest of each few points."""
    scores = np.zeros(10_000)
    scores[4_321] = 1.0
    thin = _thin(np.arange(10_000.0), scores)
    assert len(thin) <= POINTS
    assert [4321.0, 1.0] in thin
