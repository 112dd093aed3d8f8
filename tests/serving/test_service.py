"""A service rejects an index of another space, and requests beyond its limits."""

from __future__ import annotations

import asyncio

import pytest

import openbind
from openbind import Index
from openbind.errors import InputError
from openbind.limits import SERVICE
from openbind.serving.limits import Limits
from openbind.serving.schemas import QueryPart, SearchRequest
from openbind.serving.searching import find
from openbind.serving.service import Service


@pytest.mark.slow
def test_another_space(starter: openbind.Space, index: Index) -> None:
    """Vectors of two spaces are never compared; the fingerprint decides, not the name."""
    other = openbind.load("tiny", weights="random", device="cpu")
    with pytest.raises(InputError):
        Service(other, index)
    Service(starter, index).close()


def test_limits(starter: openbind.Space, index: Index) -> None:
    """Items and results are counted before anything is embedded."""
    service = Service(starter, index, Limits(items=3, results=5, depth=10))
    parts = [QueryPart.model_validate({"input": "x"})] * 4
    requests = {
        "parts": SearchRequest(parts=parts, top_k=5),
        "top_k": SearchRequest(parts=parts[:1], top_k=6),
        "skip": SearchRequest(parts=parts[:1], top_k=5, skip=6),
    }
    for param, request in requests.items():
        with pytest.raises(InputError) as raised:
            asyncio.run(find(service, request, ""))
        assert raised.value.item == param
    with pytest.raises(InputError) as raised:
        asyncio.run(service.read_items("text", ["x"] * 4, "input"))
    assert raised.value.item == "input"
    service.close()


def test_drawings_are_limited(starter: openbind.Space, index: Index) -> None:
    """An indexed file is drawn within the limits of uploads: it may have been exchanged."""
    hit = next(hit for hit in index.sample(99, 0)[0] if hit.modality == "image")
    services = [
        Service(starter, index, Limits(item=SERVICE.changed(pixels=pixels)))
        for pixels in (10, SERVICE.pixels)
    ]
    assert [service.draw(hit) is None for service in services] == [True, False]
    for service in services:
        service.close()
