"""Lanes, pages and totals of searches; random items; the summary of an index."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

ROUTE = "/v1/search"
PARTS = [{"input": "a rooster"}]


def names(found: dict[str, Any]) -> list[str]:
    return [hit["path"] for hit in found["data"]]


def test_lanes(live: httpx.Client) -> None:
    """So many of each modality, each best first; the totals are of all files searched."""
    found = live.post(ROUTE, json={"parts": PARTS, "top_k": 2, "lanes": True}).json()
    assert found["totals"] == {"audio": 3, "depth": 1, "image": 3, "imu": 1}
    modalities = [hit["modality"] for hit in found["data"]]
    assert modalities == ["audio", "audio", "depth", "image", "image", "imu"]
    body = {"parts": PARTS, "lanes": True, "modalities": ["audio"], "where": ["size > 0", "false"]}
    assert live.post(ROUTE, json={**body, "top_k": 2}).json()["totals"] == {}


@pytest.mark.parametrize("word", ["dog", "rooster", "rain"])
def test_the_right_item_is_first_in_its_lane(live: httpx.Client, word: str) -> None:
    """Of each modality that has several: a sound isn't behind images."""
    body = {"parts": [{"input": f"a {word}"}], "top_k": 1, "lanes": True}
    found = live.post(ROUTE, json=body).json()["data"]
    best = {hit["modality"]: hit["path"].rpartition("/")[2] for hit in found}
    assert word in best["audio"]
    assert word in best["image"]


def test_pages(live: httpx.Client) -> None:
    """What is skipped and what is returned are the whole, in the same order."""
    whole = live.post(ROUTE, json={"parts": PARTS, "top_k": 8}).json()
    first = live.post(ROUTE, json={"parts": PARTS, "top_k": 5}).json()
    rest = live.post(ROUTE, json={"parts": PARTS, "top_k": 5, "skip": 5}).json()
    assert names(first) + names(rest) == names(whole)
    assert len(names(rest)) == 3


def test_random_items(live: httpx.Client) -> None:
    """The same for the same seed."""
    first, again, other = (
        names(live.get("/v1/sample", params={"count": 5, "seed": seed}).json())
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(set(first)) == 5


def test_an_index_that_nobody_updates(live: httpx.Client) -> None:
    """Has no progress and no problem."""
    found = live.get("/v1/index").json()
    assert (found["updating"], found["problem"], found["files"]) == (None, None, 8)
