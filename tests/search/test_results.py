"""Results are immutable values."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from openbind.search.index import Index
from openbind.search.results import Hit, make_hits


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


def test_hits_of_rows(index: Index) -> None:
    """They are what the constructor makes; rows of a root that is gone have none."""
    hit = index.sample(1, 0)[0][0]
    row = {**dataclasses.asdict(hit), "root": 3, "path": "a/b.jpg", "segment": 0, "score": 0.5}
    (found,) = make_hits([row, {**row, "root": 4}], {3: Path("/media")})
    made = {**dataclasses.asdict(hit), "root": Path("/media"), "score": 0.5}
    assert found == Hit(**{**made, "path": Path("/media/a/b.jpg")})
    assert vars(found).keys() == Hit.__dataclass_fields__.keys()
