"""Results are immutable values."""

from __future__ import annotations

import dataclasses
import json

import pytest

from openbind.search.index import Index


def test_results_are_values(index: Index) -> None:
    """They compare by value and serialize to JSON."""
    info = index.info()
    assert info == index.info()
    fields = json.loads(json.dumps(dataclasses.asdict(info), default=str))
    assert fields["files"] == 6
    hit = index.sample(1, 0)[0][0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        hit.score = 2.0  # type: ignore[misc]
    assert json.dumps(dataclasses.asdict(hit), default=str)
