"""A query is the weighted sum of its terms; ranking is by cosine and stable."""

from __future__ import annotations

import numpy as np

import openbind
from openbind.search.query import Term, common_modality, embed_query, nearest


def test_query_of_several_terms(starter: openbind.Space) -> None:
    """Weights may be negative; the result has unit norm."""
    terms = [Term("text", "a dog"), Term("text", "rain", -0.5)]
    query = embed_query(starter, terms)
    dog, rain = starter.encode("text", ["a dog", "rain"])
    np.testing.assert_allclose(query, openbind.combine([(dog, 1), (rain, -0.5)]), atol=2e-5)


def test_nearest_is_sorted_and_stable() -> None:
    """Descending, ties in their order, at most all."""
    items = np.array([[0, 1], [1, 0], [1, 0], [-1, 0]], np.float32)
    ranked = nearest(np.array([1, 0], np.float32), items, 9)
    assert [row for row, _ in ranked] == [1, 2, 0, 3]
    assert ranked[0][1] == 1.0


def test_common_modality() -> None:
    """Sums of several modalities and differences have none."""
    dog, rain = Term("text", "a dog"), Term("text", "rain", -0.5)
    assert common_modality([dog, dog]) == "text"
    assert common_modality([dog, rain]) is None
    assert common_modality([dog, Term("audio", "bark.wav")]) is None
