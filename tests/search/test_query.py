"""A query is the weighted sum of its parts; ranking is by cosine and stable."""

from __future__ import annotations

import numpy as np

import openbind
from openbind.search.query import Term, embed_query, nearest


def test_query_of_several_parts(starter: openbind.Space) -> None:
    """Weights count, negative ones too; the result has unit length."""
    parts = [Term("text", "a dog"), Term("text", "rain", -0.5)]
    query = embed_query(starter, parts)
    dog, rain = starter.encode("text", ["a dog", "rain"])
    np.testing.assert_allclose(query, openbind.combine([(dog, 1), (rain, -0.5)]), atol=2e-5)


def test_nearest_is_sorted_and_stable() -> None:
    """The nearest first, equal ones in their order, no more than there are."""
    items = np.array([[0, 1], [1, 0], [1, 0], [-1, 0]], np.float32)
    ranked = nearest(np.array([1, 0], np.float32), items, 9)
    assert [row for row, _ in ranked] == [1, 2, 0, 3]
    assert ranked[0][1] == 1.0
