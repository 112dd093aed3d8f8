"""The route that draws: images of texts and sums, progress, errors, cancellation."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from PIL import Image

import openbind
from openbind.generation.decoder import report
from openbind.serving.app import create_app
from openbind.serving.service import Service

ROUTE = "/v1/images/generations"
Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """Parse server-sent events."""
    return [json.loads(part.removeprefix("data: ")) for part in response.text.split("\n\n")[:-1]]


def opened(row: dict[str, str]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(row["b64_json"])))


def test_images_of_a_prompt(live: httpx.Client) -> None:
    """In OpenAI's shape; the seed decides."""
    body = {"prompt": "a rooster", "n": 2, "model": "starter"}
    first, again, other = (
        live.post(ROUTE, json=body | more).json()["data"] for more in ({}, {}, {"seed": 1})
    )
    assert first == again != other
    assert [opened(row).size for row in first] == [(16, 16)] * 2


def test_images_of_candidates(live: httpx.Client) -> None:
    """None are refused; what is kept is one of those that are drawn."""
    body = {"prompt": "a rooster", "seed": 2}
    assert live.post(ROUTE, json=body | {"candidates": 0}).status_code == 400
    drawn = live.post(ROUTE, json=body | {"n": 5, "candidates": 1}).json()["data"]
    (kept,) = live.post(ROUTE, json=body | {"candidates": 5}).json()["data"]
    assert kept in drawn


def test_images_of_a_sum(live: httpx.Client, media: Path, data_url: Callable[[bytes], str]) -> None:
    """Parts as of a search."""
    sound = data_url((media / "rain.ogg").read_bytes())
    parts = [{"input": "a dog"}, {"modality": "audio", "input": sound, "weight": -0.3}]
    response = live.post(ROUTE, json={"parts": parts, "steps": 2})
    assert response.status_code == 200
    assert len(response.json()["data"]) == 1


def test_streamed_progress(live: httpx.Client) -> None:
    """The last event has the images."""
    response = live.post(ROUTE, json={"prompt": "a dog", "n": 3, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *_, last = events(response)
    assert last["type"] == "image_generation.completed"
    assert len(last["data"]) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_in_another_language(live: httpx.Client, stream: bool) -> None:
    """It is drawn, and noted."""
    body = {"prompt": "ein Hund und eine Katze", "stream": stream}
    response = live.post(ROUTE, json=body)
    (note,) = (events(response)[-1] if stream else response.json())["notes"]
    assert "German" in note


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "parts"),
        ({"prompt": "a", "parts": [{"input": "b"}]}, "parts"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a", "n": 0}, "n"),
        ({"prompt": "a", "n": 9}, "n"),
        ({"prompt": "a", "steps": 0}, "steps"),
        ({"prompt": "a", "guidance": -1}, "guidance"),
        ({"parts": [{"input": "a"}, {"input": "a", "weight": -1}]}, "parts"),
        ({"parts": [{"modality": "image", "input": "a"}]}, "parts[0].input[0]"),
    ],
)
def test_wrong_requests(live: httpx.Client, body: dict[str, Any], param: str) -> None:
    """Each names the part that is wrong."""
    response = live.post(ROUTE, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_a_space_without_a_decoder(starter: openbind.Space, running: Running) -> None:
    """404, and the model says so."""
    plain = starter.with_limits()
    plain.generator = None
    with running(create_app(Service(plain))) as client:
        response = client.post(ROUTE, json={"prompt": "a dog"})
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "decoder_not_found"
        assert client.get("/v1/models").json()["data"][0]["draws"] is False


class Slow:
    """Draws until it is canceled."""

    accepts, candidates = "", 1

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.begun, self.ended = threading.Event(), threading.Event()

    def draw(self, vectors_BE: Any, *, progress: Any, **_: Any) -> list[list[Any]]:
        self.begun.set()
        try:
            while True:
                report(progress, 1, 10)
                time.sleep(0.01)
        finally:
            self.ended.set()


@pytest.fixture
def slow(starter: openbind.Space, running: Running) -> Iterator[tuple[Slow, httpx.Client]]:
    """A service whose decoder never ends."""
    decoder = Slow(starter.dim)
    with running(create_app(Service(starter.with_generator(decoder)))) as client:
        yield decoder, client


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_cancels(slow: tuple[Slow, httpx.Client], stream: bool) -> None:
    """A client that leaves ends the drawing; others are answered meanwhile."""
    decoder, client = slow
    body = {"prompt": "a dog", "stream": stream}
    with (
        pytest.raises(httpx.TimeoutException),
        client.stream("POST", ROUTE, json=body, timeout=1.0) as response,
    ):
        first = next(response.iter_text())
        assert json.loads(first.removeprefix("data: "))["total"] in (0, 10)
        assert client.get("/health").status_code == 200
        raise httpx.ReadTimeout("leaves")
    assert decoder.begun.is_set()
    assert decoder.ended.wait(20)
