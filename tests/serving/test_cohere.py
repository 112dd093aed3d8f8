"""Cohere's own client, and bare requests in its dialect, get vectors and errors as documented."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

import openbind
from openbind.serving.cohere import to_bits, to_int8

ROUTE = "/v2/embed"
BODY = {"model": "starter", "input_type": "search_document"}
ToUrl = Callable[[bytes], str]


def test_texts(live: httpx.Client, starter: openbind.Space) -> None:
    """All types of embeddings of the same vectors, and the texts."""
    texts = ["a dog", "rain on a roof"]
    kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    found = live.post(ROUTE, json={**BODY, "texts": texts, "embedding_types": kinds}).json()
    expected = starter.encode("text", texts)
    vectors = found["embeddings"]
    assert list(vectors) == kinds
    np.testing.assert_allclose(vectors["float"], expected, atol=1e-6)
    decoded = [np.frombuffer(base64.b64decode(row), "<f4") for row in vectors["base64"]]
    np.testing.assert_allclose(decoded, expected, atol=1e-6)
    assert np.abs(np.subtract(vectors["uint8"], vectors["int8"]) - 128).max() == 0
    bits = np.unpackbits(np.array(vectors["ubinary"], np.uint8), axis=1)[:, : starter.dim]
    assert np.array_equal(bits, np.array(vectors["float"]) > 0)
    assert np.array_equal(np.subtract(vectors["ubinary"], 128), vectors["binary"])
    assert found["texts"] == texts
    assert found["meta"]["billed_units"] == {"input_tokens": 4 + 6}
    assert found["response_type"] == "embeddings_by_type"


def test_eight_bits_keep_cosines(starter: openbind.Space) -> None:
    """Products of quantized vectors are proportional to cosines."""
    texts = ["a dog", "a puppy", "rain on a roof", "thunder", "a guitar", "a piano"]
    vectors_NE = starter.encode("text", texts)
    small_NE = to_int8(vectors_NE).astype(np.float32)
    small_NE /= np.linalg.norm(small_NE, axis=1, keepdims=True)
    np.testing.assert_allclose(small_NE @ small_NE.T, vectors_NE @ vectors_NE.T, atol=0.03)
    assert to_bits(np.array([[1, -1, 0, 1, 1, 1, 1, 1, -1]])).tolist() == [[0b10011111, 0]]


def test_images_and_inputs(
    live: httpx.Client, starter: openbind.Space, media: Path, data_url: ToUrl
) -> None:
    """Images are data URLs; parts of an input make one vector."""
    image, sound = media / "dog.webp", media / "rain.ogg"
    url = data_url(image.read_bytes())
    body = {"model": "starter", "input_type": "image", "images": [url]}
    found = live.post(ROUTE, json=body).json()
    picture = starter.encode("image", str(image))
    np.testing.assert_allclose(found["embeddings"]["float"], [picture], atol=1e-6)
    part = {"type": "image_url", "image_url": {"url": url}}
    heard = {"type": "audio_url", "audio_url": {"url": data_url(sound.read_bytes())}}
    inputs = [
        {"content": [{"type": "text", "text": "rain"}, part]},
        {"content": [{"type": "text", "text": "rain"}]},
        {"content": [heard]},
    ]
    found = live.post(ROUTE, json={**BODY, "inputs": inputs}).json()
    rain = starter.encode("text", "rain")
    both = openbind.combine([(rain, 1), (picture, 1)])
    expected = [both, rain, starter.encode("audio", str(sound))]
    np.testing.assert_allclose(found["embeddings"]["float"], expected, atol=1e-6)


TEXT = {"type": "text", "text": "x"}
BAD_IMAGE = {"type": "image_url", "image_url": {"url": "data:;base64,aGVsbG8="}}


@pytest.mark.parametrize(
    ("body", "named", "status"),
    [
        ({}, "body", 400),
        ({"texts": ["x"], "images": ["x"]}, "body", 400),
        ({"texts": []}, "texts", 400),
        ({"texts": ["x", " "]}, "texts[1]", 400),
        ({"images": ["https://x.example/y.png"]}, "images[0]", 400),
        ({"inputs": [{"content": [TEXT]}, {"content": [TEXT, BAD_IMAGE]}]}, "inputs[1].con", 400),
        ({"inputs": [{"content": [{"type": "smell_url"}]}]}, "inputs[0].content[0]", 400),
        ({"texts": ["x"], "embedding_types": ["float16"]}, "embedding_types[0]", 400),
        ({"texts": ["x"], "output_dimension": 256}, "output_dimension", 400),
        ({"texts": ["x"], "truncate": "START"}, "truncate", 400),
        ({"texts": ["x"], "model": "embed-v4.0"}, "no model 'embed-v4.0'", 404),
    ],
)
def test_errors(live: httpx.Client, body: Any, named: str, status: int) -> None:
    """Errors have Cohere's shape; the message names the part."""
    response = live.post(ROUTE, json={**BODY, **body})
    assert response.status_code == status
    error = response.json()
    assert set(error) == {"message"}
    assert error["message"].startswith(named)


def test_client(live: httpx.Client, starter: openbind.Space) -> None:
    """Cohere's own client gets vectors, and raises on errors."""
    cohere = pytest.importorskip("cohere", reason="cohere isn't installed")
    with cohere.ClientV2(api_key="none", base_url=str(live.base_url).rstrip("/")) as client:
        found = client.embed(
            model="starter",
            input_type="search_query",
            texts=["a dog"],
            embedding_types=["float", "int8"],
        )
        np.testing.assert_allclose(
            found.embeddings.float_, [starter.encode("text", "a dog")], atol=1e-6
        )
        assert len(found.embeddings.int8[0]) == starter.dim
        with pytest.raises(cohere.BadRequestError):
            client.embed(model="starter", input_type="search_query", texts=[" "])
        with pytest.raises(cohere.NotFoundError):
            client.embed(model="embed-v4.0", input_type="search_query", texts=["x"])
