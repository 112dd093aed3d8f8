"""A query is the weighted sum of its terms; ranking is stable, and comparable if calibrated."""

from __future__ import annotations

import numpy as np

import openbind
from openbind.search.query import Term, common_modality, embed_query, expect_unrelated, rank
from openbind.space.calibration import Unrelated
from openbind.space.card import Card


def test_query_of_several_terms(starter: openbind.Space) -> None:
    """Weights may be negative; the result has unit norm."""
    terms = [Term("text", "a dog"), Term("text", "rain", -0.5)]
    query = embed_query(starter, terms)
    dog, rain = starter.encode("text", ["a dog", "rain"])
    np.testing.assert_allclose(query, openbind.combine([(dog, 1), (rain, -0.5)]), atol=2e-5)


def pair(modality: str, mean: float, deviation: float) -> Unrelated:
    """Unrelated pairs of a text, 99 % of them below three deviations."""
    high = mean + 3 * deviation
    return Unrelated(
        modalities=("text", modality), mean=mean, deviation=deviation, high=high, count=9
    )


def test_rank_is_sorted_and_stable() -> None:
    """Descending, ties in their order, at most all; without calibration by cosine."""
    items = np.array([[0, 1], [1, 0], [1, 0], [-1, 0]], np.float32)
    found = rank(np.array([1, 0], np.float32), items, ["image"] * 4, 9, {})
    assert [each.row for each in found] == [1, 2, 0, 3]
    assert (found[0].cosine, found[0].deviations, found[0].close) == (1.0, None, None)
    assert len(rank(np.array([1, 0], np.float32), items, ["image"] * 4, 2, {})) == 2


def test_modalities_are_ranked_comparably() -> None:
    """What stands out most from unrelated items comes first, though its cosine is lower."""
    query_E = np.array([1, 0], np.float32)
    items = np.array([[0.2, 0.9798], [0.5, 0.866], [0.05, 0.9987]], np.float32)
    names, depth = ["depth", "audio", "depth"], pair("depth", 0.0, 0.04)
    known = {"depth": depth, "audio": pair("audio", 0.1, 0.2)}
    found = rank(query_E, items, names, 9, known)
    assert [(each.row, each.close) for each in found] == [(0, True), (1, False), (2, False)]
    np.testing.assert_allclose([each.deviations for each in found], [5, 2, 1.25], rtol=1e-4)
    partly = rank(query_E, items, names, 9, {"depth": depth})
    assert [each.row for each in partly] == [1, 0, 2]
    assert [each.close for each in partly] == [None, True, False]


def test_expect_unrelated() -> None:
    """Only modalities that the card knows for each term."""
    card = Card(unrelated=(pair("image", 0.0, 0.1), pair("text", 0.2, 0.1)))
    vector_E = np.array([1, 0], np.float32)
    assert set(expect_unrelated(card, [Term("text", vector_E)])) == {"image", "text"}
    both = [Term("text", vector_E), Term("image", vector_E)]
    assert set(expect_unrelated(card, both)) == {"text"}  # image–text and text–text
    assert expect_unrelated(Card(), both) == {}


def test_common_modality() -> None:
    """Sums of several modalities and differences have none."""
    dog, rain = Term("text", "a dog"), Term("text", "rain", -0.5)
    assert common_modality([dog, dog]) == "text"
    assert common_modality([dog, rain]) is None
    assert common_modality([dog, Term("audio", "bark.wav")]) is None
