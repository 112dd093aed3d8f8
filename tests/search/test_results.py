"""What an index answers can't be changed, and says no more than it knows."""

from __future__ import annotations

import dataclasses
import json

import pytest

from openbind.search.index import Index


def test_answers_are_values(index: Index) -> None:
    """They are compared by value, and can be written as JSON."""
    info = index.info()
    assert info == index.info()
    told = json.loads(json.dumps(dataclasses.asdict(info), default=str))
    assert told["files"] == 6
    hit = index.sample(1, 0)[0][0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        hit.score = 2.0  # type: ignore[misc]
    assert json.dumps(dataclasses.asdict(hit), default=str)
