"""Queries are drawn at random, and their neighbors are the nearest of every other modality."""

from __future__ import annotations

import numpy as np
import pytest

from openbind.evaluation.collection import EmbeddedItems, Item
from openbind.evaluation.report.neighbors import BEST, QUERIES, ask


def gather(modality: str, items: list[Item], vectors_NE: np.ndarray) -> EmbeddedItems:
    unit_NE = vectors_NE / np.linalg.norm(vectors_NE, axis=1, keepdims=True)
    return EmbeddedItems(modality=modality, items=tuple(items), vectors_NE=unit_NE)


def test_neighbors_are_the_nearest(embedded: list[EmbeddedItems]) -> None:
    """Cosines are those of the vectors and fall; every other modality answers."""
    queries = ask(embedded, {("image", "text"), ("text", "image")}, np.random.default_rng(0))
    assert len(queries) == QUERIES * len(embedded)
    of = {some.modality: some for some in embedded}
    for query in queries:
        own = of[query.modality]
        vector_E = own.vectors_NE[own.items.index(query.item)]
        assert [a.modality for a in query.answers] == [m for m in of if m != query.modality]
        for answer in query.answers:
            cosines = sorted(of[answer.modality].vectors_NE @ vector_E, reverse=True)
            found = [found.cosine for found in answer.found]
            assert found == pytest.approx(cosines[:BEST])
            assert answer.trained == ({query.modality, answer.modality} == {"image", "text"})


def test_says_what_matches() -> None:
    """The scene comes before the class; another scene of the class is of the class."""
    query = gather("thermal", [Item(title="q", label="dog", pair="1")], np.ones((1, 2)))
    targets = [
        Item(title="scene", label="dog", pair="1"),
        Item(title="class", label="dog", pair="2"),
        Item(title="neither", label="cat", pair="3"),
    ]
    vectors_KE = np.array([[1, 1], [1, 0.9], [1, 0.8]])
    (asked, *_) = ask([query, gather("image", targets, vectors_KE)], (), np.random.default_rng(0))
    assert [found.match for found in asked.answers[0].found] == ["scene", "class", None]


def test_equal_items_are_shown_once() -> None:
    """The same words in two data sets are one neighbor."""
    query = gather("audio", [Item(title="q")], np.ones((1, 2)))
    words = [Item(title="a dog", set=name) for name in "ab"] + [Item(title="a cat")]
    (asked, *_) = ask([query, gather("text", words, np.ones((3, 2)))], (), np.random.default_rng(0))
    assert [found.item.title for found in asked.answers[0].found] == ["a dog", "a cat"]


def test_draws_what_can_be_answered_of_different_classes() -> None:
    """One of each class that another modality has, before seconds and before the unanswerable."""
    labels = ["dog", "dog", "dog", "cat", "cow", "unknown", ""]
    sounds = gather("audio", [Item(title=str(n), label=x) for n, x in enumerate(labels)], np.eye(7))
    words = gather("text", [Item(title=x, label=x) for x in ("dog", "cat", "cow")], np.eye(3, 7))
    for seed in range(5):
        queries = ask([sounds, words], (), np.random.default_rng(seed))
        drawn = [query.item.label for query in queries if query.modality == "audio"]
        assert sorted(drawn) == ["cat", "cow", "dog"]
