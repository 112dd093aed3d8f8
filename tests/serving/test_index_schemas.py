"""Responses about the index name everything that they hold."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openbind.serving.index_schemas import FacetsResponse, Updating


def test_shapes() -> None:
    """A facet has values with counts and filters; progress has both numbers."""
    value = {"label": "2020", "count": 3, "where": "year = 2020"}
    data = {"object": "facets", "data": [{"name": "year", "values": [value]}]}
    assert FacetsResponse.model_validate(data).model_dump() == data
    with pytest.raises(ValidationError):
        Updating.model_validate({"done": 3})
