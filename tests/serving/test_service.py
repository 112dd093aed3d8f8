"""A service refuses an index of another space, and more than its limits."""

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
    """Vectors of two spaces are never compared: the fingerprint decides, not the name."""
    other = openbind.load("tiny", weights="random", device="cpu")
    with pytest.raises(InputError, match="vectors of two spaces can't be compared"):
        Service(other, index)
    Service(starter, index).close()


def test_limits(starter: openbind.Space, index: Index) -> None:
    """Items and results are counted before anything is embedded."""
    service = Service(starter, index, Limits(items=3, results=5))
    parts = [QueryPart.model_validate({"input": "x"})] * 4
    requests = {
        "4 items": SearchRequest(parts=parts, count=5),
        "at most 5": SearchRequest(parts=parts[:1], count=6),
    }
    for expected, request in requests.items():
        with pytest.raises(InputError, match=expected):
            asyncio.run(service.search(request))
    with pytest.raises(InputError, match="4 items"):
        asyncio.run(service.read_items("text", ["x"] * 4, "input"))
    service.close()
