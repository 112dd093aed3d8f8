"""A service rejects an index of another space, and requests beyond its limits."""

from __future__ import annotations

import asyncio

import pytest

import openbind
from openbind import Index
from openbind.errors import InputError
from openbind.serving.limits import Limits
from openbind.serving.schemas import QueryPart, SearchRequest
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
    service = Service(starter, index, Limits(items=3, results=5))
    parts = [QueryPart.model_validate({"input": "x"})] * 4
    requests = {
        "parts": SearchRequest(parts=parts, top_k=5),
        "top_k": SearchRequest(parts=parts[:1], top_k=6),
    }
    for param, request in requests.items():
        with pytest.raises(InputError) as raised:
            asyncio.run(service.search(request))
        assert raised.value.item == param
    with pytest.raises(InputError) as raised:
        asyncio.run(service.read_items("text", ["x"] * 4, "input"))
    assert raised.value.item == "input"
    service.close()
