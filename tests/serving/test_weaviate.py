"""What Weaviate's module multi2vec-bind sends is answered as its client expects."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fastapi import FastAPI

import openbind
from openbind.serving.app import create_app
from openbind.serving.limits import Limits
from openbind.serving.service import Service

LISTS = {"image": "images", "text": "texts"}
Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


def post(client: httpx.Client, body: Any) -> httpx.Response:
    """Send as Go does: no media type."""
    return client.post("/vectorize", content=json.dumps(body).encode())


def test_every_modality(live: httpx.Client, starter: openbind.Space, index: openbind.Index) -> None:
    """One request with files of all modalities and texts gets the vectors of `Space.encode`."""
    body: dict[str, list[str]] = {"texts": ["a dog", "rain"]}
    expected = {"text": [starter.encode("text", text) for text in body["texts"]]}
    for hit in index.sample(99, 0)[0]:
        content = base64.b64encode(hit.path.read_bytes()).decode()
        body.setdefault(LISTS.get(hit.modality, hit.modality), []).append(content)
        expected.setdefault(hit.modality, []).append(starter.encode(hit.modality, str(hit.path)))
    assert {"image", "audio", "depth", "imu"} <= set(expected)
    response = post(live, body)
    assert response.status_code == 200, response.text
    found = response.json()
    assert set(found) == {f"{modality}Vectors" for modality in expected}
    for modality, rows in expected.items():
        np.testing.assert_allclose(found[f"{modality}Vectors"], rows, atol=1e-6)


def test_data_urls(live: httpx.Client, png: bytes, data_url: Callable[[bytes], str]) -> None:
    """Files may be data URLs; empty lists are as if they weren't there."""
    plain = base64.b64encode(png).decode()
    found = post(live, {"images": [plain, data_url(png)], "texts": []}).json()
    assert set(found) == {"imageVectors"}
    assert found["imageVectors"][0] == found["imageVectors"][1]
    thermal = post(live, {"thermal": [plain]}).json()["thermalVectors"]
    assert np.linalg.norm(thermal) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "body"),
        ({"texts": []}, "body"),
        ({"smells": ["x"]}, "smells"),
        ({"texts": ["x", " "]}, "texts[1]"),
        ({"texts": [1]}, "texts"),
        ({"images": ["???"]}, "images[0]"),
        ({"images": ["https://x.example/y.png"]}, "images[0]"),
        ({"texts": ["x"], "audio": [base64.b64encode(b"no audio").decode()]}, "audio[0]"),
        ({"texts": ["x"] * 2000, "images": ["x"] * 2000}, "body"),
    ],
)
def test_errors(live: httpx.Client, body: Any, named: str) -> None:
    """400 in Weaviate's shape; the message names the part."""
    response = post(live, body)
    assert response.status_code == 400
    error = response.json()
    assert set(error) == {"error"}
    assert error["error"].startswith(named)


def test_state(live: httpx.Client, starter: openbind.Space) -> None:
    """Readiness without a body, and what the service is."""
    for path in ("/.well-known/ready", "/.well-known/live"):
        assert live.get(path).status_code == 204
    meta = live.get("/meta").json()
    assert meta["model"] == starter.name
    assert meta["dim"] == starter.dim
    assert set(meta["modalities"]) == set(starter.modalities)


def test_a_key(starter: openbind.Space, running: Running) -> None:
    """It comes with the address; errors of the middleware have Weaviate's shape, too."""
    app = create_app(Service(starter, limits=Limits(body_bytes=100)), api_key="key")
    with running(app) as client:
        assert client.get("/.well-known/ready").status_code == 204
        denied = post(client, {"texts": ["x"]})
        assert denied.status_code == 401
        assert set(denied.json()) == {"error"}
        with httpx.Client(base_url=client.base_url.copy_with(username="x", password="key")) as own:
            assert len(post(own, {"texts": ["x"]}).json()["textVectors"]) == 1
            large = post(own, {"texts": ["x" * 200]})
        assert large.status_code == 413
        assert set(large.json()) == {"error"}
