"""Requests reject unknown keys and weights that are NaN or infinite."""

from __future__ import annotations

import math

import pytest
from pydantic import BaseModel, ValidationError

from openbind.serving import schemas


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (schemas.EmbeddingRequest, {"input": "x"}),
        (schemas.SearchRequest, {"parts": [{"input": "x"}]}),
        (schemas.ClassifyRequest, {"input": "x", "labels": ["a", "b"]}),
        (schemas.QueryPart, {"input": "x"}),
    ],
)
def test_unknown_keys(kind: type[BaseModel], good: dict[str, object]) -> None:
    """A misspelt key is an error, not ignored."""
    kind.model_validate(good)
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.model_validate({**good, "weigth": 1})


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 1e9, "much"])
def test_weights(weight: object) -> None:
    """Weights are finite and of a sensible size."""
    with pytest.raises(ValidationError):
        schemas.QueryPart.model_validate({"input": "x", "weight": weight})
